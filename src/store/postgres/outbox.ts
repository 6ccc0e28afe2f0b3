/**
 * The outbox on PostgreSQL, shared by all nodes. Endpoints are kept as buckets are (buckets.ts): who puts an entry in locks its endpoint against being raised or deleted (FOR KEY SHARE)
 * and lowers it; who raises or deletes it locks it against all of those (FOR UPDATE), and looks at what is there in the statement after.
 */
import { endpointOf, itemOf } from '#store/outbox-rows.ts';
import { EVENT_COLUMNS, MESSAGE_COLUMNS, RECIPIENT_COLUMNS, type Row } from '#store/rows-json.ts';
import { BEHIND_MS, type OutboxItem, type OutboxStore } from '#store/outbox-store.ts';
import { int8Array } from './arrays.ts';
import type { Database, Queries } from './database.ts';
import type { OutboxSettler } from './outbox-settle.ts';
import { postTables } from './posts.ts';

const LEASED = 'epoch = o.epoch + 1, attempts = o.attempts + 1, is_leased = 1';
/** `leased`: rows of entries. */
const ITEMS = `SELECT l.*, p.name AS endpoint_name, ${EVENT_COLUMNS}, ${MESSAGE_COLUMNS}, ${RECIPIENT_COLUMNS} FROM leased l LEFT JOIN outbox_endpoint p ON p.id = l.endpoint
  LEFT JOIN message m ON m.id = l.message LEFT JOIN domain d ON d.id = m.domain_id LEFT JOIN recipient r ON r.id = l.recipient AND r.message = m.id
  LEFT JOIN LATERAL (SELECT * FROM event v WHERE v.id = l.event OFFSET 0) e ON l.event > 0 ORDER BY l.id`;
const CLAIM = `WITH picked AS (
    SELECT e.id FROM unnest($1::bigint[], $2::bigint[]) AS q (endpoint, room) CROSS JOIN LATERAL (
      SELECT o.id FROM outbox o WHERE o.endpoint = q.endpoint AND o.due_ms <= $3::bigint ORDER BY o.due_ms, o.id LIMIT q.room FOR NO KEY UPDATE SKIP LOCKED) e),
  leased AS (UPDATE outbox o SET due_ms = $4::bigint, ${LEASED} FROM picked p WHERE o.id = p.id RETURNING o.*) ${ITEMS}`;
const CLAIM_OLD = `WITH picked AS (
    SELECT o.id FROM outbox o WHERE o.created_ms <= $1::bigint AND o.due_ms < ${BEHIND_MS} AND (o.is_leased = 0 OR o.due_ms <= $2::bigint)
    ORDER BY o.created_ms LIMIT $3::bigint FOR NO KEY UPDATE SKIP LOCKED),
  leased AS (UPDATE outbox o SET due_ms = $4::bigint, ${LEASED} FROM picked p WHERE o.id = p.id RETURNING o.*) ${ITEMS}`;

const HOLD_ALONE = 'SELECT id FROM outbox_endpoint WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE';
const EMPTY =
  'DELETE FROM outbox_endpoint p WHERE p.id = ANY($1::bigint[]) AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.endpoint = p.id)';
/** Another node may have parked it since this one saw it due: that stands. */
const LOOK_AGAIN = `UPDATE outbox_endpoint p SET look_ms = greatest((SELECT min(o.due_ms) FROM outbox o WHERE o.endpoint = p.id), p.parked_ms)
  WHERE p.id = ANY($1::bigint[])`;

export function outboxTables(db: Database, settler: OutboxSettler): OutboxStore {
  return {
    dueEndpoints: async (nowMs, limit) =>
      (
        await db.all(
          'SELECT id, account_id, name, look_ms FROM outbox_endpoint WHERE look_ms <= $1 ORDER BY look_ms LIMIT $2',
          nowMs,
          limit,
        )
      ).map(endpointOf),
    async claim(requests, nowMs, leaseUntilMs) {
      const endpoints = int8Array(requests.map(({ endpoint }) => endpoint));
      const rows = await db.all(CLAIM, endpoints, int8Array(requests.map(({ room }) => Math.max(0, room))), nowMs, leaseUntilMs);
      await db.transaction(async (queries) => {
        await queries.all(HOLD_ALONE, endpoints);
        await queries.run(EMPTY, endpoints);
        await queries.run(LOOK_AGAIN, endpoints);
      });
      return rows.map(joinedItem);
    },
    claimOld: async (createdUntilMs, limit, nowMs, leaseUntilMs) =>
      (await db.all(CLAIM_OLD, createdUntilMs, nowMs, limit, leaseUntilMs)).map(joinedItem),
    settle: (settlement) => settler.settle(settlement),
    async park(endpoint, untilMs) {
      await db.run(
        'UPDATE outbox_endpoint SET look_ms = greatest(look_ms, $1::bigint), parked_ms = greatest(parked_ms, $1::bigint) WHERE id = $2',
        untilMs,
        endpoint,
      );
    },
    async nextDueAtMs() {
      const at = (await db.get('SELECT min(look_ms) AS at FROM outbox_endpoint'))?.['at'];
      return at === null || at === undefined ? undefined : Number(at);
    },
    ...postTables(db),
    depth: async () => Number((await db.get('SELECT count(*) AS n FROM outbox'))?.['n']),
  };
}

/** The wall clock was set back by so much: what waits keeps the length of its wait, and leases theirs. In a transaction. */
export async function outboxClockSetBack(queries: Queries, byMs: number, nowMs: number): Promise<void> {
  await queries.run(
    'UPDATE outbox SET due_ms = due_ms - $1::bigint WHERE due_ms > $2::bigint AND due_ms < $3::bigint',
    byMs,
    nowMs,
    BEHIND_MS,
  );
  await queries.run(
    `UPDATE outbox_endpoint p SET parked_ms = greatest(0, p.parked_ms - $1::bigint),
       look_ms = greatest(coalesce((SELECT min(o.due_ms) FROM outbox o WHERE o.endpoint = p.id), p.look_ms - $1::bigint), p.parked_ms - $1::bigint)`,
    byMs,
  );
}

/** Of one row of ITEMS. */
function joinedItem(row: Row): OutboxItem {
  const has = (id: 'm_id' | 'e_id'): Row | undefined => (row[id] === null ? undefined : row);
  return itemOf(row, String(row['endpoint_name']), has('m_id'), has('e_id'));
}
