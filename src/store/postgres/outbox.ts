/**
 * The outbox on PostgreSQL, shared by all nodes. Endpoints are kept as buckets are (buckets.ts): who puts an entry in locks its endpoint against being raised or deleted (FOR KEY SHARE)
 * and lowers it; who raises or deletes it locks it against all of those (FOR UPDATE), and looks at what is there in the statement after.
 */
import { EVENT_KINDS } from '#model/event.ts';
import { MESSAGE_COLUMNS, messageOf, RECIPIENT_COLUMNS, recipientOf, type Row } from '#store/rows-json.ts';
import type { OutboxEndpoint, OutboxItem, OutboxKind, OutboxSettlement, OutboxStore } from '#store/outbox-store.ts';
import type { Settlement } from '#store/store.ts';
import { int8Array, textArray } from './arrays.ts';
import type { Database, Queries } from './database.ts';
import { dayOf, firstIdOfDay, type Ids } from './ids.ts';
import type { Partitions } from './partitions.ts';

const MAKE_ENDPOINTS = `INSERT INTO outbox_endpoint (account_id, name, look_ms)
  SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ORDER BY 1, 2 ON CONFLICT DO NOTHING`;
const HOLD_ENDPOINTS = `SELECT p.id, p.account_id, p.name, p.look_ms, p.parked_ms FROM unnest($1::bigint[], $2::text[]) AS q (account_id, name)
  JOIN outbox_endpoint p ON p.account_id = q.account_id AND p.name = q.name ORDER BY p.id FOR KEY SHARE OF p`;
const LOWER_ENDPOINT = 'UPDATE outbox_endpoint SET look_ms = greatest(least(look_ms, $1::bigint), parked_ms) WHERE id = $2';
const PUT = `INSERT INTO outbox (kind, endpoint, account_id, domain_id, message, recipient, target, payload, created_ms, due_ms)
  SELECT q.*, q.created_ms FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[])
    AS q (kind, endpoint, account_id, domain_id, message, recipient, target, payload, created_ms)`;

/** Puts in what the settlements bring, due at once. In the transaction of the facts that it tells. */
export async function putOutbox(queries: Queries, settlements: readonly Settlement[]): Promise<void> {
  const entries = settlements.flatMap((settlement) => (settlement.outbox ?? []).map((entry) => ({ settlement, entry })));
  const wanted = new Map<string, { readonly accountId: number; readonly name: string; dueMs: number }>();
  for (const { settlement, entry } of entries) {
    const { accountId, atMs } = settlement;
    const key = `${accountId} ${entry.endpoint}`;
    const dueMs = Math.min(atMs, wanted.get(key)?.dueMs ?? atMs);
    wanted.set(key, { accountId, name: entry.endpoint, dueMs });
  }
  const endpoints = await holdEndpoints(queries, [...wanted.values()]);
  const column = <T>(of: (each: (typeof entries)[number]) => T): T[] => entries.map(of);
  await queries.run(
    PUT,
    textArray(column(({ entry }) => entry.kind)),
    int8Array(column(({ settlement, entry }) => endpoints.get(`${settlement.accountId} ${entry.endpoint}`))),
    int8Array(column(({ settlement }) => settlement.accountId)),
    int8Array(column(({ settlement }) => settlement.domainId)),
    int8Array(column(({ settlement }) => settlement.message)),
    int8Array(column(({ settlement }) => settlement.recipient)),
    textArray(column(({ entry }) => entry.target)),
    textArray(column(({ entry }) => entry.payload)),
    int8Array(column(({ settlement }) => settlement.atMs)),
  );
}

/** Ids by account and name; made where there is none, and looked at in time. */
async function holdEndpoints(
  queries: Queries,
  wanted: readonly { readonly accountId: number; readonly name: string; readonly dueMs: number }[],
): Promise<Map<string, number>> {
  const accounts = int8Array(wanted.map(({ accountId }) => accountId));
  const names = textArray(wanted.map(({ name }) => name));
  for (;;) {
    const rows = await queries.all(HOLD_ENDPOINTS, accounts, names);
    if (rows.length === wanted.length) {
      const ids = new Map(rows.map((row) => [`${Number(row['account_id'])} ${String(row['name'])}`, row]));
      for (const { accountId, name, dueMs } of wanted) {
        const row = ids.get(`${accountId} ${name}`) as Row;
        if (Number(row['look_ms']) > Math.max(dueMs, Number(row['parked_ms']))) await queries.run(LOWER_ENDPOINT, dueMs, Number(row['id']));
      }
      return new Map([...ids].map(([key, row]) => [key, Number(row['id'])]));
    }
    // New, or gone since: one that is made here is nobody else's to delete before the commit.
    await queries.run(MAKE_ENDPOINTS, accounts, names, int8Array(wanted.map(({ dueMs }) => dueMs)));
  }
}

const LEASED = 'epoch = o.epoch + 1, attempts = o.attempts + 1, is_leased = 1';
/** `leased`: rows of entries. */
const ITEMS = `SELECT l.*, p.name AS endpoint_name, ${MESSAGE_COLUMNS}, ${RECIPIENT_COLUMNS} FROM leased l LEFT JOIN outbox_endpoint p ON p.id = l.endpoint
  LEFT JOIN message m ON m.id = l.message LEFT JOIN domain d ON d.id = m.domain_id LEFT JOIN recipient r ON r.id = l.recipient AND r.message = m.id ORDER BY l.id`;
const CLAIM = `WITH picked AS (
    SELECT e.id FROM unnest($1::bigint[], $2::bigint[]) AS q (endpoint, room) CROSS JOIN LATERAL (
      SELECT o.id FROM outbox o WHERE o.endpoint = q.endpoint AND o.due_ms <= $3::bigint ORDER BY o.due_ms, o.id LIMIT q.room FOR UPDATE SKIP LOCKED) e),
  leased AS (UPDATE outbox o SET due_ms = $4::bigint, ${LEASED} FROM picked p WHERE o.id = p.id RETURNING o.*) ${ITEMS}`;
const CLAIM_OLD = `WITH picked AS (
    SELECT o.id FROM outbox o WHERE o.created_ms <= $1::bigint AND (o.is_leased = 0 OR o.due_ms <= $2::bigint) ORDER BY o.created_ms LIMIT $3::bigint FOR UPDATE SKIP LOCKED),
  leased AS (UPDATE outbox o SET due_ms = $4::bigint, ${LEASED} FROM picked p WHERE o.id = p.id RETURNING o.*) ${ITEMS}`;

const HOLD_ALONE = 'SELECT id FROM outbox_endpoint WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE';
const EMPTY =
  'DELETE FROM outbox_endpoint p WHERE p.id = ANY($1::bigint[]) AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.endpoint = p.id)';
const LOOK_AGAIN = `UPDATE outbox_endpoint p SET look_ms = (SELECT min(o.due_ms) FROM outbox o WHERE o.endpoint = p.id), parked_ms = 0 WHERE p.id = ANY($1::bigint[])`;
const HOLD_ENDPOINT = 'SELECT look_ms, parked_ms FROM outbox_endpoint WHERE id = $1 FOR KEY SHARE';

export interface OutboxTools {
  readonly db: Database;
  readonly ids: Ids;
  readonly partitions: Partitions;
}

export function outboxTables(tools: OutboxTools): OutboxStore {
  const { db } = tools;
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
      return rows.map(itemOf);
    },
    claimOld: async (createdUntilMs, limit, nowMs, leaseUntilMs) =>
      (await db.all(CLAIM_OLD, createdUntilMs, nowMs, limit, leaseUntilMs)).map(itemOf),
    settle: (settlement) => settle(tools, settlement),
    async park(endpoint, untilMs) {
      await db.run(
        'UPDATE outbox_endpoint SET look_ms = greatest(look_ms, $1::bigint), parked_ms = $1::bigint WHERE id = $2',
        untilMs,
        endpoint,
      );
    },
    async nextDueAtMs() {
      const at = (await db.get('SELECT min(look_ms) AS at FROM outbox_endpoint'))?.['at'];
      return at === null || at === undefined ? undefined : Number(at);
    },
    depth: async () => Number((await db.get('SELECT count(*) AS n FROM outbox'))?.['n']),
  };
}

async function settle({ db, ids, partitions }: OutboxTools, { item, dueAtMs, isUntried, event }: OutboxSettlement): Promise<boolean> {
  const { id, epoch, endpointId } = item;
  const day = event === undefined ? 0 : dayOf(event.atUs / 1000);
  await partitions.ensure([day]);
  const eventId = event === undefined ? 0 : firstIdOfDay(day) + (await ids.take('event', 1));
  return db.transaction(async (queries) => {
    // Locked before the entry is due again, as by those who put one in.
    const endpoint = dueAtMs === undefined ? undefined : await queries.get(HOLD_ENDPOINT, endpointId);
    const changed =
      dueAtMs === undefined
        ? await queries.run('DELETE FROM outbox WHERE id = $1 AND epoch = $2 AND is_leased = 1', id, epoch)
        : await queries.run(
            'UPDATE outbox SET due_ms = $1, is_leased = 0, attempts = attempts - $2::integer WHERE id = $3 AND epoch = $4 AND is_leased = 1',
            dueAtMs,
            isUntried === true ? 1 : 0,
            id,
            epoch,
          );
    if (changed === 0) return false;
    if (dueAtMs !== undefined && endpoint !== undefined && Number(endpoint['look_ms']) > Math.max(dueAtMs, Number(endpoint['parked_ms']))) {
      await queries.run(LOWER_ENDPOINT, dueAtMs, endpointId);
    }
    if (event !== undefined) {
      await queries.run(
        'INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)',
        eventId,
        EVENT_KINDS[event.kind],
        event.atUs,
        event.accountId,
        event.domainId,
        event.message,
        event.recipient,
        JSON.stringify(event.detail),
      );
    }
    return true;
  });
}

/** The wall clock was set back by so much: what waits keeps the length of its wait, and leases theirs. In a transaction. */
export async function outboxClockSetBack(queries: Queries, byMs: number, nowMs: number): Promise<void> {
  await queries.run('UPDATE outbox SET due_ms = due_ms - $1::bigint WHERE due_ms > $2::bigint', byMs, nowMs);
  await queries.run(
    `UPDATE outbox_endpoint p SET parked_ms = greatest(0, p.parked_ms - $1::bigint),
       look_ms = greatest(coalesce((SELECT min(o.due_ms) FROM outbox o WHERE o.endpoint = p.id), p.look_ms - $1::bigint), p.parked_ms - $1::bigint)`,
    byMs,
  );
}

function endpointOf(row: Row): OutboxEndpoint {
  return { id: Number(row['id']), accountId: Number(row['account_id']), endpoint: String(row['name']), dueAtMs: Number(row['look_ms']) };
}

function itemOf(row: Row): OutboxItem {
  return {
    id: Number(row['id']),
    kind: row['kind'] as OutboxKind,
    endpoint: String(row['endpoint_name']),
    endpointId: Number(row['endpoint']),
    epoch: Number(row['epoch']),
    accountId: Number(row['account_id']),
    domainId: Number(row['domain_id']),
    target: String(row['target']),
    payload: String(row['payload']),
    createdMs: Number(row['created_ms']),
    attempts: Number(row['attempts']) - 1,
    message: row['m_id'] === null ? undefined : messageOf(row),
    recipient: row['r_id'] === null ? undefined : recipientOf(row),
  };
}
