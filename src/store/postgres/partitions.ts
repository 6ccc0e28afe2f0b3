/**
 * The partitions of `content` and `event`: one for each day of ids. They are made ahead of time, and on demand for any other day (a clock that is wrong, a test). A table is
 * made by itself and then attached, which waits for no reader and no writer. Retention drops them (retention.ts).
 */
import type { Database } from './database.ts';
import { dayOfId, firstIdOfDay } from './ids.ts';

export const PARTITIONED = ['content', 'event'] as const;
export type Partitioned = (typeof PARTITIONED)[number];

const LOCK = 7_072_681_251;
const DAY_MS = 86_400_000;

/** "content_20260301"; of the day 0 and what came from the other driver: "content_first". */
export function partitionName(table: Partitioned, day: number): string {
  return day === 0 ? `${table}_first` : `${table}_${new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

export class Partitions {
  readonly #db: Database;
  /** Days that have both. */
  #known = new Set<number>([0]);

  constructor(db: Database) {
    this.#db = db;
  }

  hasDay(day: number): boolean {
    return this.#known.has(day);
  }

  /** Makes those that are missing. Costs nothing for days that were asked for before. */
  async ensure(days: Iterable<number>): Promise<void> {
    const missing = [...new Set(days)].filter((day) => !this.#known.has(day));
    if (missing.length === 0) return;
    await this.#db.transaction(async (queries) => {
      await queries.all('SELECT pg_advisory_xact_lock($1::bigint)', LOCK);
      for (const day of missing.toSorted((a, b) => a - b)) {
        for (const table of PARTITIONED) {
          const name = partitionName(table, day);
          const [found] = await queries.allOnce(
            'SELECT 1 FROM pg_inherits WHERE inhparent = $1::regclass AND inhrelid = to_regclass($2)',
            table,
            name,
          );
          if (found !== undefined) continue;
          await queries.allOnce(`CREATE TABLE ${name} (LIKE ${table} INCLUDING ALL)`);
          await queries.allOnce(
            `ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${firstIdOfDay(day)}) TO (${firstIdOfDay(day + 1)})`,
          );
        }
      }
    });
    for (const day of missing) this.#known.add(day);
  }

  ensureFor(ids: Iterable<number>): Promise<void> {
    const days = new Set<number>();
    for (const id of ids) days.add(dayOfId(id));
    return this.ensure(days);
  }

  /** Another node dropped some. */
  forget(): void {
    this.#known = new Set([0]);
  }
}
