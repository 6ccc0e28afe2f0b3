/** Looks at each enrolled domain once an hour, whichever node comes first. */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { repeat } from '#base/repeat.ts';
import type { EgressStore } from '#store/egress-store.ts';
import type { DynamicPools } from './dynamic-pools.ts';

export const POOL_CHECK_MS = 3_600_000;
const LOOK_MS = 30_000;
const CLAIM_MAX = 20;

export interface PoolWatchOptions {
  readonly egress: Pick<EgressStore, 'claimEnrolled'>;
  readonly pools: Pick<DynamicPools, 'look'>;
  readonly clock: Clock;
  readonly log: Log;
}

export function startPoolWatch(options: PoolWatchOptions): { stop(): Promise<void> } {
  return repeat({
    round: async () => (await lookAtPools(options)) >= CLAIM_MAX,
    pauseMs: LOOK_MS,
    log: options.log,
    trouble: 'pools of addresses cannot be looked after for now',
  });
}

/** Those whose time has come, a few at once. How many. */
export async function lookAtPools({ egress, pools, clock, log }: PoolWatchOptions): Promise<number> {
  const nowMs = clock.nowMs();
  const claimed = await egress.claimEnrolled(nowMs - POOL_CHECK_MS, nowMs, CLAIM_MAX);
  for (const enrolled of claimed) {
    try {
      await pools.look(enrolled);
    } catch (error) {
      // The others are looked at all the same; this one again in an hour.
      log.warn({ domain: enrolled.domainId, error: String(error) }, 'it cannot be said how the mail of a domain fares');
    }
  }
  return claimed.length;
}
