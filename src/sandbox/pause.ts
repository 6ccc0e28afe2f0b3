/** A wait that its client may end: what the sandbox does late on purpose is for nobody once the client is gone. */
import { setTimeout as sleep } from 'node:timers/promises';

/** False when the client went away (the signal was aborted) meanwhile. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal });
    return true;
  } catch {
    return false; // the signal is the only way for a timer to fail
  }
}
