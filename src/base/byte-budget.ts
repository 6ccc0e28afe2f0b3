/**
 * How many octets may be in memory at once for one purpose, whoever asks. Small things take what they need or are refused; who knows that something large is
 * coming reserves its place and waits for it a while, so that several large ones come one after the other instead of being refused.
 *
 * A budget may be a part of another: what is taken from it is taken from the whole too, so that some of those who share it leave the rest to the others.
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
  readonly #whole: ByteBudget | undefined;
  #usedBytes = 0;
  #refusals = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(maxBytes: number, whole?: ByteBudget) {
    this.#maxBytes = maxBytes;
    this.#whole = whole;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Somebody waits for room. */
  get isWaitedFor(): boolean {
    return this.#waiting.size > 0 || this.#whole?.isWaitedFor === true;
  }

  /** How often there was no room, so far. */
  get refusals(): number {
    return this.#refusals + (this.#whole?.refusals ?? 0);
  }

  /** False: it does not fit, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#fits(bytes) && this.#whole?.take(bytes) !== false) {
      this.#usedBytes += bytes;
      return true;
    }
    this.#refusals++;
    return false;
  }

  /** Takes as soon as there is room, in the order of asking; false when there was none within the time (in a part: within it, and then in the whole). */
  async reserve(bytes: number, withinMs: number): Promise<boolean> {
    if (!(await this.#reserveHere(bytes, withinMs))) return false;
    if (this.#whole === undefined || (await this.#whole.reserve(bytes, withinMs))) return true;
    this.#usedBytes -= bytes;
    this.#grant();
    return false;
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.#maxBytes;
  }

  #reserveHere(bytes: number, withinMs: number): Promise<boolean> {
    if (this.#waiting.size === 0 && this.#fits(bytes)) {
      this.#usedBytes += bytes;
      return Promise.resolve(true);
    }
    this.#refusals++;
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
    this.#whole?.give(bytes);
    this.#grant();
  }

  #grant(): void {
    for (const waiting of this.#waiting) {
      if (!this.#fits(waiting.bytes)) return;
      this.#usedBytes += waiting.bytes;
      this.#waiting.delete(waiting);
      clearTimeout(waiting.timer);
      waiting.resolve(true);
    }
  }
}
