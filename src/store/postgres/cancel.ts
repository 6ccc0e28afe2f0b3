/** The sender takes back what is not yet leased (S1 → S3). */
import { EVENT_KINDS } from '#model/event.ts';
import { int8Array } from './arrays.ts';
import type { Database, Queries } from './database.ts';
import { dayOf, firstIdOfDay, type Ids } from './ids.ts';
import type { Partitions } from './partitions.ts';

/** Recipients found in one search, and ended in one commit. */
const FOUND_MAX = 20_000;
const STEP = 2000;

const OF_MESSAGE = `SELECT r.id FROM message m JOIN recipient r ON r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipient_count
  WHERE m.id = $1 AND m.account_id = $2 AND m.domain_id = $3 AND r.state = 0 ORDER BY r.id`;
/** Goes by the account's buckets: a long history costs nothing. */
const OF_DOMAIN = `SELECT r.id FROM bucket b JOIN recipient r ON r.bucket = b.id AND r.state = 0 JOIN message m ON m.id = r.message
  WHERE b.account_id = $1 AND b.look_ms IS NOT NULL AND m.domain_id = $2 LIMIT $3`;

// One that a node is just leasing is waited for, and found leased.
export const CANCEL = `WITH ended AS (
    UPDATE recipient r SET state = 2, ending = 'cancelled', due_ms = $2::bigint
    FROM (SELECT id FROM recipient WHERE id = ANY($1::bigint[]) AND state = 0 ORDER BY id FOR UPDATE) q WHERE r.id = q.id RETURNING r.id, r.message)
  INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient)
  SELECT $3::bigint + row_number() OVER (ORDER BY id), ${EVENT_KINDS.cancelled}, $2::bigint * 1000, $4::bigint, $5::bigint, message, id FROM ended`;

export interface CancelTools {
  readonly db: Database;
  readonly ids: Ids;
  readonly partitions: Partitions;
}

/** One message's, or in steps all of a domain, so that a million take nobody else's turn. */
export async function cancel(
  tools: CancelTools,
  accountId: number,
  domainId: number,
  message: number | undefined,
  atMs: number,
): Promise<number> {
  const { db, partitions } = tools;
  const nowMs = Math.floor(atMs);
  await partitions.ensure([dayOf(nowMs)]);
  let total = 0;
  for (;;) {
    const rows =
      message === undefined
        ? await db.all(OF_DOMAIN, accountId, domainId, FOUND_MAX)
        : await db.all(OF_MESSAGE, message, accountId, domainId);
    const found = rows.map((row) => Number(row['id']));
    for (let start = 0; start < found.length; start += STEP) {
      total += await cancelRecipients(tools, accountId, domainId, found.slice(start, start + STEP), nowMs);
    }
    if (found.length === 0 || message !== undefined) return total;
  }
}

/** Those of them that are still queued. */
async function cancelRecipients(
  { db, ids }: CancelTools,
  accountId: number,
  domainId: number,
  recipients: readonly number[],
  nowMs: number,
): Promise<number> {
  const first = firstIdOfDay(dayOf(nowMs)) + (await ids.take('event', recipients.length));
  return db.run(CANCEL, int8Array(recipients), nowMs, first - 1, accountId, domainId);
}

/** All nodes follow one clock, and each finds that it was set: the first moves what waits. */
const SAME_STEP_MS = 2000;
const TOLD_WITHIN_MS = 300_000;
const CLOCK_LOCK = 7_072_681_253;
const CLOCK_SET = 'clock.set_back';

/** False: another node has done what there is to do. In the transaction that does it. */
export async function isFirstToMove(queries: Queries, byMs: number, nowMs: number): Promise<boolean> {
  await queries.all('SELECT pg_advisory_xact_lock($1::bigint)', CLOCK_LOCK);
  const [lastByMs, lastMs] = String((await queries.get('SELECT value FROM setting WHERE name = $1', CLOCK_SET))?.['value'] ?? '')
    .split(' ')
    .map(Number);
  const isTold = Math.abs(Number(lastByMs) - byMs) < SAME_STEP_MS && Math.abs(Number(lastMs) - nowMs) < TOLD_WITHIN_MS;
  const put = 'INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value';
  if (!isTold) await queries.run(put, CLOCK_SET, `${byMs} ${nowMs}`);
  return !isTold;
}

/** Rare, and as long as the queue: every recipient that is not due yet is moved. In a transaction that may take its time. */
export async function moveDueTimes(queries: Queries, byMs: number, nowMs: number): Promise<void> {
  await queries.run(
    "UPDATE recipient SET due_ms = due_ms - $1::bigint WHERE state = 0 AND due_ms > $2::bigint AND wait <> 'scheduled'",
    byMs,
    nowMs,
  );
  await queries.run(
    `UPDATE bucket b SET parked_ms = greatest(0, b.parked_ms - $1::bigint), shown_ms = greatest(0, b.shown_ms - $1::bigint),
       look_ms = (SELECT greatest(min(r.due_ms), b.parked_ms - $1::bigint) FROM recipient r WHERE r.bucket = b.id AND r.state = 0 HAVING count(*) > 0)
     WHERE b.look_ms IS NOT NULL`,
    byMs,
  );
}
