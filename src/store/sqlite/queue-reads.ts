/** What is asked of the queue: which buckets are due, when the next one is, and what waits for one domain. Reads indexes that hold what waits and nothing else. */
import type { Bucket } from '#store/store.ts';
import type { Database } from './database.ts';

/** Recipients that wait for one domain of one account, at most `limit`. Goes by the account's buckets: a long history costs nothing. */
export function queuedOfDomain(db: Database, accountId: number, domainId: number, limit: number): number[] {
  return db
    .all(
      `SELECT r.id AS id FROM bucket b CROSS JOIN recipient r ON r.bucket = b.id AND r.state = 0 CROSS JOIN message m ON m.id = r.message
       WHERE b.account_id = ? AND b.look_ms IS NOT NULL AND m.domain_id = ? LIMIT ?`,
      accountId,
      domainId,
      limit,
    )
    .map((row) => Number(row['id']));
}

/** By priority, then by due time; reads the index of buckets that have something due and nothing else. */
export function dueBuckets(db: Database, nowMs: number, limit: number): Bucket[] {
  const buckets: Bucket[] = [];
  for (const priority of [0, 1, 2] as const) {
    if (buckets.length >= limit) break;
    const rows = db.all(
      'SELECT id, domain, account_id, look_ms FROM bucket WHERE priority = ? AND look_ms <= ? ORDER BY look_ms LIMIT ?',
      priority,
      nowMs,
      limit - buckets.length,
    );
    for (const row of rows) {
      buckets.push({
        id: Number(row['id']),
        domain: String(row['domain']),
        accountId: Number(row['account_id']),
        priority,
        dueAtMs: Number(row['look_ms']),
      });
    }
  }
  return buckets;
}

export function nextDueAtMs(db: Database): number | undefined {
  const row = db.get(
    'SELECT min(v) AS v FROM (SELECT (SELECT min(look_ms) FROM bucket WHERE priority = p.column1 AND look_ms IS NOT NULL) AS v FROM (VALUES (0), (1), (2)) p)',
  );
  return row === undefined || row['v'] === null ? undefined : Number(row['v']);
}
