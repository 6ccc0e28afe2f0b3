/**
 * What of the queue is in this node's memory: how many recipients, and the contents they need. Both bounded (P8); the rest waits on disk.
 * Recipients of one content share it, and it goes with the last of them (what stays longer than it is needed is work for the garbage collector: measured
 * a tenth of all CPU); a content that had to go before is read again when its turn comes.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import { ByteBudget } from '#base/byte-budget.ts';
import { LARGE_BYTES, leftBehind } from '#base/large.ts';
import type { Priority } from '#model/message.ts';

/** One in so many parts of memory is what one destination may have, and what is kept for urgent mail. */
const SHARES = 8;

export interface MemoryOptions {
  readonly recipientsMax: number;
  readonly contentBytesMax: number;
  load(contentId: number): Promise<Uint8Array | undefined>;
}

export class Memory {
  readonly #options: MemoryOptions;
  readonly #contents: BoundedCache<number, Buffer>;
  readonly #loading = new Map<number, Promise<Buffer | undefined>>();
  readonly #usersOf = new Map<number, number>();
  /** Large contents that may be in memory now, and their sizes. */
  readonly #large = new Map<number, number>();
  readonly #largeBudget: ByteBudget;
  #recipients = 0;
  #expected = 0;

  constructor(options: MemoryOptions) {
    this.#options = options;
    this.#largeBudget = new ByteBudget(options.contentBytesMax);
    this.#contents = new BoundedCache({ max: options.contentBytesMax, weigh: (content) => content.byteLength });
  }

  get recipients(): number {
    return this.#recipients;
  }

  /** Nothing is here, and nothing is being leased on its way here. */
  get isEmpty(): boolean {
    return this.#recipients === 0 && this.#expected === 0;
  }

  /** While something is written that leases so many recipients, which enter then, or do not. */
  async expecting<T>(recipients: number, writing: () => Promise<T>): Promise<T> {
    this.#expected += recipients;
    try {
      return await writing();
    } finally {
      this.#expected -= recipients;
    }
  }

  /** Recipients that may still be taken in. */
  get room(): number {
    return Math.max(0, this.#options.recipientsMax - this.#recipients);
  }

  /**
   * What one destination that holds `held` may still take in: an eighth of what is free, so that however many destinations stand still with all they
   * were given, some memory stays free for one that works. The last eighth of all is for urgent mail. `planned` places are given away already.
   */
  shareOf(held: number, priority: Priority, planned = 0): number {
    const reserved = priority === 0 ? 0 : this.#options.recipientsMax / SHARES;
    return Math.max(0, Math.ceil((this.room - planned - reserved) / SHARES) - held);
  }

  /** A recipient of this content is taken in. */
  enter(contentId: number): void {
    this.#recipients++;
    this.#usersOf.set(contentId, (this.#usersOf.get(contentId) ?? 0) + 1);
  }

  /**
   * Whether a content of this size may be loaded and sent now. Several transactions that send large ones would hold them all at once, whatever the
   * cache may keep: beyond its size they wait on disk. True again for whoever shares one that is there.
   */
  admits(contentId: number, sizeBytes: number): boolean {
    if (sizeBytes < LARGE_BYTES || this.#large.has(contentId)) return true;
    const bytes = Math.min(sizeBytes, this.#options.contentBytesMax);
    if (!this.#largeBudget.take(bytes)) return false;
    this.#large.set(contentId, bytes);
    return true;
  }

  leave(contentId: number): void {
    this.#recipients--;
    const users = (this.#usersOf.get(contentId) ?? 1) - 1;
    if (users > 0) {
      this.#usersOf.set(contentId, users);
    } else {
      this.#usersOf.delete(contentId);
      this.#largeBudget.give(this.#large.get(contentId) ?? 0);
      this.#large.delete(contentId);
      leftBehind(this.#contents.get(contentId, 0)?.length ?? 0);
      this.#contents.delete(contentId);
    }
  }

  keep(contentId: number, content: Uint8Array): void {
    this.#contents.set(contentId, asBuffer(content), 0);
  }

  /** From memory, or from the store, once for all who ask meanwhile. Undefined: it is gone. */
  async content(contentId: number): Promise<Buffer | undefined> {
    const kept = this.#contents.get(contentId, 0);
    if (kept !== undefined) return kept;
    let loading = this.#loading.get(contentId);
    if (loading === undefined) {
      loading = this.#options
        .load(contentId)
        .then((content) => {
          if (content === undefined) return undefined;
          this.keep(contentId, content);
          return asBuffer(content);
        })
        .finally(() => this.#loading.delete(contentId));
      this.#loading.set(contentId, loading);
    }
    return loading;
  }
}

function asBuffer(content: Uint8Array): Buffer {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
}
