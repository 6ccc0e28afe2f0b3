/**
 * Writes whose answer never came. A connection that breaks while a batch is on its way leaves open whether the batch stands. What is sent has ids of its own making, so it is
 * sent again as it was, on the next connection, until the server says one or the other; not for longer than others can be made to wait.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LostConnection } from './trouble.ts';

const AGAIN_MS = 100;
/** Then the caller is told that the store is away, which leaves it open. What was leased by it comes back by itself (nodes.ts). */
const UNSURE_MAX_MS = 15_000;

/** `write` is told whether it was tried before. */
export async function untilSure<T>(write: (mayStand: boolean) => Promise<T>): Promise<T> {
  const startMs = performance.now();
  let mayStand = false;
  for (;;) {
    try {
      return await write(mayStand);
    } catch (error) {
      if (!(error instanceof LostConnection)) throw error;
      mayStand ||= error.isSent;
      if (!mayStand || performance.now() - startMs > UNSURE_MAX_MS) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
