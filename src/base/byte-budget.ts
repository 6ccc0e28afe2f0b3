/**
 * How many octets may be in memory at once for one purpose, whoever asks. Small things take what they need or are refused; who knows that something large is
 * coming reserves its place and waits for it a while, so that several large ones come one after the other instead of being refused.
 */
interface Waiting {
  readonly bytes: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (isGranted: boolean) => void;
}

/** Reservations that may wait; further ones are refused at once. */
const WAITING_MAX = 1000;

export class ByteBudget {
  readonly #maxBytes: number;
  #usedBytes = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** False: it does not fit, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#maxBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Takes as soon as there is room, in the order of asking; false when there was none within the time. */
  reserve(bytes: number, withinMs: number): Promise<boolean> {
    if (this.#waiting.size === 0 && this.take(bytes)) return Promise.resolve(true);
    if (bytes > this.#maxBytes || this.#waiting.size >= WAITING_MAX) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiting: Waiting = {
        bytes,
        resolve,
        timer: setTimeout(() => {
          this.#waiting.delete(waiting);
          resolve(false);
          this.#grant();
        }, withinMs),
      };
      this.#waiting.add(waiting);
    });
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#grant();
  }

  #grant(): void {
    for (const waiting of this.#waiting) {
      if (!this.take(waiting.bytes)) return;
      this.#waiting.delete(waiting);
      clearTimeout(waiting.timer);
      waiting.resolve(true);
    }
  }
}
