/** Suppressions as lists, the allowlist, and imports, on the embedded store. */
import { one } from '#store/rows-json.ts';
import type { Suppression, SuppressionKind } from '#store/store.ts';
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
  type ImportJob,
  type ImportRows,
  type ImportStep,
  type ImportStore,
  type PageAsk,
  type SuppressionStore,
  UNSUBSCRIBE_TAGS_MAX,
} from '#store/suppression-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row, Value } from './database.ts';

const MERGED_TAGS = `CASE WHEN suppression.tags = '${ALL_TAGS}' OR excluded.tags = '${ALL_TAGS}' THEN '${ALL_TAGS}' ELSE (
  SELECT json_group_array(value) FROM (SELECT value FROM json_each(suppression.tags) UNION SELECT value FROM json_each(excluded.tags) ORDER BY value LIMIT ${UNSUBSCRIBE_TAGS_MAX})) END`;
const PUT = `INSERT INTO suppression (domain_id, address, kind, code, error, created_ms, tags) VALUES (?,?,?,?,?,?,?)
  ON CONFLICT DO UPDATE SET code = excluded.code, error = excluded.error, tags = ${MERGED_TAGS}`;
const PUT_ALLOWED = `INSERT INTO allowlist (domain_id, value, type, reason, created_ms) VALUES (?,?,?,?,?)
  ON CONFLICT DO UPDATE SET reason = excluded.reason`;

export function putSuppression(db: Database, domainId: number, suppression: Suppression): void {
  const { address, kind, code, error, createdMs } = suppression;
  db.run(PUT, domainId, address, kind, code, error, createdMs, tagsJson(suppression));
}

/** What delivery found: no bounce of an address that the domain's allowlist has. */
export function putFound(db: Database, domainId: number, suppression: Suppression): void {
  const { address, kind } = suppression;
  const found = 'SELECT 1 FROM allowlist WHERE domain_id = ?1 AND value IN (lower(?2), lower(?3))';
  const isAllowed = kind === 'bounce' && db.get(found, domainId, address, address.slice(address.lastIndexOf('@') + 1)) !== undefined;
  if (!isAllowed) putSuppression(db, domainId, suppression);
}

/** A page of a list whose rows are found by `where` and lie in the order of `column`. */
export function pageOf(db: Database, select: string, column: string, keys: readonly Value[], ask: PageAsk): Row[] {
  const { from, after, before, end, isBackward } = boundsOf(ask);
  const range = `${column} >= ? AND ${column} > ? AND ${column} < ? AND ${column} < ?`;
  const rows = db.all(
    `${select} AND ${range} ORDER BY ${column} ${isBackward ? 'DESC' : 'ASC'} LIMIT ?`,
    ...keys,
    from,
    after,
    before,
    end,
    ask.limit,
  );
  return isBackward ? rows.toReversed() : rows;
}

export function suppressionTables(db: Database): Synchronous<SuppressionStore> {
  return {
    putSuppressions(domainId, suppressions) {
      for (const suppression of suppressions) putSuppression(db, domainId, suppression);
    },
    suppressionPage: (domainId: number, kind: SuppressionKind, ask: PageAsk): Suppression[] =>
      pageOf(db, 'SELECT * FROM suppression WHERE domain_id = ? AND kind = ?', 'address', [domainId, kind], ask).map(suppressionOf),
    clearSuppressions: (domainId: number, kind: SuppressionKind, limit: number): number =>
      db.run(
        `DELETE FROM suppression WHERE (domain_id, address, kind) IN (SELECT domain_id, address, kind FROM suppression WHERE domain_id = ? AND kind = ? LIMIT ?)`,
        domainId,
        kind,
        limit,
      ),
    removeUnsubscribeTag(domainId, address, tag) {
      const row = db.get("SELECT * FROM suppression WHERE domain_id = ? AND address = ? AND kind = 'unsubscribe'", domainId, address);
      const left = tagsWithout(row, tag);
      if (left === undefined) return false;
      if (left.length === 0)
        db.run("DELETE FROM suppression WHERE domain_id = ? AND address = ? AND kind = 'unsubscribe'", domainId, address);
      else
        db.run(
          "UPDATE suppression SET tags = ? WHERE domain_id = ? AND address = ? AND kind = 'unsubscribe'",
          JSON.stringify(left),
          domainId,
          address,
        );
      return true;
    },
    suppressionsOfAddress: (accountId: number, address: string, limit: number): Suppression[] =>
      db
        .all(
          'SELECT s.* FROM domain d CROSS JOIN suppression s ON s.domain_id = d.id AND s.address = ? WHERE d.account_id = ? LIMIT ?',
          address,
          accountId,
          limit,
        )
        .map(suppressionOf),
    putAllowed: (domainId, entries) => putAllowed(db, domainId, entries),
    allowedOf: (domainId, value) =>
      one(db.get('SELECT * FROM allowlist WHERE domain_id = ? AND value = ?', domainId, value), allowlistEntryOf),
    allowedPage: (domainId: number, ask: PageAsk): AllowlistEntry[] =>
      pageOf(db, 'SELECT * FROM allowlist WHERE domain_id = ?', 'value', [domainId], ask).map(allowlistEntryOf),
    deleteAllowed: (domainId: number, value: string): boolean =>
      db.run('DELETE FROM allowlist WHERE domain_id = ? AND value = ?', domainId, value) > 0,
    clearAllowed: (domainId: number, limit: number): number =>
      db.run(
        'DELETE FROM allowlist WHERE (domain_id, value) IN (SELECT domain_id, value FROM allowlist WHERE domain_id = ? LIMIT ?)',
        domainId,
        limit,
      ),
  };
}

function putAllowed(db: Database, domainId: number, entries: readonly AllowlistEntry[]): void {
  for (const { value, type, reason, createdMs } of entries) db.run(PUT_ALLOWED, domainId, value, type, reason, createdMs);
}

export function importTables(db: Database): Synchronous<ImportStore> {
  return {
    createImport({ accountId, kind, target, options, createdMs }, openMax, keepFromMs, bytes) {
      db.run('DELETE FROM import_job WHERE account_id = ? AND finished_ms < ?', accountId, keepFromMs);
      const open = db.get('SELECT count(*) AS n FROM import_job WHERE account_id = ? AND finished_ms IS NULL', accountId);
      if (Number(open?.['n']) >= openMax) return undefined;
      return db.insert(
        `INSERT INTO import_job (account_id, kind, target, options, size_bytes, position, added, failed, created_ms, held_until_ms, epoch, bytes)
         VALUES (?,?,?,?,?,0,0,0,?,0,0,?)`,
        accountId,
        kind,
        target,
        JSON.stringify(options),
        bytes.byteLength,
        createdMs,
        bytes,
      );
    },
    claimImport(nowMs, heldUntilMs) {
      const row = db.get(
        `UPDATE import_job SET held_until_ms = ?1, epoch = epoch + 1 WHERE id = (
           SELECT id FROM import_job WHERE finished_ms IS NULL AND held_until_ms <= ?2 ORDER BY held_until_ms LIMIT 1) RETURNING ${IMPORT_COLUMNS}`,
        heldUntilMs,
        nowMs,
      );
      return row === undefined ? undefined : { ...importOf(row), epoch: Number(row['epoch']) };
    },
    importBytes: (id) => db.get('SELECT bytes FROM import_job WHERE id = ?', id)?.['bytes'] as Uint8Array | undefined,
    advanceImport: (step) => advance(db, step),
    importOf: (accountId, id) =>
      one(db.get(`SELECT ${IMPORT_COLUMNS} FROM import_job WHERE account_id = ? AND id = ?`, accountId, id), importOf),
    listImports: (accountId: number, limit: number): ImportJob[] =>
      db.all(`SELECT ${IMPORT_COLUMNS} FROM import_job WHERE account_id = ? ORDER BY id DESC LIMIT ?`, accountId, limit).map(importOf),
  };
}

function advance(db: Database, step: ImportStep): boolean {
  const changed = db.run(
    `UPDATE import_job SET position = ?, added = added + ?, failed = failed + ?, trouble = coalesce(trouble, ?), held_until_ms = ?, finished_ms = ?,
       bytes = CASE WHEN ? THEN x'' ELSE bytes END WHERE id = ? AND epoch = ? AND finished_ms IS NULL`,
    step.position,
    step.added,
    step.failed,
    step.trouble ?? null,
    step.heldUntilMs,
    step.isDone ? step.nowMs : null,
    step.isDone ? 1 : 0,
    step.id,
    step.epoch,
  );
  if (changed === 0) return false;
  writeRows(db, step.target, step.rows);
  return true;
}

function writeRows(db: Database, target: number, rows: ImportRows): void {
  if (rows.kind === 'allowlist') putAllowed(db, target, rows.entries);
  else for (const suppression of rows.entries) putSuppression(db, target, suppression);
}
