/**
 * How an account stands: whether anybody may come in for it, from where, and what it is allowed. A subaccount stands only while its parent does. Read with each key and login
 * that is not cached; who asks about an account alone gets an answer that is at most a moment old.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { InFlight } from '#base/in-flight.ts';
import { createNetworkTest } from '#base/networks.ts';
import type { AccessStore, Features } from '#store/access-store.ts';

export interface Standing {
  /** Neither it nor its parent is disabled or closed. */
  readonly isOpen: boolean;
  readonly isClosed: boolean;
  readonly parentId?: number;
  readonly features: Features;
  /** It may be used from this address. */
  readonly allows: (address: string) => boolean;
}

export interface Standings {
  /** As it stands now. undefined: there is no such account. */
  readStanding(accountId: number): Promise<Standing | undefined>;
  /** As it stood a moment ago at most. */
  standingOf(accountId: number): Promise<Standing | undefined>;
  /** After a change made here. */
  forgetStandings(): void;
}

const CACHE_MAX = 20_000;
const CACHE_MS = 1500;
const REDACT = 'webhooks_redact_pii';

export function createStandings(store: AccessStore, clock: Clock): Standings {
  const known = new BoundedCache<number, Standing | 'none'>({ max: CACHE_MAX, ttlMs: CACHE_MS });
  const reading = new InFlight<number, Standing | undefined>();

  async function readStanding(accountId: number): Promise<Standing | undefined> {
    const [facts, networks] = await Promise.all([store.accountFacts(accountId), store.networksOf(accountId)]);
    if (facts === undefined) return undefined;
    const parent = facts.parentId === undefined ? undefined : await store.accountFacts(facts.parentId);
    return {
      isOpen: facts.status === 'open' && (parent === undefined || parent.status === 'open'),
      isClosed: facts.status === 'closed',
      ...(facts.parentId !== undefined && { parentId: facts.parentId }),
      features: facts.features,
      allows: networks.length === 0 ? () => true : createNetworkTest(networks.map(({ network }) => network)),
    };
  }

  return {
    readStanding,
    async standingOf(accountId) {
      const cached = known.get(accountId, clock.monotonicMs());
      if (cached !== undefined) return cached === 'none' ? undefined : cached;
      return reading.once(accountId, async () => {
        const standing = await readStanding(accountId);
        known.set(accountId, standing ?? 'none', clock.monotonicMs());
        return standing;
      });
    },
    forgetStandings: () => known.clear(),
  };
}

/** Webhooks are told of events of the account without personal data: it said so, or the account above it. */
export async function redactsWebhooks(standings: Pick<Standings, 'standingOf'>, accountId: number): Promise<boolean> {
  const own = await standings.standingOf(accountId);
  if (own?.features[REDACT] === true) return true;
  if (own?.parentId === undefined) return false;
  return (await standings.standingOf(own.parentId))?.features[REDACT] === true;
}
