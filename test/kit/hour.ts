/** For tests of what is counted by the hour or the day of the real clock (UTC): they must not run over the end of one. */
import { setTimeout as pause } from 'node:timers/promises';

const HOUR_MS = 3_600_000;
const PAST_MS = 1000;

/** Resolves when so much is left of the hour: nearly always at once, otherwise when the next one has begun. To be awaited before a file's first test, where no time-out runs. */
export async function hourLasts(ms: number): Promise<void> {
  const waitMs = untilHourLasts(ms, Date.now());
  if (waitMs > 0) await pause(waitMs);
}

export function untilHourLasts(ms: number, nowMs: number): number {
  const leftMs = HOUR_MS - (nowMs % HOUR_MS);
  // A moment later, for a store whose clock is a little behind.
  return leftMs < ms ? leftMs + PAST_MS : 0;
}
