/**
 * Buckets: their ids, which nodes remember because no bucket ever goes, and when they are looked at. `look_ms` is never later than the earliest recipient that waits in the
 * bucket: who queues one locks the bucket against being raised (FOR KEY SHARE) and lowers it; who raises it locks it against all of those (FOR UPDATE) before it looks, in
 * a statement of its own, at what is queued by then.
 */
import type { Bucket } from '#store/store.ts';
import { int2Array, int8Array, textArray } from './arrays.ts';
import type { Queries } from './database.ts';

export interface BucketKey {
  readonly domain: string;
  readonly accountId: number;
  readonly priority: number;
}

const IDS_MAX = 20_000;
const FIND = `SELECT b.id, b.domain, b.account_id, b.priority FROM unnest($1::text[], $2::bigint[], $3::smallint[]) AS q (domain, account_id, priority)
  JOIN bucket b ON b.domain = q.domain AND b.account_id = q.account_id AND b.priority = q.priority`;
const MAKE = `INSERT INTO bucket (domain, account_id, priority)
  SELECT q.* FROM unnest($1::text[], $2::bigint[], $3::smallint[]) AS q (domain, account_id, priority) ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING`;

export class BucketIds {
  readonly #ids = new Map<string, number>();

  /** undefined: it was not asked for yet. */
  idOf({ domain, accountId, priority }: BucketKey): number | undefined {
    return this.#ids.get(nameOf(domain, accountId, priority));
  }

  /** After it `idOf` knows all of them. Outside the transaction that needs them: what others wait for here is soon over. */
  async learn(queries: Queries, keys: Iterable<BucketKey>): Promise<void> {
    const missing = new Map<string, BucketKey>();
    for (const key of keys) {
      const name = nameOf(key.domain, key.accountId, key.priority);
      if (!this.#ids.has(name)) missing.set(name, key);
    }
    if (missing.size === 0) return;
    if (this.#ids.size + missing.size > IDS_MAX) {
      this.#ids.clear();
      return this.learn(queries, keys);
    }
    const asked = [...missing.values()];
    const values = [
      textArray(asked.map(({ domain }) => domain)),
      int8Array(asked.map(({ accountId }) => accountId)),
      int2Array(asked.map(({ priority }) => priority)),
    ];
    if (this.#keep(await queries.all(FIND, ...values)) === missing.size) return;
    await queries.run(MAKE, ...values);
    this.#keep(await queries.all(FIND, ...values));
  }

  #keep(rows: readonly Readonly<Record<string, unknown>>[]): number {
    for (const row of rows)
      this.#ids.set(nameOf(String(row['domain']), Number(row['account_id']), Number(row['priority'])), Number(row['id']));
    return rows.length;
  }
}

function nameOf(domain: string, accountId: number, priority: number): string {
  return `${priority} ${accountId} ${domain}`;
}

/**
 * Parts of a WITH for a statement that queues recipients; `queued` names a query of (bucket, due_ms), a row for each bucket. `locked` sees the buckets as they are when nobody raises
 * them, whatever the statement's snapshot says; `lowered` holds those that are looked at sooner than before.
 */
export function lowering(queued: string): string {
  return `locked AS (SELECT b.id, b.look_ms, b.parked_ms, q.due_ms FROM ${queued} q JOIN bucket b ON b.id = q.bucket ORDER BY b.id FOR KEY SHARE OF b),
  lowered AS (UPDATE bucket b SET look_ms = least(b.look_ms, greatest(l.due_ms, b.parked_ms)) FROM locked l
    WHERE b.id = l.id AND (l.look_ms IS NULL OR l.look_ms > greatest(l.due_ms, l.parked_ms)) RETURNING 1)`;
}

const LOCK = 'SELECT id FROM bucket WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE';
const RAISE = `UPDATE bucket b SET look_ms = (SELECT min(r.due_ms) FROM recipient r WHERE r.state = 0 AND r.bucket = b.id), parked_ms = 0, shown_ms = 0, wait = 'due'
  WHERE b.id = ANY($1::bigint[])`;

/** They are looked at again when the earliest of what is left in them is due. In a transaction. */
export async function raise(queries: Queries, buckets: readonly number[]): Promise<void> {
  const ids = int8Array(buckets);
  await queries.all(LOCK, ids);
  await queries.run(RAISE, ids);
}

// For each priority by itself, which is one way through the index.
const DUE = `SELECT b.* FROM (VALUES (0), (1), (2)) AS p (priority) CROSS JOIN LATERAL (
    SELECT id, domain, account_id, priority, look_ms FROM bucket WHERE priority = p.priority AND look_ms <= $1::bigint ORDER BY look_ms LIMIT $2::bigint) b
  ORDER BY b.priority, b.look_ms`;

/** By priority, then by due time; `limit` of each priority. */
export async function dueBuckets(queries: Queries, nowMs: number, limit: number): Promise<Bucket[]> {
  return (await queries.all(DUE, nowMs, limit)).map((row) => ({
    id: Number(row['id']),
    domain: String(row['domain']),
    accountId: Number(row['account_id']),
    priority: Number(row['priority']) as Bucket['priority'],
    dueAtMs: Number(row['look_ms']),
  }));
}

const NEXT = `SELECT b.id, b.look_ms FROM (VALUES (0), (1), (2)) AS p (priority) CROSS JOIN LATERAL (
    SELECT id, look_ms FROM bucket WHERE priority = p.priority AND look_ms IS NOT NULL ORDER BY look_ms LIMIT $1::bigint) b ORDER BY b.look_ms`;

/** The earliest, `limit` of each priority, the earliest first. */
export async function nextBuckets(queries: Queries, limit: number): Promise<{ readonly id: number; readonly lookMs: number }[]> {
  return (await queries.all(NEXT, limit)).map((row) => ({ id: Number(row['id']), lookMs: Number(row['look_ms']) }));
}
