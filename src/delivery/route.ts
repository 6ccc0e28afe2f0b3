/**
 * From a recipient domain to the hosts that take its mail (RFC 5321 §5.1): a smart host that the operator named for it, an address
 * literal, its MX, or the domain itself when it has none. The answer that there is no way is final only when DNS said so clearly;
 * trouble in DNS is temporary (P5).
 *
 * `site` names the set of hosts, so that the many domains of one provider share a lane.
 */
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Answer, MxRecord, Resolver } from '#dns/resolver.ts';
import type { FindRoute } from '#model/delivery.ts';
import type { Route, RouteHost } from '#model/egress.ts';
import type { BounceClass, Disposition, Outcome } from '#model/outcome.ts';
import { CODE_NO_MX, madeOutcome } from './made-outcome.ts';

export const ROUTES_CACHED_MAX = 50_000;
export const ROUTE_TTL_MS = 300_000;
/** Longer sets of host names are cut to the first, the number of the others, and a hash. */
const SITE_CHARACTERS_MAX = 100;

/** One of delivery.routes. */
export interface SmartHostRule {
  /** A domain, "*.domain" for those below it, or "*". The first rule that matches counts. */
  readonly match: string;
  readonly host: string;
  readonly port: number;
  readonly tls: 'none' | 'opportunistic' | 'required' | 'implicit';
  readonly username?: string;
  readonly password?: string;
}

export interface FindRouteDeps {
  readonly resolver: Pick<Resolver, 'mx' | 'addresses'>;
  readonly routes: readonly SmartHostRule[];
  /** delivery.port */
  readonly port: number;
  /** Names under which other servers know us (smtp.hostname, EHLO names): an MX of ours or worse is not delivered to. */
  readonly ownNames: readonly string[];
  /** Where we take mail for domains of ours ourselves; undefined: nowhere. Absent: nowhere. */
  inside?(): Pick<Route, 'hosts' | 'port'> | undefined;
  /** Mail to user@[192.0.2.1] is delivered. */
  readonly allowLiterals: boolean;
  readonly clock: Clock;
}

type Found = Awaited<ReturnType<FindRoute>>;
type RouteFound = Extract<Found, { kind: 'route' }>;

interface Verdict {
  readonly disposition: Disposition;
  readonly code: number;
  readonly enhanced: string;
  readonly bounceClass: BounceClass;
  readonly text: string;
}

export function createFindRoute(deps: FindRouteDeps): FindRoute {
  const { clock } = deps;
  const cache = new BoundedCache<string, RouteFound>({ max: ROUTES_CACHED_MAX, ttlMs: ROUTE_TTL_MS });
  const ownNames = new Set(deps.ownNames.map((name) => name.toLowerCase().replace(/\.$/, '')));
  const smartRoutes = new Map(deps.routes.map((rule) => [rule, smartRoute(rule)]));

  return async (given, signal) => {
    const domain = given.toLowerCase();
    const kept = cache.get(domain, clock.monotonicMs());
    if (kept !== undefined) return kept;
    const startedMs = clock.monotonicMs();
    const looked = await find(domain, signal);
    if ('site' in looked) {
      const found: RouteFound = { kind: 'route', route: looked };
      cache.set(domain, found, clock.monotonicMs());
      return found;
    }
    return { kind: 'failed', outcome: outcomeOf(looked, clock, clock.monotonicMs() - startedMs) };
  };

  async function find(domain: string, signal: AbortSignal): Promise<Route | Verdict> {
    const rule = deps.routes.find(({ match }) => isMatch(match.toLowerCase(), domain));
    if (rule !== undefined) return smartRoutes.get(rule) as Route;
    if (domain.startsWith('[')) return literalRoute(domain, deps);
    const answer = await stopped(deps.resolver.mx(domain), signal);
    if (answer.kind === 'found') return mxRoute(domain, answer.records, ownNames, deps);
    if (answer.kind === 'none') return implicitRoute(domain, await stopped(deps.resolver.addresses(domain), signal), ownNames, deps);
    return missing(domain, answer);
  }
}

/** Lane and route names never hold a password; two logins at one smart host are two sites. */
function smartRoute(rule: SmartHostRule): Route {
  const host = rule.host.toLowerCase();
  return {
    site: `${rule.username === undefined ? '' : `${rule.username}@`}${host}:${rule.port}`,
    hosts: [{ host, preference: 0 }],
    port: rule.port,
    smartHost: {
      tls: rule.tls,
      ...(rule.username === undefined ? {} : { username: rule.username }),
      ...(rule.password === undefined ? {} : { password: rule.password }),
    },
  };
}

function isMatch(match: string, domain: string): boolean {
  if (match === '*') return true;
  return match.startsWith('*.') ? domain.endsWith(match.slice(1)) && domain.length > match.length - 1 : match === domain;
}

function literalRoute(domain: string, { allowLiterals, port }: FindRouteDeps): Route | Verdict {
  const inside = domain.slice(1, -1).replace(/^ipv6:/, '');
  if (!domain.endsWith(']') || !ipaddr.isValid(inside)) {
    return refusal('failed', 550, '5.1.3', 'invalid-recipient', `${domain} is not an address literal`);
  }
  if (!allowLiterals) return refusal('failed', 550, '5.1.3', 'policy', 'mail to address literals is not sent from here');
  return { site: domain, hosts: [{ host: inside, preference: 0 }], port };
}

function mxRoute(domain: string, records: readonly MxRecord[], ownNames: ReadonlySet<string>, deps: FindRouteDeps): Route | Verdict {
  // RFC 7505. The root beside other hosts, and "localhost", are a null MX written wrongly: neither can be connected to.
  const real = records.filter(({ host }) => host !== '' && host !== 'localhost' && host !== 'localhost.localdomain');
  if (real.length === 0) {
    return refusal('failed', 556, '5.1.10', 'bad-domain', `${domain} accepts no mail: its MX says so (null MX)`);
  }
  const hosts = beforeOurs(unique(real), ownNames);
  return hosts.length === 0 ? insideOrLoop(domain, deps) : { site: siteOf(hosts), hosts, port: deps.port };
}

function implicitRoute(domain: string, answer: Answer<string>, ownNames: ReadonlySet<string>, deps: FindRouteDeps): Route | Verdict {
  if (answer.kind !== 'found') return missing(domain, answer);
  if (ownNames.has(domain)) return insideOrLoop(domain, deps);
  return { site: domain, hosts: [{ host: domain, preference: 0 }], port: deps.port };
}

/** RFC 5321 §5.1: a host that finds itself in the list keeps only what is better than itself. */
function beforeOurs(hosts: readonly RouteHost[], ownNames: ReadonlySet<string>): readonly RouteHost[] {
  const ours = hosts.find(({ host }) => ownNames.has(host));
  return ours === undefined ? hosts : hosts.filter(({ preference }) => preference < ours.preference);
}

function unique(records: readonly MxRecord[]): RouteHost[] {
  const byHost = new Map<string, RouteHost>();
  for (const { host, preference } of records) if (!byHost.has(host)) byHost.set(host, { host, preference });
  return [...byHost.values()];
}

function siteOf(hosts: readonly RouteHost[]): string {
  const names = hosts.map(({ host }) => host).sort();
  const all = names.join(',');
  if (all.length <= SITE_CHARACTERS_MAX) return all;
  return `${names[0]}+${names.length - 1}-${createHash('sha256').update(all).digest('hex').slice(0, 10)}`;
}

function missing(domain: string, answer: Exclude<Answer<unknown>, { kind: 'found' }>): Verdict {
  if (answer.kind === 'no-such-domain') return refusal('failed', 550, '5.1.2', 'bad-domain', `the domain ${domain} does not exist`);
  if (answer.kind === 'none') {
    return refusal('failed', 550, '5.1.2', 'bad-domain', `the domain ${domain} has neither MX nor address records: it takes no mail`);
  }
  return refusal('deferred', CODE_NO_MX, '4.4.3', 'dns-failure', `No MX for ${domain}: ${answer.trouble}`);
}

/** Each time round it gets a Received field, and where it is sent on a Delivered-To: what goes round in circles ends. */
function insideOrLoop(domain: string, { inside }: FindRouteDeps): Route | Verdict {
  const place = inside?.();
  return place === undefined ? loop(domain) : { site: `inside:${domain}`, ...place, isInside: true };
}

function loop(domain: string): Verdict {
  const text = `mail for ${domain} would come back to this server: its MX names us first, but it is not a domain of ours`;
  return refusal('failed', 554, '5.4.6', 'routing', text);
}

function refusal(disposition: Disposition, code: number, enhanced: string, bounceClass: BounceClass, text: string): Verdict {
  return { disposition, code, enhanced, bounceClass, text };
}

function outcomeOf({ disposition, ...facts }: Verdict, clock: Clock, routeMs: number): Outcome {
  return madeOutcome(disposition, facts, { startedMs: clock.nowMs() - Math.round(routeMs), steps: { route: Math.round(routeMs) } });
}

/** The answer, or trouble as soon as the caller stops waiting; the question goes on for whoever else asked it. */
async function stopped<T>(answer: Promise<Answer<T>>, signal: AbortSignal): Promise<Answer<T>> {
  const halted: Answer<T> = { kind: 'trouble', trouble: 'the lookup was stopped' };
  if (signal.aborted) return halted;
  let onAbort: (() => void) | undefined;
  const abort = new Promise<Answer<T>>((resolve) => {
    onAbort = () => resolve(halted);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([answer, abort]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
