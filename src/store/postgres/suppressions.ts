/** Suppressions as lists, the allowlist, and imports, on PostgreSQL. Many rows go as one statement, in sorted order, so that two that write the same rows wait in turn. */
import { one, type Row } from '#store/rows-json.ts';
import type { Suppression } from '#store/store.ts';
import {
  ALL_TAGS,
  allowlistEntryOf,
  boundsOf,
  IMPORT_COLUMNS,
  importOf,
  suppressionOf,
  tagsJson,
  tagsWithout,
} from '#store/suppression-rows.ts';
import {
  type AllowlistEntry,
  type ImportStep,
  type ImportStore,
  type PageAsk,
  type SuppressionStore,
  UNSUBSCRIBE_TAGS_MAX,
} from '#store/suppression-store.ts';
import { int4Array, int8Array, textArray } from './arrays.ts';
import type { Database, Queries, Value } from './database.ts';

const MERGED_TAGS = `CASE WHEN s.tags = '${ALL_TAGS}' OR excluded.tags = '${ALL_TAGS}' THEN '${ALL_TAGS}' ELSE (
  SELECT jsonb_agg(t.tag)::text FROM (SELECT DISTINCT u.tag FROM jsonb_array_elements_text(s.tags::jsonb || excluded.tags::jsonb) AS u (tag) ORDER BY u.tag LIMIT ${UNSUBSCRIBE_TAGS_MAX}) t) END`;
const PUT = `INSERT INTO suppression AS s (domain_id, address, kind, code, error, created_ms, tags)
  SELECT $1::bigint, g.address, g.kind, g.code, g.error, g.created_ms, g.tags
  FROM unnest($2::text[], $3::text[], $4::integer[], $5::text[], $6::bigint[], $7::text[]) AS g (address, kind, code, error, created_ms, tags)
  ON CONFLICT (domain_id, lower(address), kind) DO UPDATE SET code = excluded.code, error = excluded.error, tags = ${MERGED_TAGS}`;
const PUT_ALLOWED = `INSERT INTO allowlist (domain_id, value, type, reason, created_ms)
  SELECT $1::bigint, g.value, g.type, g.reason, g.created_ms FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS g (value, type, reason, created_ms)
  ON CONFLICT (domain_id, value) DO UPDATE SET reason = excluded.reason`;
/** As the index has it. */
const FOLDED = (parameter: string): string => `lower(${parameter}::text COLLATE "C")`;

export async function putSuppressions(queries: Queries, domainId: number, given: readonly Suppression[]): Promise<void> {
  const rows = merged(given);
  if (rows.length === 0) return;
  await queries.run(
    PUT,
    domainId,
    textArray(rows.map(({ address }) => address)),
    textArray(rows.map(({ kind }) => kind)),
    int4Array(rows.map(({ code }) => code)),
    textArray(rows.map(({ error }) => error)),
    int8Array(rows.map(({ createdMs }) => createdMs)),
    textArray(rows.map(tagsJson)),
  );
}

/** One statement does not touch a row twice: what is named twice is made one before. */
function merged(given: readonly Suppression[]): Suppression[] {
  const byKey = new Map<string, Suppression>();
  for (const suppression of given) {
    const key = `${asciiLower(suppression.address)} ${suppression.kind}`;
    const before = byKey.get(key);
    byKey.set(key, before === undefined ? suppression : joined(before, suppression));
  }
  return [...byKey.keys()].sort().map((key) => byKey.get(key) as Suppression);
}

function joined(before: Suppression, { code, error, tags }: Suppression): Suppression {
  const { tags: had, ...rest } = before;
  const all = had === undefined || tags === undefined ? undefined : [...had, ...tags].slice(0, UNSUBSCRIBE_TAGS_MAX);
  return { ...rest, code, error, ...(all !== undefined && { tags: all }) };
}

/** As lower() under the collation "C". */
function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** A page of a list whose rows are found by `select` and lie in the order of `column`. */
export function pageOf(db: Queries, select: string, column: string, keys: readonly Value[], ask: PageAsk): Promise<Row[]> {
  const { from, after, before, end, isBackward } = boundsOf(ask);
  const at = (place: number): string => FOLDED(`$${keys.length + place}`);
  const sql = `${select} AND ${column} >= ${at(1)} AND ${column} > ${at(2)} AND ${column} < ${at(3)} AND ${column} < ${at(4)}
    ORDER BY ${column} ${isBackward ? 'DESC' : 'ASC'} LIMIT $${keys.length + 5}`;
  return db.all(sql, ...keys, from, after, before, end, ask.limit).then((rows) => (isBackward ? rows.toReversed() : rows));
}

export function suppressionTables(db: Database): SuppressionStore {
  return {
    putSuppressions: (domainId, suppressions) => putSuppressions(db, domainId, suppressions),
    suppressionPage: async (domainId, kind, ask) =>
      (await pageOf(db, 'SELECT * FROM suppression WHERE domain_id = $1 AND kind = $2', 'lower(address)', [domainId, kind], ask)).map(
        suppressionOf,
      ),
    clearSuppressions: (domainId, kind, limit) =>
      db.run(
        'DELETE FROM suppression WHERE ctid = ANY (ARRAY(SELECT ctid FROM suppression WHERE domain_id = $1 AND kind = $2 LIMIT $3 FOR UPDATE))',
        domainId,
        kind,
        limit,
      ),
    removeUnsubscribeTag: (domainId, address, tag) => db.transaction((queries) => removeTag(queries, domainId, address, tag)),
    suppressionsOfAddress: async (accountId, address, limit) =>
      (
        await db.all(
          `SELECT s.* FROM domain d JOIN suppression s ON s.domain_id = d.id AND lower(s.address) = ${FOLDED('$2')} WHERE d.account_id = $1 LIMIT $3`,
          accountId,
          address,
          limit,
        )
      ).map(suppressionOf),
    putAllowed: (domainId, entries) => putAllowed(db, domainId, entries),
    allowedOf: async (domainId, value) =>
      one(await db.get('SELECT * FROM allowlist WHERE domain_id = $1 AND value = $2', domainId, value), allowlistEntryOf),
    allowedPage: async (domainId, ask) =>
      (await pageOf(db, 'SELECT * FROM allowlist WHERE domain_id = $1', 'value', [domainId], ask)).map(allowlistEntryOf),
    deleteAllowed: async (domainId, value) =>
      (await db.run('DELETE FROM allowlist WHERE domain_id = $1 AND value = $2', domainId, value)) > 0,
    clearAllowed: (domainId, limit) =>
      db.run(
        'DELETE FROM allowlist WHERE ctid = ANY (ARRAY(SELECT ctid FROM allowlist WHERE domain_id = $1 LIMIT $2 FOR UPDATE))',
        domainId,
        limit,
      ),
  };
}

async function removeTag(queries: Queries, domainId: number, address: string, tag: string): Promise<boolean> {
  const its = `domain_id = $1 AND kind = 'unsubscribe' AND lower(address) = ${FOLDED('$2')}`;
  const row = await queries.get(`SELECT tags FROM suppression WHERE ${its} FOR UPDATE`, domainId, address);
  const left = tagsWithout(row, tag);
  if (left === undefined) return false;
  if (left.length === 0) await queries.run(`DELETE FROM suppression WHERE ${its}`, domainId, address);
  else await queries.run(`UPDATE suppression SET tags = $3 WHERE ${its}`, domainId, address, JSON.stringify(left));
  return true;
}

async function putAllowed(queries: Queries, domainId: number, entries: readonly AllowlistEntry[]): Promise<void> {
  const byValue = new Map(entries.map((entry) => [entry.value, entry]));
  const rows = [...byValue.keys()].sort().map((value) => byValue.get(value) as AllowlistEntry);
  if (rows.length === 0) return;
  await queries.run(
    PUT_ALLOWED,
    domainId,
    textArray(rows.map(({ value }) => value)),
    textArray(rows.map(({ type }) => type)),
    textArray(rows.map(({ reason }) => reason)),
    int8Array(rows.map(({ createdMs }) => createdMs)),
  );
}

const CLAIM = `UPDATE import_job SET held_until_ms = $1, epoch = epoch + 1 WHERE id = (
    SELECT id FROM import_job WHERE finished_ms IS NULL AND held_until_ms <= $2 ORDER BY held_until_ms LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING ${IMPORT_COLUMNS}`;
const ADVANCE = `UPDATE import_job SET position = $3, added = added + $4, failed = failed + $5, trouble = coalesce(trouble, $6), held_until_ms = $7, finished_ms = $8,
    bytes = CASE WHEN $8::bigint IS NULL THEN bytes ELSE ''::bytea END WHERE id = $1 AND epoch = $2 AND finished_ms IS NULL`;

export function importTables(db: Database): ImportStore {
  return {
    createImport: ({ accountId, kind, target, options, createdMs }, openMax, keepFromMs, bytes) =>
      db.transaction(async (queries) => {
        // Of two that come at once the second sees the first.
        await queries.get('SELECT 1 FROM account WHERE id = $1 FOR UPDATE', accountId);
        await queries.run('DELETE FROM import_job WHERE account_id = $1 AND finished_ms < $2', accountId, keepFromMs);
        const open = await queries.get(
          'SELECT count(*)::integer AS n FROM import_job WHERE account_id = $1 AND finished_ms IS NULL',
          accountId,
        );
        if (Number(open?.['n']) >= openMax) return undefined;
        const row = await queries.get(
          `INSERT INTO import_job (account_id, kind, target, options, size_bytes, position, added, failed, created_ms, held_until_ms, epoch, bytes)
           VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, 0, 0, $7) RETURNING id`,
          accountId,
          kind,
          target,
          JSON.stringify(options),
          bytes.byteLength,
          createdMs,
          bytes,
        );
        return Number(row?.['id']);
      }),
    async claimImport(nowMs, heldUntilMs) {
      const row = await db.get(CLAIM, heldUntilMs, nowMs);
      return row === undefined ? undefined : { ...importOf(row), epoch: Number(row['epoch']) };
    },
    async importBytes(id) {
      return (await db.get('SELECT bytes FROM import_job WHERE id = $1', id))?.['bytes'] as Uint8Array | undefined;
    },
    advanceImport: (step) => db.transaction((queries) => advance(queries, step)),
    importOf: async (accountId, id) =>
      one(await db.get(`SELECT ${IMPORT_COLUMNS} FROM import_job WHERE account_id = $1 AND id = $2`, accountId, id), importOf),
    async listImports(accountId, limit) {
      const rows = await db.all(
        `SELECT ${IMPORT_COLUMNS} FROM import_job WHERE account_id = $1 ORDER BY id DESC LIMIT $2`,
        accountId,
        limit,
      );
      return rows.map(importOf);
    },
  };
}

async function advance(queries: Queries, step: ImportStep): Promise<boolean> {
  const { id, epoch, position, added, failed, trouble, heldUntilMs, isDone, nowMs, target, rows } = step;
  const finishedMs = isDone ? nowMs : null;
  if ((await queries.run(ADVANCE, id, epoch, position, added, failed, trouble ?? null, heldUntilMs, finishedMs)) === 0) return false;
  if (rows.kind === 'allowlist') await putAllowed(queries, target, rows.entries);
  else await putSuppressions(queries, target, rows.entries);
  return true;
}
