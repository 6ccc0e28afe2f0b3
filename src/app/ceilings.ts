/**
 * The delivery ceilings of the configuration, as gates of lanes. A rule counts for every lane that leads to what it names and leaves from where it says, on all nodes together;
 * all rules that match count.
 */
import type { Clock } from '#base/clock.ts';
import type { Ceiling } from '#grants/ceiling.ts';
import { Gate, type GateLimit } from '#grants/gate.ts';
import type { Purse } from '#grants/purse.ts';
import type { WarmUps } from '#grants/warm-ups.ts';
import type { FindRoute } from '#model/delivery.ts';
import type { EgressSource, Route } from '#model/egress.ts';
import type { Config } from './config.ts';

type Rule = Config['delivery']['ceilings'][number];

const DAY_MS = 86_400_000;

export interface GateParts {
  readonly config: Config;
  readonly purse: Purse;
  readonly warmUps: Pick<WarmUps, 'limitOf'>;
  readonly clock: Clock;
}

/** The ceilings that a lane's mail counts against; undefined: there can be none. Each lane has a gate of its own. */
export function gateFor({ config: { delivery }, purse, warmUps, clock }: GateParts, route: Route, source: EgressSource): Gate | undefined {
  const names = [route.site, ...route.hosts.map(({ host }) => host)];
  const limits: GateLimit[] = delivery.ceilings
    .filter((rule) => matches(rule.match, names) && leavesFrom(rule, source))
    .map((rule) => ({ reason: 'ceiling', ceiling: ceilingOf(rule) }));
  if (source.capPerDay !== undefined) limits.push({ reason: 'warm-up', ceiling: warmUp(source.name, source.capPerDay) });
  const { address } = source;
  // An address may be warmed up from any time on.
  if (address === undefined) return limits.length === 0 ? undefined : new Gate(purse, clock, () => limits);
  return new Gate(purse, clock, () => {
    const warming = warmUps.limitOf(address);
    return warming === undefined ? limits : [...limits, warming];
  });
}

/** A receiving domain that has a ceiling as itself has a site, and so a lane, of its own: what others send to the same hosts does not count. */
export function withSitesOfCeilings(findRoute: FindRoute, { delivery }: Config): FindRoute {
  const rules = delivery.ceilings.filter(({ match }) => match !== '*');
  if (rules.length === 0) return findRoute;
  return async (domain, signal) => {
    const found = await findRoute(domain, signal);
    if (found.kind === 'failed' || !rules.some(({ match }) => matches(match, [domain]))) return found;
    return { kind: 'route', route: { ...found.route, site: domain } };
  };
}

/** A rule names a receiving domain, one of the hosts of its site, or the site. */
export function matches(match: string, names: readonly string[]): boolean {
  return match === '*' || names.some((name) => (match.startsWith('*.') ? name.endsWith(match.slice(1)) : name === match));
}

function leavesFrom({ source, pool }: Rule, from: EgressSource): boolean {
  return (source === undefined || source === from.name) && (pool === undefined || pool === from.pool);
}

/** The name is the same on all nodes, and another one for another time: rules for the same mail may stand beside each other. */
function ceilingOf({ match, rate, source, pool }: Rule): Ceiling {
  const from = `${source === undefined ? '' : ` source ${source}`}${pool === undefined ? '' : ` pool ${pool}`}`;
  return { name: `to ${match} in ${rate.perMs} ms${from}`, count: rate.count, perMs: rate.perMs, holds: 'always', isCounted: false };
}

function warmUp(source: string, count: number): Ceiling {
  return { name: `warm-up of ${source}`, count, perMs: DAY_MS, holds: 'always', isCounted: false };
}
