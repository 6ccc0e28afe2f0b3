/**
 * Group commit: calls gather while the batch before is on its way, and everything that gathered shares the next one. One batch at a time, in the order of the calls.
 */
import { StoreError } from '#store/store.ts';

/** What came of one call. */
export type Outcome<Answer> = { readonly value: Answer } | { readonly error: unknown };

export interface GatherOptions<Call, Answer> {
  /** Octets that the call brings. */
  bytesOf(call: Call): number;
  /** Calls that must not share a batch have the same key. */
  keyOf?(call: Call): number | undefined;
  /** One outcome for each call, in their order. Never rejects. */
  write(batch: readonly Call[]): Promise<readonly Outcome<Answer>[]>;
  /** Milliseconds that a call waits for company when nothing is on its way. */
  readonly lingerMs: number;
}

interface Waiting<Call, Answer> {
  readonly call: Call;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** A batch, which is a commit, holds at most so many calls, and ends with the one that fills its bytes. */
const BATCH_MAX = 512;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
/** Calls that may wait, and the bytes they may bring; past it new ones are refused as busy (P9). */
const WAITING_MAX = 50_000;
const WAITING_BYTES_MAX = 256 * 1024 * 1024;

export class Gather<Call, Answer> {
  readonly #options: GatherOptions<Call, Answer>;
  #waiting: Waiting<Call, Answer>[] = [];
  #waitingBytes = 0;
  #isScheduled = false;
  #isWriting = false;
  #isClosed = false;
  #startedAtMs = 0;
  #onIdle: (() => void) | undefined;
  /** Told after each batch how long it took. */
  onBatch: ((ms: number) => void) | undefined;

  constructor(options: GatherOptions<Call, Answer>) {
    this.#options = options;
  }

  /** Milliseconds that the batch on its way has taken so far; 0 when there is none. */
  get busyMs(): number {
    return this.#isWriting ? performance.now() - this.#startedAtMs : 0;
  }

  call(call: Call): Promise<Answer> {
    const bytes = this.#options.bytesOf(call);
    if (this.#isClosed) return Promise.reject(new StoreError('closed', 'the store is closed'));
    if (this.#waiting.length >= WAITING_MAX || this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
      return Promise.reject(new StoreError('busy', 'too many calls wait for the store'));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      this.#waitingBytes += bytes;
      this.#schedule();
    });
  }

  /** Refuses new calls, and resolves when those that were handed in are answered. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (!this.#isWriting && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isWriting) return;
    this.#isScheduled = true;
    const send = (): void => {
      this.#isScheduled = false;
      void this.#send();
    };
    if (this.#options.lingerMs > 0) setTimeout(send, this.#options.lingerMs);
    else setImmediate(send);
  }

  async #send(): Promise<void> {
    const batch = this.#nextBatch();
    this.#isWriting = true;
    this.#startedAtMs = performance.now();
    const outcomes = await this.#options.write(batch.map(({ call }) => call));
    this.#isWriting = false;
    this.onBatch?.(performance.now() - this.#startedAtMs);
    if (this.#waiting.length > 0) this.#schedule();
    for (const [position, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[position] as Outcome<Answer>;
      if ('value' in outcome) resolve(outcome.value);
      else reject(outcome.error);
    }
    if (this.#waiting.length === 0) this.#onIdle?.();
  }

  #nextBatch(): Waiting<Call, Answer>[] {
    const { bytesOf, keyOf } = this.#options;
    const keys = new Set<number>();
    const batch: Waiting<Call, Answer>[] = [];
    let bytes = 0;
    for (const waiting of this.#waiting) {
      if (batch.length === BATCH_MAX || bytes >= BATCH_BYTES_MAX) break;
      const key = keyOf?.(waiting.call);
      if (key !== undefined) {
        // It waits for the one before it of its key, and all behind it with it: the order stays.
        if (keys.has(key)) break;
        keys.add(key);
      }
      batch.push(waiting);
      bytes += bytesOf(waiting.call);
    }
    this.#waiting = this.#waiting.slice(batch.length);
    this.#waitingBytes -= bytes;
    return batch;
  }
}
