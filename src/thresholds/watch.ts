/**
 * Looks at each threshold once a minute, whichever node comes first, and records what reached it. A hit lasts a little longer than it takes to look again, so that one
 * that is still found does not end in between, and what is no longer found is free soon. `measure` answers from counters, never from events.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import { repeat } from '#base/repeat.ts';
import type { Threshold, ThresholdComparator, ThresholdHit, ThresholdStore } from '#store/threshold-store.ts';

export interface Measured {
  /** The domain, tag, … that it was measured of. */
  readonly dimensionValue: string;
  readonly value: number;
}

export type Measure = (threshold: Threshold, nowMs: number) => Promise<readonly Measured[]>;

export interface WatchOptions {
  readonly store: Pick<ThresholdStore, 'claimThresholds' | 'recordHit'>;
  readonly measure: Measure;
  /** One was reached that was not a moment ago. Never rejects. */
  readonly reached?: (threshold: Threshold, hit: ThresholdHit) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export const CHECK_EVERY_MS = 60_000;
export const HIT_LASTS_MS = 180_000;
const LOOK_MS = 10_000;
const CLAIM_MAX = 20;
/** Of one account. */
const HITS_KEPT = 1000;
/** Values that one look at one threshold records. */
const HITS_AT_ONCE_MAX = 100;

export function startThresholdWatch(options: WatchOptions): { stop(): Promise<void> } {
  return repeat({
    round: async () => (await lookAtThresholds(options)) >= CLAIM_MAX,
    pauseMs: LOOK_MS,
    log: options.log,
    trouble: 'thresholds cannot be looked at for now',
  });
}

/** Those whose time has come, a few at once. How many. */
export async function lookAtThresholds({ store, measure, reached: tell, clock, log }: WatchOptions): Promise<number> {
  const nowMs = clock.nowMs();
  const claimed = await store.claimThresholds(nowMs - CHECK_EVERY_MS, nowMs, CLAIM_MAX);
  for (const threshold of claimed) {
    try {
      const reached = (await measure(threshold, nowMs)).filter(({ value }) =>
        isReached(value, threshold.comparator, Number(threshold.limit)),
      );
      for (const each of reached.slice(0, HITS_AT_ONCE_MAX)) await record(store, threshold, each, nowMs, tell);
    } catch (error) {
      // The others are looked at all the same; this one again in a minute.
      log.warn({ threshold: threshold.id, error: String(error) }, 'a threshold cannot be measured');
    }
  }
  return claimed.length;
}

async function record(
  store: WatchOptions['store'],
  threshold: Threshold,
  { dimensionValue, value }: Measured,
  nowMs: number,
  tell: WatchOptions['reached'],
): Promise<void> {
  const { id: thresholdId, accountId, kind, name, metric, comparator, limit, dimension } = threshold;
  const of = { accountId, thresholdId, kind, name, metric, comparator, limit, dimension, dimensionValue, latestValue: value };
  const hit = { id: randomHex(12), ...of, createdMs: nowMs, updatedMs: nowMs, expiresMs: nowMs + HIT_LASTS_MS };
  if (await store.recordHit(hit, HITS_KEPT)) await tell?.(threshold, hit);
}

export function isReached(value: number, comparator: ThresholdComparator, limit: number): boolean {
  switch (comparator) {
    case '>':
      return value > limit;
    case '>=':
      return value >= limit;
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '==':
      return value === limit;
    case '!=':
      return value !== limit;
  }
}
