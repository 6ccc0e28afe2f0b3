/** Backups of the embedded store, and what is refused instead of being restored. That a running server is not disturbed is in test/e2e/backup-running.test.ts. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { openSqliteStore } from '#store/sqlite/open.ts';
import { NOW_MS, oddRows } from '../../../test/kit/odd-rows.ts';
import { backupSqlite, type BackupEnd, type BackupOptions, type Manifest } from './backup.ts';
import type { CopyEnd } from './copy-store.ts';
import { restoreBackup } from './restore.ts';
import { openSqliteTarget } from './sqlite-side.ts';
import { TableSum } from './table-sum.ts';
import { TABLES } from './tables.ts';

interface Place {
  readonly directory: string;
  readonly store: string;
  readonly file: string;
  readonly restored: string;
}

/** A store with odd values in every table. */
async function place(t: TestContext): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-backup-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const store = join(directory, 'postrider.db');
  const target = openSqliteTarget(store);
  for (const table of TABLES) await target.write(table, oddRows(table), { from: 'a test', beganMs: NOW_MS, done: [] });
  await target.close();
  edit(store, "DELETE FROM setting WHERE name = 'copy'");
  return { directory, store, file: join(directory, 'backup.db'), restored: join(directory, 'restored.db') };
}

function edit(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

function rowsOf(path: string, table: string): unknown[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all();
  db.close();
  return rows;
}

function backup({ store, file }: Place, options: Partial<BackupOptions> = {}): Promise<BackupEnd> {
  return backupSqlite(store, { file, nowMs: NOW_MS + 1000, ...options });
}

async function restore({ file, restored, directory }: Place): Promise<CopyEnd> {
  const target = openSqliteTarget(restored);
  try {
    return await restoreBackup({ file, target, nowMs: NOW_MS + 90_000, scratchDirectory: directory });
  } finally {
    await target.close();
  }
}

test('a backup is one file without leases, and what is restored is what was saved', async (t) => {
  const at = await place(t);
  const made = await backup(at);
  assert.ok(made.kind === 'done' && made.recovered === 1);
  assert.deepEqual(
    readdirSync(at.directory).filter((name) => name.startsWith('backup')),
    ['backup.db'],
  );
  const end = await restore(at);
  assert.ok(end.kind === 'done' && end.recovered === 0, 'the lease ended in the backup');
  for (const { name } of TABLES.filter((table) => table.name !== 'setting')) {
    assert.deepEqual(rowsOf(at.restored, name), rowsOf(at.file, name), name);
  }
  assert.deepEqual(rowsOf(at.restored, 'setting'), rowsOf(at.store, 'setting'), 'without what the backup says of itself');
});

test('the store that is saved stays as it is, also while a server has it', async (t) => {
  const at = await place(t);
  const server = await openSqliteStore({ path: at.store, mode: 'server', node: { name: 'n', version: '1', services: [], sources: [] } });
  t.after(() => server.close());
  await server.accounts.createAccount('while it runs', 1);
  const [before, made] = [rowsOf(at.store, 'node'), await backup(at)];
  assert.equal(made.kind, 'done');
  assert.deepEqual(rowsOf(at.store, 'node'), before);
  assert.deepEqual(rowsOf(at.file, 'node'), [], 'nobody serves a backup');
  assert.equal(rowsOf(at.file, 'account').length, 3);
});

test('a backup does not write over anything', async (t) => {
  const at = await place(t);
  await backup(at);
  const before = readFileSync(at.file);
  await assert.rejects(backup(at), /backup\.db exists already/);
  assert.ok(readFileSync(at.file).equals(before));
});

test('a backup that is stopped leaves nothing', async (t) => {
  const at = await place(t);
  for (const batches of [1, 5]) {
    const stop = new AbortController();
    let seen = 0;
    const end = await backup(at, { signal: stop.signal, onProgress: () => ++seen === batches && stop.abort() });
    assert.deepEqual(end, { kind: 'stopped' });
  }
  assert.deepEqual(
    readdirSync(at.directory).filter((name) => name.startsWith('backup')),
    [],
  );
});

test('a backup that was damaged since is refused before anything is written', async (t) => {
  const at = await place(t);
  await backup(at);
  edit(at.file, "UPDATE message SET info = replace(info, 'a', 'b') WHERE id = 3");
  await assert.rejects(restore(at), /backup\.db is damaged: its table message is not what was saved/);
  edit(at.file, "UPDATE message SET info = '{}'; DELETE FROM content");
  await assert.rejects(restore(at), /is damaged/);
  assert.deepEqual(rowsOf(at.restored, 'setting'), []);
});

test('what is no backup is refused: a store, a letter, and a backup that was used as a store', async (t) => {
  const at = await place(t);
  await assert.rejects(restore({ ...at, file: at.store }), /is not a backup that "postrider backup" took/);
  await assert.rejects(restore({ ...at, file: import.meta.filename }), /cannot be read as a backup/);
  await assert.rejects(restore({ ...at, file: join(at.directory, 'none') }), /there is no file/);
  await backup(at);
  await (await openSqliteStore({ path: at.file })).close();
  await assert.rejects(restore(at), /was used as a store since/);
});

test('a backup that an earlier version took is brought up to date in a copy; one of a later version is refused', async (t) => {
  const at = await place(t);
  const schema = readFileSync(new URL('../sqlite/migrations/0001-first.sql', import.meta.url), 'utf8');
  edit(at.file, `${schema}; PRAGMA user_version = 1; INSERT INTO account (id, name, created_ms) VALUES (4, 'old', 5)`);
  const sum = new TableSum();
  sum.add([4, 'old']);
  const manifest: Manifest = { madeMs: 1, tables: [{ name: 'account', key: ['id'], columns: ['id', 'name'], ...sum.total }] };
  edit(at.file, `INSERT INTO setting (name, value) VALUES ('backup', '${JSON.stringify(manifest)}')`);
  const before = readFileSync(at.file);
  const end = await restore(at);
  assert.equal(end.kind, 'done');
  assert.equal(rowsOf(at.restored, 'account').length, 1);
  assert.ok(readFileSync(at.file).equals(before));
  assert.deepEqual(
    readdirSync(at.directory).filter((name) => name.startsWith('restore-')),
    [],
  );
  edit(at.file, 'PRAGMA user_version = 9999');
  await assert.rejects(restore({ ...at, restored: join(at.directory, 'other.db') }), /by a later version/);
});

test('an unfinished copy is not saved', async (t) => {
  const at = await place(t);
  edit(at.store, `INSERT INTO setting (name, value) VALUES ('copy', '{"from":"x","beganMs":1,"done":[]}')`);
  await assert.rejects(backup(at), /holds an unfinished copy/);
  assert.equal(existsSync(at.file), false);
});
