/**
 * Putting entries into the outbox, in the transaction of the fact that they tell. Of one endpoint, target, message and recipient the earliest entry alone has a time when it is
 * due. Who puts one in holds its recipient (or has just made it), so that two of them come one after the other, and holds the entries that stand against being deleted
 * (FOR KEY SHARE); who deletes one looks in the statement after for the next (outbox.ts). So either the entry is seen by who deletes the one before it, or it sees it gone.
 */
import { BEHIND_MS, type OutboxEntry } from '#store/outbox-store.ts';
import type { Row } from '#store/rows-json.ts';
import { int8Array, textArray } from './arrays.ts';
import type { Queries } from './database.ts';

/** What an entry belongs to. */
export interface OutboxOwner {
  /** Of entries that name no other. */
  readonly accountId: number;
  readonly domainId: number;
  readonly message: number;
  readonly recipient: number;
  readonly atMs: number;
  /** That it tells; 0: none. */
  readonly event: number;
  /** Its message is of this transaction: nothing of it stands yet. */
  readonly isNew?: boolean;
}

export interface Telling {
  readonly owner: OutboxOwner;
  readonly entry: OutboxEntry;
}

/** Until the commit nobody else puts entries of these recipients into the outbox, which are told in their order. */
export const LOCK_RECIPIENTS = 'SELECT id FROM recipient WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE';
const MAKE_ENDPOINTS = `INSERT INTO outbox_endpoint (account_id, name, look_ms)
  SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ORDER BY 1, 2 ON CONFLICT DO NOTHING`;
const HOLD_ENDPOINTS = `SELECT p.id, p.account_id, p.name, p.look_ms, p.parked_ms FROM unnest($1::bigint[], $2::text[]) AS q (account_id, name)
  JOIN outbox_endpoint p ON p.account_id = q.account_id AND p.name = q.name ORDER BY p.id FOR KEY SHARE OF p`;
export const LOWER_ENDPOINT = 'UPDATE outbox_endpoint SET look_ms = greatest(least(look_ms, $1::bigint), parked_ms) WHERE id = $2';
const EARLIER = `SELECT q.n::integer AS n FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY AS q (message, recipient, endpoint, target, n)
  JOIN outbox o ON o.message = q.message AND o.recipient = q.recipient AND o.endpoint = q.endpoint AND o.target = q.target ORDER BY o.id FOR KEY SHARE OF o`;
const PUT = `INSERT INTO outbox (kind, endpoint, account_id, domain_id, message, recipient, target, payload, created_ms, due_ms, event)
  SELECT q.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
    AS q (kind, endpoint, account_id, domain_id, message, recipient, target, payload, created_ms, due_ms, event)`;

/** Due at once, or behind an earlier one. */
export async function putOutbox(queries: Queries, tellings: readonly Telling[]): Promise<void> {
  if (tellings.length === 0) return;
  const wanted = new Map<string, { readonly accountId: number; readonly name: string; dueMs: number }>();
  for (const { owner, entry } of tellings) {
    const accountId = ownerOf(owner, entry);
    const { atMs } = owner;
    const key = `${accountId} ${entry.endpoint}`;
    const dueMs = Math.min(atMs, wanted.get(key)?.dueMs ?? atMs);
    wanted.set(key, { accountId, name: entry.endpoint, dueMs });
  }
  const endpoints = await holdEndpoints(queries, [...wanted.values()]);
  const rows = tellings.map(({ owner, entry }) => ({
    ...owner,
    ...entry,
    accountId: ownerOf(owner, entry),
    endpoint: endpoints.get(`${ownerOf(owner, entry)} ${entry.endpoint}`) as number,
  }));
  const behind = await behindOthers(queries, rows);
  await queries.run(
    PUT,
    textArray(rows.map(({ kind }) => kind)),
    int8Array(rows.map(({ endpoint }) => endpoint)),
    int8Array(rows.map(({ accountId }) => accountId)),
    int8Array(rows.map(({ domainId }) => domainId)),
    int8Array(rows.map(({ message }) => message)),
    int8Array(rows.map(({ recipient }) => recipient)),
    textArray(rows.map(({ target }) => target)),
    textArray(rows.map(({ payload }) => payload)),
    int8Array(rows.map(({ atMs }) => atMs)),
    int8Array(rows.map((row) => (behind.has(row) ? BEHIND_MS : row.atMs))),
    int8Array(rows.map(({ event }) => event)),
  );
}

function ownerOf({ accountId }: OutboxOwner, { ownerId = accountId }: OutboxEntry): number {
  return ownerId;
}

type EntryRow = Omit<OutboxOwner, 'atMs'> & { readonly endpoint: number; readonly target: string };

/** Those that wait for one that stands, or that stands before them in the batch. */
async function behindOthers<R extends EntryRow>(queries: Queries, rows: readonly R[]): Promise<Set<R>> {
  const behind = new Set<R>();
  const asked = rows.filter(({ isNew, message }) => message > 0 && isNew !== true);
  if (asked.length > 0) {
    const standing = await queries.all(
      EARLIER,
      int8Array(asked.map(({ message }) => message)),
      int8Array(asked.map(({ recipient }) => recipient)),
      int8Array(asked.map(({ endpoint }) => endpoint)),
      textArray(asked.map(({ target }) => target)),
    );
    for (const row of standing) behind.add(asked[Number(row['n']) - 1] as R);
  }
  const seen = new Set<string>();
  for (const row of rows) {
    if (row.message === 0) continue;
    const order = `${row.message} ${row.recipient} ${row.endpoint} ${row.target}`;
    if (seen.has(order)) behind.add(row);
    seen.add(order);
  }
  return behind;
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
