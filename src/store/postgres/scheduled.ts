/** What is scheduled: listed by an index that holds nothing else, moved and taken back by its message. One that a node is just leasing is waited for, and found leased. */
import { EVENT_KINDS } from '#model/event.ts';
import { MESSAGE_COLUMNS, messageOf, movedExtra, RECIPIENT_COLUMNS, recipientOf, type Row } from '#store/rows-json.ts';
import type { Scheduled, ScheduledChoice, ScheduledPosition } from '#store/scheduled-store.ts';
import { int8Array, textArray } from './arrays.ts';
import { lowering } from './buckets.ts';
import { CANCEL, type CancelTools } from './cancel.ts';
import type { Queries } from './database.ts';
import { dayOf, firstIdOfDay } from './ids.ts';

/** The index is walked for each domain by itself, `limit` rows of it. */
const LIST = `SELECT ${RECIPIENT_COLUMNS}, ${MESSAGE_COLUMNS}
  FROM (SELECT l.id, l.due_ms FROM unnest($1::bigint[]) AS g (domain_id) CROSS JOIN LATERAL (
      SELECT s.id, s.due_ms FROM recipient s
      WHERE s.state = 0 AND s.wait = 'scheduled' AND s.scheduled_domain = g.domain_id AND (s.due_ms, s.id) > ($2::bigint, $3::bigint)
      ORDER BY s.due_ms, s.id LIMIT $4::bigint) l
    ORDER BY l.due_ms, l.id LIMIT $4::bigint) q
  JOIN recipient r ON r.id = q.id JOIN message m ON m.id = r.message LEFT JOIN domain d ON d.id = m.domain_id ORDER BY q.due_ms, q.id`;

const CHOSEN = `SELECT r.id, r.due_ms, r.expires_ms, r.extra FROM message m
  JOIN recipient r ON r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipient_count
  WHERE m.id = $1 AND m.account_id = $2 AND m.domain_id = $3 AND r.state = 0 AND r.wait = 'scheduled' AND ($4::bigint IS NULL OR r.id = $4::bigint)
  ORDER BY r.id FOR UPDATE OF r`;

const MOVE = `WITH moved AS (
    UPDATE recipient r SET due_ms = $2::bigint, expires_ms = g.expires_ms, extra = g.extra
    FROM unnest($1::bigint[], $3::bigint[], $4::text[]) AS g (id, expires_ms, extra) WHERE r.id = g.id RETURNING r.bucket),
  events AS (
    INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail)
    SELECT g.event, ${EVENT_KINDS.rescheduled}, $7::bigint * 1000, $8::bigint, $9::bigint, $10::bigint, g.id, g.detail
    FROM unnest($1::bigint[], $5::bigint[], $6::text[]) AS g (id, event, detail)),
  queued AS (SELECT bucket, $2::bigint AS due_ms FROM moved GROUP BY bucket),
  ${lowering('queued')}
SELECT count(*) AS sooner FROM lowered`;

export async function listScheduled(
  queries: Queries,
  domainIds: readonly number[],
  after: ScheduledPosition | undefined,
  limit: number,
): Promise<Scheduled[]> {
  const { dueAtMs, id } = after ?? { dueAtMs: -1, id: 0 };
  const rows = await queries.all(LIST, int8Array(domainIds), dueAtMs, id, limit);
  return rows.map((row) => ({ message: messageOf(row), recipient: recipientOf(row) }));
}

/** In a transaction: they are nobody else's until it ends. */
function chosen(queries: Queries, { accountId, domainId, message, recipient }: ScheduledChoice): Promise<Row[]> {
  return queries.all(CHOSEN, message, accountId, domainId, recipient ?? null);
}

/** `isSooner`: a bucket is to be looked at sooner than it was, which other nodes may want to know. */
export async function moveScheduled(
  { db, ids, partitions }: CancelTools,
  choice: ScheduledChoice,
  dueAtMs: number,
  atMs: number,
): Promise<{ readonly moved: number; readonly isSooner: boolean }> {
  const nowMs = Math.floor(atMs);
  await partitions.ensure([dayOf(nowMs)]);
  return db.transaction(async (queries) => {
    const rows = await chosen(queries, choice);
    if (rows.length === 0) return { moved: 0, isSooner: false };
    const first = firstIdOfDay(dayOf(nowMs)) + (await ids.take('event', rows.length));
    const expires = rows.map((row) => Number(row['expires_ms']) + dueAtMs - Number(row['due_ms']));
    const told = await queries.get(
      MOVE,
      int8Array(rows.map((row) => Number(row['id']))),
      dueAtMs,
      int8Array(expires),
      textArray(rows.map((row, place) => movedExtra(row['extra'], expires[place] as number))),
      int8Array(rows.map((_, place) => first + place)),
      textArray(rows.map((row) => JSON.stringify({ moved: { fromMs: Number(row['due_ms']), toMs: dueAtMs } }))),
      nowMs,
      choice.accountId,
      choice.domainId,
      choice.message,
    );
    return { moved: rows.length, isSooner: Number(told?.['sooner']) > 0 };
  });
}

export async function cancelScheduled({ db, ids, partitions }: CancelTools, choice: ScheduledChoice, atMs: number): Promise<number> {
  const nowMs = Math.floor(atMs);
  await partitions.ensure([dayOf(nowMs)]);
  return db.transaction(async (queries) => {
    const rows = await chosen(queries, choice);
    if (rows.length === 0) return 0;
    const first = firstIdOfDay(dayOf(nowMs)) + (await ids.take('event', rows.length));
    const found = int8Array(rows.map((row) => Number(row['id'])));
    return queries.run(CANCEL, found, nowMs, first - 1, choice.accountId, choice.domainId);
  });
}
