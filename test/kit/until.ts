/** Waits for what becomes true by itself: looks again and again, and fails with a sentence when it takes too long. */
import { setTimeout as pause } from 'node:timers/promises';

const LOOK_AGAIN_MS = 20;
/** Generous: a condition is met at once on an idle machine, and late on a busy one. */
const WITHIN_MS = 60_000;

/** Resolves to the first value that is neither undefined nor false. */
export async function until<T>(look: () => T | Promise<T>, what: string, withinMs = WITHIN_MS): Promise<Exclude<T, false | undefined>> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== false && seen !== undefined) return seen as Exclude<T, false | undefined>;
    if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(LOOK_AGAIN_MS);
  }
}
