/**
 * A rate as a bucket of tokens, exact for who counts (P11): no stretch as long as the rate's own time ("100/s": a second) sees more messages than it names,
 * wherever it begins. So what may be saved up for a burst is taken from the steady flow; it is small: a twentieth, and never more than a tenth of a second's worth.
 */
import { TokenBucket } from '#base/token-bucket.ts';

const MINUTE_MS = 60_000;
/** Room for timers that fire late, without which the rate could not be reached. */
const BURST_MS = 100;
const BURST_SHARE = 0.05;

/** `windowMs`: the time that the rate is counted in. */
export function paceOf(ratePerMinute: number, windowMs: number, nowMs: number): TokenBucket {
  const perWindow = (ratePerMinute * windowMs) / MINUTE_MS;
  const burst = Math.max(1, Math.floor(Math.min(perWindow * BURST_SHARE, (ratePerMinute / MINUTE_MS) * BURST_MS)));
  return new TokenBucket(perWindow - (burst - 1), windowMs, burst, nowMs);
}
