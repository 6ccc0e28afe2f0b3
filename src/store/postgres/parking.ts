/**
 * Buckets that this node passes by for a while, because its own lanes have no room for them. That is known here alone, so that no other node, whose lanes may have room, waits
 * for it; the table only gets a note of it, for people. A destination that is suspended is suspended for all: that stands in the table, though never for long where
 * other nodes run, whose addresses the destination may like better.
 */
import type { WaitReason } from '#model/wait-reason.ts';
import type { Bucket } from '#store/store.ts';
import { dueBuckets, nextBuckets } from './buckets.ts';
import type { Database } from './database.ts';

/** Past it the oldest is looked at again, which does no harm. */
const PARKED_MAX = 1024;
/** For others a destination that is suspended here is so at most this long. */
const SHARED_MAX_MS = 30_000;

/** A full lane parks with every look; notes of it are written no more often than this. */
const NOTE_MS = 5000;

const PARK = `UPDATE bucket SET look_ms = $1::bigint, parked_ms = $1::bigint, shown_ms = $1::bigint, wait = $2 WHERE id = $3 AND look_ms IS NOT NULL`;
const NOTE = `UPDATE bucket SET shown_ms = $1, wait = $2 WHERE id = $3 AND look_ms IS NOT NULL`;

interface Parked {
  readonly untilMs: number;
  readonly wait: WaitReason;
  /** What the table says of it. */
  readonly shownMs: number;
}

export class Parking {
  readonly #db: Database;
  readonly #parked = new Map<number, Parked>();
  /** Other nodes run. */
  readonly #isShared: () => boolean;
  #nowMs = 0;

  constructor(db: Database, isShared: () => boolean) {
    this.#db = db;
    this.#isShared = isShared;
  }

  async dueBuckets(nowMs: number, limit: number): Promise<Bucket[]> {
    this.#nowMs = nowMs;
    const due = await dueBuckets(this.#db, nowMs, limit + this.#parked.size);
    return due.filter(({ id }) => (this.#parked.get(id)?.untilMs ?? 0) <= nowMs).slice(0, limit);
  }

  async nextDueAtMs(): Promise<number | undefined> {
    let nextMs: number | undefined;
    for (const { id, lookMs } of await nextBuckets(this.#db, this.#parked.size + 1)) {
      const atMs = Math.max(lookMs, this.#parked.get(id)?.untilMs ?? 0);
      if (nextMs === undefined || atMs < nextMs) nextMs = atMs;
    }
    return nextMs;
  }

  async park(bucket: number, untilMs: number, wait: WaitReason): Promise<void> {
    if (wait === 'lane-suspended') {
      const soonMs = this.#isShared() && this.#nowMs > 0 ? Math.min(untilMs, this.#nowMs + SHARED_MAX_MS) : untilMs;
      await this.#db.run(PARK, soonMs, wait, bucket);
      if (soonMs < untilMs) this.#keep(bucket, { untilMs, wait, shownMs: untilMs });
      return;
    }
    const before = this.#parked.get(bucket);
    const isNoted = before !== undefined && before.wait === wait && before.shownMs > this.#nowMs;
    const shownMs = isNoted ? before.shownMs : Math.max(untilMs, this.#nowMs + NOTE_MS);
    if (!isNoted && (await this.#db.run(NOTE, shownMs, wait, bucket)) === 0) return;
    this.#keep(bucket, { untilMs, wait, shownMs });
  }

  /** It is claimed from: why it was passed by before, if it was. */
  unpark(bucket: number): WaitReason | undefined {
    const wait = this.#parked.get(bucket)?.wait;
    this.#parked.delete(bucket);
    return wait;
  }

  clockSetBack(byMs: number): void {
    for (const [bucket, parked] of this.#parked) this.#parked.set(bucket, { ...parked, untilMs: parked.untilMs - byMs, shownMs: 0 });
  }

  #keep(bucket: number, parked: Parked): void {
    this.#parked.delete(bucket);
    if (this.#parked.size >= PARKED_MAX) this.#parked.delete(this.#parked.keys().next().value as number);
    this.#parked.set(bucket, parked);
  }
}
