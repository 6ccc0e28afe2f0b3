/**
 * Opens a connection for a lane: walks the hosts of a route in the order of RFC 5321 §5.1 and every address of each, within limits,
 * until one is open past EHLO and as much TLS as is demanded. When none is, the outcome tells of each host that was tried.
 *
 * Opportunistic TLS that breaks is given up for plaintext at once, and not tried again with that host for some hours.
 * Addresses that mail must not go to are skipped; our own end the walk, as everything behind them would come back to us.
 */
import ipaddr from 'ipaddr.js';
import type { AddressGuard } from '#base/address-guard.ts';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { shuffled } from '#base/random.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { Connect, ConnectFailure, ConnectResult } from '#model/delivery.ts';
import type { EgressSource, Route, RouteHost, TlsDemand } from '#model/egress.ts';
import type { AttemptRecord, BounceClass, Outcome } from '#model/outcome.ts';
import { clientTrust } from '#smtp/client-connect.ts';
import { openClient } from '#smtp/client-session.ts';
import type { ClientTimeouts, OpenFailure, OpenOptions } from '#smtp/client-session.ts';
import { CODE_NO_CONNECTION, CODE_NO_MX, madeOutcome } from './made-outcome.ts';
import { providerOf } from './provider.ts';
import { outcomeOfReply, SmtpDeliverySession } from './session.ts';

export const HOSTS_TRIED_MAX = 5;
export const ADDRESSES_TRIED_MAX = 10;
export const ADDRESSES_PER_HOST_MAX = 6;
/** After this no further address is begun. */
export const WALK_MS_MAX = 300_000;
/** Hosts whose TLS is broken, and for how long that is remembered. */
export const BROKEN_TLS_MAX = 10_000;
export const BROKEN_TLS_MS = 4 * 3_600_000;

export interface ConnectDeps {
  readonly resolver: Pick<Resolver, 'addresses'>;
  readonly guard: AddressGuard;
  readonly timeouts: ClientTimeouts;
  readonly clock: Clock;
  readonly log: Log;
  /** Root certificates (PEM) that are trusted beside the usual ones. */
  readonly extraRoots?: readonly string[];
}

export function createConnect(deps: ConnectDeps): Connect {
  const context = clientTrust(deps.extraRoots ?? []);
  const brokenTls = new BoundedCache<string, true>({ max: BROKEN_TLS_MAX, ttlMs: BROKEN_TLS_MS });
  return async (route, source, demand, signal) => {
    const walk = new Walk({ ...deps, context, brokenTls }, route, source, demand, signal);
    try {
      return await walk.run();
    } catch (error) {
      // A bug of ours (P5).
      deps.log.error({ site: route.site, error: error instanceof Error ? error.stack : String(error) }, 'connecting failed inside');
      return walk.failedInside();
    }
  };
}

/** The latest address that was tried without success. */
interface Tried {
  readonly host: string;
  readonly address: string;
  readonly failure: OpenFailure;
}

interface WalkDeps extends ConnectDeps {
  readonly context: OpenOptions['context'];
  readonly brokenTls: BoundedCache<string, true>;
}

/** One walk over a route's hosts. What went wrong on the way is kept for the outcome. */
class Walk {
  readonly #deps: WalkDeps;
  readonly #route: Route;
  readonly #source: EgressSource;
  readonly #demand: TlsDemand;
  readonly #signal: AbortSignal;
  readonly #startedMs: number;
  readonly #deadlineMs: number;
  readonly #troubles: string[] = [];
  #triedCount = 0;
  #hasConnected = false;
  #refusedCount = 0;
  #unresolvedCount = 0;
  #isLoop = false;
  #last: Tried | undefined;
  #lastWithReply: Tried | undefined;

  constructor(deps: WalkDeps, route: Route, source: EgressSource, demand: TlsDemand, signal: AbortSignal) {
    this.#deps = deps;
    this.#route = route;
    this.#source = source;
    this.#demand = demand;
    this.#signal = signal;
    this.#startedMs = deps.clock.nowMs();
    this.#deadlineMs = deps.clock.monotonicMs() + WALK_MS_MAX;
  }

  async run(): Promise<ConnectResult> {
    if (this.#route.smartHost?.tls === 'none' && this.#demand !== 'opportunistic') {
      return this.#made('the route to the smart host is without TLS, which the message demands', 'tls', '4.7.5', CODE_NO_CONNECTION);
    }
    for (const { host } of inOrder(this.#route.hosts).slice(0, HOSTS_TRIED_MAX)) {
      for (const address of await this.#addressesOf(host)) {
        if (this.#isOver) return this.#failure();
        if (this.#route.isInside !== true && this.#deps.guard.isOwn(address, this.#route.port)) {
          this.#isLoop = true;
          this.#troubles.push(`${host} [${address}]: this is our own address`);
          return this.#failure();
        }
        const result = await this.#tryAddress(host, address);
        if (result !== undefined) return result;
        if (this.#last?.failure.step === 'auth' && this.#last.failure.reply !== undefined) return this.#failure();
      }
    }
    return this.#failure();
  }

  failedInside(): ConnectFailure {
    return this.#made('an internal error stopped the attempt; the log has it', 'transient', '4.3.0', 451);
  }

  get #isOver(): boolean {
    return this.#signal.aborted || this.#triedCount >= ADDRESSES_TRIED_MAX || this.#deps.clock.monotonicMs() >= this.#deadlineMs;
  }

  /** The addresses of a host that may be tried from this source, IPv4 and IPv6 in turn. */
  async #addressesOf(host: string): Promise<string[]> {
    const found = await this.#resolve(host);
    const allowed: string[] = [];
    for (const address of found) {
      // A smart host is the operator's own word, wherever it is; and where we listen ourselves we know.
      const isKnown = this.#route.smartHost !== undefined || this.#route.isInside === true;
      const refusal = !isKnown ? this.#deps.guard.refusal(address) : undefined;
      if (refusal === undefined) {
        allowed.push(address);
      } else {
        this.#refusedCount++;
        this.#troubles.push(`${host} [${address}]: mail is not sent to this ${refusal} address (see delivery.allow_networks)`);
      }
    }
    const { address: local } = this.#source;
    const usable = local === undefined ? allowed : allowed.filter((address) => address.includes(':') === local.includes(':'));
    if (allowed.length > 0 && usable.length === 0) this.#troubles.push(`${host}: has no address of the family of the egress source`);
    return inTurn(usable).slice(0, ADDRESSES_PER_HOST_MAX);
  }

  async #resolve(host: string): Promise<readonly string[]> {
    if (ipaddr.isValid(host)) return [host];
    if (this.#signal.aborted) return [];
    const answer = await this.#deps.resolver.addresses(host);
    if (answer.kind === 'found') return answer.records;
    this.#unresolvedCount++;
    const why = { 'no-such-domain': 'there is no such host', none: 'it has no address', trouble: '' }[answer.kind];
    this.#troubles.push(`${host}: ${answer.kind === 'trouble' ? answer.trouble : why}`);
    return [];
  }

  async #tryAddress(host: string, address: string): Promise<ConnectResult | undefined> {
    this.#triedCount++;
    const { smartHost } = this.#route;
    const mode = smartHost?.tls ?? 'opportunistic';
    const mayFallBack = mode === 'opportunistic' && this.#demand === 'opportunistic';
    const isKnownBroken = mayFallBack && this.#deps.brokenTls.get(host, this.#deps.clock.monotonicMs()) !== undefined;
    const tls = isKnownBroken ? 'none' : mode === 'opportunistic' && this.#demand !== 'opportunistic' ? 'required' : mode;
    if (isKnownBroken) this.#troubles.push(`${host} [${address}]: TLS was found broken there lately, so it is not used`);
    let opened = await openClient(this.#options(host, address, tls));
    if (opened.kind === 'failed' && opened.isTlsBroken === true && mayFallBack && !this.#signal.aborted) {
      this.#deps.brokenTls.set(host, true, this.#deps.clock.monotonicMs());
      this.#deps.log.info(
        { site: this.#route.site, host, trouble: opened.trouble },
        'TLS is broken at this host; plaintext is used for some hours',
      );
      this.#troubles.push(`${host} [${address}]: ${opened.trouble}; plaintext is used instead`);
      opened = await openClient(this.#options(host, address, 'none'));
    }
    if (opened.kind === 'open') {
      const { clock, log } = this.#deps;
      const before = this.#troubles.length === 0 ? {} : { before: this.#told() };
      const facts = { site: this.#route.site, host, address, port: this.#route.port, source: this.#source, ...before, clock, log };
      return { kind: 'open', session: new SmtpDeliverySession(opened.client, facts) };
    }
    if (opened.step !== 'connect') this.#hasConnected = true;
    this.#last = { host, address, failure: opened };
    if (opened.reply !== undefined) this.#lastWithReply = this.#last;
    this.#troubles.push(`${host} [${address}]: ${opened.trouble}`);
    return undefined;
  }

  #options(host: string, address: string, tls: OpenOptions['tls']): OpenOptions {
    const { context, timeouts, clock } = this.#deps;
    const { smartHost, port } = this.#route;
    const { username, password } = smartHost ?? {};
    return {
      host,
      address,
      port,
      ...(this.#source.address === undefined ? {} : { localAddress: this.#source.address }),
      ehlo: this.#source.ehlo,
      tls,
      verify: this.#demand === 'require-verified',
      ...(username === undefined ? {} : { login: { username, password: password ?? '' } }),
      allowPlainLogin: smartHost?.tls === 'none',
      context,
      timeouts,
      clock,
      signal: this.#signal,
    };
  }

  #failure(): ConnectFailure {
    const { site } = this.#route;
    if (this.#lastWithReply !== undefined) return this.#failed(this.#outcomeOfReply(this.#lastWithReply), false);
    const told = this.#troubles.join('; ');
    if (this.#last === undefined) {
      if (this.#signal.aborted) return this.#made('the attempt was stopped', 'transient', '4.3.2', CODE_NO_CONNECTION);
      if (this.#unresolvedCount > 0) return this.#made(`No MX for ${site}: ${told}`, 'dns-failure', '4.4.3', CODE_NO_MX);
      if (this.#isLoop) return this.#made(`mail for ${site} would come back to this server: ${told}`, 'routing', '5.4.6', 554);
      if (this.#refusedCount > 0) return this.#made(told, 'routing', '5.4.4', 550);
      return this.#made(told === '' ? `${site} has no host to try` : told, 'routing', '4.4.4', CODE_NO_CONNECTION);
    }
    const { step } = this.#last.failure;
    const bounceClass = step === 'tls' ? 'tls' : step === 'auth' ? 'relay-denied' : step === 'connect' ? 'no-answer' : 'connection';
    return this.#made(`cannot connect: ${told}`, bounceClass, step === 'tls' ? '4.7.5' : '4.4.1', CODE_NO_CONNECTION);
  }

  #outcomeOfReply(last: Tried): Outcome {
    const { host, failure } = last;
    const outcome = outcomeOfReply(
      failure.reply as NonNullable<OpenFailure['reply']>,
      failure.step,
      1,
      providerOf(host),
      this.#attempt(last),
    );
    const bounceClass = failure.step === 'tls' ? 'tls' : outcome.bounceClass;
    return { ...outcome, ...(bounceClass === undefined ? {} : { bounceClass }), attempt: { ...outcome.attempt, trouble: this.#told() } };
  }

  #told(): string {
    return this.#troubles.join('; ').slice(0, TROUBLE_CHARACTERS_MAX);
  }

  #made(text: string, bounceClass: BounceClass, enhanced: string, code: number): ConnectFailure {
    const disposition = enhanced.startsWith('5') ? 'failed' : 'deferred';
    const outcome = madeOutcome(disposition, { code, enhanced, text, bounceClass }, this.#attempt(this.#last));
    return this.#failed(outcome, disposition === 'deferred' && !this.#hasConnected && !this.#signal.aborted);
  }

  #failed(outcome: Outcome, isSiteDown: boolean): ConnectFailure {
    const isTlsAtFault = this.#last === undefined ? outcome.bounceClass === 'tls' : this.#last.failure.step === 'tls';
    const isDemandUnmet = this.#demand !== 'opportunistic' && isTlsAtFault;
    return { kind: 'failed', outcome, isSiteDown, ...(isDemandUnmet ? { isDemandUnmet: true as const } : {}) };
  }

  #attempt(last: Tried | undefined): Omit<AttemptRecord, 'number'> {
    const { site, port } = this.#route;
    return {
      startedMs: this.#startedMs,
      site,
      port,
      source: this.#source.name,
      ehlo: this.#source.ehlo,
      ...(last === undefined ? {} : { host: last.host, address: last.address }),
      ...(last?.failure.tls === undefined ? {} : { tls: last.failure.tls }),
      steps: last?.failure.steps ?? {},
      ...(last === undefined || last.failure.dialogue.length === 0 ? {} : { dialogue: last.failure.dialogue }),
    };
  }
}

const TROUBLE_CHARACTERS_MAX = 1000;

/** By preference; those of equal preference in random order each time (RFC 5321 §5.1). */
function inOrder(hosts: readonly RouteHost[]): RouteHost[] {
  return shuffled(hosts).sort((a, b) => a.preference - b.preference);
}

/** One of each family in turn, so that a family that does not get through costs little. */
function inTurn(addresses: readonly string[]): string[] {
  const distinct = [...new Set(addresses)];
  const four = distinct.filter((address) => !address.includes(':'));
  const six = distinct.filter((address) => address.includes(':'));
  const mixed: string[] = [];
  for (let i = 0; i < Math.max(four.length, six.length); i++) {
    if (four[i] !== undefined) mixed.push(four[i] as string);
    if (six[i] !== undefined) mixed.push(six[i] as string);
  }
  return mixed;
}
