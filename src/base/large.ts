/**
 * Large octets: what one of them costs in copies is bearable, what several cost at the same moment is not. So they are worked on one after the
 * other, and what they leave behind is collected soon: the garbage collector counts objects, and a message of 25 MB is one object.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** From here on octets are large. */
export const LARGE_BYTES = 1024 * 1024;
/** So much may lie about before it is collected. */
const GARBAGE_BYTES = 16 * 1024 * 1024;

/** Work on large things, one at a time, in the order of asking; small ones pass. */
export class LargeTurns {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (bytes < LARGE_BYTES) return work();
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Room before a large message, for fields that are added to it later. */
const HEADROOM_BYTES = 4096;

/** Memory of its own for a message; of a large one it is shared, so that another thread gets it without a copy, and has room before it. */
export function roomFor(bytes: number): Buffer {
  if (bytes < LARGE_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return Buffer.from(new SharedArrayBuffer(HEADROOM_BYTES + bytes), HEADROOM_BYTES, bytes);
}

/** `text` (Latin-1), then the message, without a copy where the message stands in memory that `roomFor` gave. The message must not be used afterwards. */
export function prepended(text: string, message: Buffer): Buffer {
  if (message.buffer instanceof SharedArrayBuffer && message.byteOffset >= text.length) {
    const whole = Buffer.from(message.buffer, message.byteOffset - text.length, text.length + message.length);
    whole.write(text, 'latin1');
    return whole;
  }
  const whole = roomFor(text.length + message.length);
  message.copy(whole, whole.write(text, 'latin1'));
  return whole;
}

let garbageBytes = 0;
let collect: (() => void) | undefined;

/** Large octets are no longer needed. Costs nothing for small ones; for large ones some tens of milliseconds for every 32 MB. */
export function leftBehind(bytes: number): void {
  if (bytes < LARGE_BYTES) return;
  garbageBytes += bytes;
  if (garbageBytes < GARBAGE_BYTES) return;
  garbageBytes = 0;
  // Who calls still holds what it leaves.
  setImmediate(() => {
    collect ??= collector();
    collect();
  });
}

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const made = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  return made;
}
