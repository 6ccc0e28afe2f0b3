/**
 * The partitions of `content`, `event` and `webhook_post`: one for each day of ids. They are made ahead of time, and on demand for any other day (a clock that is wrong, a test). A table is
 * made by itself and then attached, which waits for no reader and no writer; it is detached beside them too before it is dropped.
 */
import { FLOOR } from './contents.ts';
import type { Database, Queries } from './database.ts';
import { dayOf, dayOfId, firstIdOfDay } from './ids.ts';
import { isPartitionMissing } from './trouble.ts';

export const PARTITIONED = ['content', 'event', 'webhook_post'] as const;
export type Partitioned = (typeof PARTITIONED)[number];

const LOCK = 7_072_681_251;
const DAY_MS = 86_400_000;
/** Beside the day itself. A node that cannot reach the database for days makes them on demand. */
const DAYS_AHEAD = 3;

/** "content_20260301"; of the day 0 and what came from the other driver: "content_first". */
export function partitionName(table: Partitioned, day: number): string {
  return day === 0 ? `${table}_first` : `${table}_${new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/** One day's table, as it stands. */
export interface Partition {
  readonly day: number;
  readonly name: string;
  /** detaching: a drop was begun and not ended; the rows are out of sight already. detached: the same, and no longer a partition. */
  readonly state: 'attached' | 'detaching' | 'detached';
  readonly sizeBytes: number;
}

// By their names, which only we give: one that was detached is found too.
const LIST = `SELECT c.relname AS name, pg_table_size(c.oid) AS size_bytes, i.inhrelid IS NOT NULL AS is_attached, coalesce(i.inhdetachpending, false) AS is_pending,
    (to_date(right(c.relname, 8), 'YYYYMMDD') - DATE '1970-01-01') AS day
  FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = to_regclass($1)
  WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($1)) AND c.relname ~ ('^' || $1 || '_[0-9]{8}$')
  ORDER BY c.relname`;

export class Partitions {
  readonly #db: Database;
  /** Days that have all. */
  #known = new Set<number>([0]);

  constructor(db: Database) {
    this.#db = db;
  }

  /** Makes those that are missing. Costs nothing for days that were asked for before. */
  async ensure(days: Iterable<number>): Promise<void> {
    const missing = [...new Set(days)].filter((day) => !this.#known.has(day)).toSorted((a, b) => a - b);
    if (missing.length === 0) return;
    await this.#db.transaction(async (queries) => {
      await queries.all('SELECT pg_advisory_xact_lock($1::bigint)', LOCK);
      for (const day of missing) {
        for (const table of PARTITIONED) await make(queries, table, day);
      }
    });
    for (const day of missing) this.#known.add(day);
  }

  /** For rows that have their ids already. */
  ensureFor(ids: Iterable<number>): Promise<void> {
    const days = new Set<number>();
    for (const id of ids) days.add(dayOfId(id));
    return this.ensure(days);
  }

  /** Writes rows of those days. Another node's retention may have dropped one that this node thinks is there. */
  async having<T>(days: readonly number[], write: () => Promise<T>): Promise<T> {
    await this.ensure(days);
    try {
      return await write();
    } catch (error) {
      if (!isPartitionMissing(error)) throw error;
      this.forget();
      await this.ensure(days);
      return write();
    }
  }

  /** Today's, and those of the next days. */
  ensureAhead(nowMs: number): Promise<void> {
    const today = dayOf(nowMs);
    return this.ensure(Array.from({ length: DAYS_AHEAD + 1 }, (_, ahead) => today + ahead));
  }

  /** Another node dropped some. */
  forget(): void {
    this.#known = new Set([0]);
  }

  /** The days' tables, the oldest first; without the first, which stays. */
  async list(table: Partitioned): Promise<Partition[]> {
    return (await this.#db.all(LIST, table)).map((row) => ({
      day: Number(row['day']),
      name: String(row['name']),
      state: row['is_attached'] !== true ? 'detached' : row['is_pending'] === true ? 'detaching' : 'attached',
      sizeBytes: Number(row['size_bytes']),
    }));
  }

  /** Takes a day's table out of sight, however far an earlier attempt came; what is being read or written there is waited for. Must not be called by two at once. */
  async detach(table: Partitioned, { day, name, state }: Partition): Promise<void> {
    this.#known.delete(day);
    if (state === 'attached') await this.#db.allOnce(`ALTER TABLE ${table} DETACH PARTITION ${name} CONCURRENTLY`);
    if (state === 'detaching') await this.#db.allOnce(`ALTER TABLE ${table} DETACH PARTITION ${name} FINALIZE`);
  }

  /** Drops what was detached, in one transaction with `last`. False: somebody needed the day again meanwhile, and it stays. */
  drop(table: Partitioned, { name }: Partition, last: (queries: Queries) => Promise<unknown>): Promise<boolean> {
    return this.#db.transaction(async (queries) => {
      await queries.all('SELECT pg_advisory_xact_lock($1::bigint)', LOCK);
      if (await isAttached(queries, table, name)) return false;
      await last(queries);
      await queries.allOnce(`DROP TABLE ${name}`);
      return true;
    });
  }
}

async function make(queries: Queries, table: Partitioned, day: number): Promise<void> {
  const name = partitionName(table, day);
  if (await isAttached(queries, table, name)) return;
  // One that exists was detached and not yet dropped: mail for so old a day comes of a clock that is wrong, and is taken all the same.
  await queries.allOnce(`CREATE TABLE IF NOT EXISTS ${name} (LIKE ${table} INCLUDING ALL)`);
  await queries.allOnce(
    `ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${firstIdOfDay(day)}) TO (${firstIdOfDay(day + 1)})`,
  );
  if (table === 'content') {
    await queries.run(
      'UPDATE setting SET value = $2::text WHERE name = $1 AND value::bigint > $2::text::bigint',
      FLOOR,
      String(firstIdOfDay(day)),
    );
  }
}

async function isAttached(queries: Queries, table: Partitioned, name: string): Promise<boolean> {
  return (
    (await queries.get('SELECT 1 FROM pg_inherits WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2)', table, name)) !==
    undefined
  );
}
