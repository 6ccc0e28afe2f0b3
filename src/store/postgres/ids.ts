/**
 * Ids of messages, recipients, events and posts: day × 2^38 + n, where day is the row's own (days since 1970) and n comes out of blocks that each node takes for itself.
 * So an id is known before its row is written, says in which day's partition the row is, is never given twice, and stays below 2^53 until the year 2059.
 */
import type { Database } from './database.ts';

export type IdKind = 'message' | 'recipient' | 'event' | 'webhook_post';

const DAY_MS = 86_400_000;
const IDS_PER_DAY = 2 ** 38;
/** Lost when a node ends: 2^38 last for ten million ends a day. */
const BLOCK = 16_384;

export function dayOf(ms: number): number {
  return Math.max(0, Math.floor(ms / DAY_MS));
}

export function firstIdOfDay(day: number): number {
  return day * IDS_PER_DAY;
}

export function dayOfId(id: number): number {
  return Math.floor(id / IDS_PER_DAY);
}

// The numbers begin anew when they are used up: by then the day is another. A block never reaches over the end.
const TAKE = `UPDATE id_block SET next = CASE WHEN next + $2::bigint > ${IDS_PER_DAY} THEN 1 + $2::bigint ELSE next + $2::bigint END
  WHERE kind = $1 RETURNING next - $2::bigint AS first`;

/** The blocks of one node. */
export class Ids {
  readonly #db: Database;
  readonly #blocks = new Map<IdKind, { next: number; end: number }>();
  readonly #taking = new Map<IdKind, Promise<unknown>>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** The first of `count` consecutive numbers, for ids of one day: `firstIdOfDay(day) + number`. */
  async take(kind: IdKind, count: number): Promise<number> {
    for (;;) {
      const block = this.#blocks.get(kind);
      if (block !== undefined && block.end - block.next >= count) {
        const first = block.next;
        block.next += count;
        return first;
      }
      await this.#refill(kind, count);
    }
  }

  /** One at a time for each kind; who waited looks again. */
  async #refill(kind: IdKind, count: number): Promise<void> {
    const running = this.#taking.get(kind);
    if (running !== undefined) {
      await running;
      return;
    }
    const size = Math.max(BLOCK, count);
    const taking = this.#db.get(TAKE, kind, size).then((row) => {
      const first = Number(row?.['first']);
      this.#blocks.set(kind, { next: first, end: first + size });
    });
    this.#taking.set(kind, taking);
    try {
      await taking;
    } finally {
      this.#taking.delete(kind);
    }
  }
}
