/** Copies between two embedded stores; what PostgreSQL adds to it is in test/e2e/store-copy-postgres.test.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { openSqliteStore } from '#store/sqlite/open.ts';
import { NOW_MS, oddRows } from '../../../test/kit/odd-rows.ts';
import { type CopyEnd, copyStore, type CopyOptions } from './copy-store.ts';
import { BATCH_ROWS_MAX, type Target } from './side.ts';
import { openSqliteSource, openSqliteTarget } from './sqlite-side.ts';
import type { Row } from './table-sum.ts';
import { COLUMNS_LEFT_BEHIND, TABLES, TABLES_LEFT_BEHIND, type Table } from './tables.ts';

const EVENTS = BATCH_ROWS_MAX * 2 + 10;

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-copy-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** A store with odd values in every table, not served by anybody. */
async function oddStore(path: string): Promise<void> {
  const target = openSqliteTarget(path);
  const mark = { from: 'a test', beganMs: NOW_MS, done: [] };
  for (const table of TABLES) await target.write(table, oddRows(table), mark);
  await target.close();
  edit(path, (db) => db.exec("DELETE FROM setting WHERE name = 'copy'"));
}

/** Events enough for several batches. */
function addEvents(path: string): void {
  edit(path, (db) => {
    db.exec(`WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${EVENTS})
      INSERT INTO event (kind, at_us, account_id, domain_id, message, recipient) SELECT 6, n, 1, 7, 3, 11 FROM n`);
  });
}

function edit<T>(path: string, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

async function copy(from: string, to: string, options: Partial<CopyOptions> = {}): Promise<CopyEnd> {
  const source = openSqliteSource(from);
  try {
    const target = openSqliteTarget(to);
    try {
      return await copyStore({ source, target, nowMs: NOW_MS + 60_000, ...options });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Stops the copy with its n-th batch. */
function stopAtBatch(n: number): Pick<CopyOptions, 'signal' | 'onProgress'> {
  const stop = new AbortController();
  let seen = 0;
  return { signal: stop.signal, onProgress: () => ++seen === n && stop.abort() };
}

function rowsOf(path: string, table: string): Record<string, unknown>[] {
  return edit(path, (db) =>
    db
      .prepare(`SELECT * FROM ${table} ORDER BY 1, 2`)
      .all()
      .map((row) => ({ ...row })),
  );
}

test('the list of tables is what the schema has', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  await (await openSqliteStore({ path })).close();
  edit(path, (db) => {
    const names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").all();
    assert.deepEqual(
      names.map((row) => row['name']),
      [...TABLES.map(({ name }) => name), ...TABLES_LEFT_BEHIND].sort(),
      'a table is copied (src/store/copy/tables.ts), or said to be left behind',
    );
    for (const table of TABLES) {
      const columns = db.prepare(`PRAGMA table_info(${table.name})`).all();
      const kinds = Object.fromEntries(columns.map((column) => [String(column['name']), KINDS[String(column['type'])]]));
      for (const left of COLUMNS_LEFT_BEHIND[table.name] ?? []) delete kinds[left];
      const kept = Object.entries(table.columns).filter(([name]) => table.workedOut?.[name] === undefined);
      assert.deepEqual(kinds, Object.fromEntries(kept), table.name);
      const key = columns.filter((column) => Number(column['pk']) > 0).sort((a, b) => Number(a['pk']) - Number(b['pk']));
      assert.deepEqual(
        key.map((column) => column['name']),
        table.key,
        table.name,
      );
    }
  });
});
const KINDS: Readonly<Record<string, string>> = { INTEGER: 'integer', TEXT: 'text', BLOB: 'bytes' };

test('every table arrives as it was, and ids go on above it', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'deep.db')];
  await oddStore(from);
  const end = await copy(from, to);
  assert.equal(end.kind, 'done');
  const settled = new Set(['bucket', 'recipient', 'event', 'outbox', 'outbox_endpoint']);
  for (const { name } of TABLES) {
    const rows = rowsOf(from, name);
    assert.ok(rows.length > 0, name);
    if (!settled.has(name)) assert.deepEqual(rowsOf(to, name), rows, name);
  }
  const store = await openSqliteStore({ path: to });
  assert.equal((await store.accounts.createAccount('new', 1)).id, 3);
  await store.close();
});

test('what was leased is queued and due, and marked as a possible repeat, with its event; what was parked is looked at', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  const end = await copy(from, to);
  assert.ok(end.kind === 'done' && end.recovered === 1);
  const before = rowsOf(from, 'recipient');
  const leased = { ...before[1], state: 0, epoch: 2, due_ms: NOW_MS + 60_000, wait: 'recovered', possible_duplicate: 1 };
  assert.deepEqual(rowsOf(to, 'recipient'), [before[0], leased, before[2], before[3]]);
  const events = rowsOf(to, 'event');
  assert.deepEqual(events.slice(0, -1), rowsOf(from, 'event'));
  assert.equal(events.at(-1)?.['kind'], 13);
  const buckets = rowsOf(to, 'bucket').map((row) => [row['look_ms'], row['parked_ms'], row['wait']]);
  assert.deepEqual(buckets, [
    [NOW_MS, 0, 'due'],
    [null, 0, 'due'],
  ]);
  const outbox = rowsOf(to, 'outbox').map((row) => [row['due_ms'], row['is_leased']]);
  assert.deepEqual(outbox, [
    [NOW_MS + 100, 0],
    [NOW_MS + 60_000, 0],
  ]);
});

test('a copy that is stopped at any batch goes on where it stood', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  addEvents(from);
  let stops = 0;
  let written = 0;
  for (;;) {
    const { signal, onProgress } = stopAtBatch(2);
    const end = await copy(from, to, {
      ...(signal !== undefined && { signal }),
      onProgress(progress) {
        if (progress.phase === 'copy') written++;
        // The comparison is not kept: it has to be let through.
        if (progress.phase === 'copy') onProgress?.(progress);
      },
    });
    if (end.kind === 'stopped') {
      stops++;
      continue;
    }
    assert.ok(end.kind === 'done' && end.isResumed);
    break;
  }
  assert.ok(stops > TABLES.length / 2, `${stops} stops`);
  assert.equal(written, TABLES.length + 2, 'no batch is written twice');
  assert.deepEqual(
    rowsOf(to, 'event').filter((row) => row['kind'] !== 13),
    rowsOf(from, 'event'),
  );
  assert.deepEqual(rowsOf(to, 'setting'), rowsOf(from, 'setting'));
});

test('an unfinished copy is no store, and is only gone on with by the copy that began it', async (t) => {
  const directory = directoryFor(t);
  const [from, other, to] = ['a.db', 'other.db', 'b.db'].map((name) => join(directory, name)) as [string, string, string];
  await oddStore(from);
  await oddStore(other);
  assert.deepEqual(await copy(from, to, stopAtBatch(6)), { kind: 'stopped' });
  await assert.rejects(openSqliteStore({ path: to }), /holds an unfinished copy of sqlite:.*a\.db/);
  await assert.rejects(copy(other, to), /holds an unfinished copy of sqlite:.*a\.db, which sqlite:.*other\.db is not/);
  const end = await copy(other, to, { isAnew: true });
  assert.ok(end.kind === 'done' && !end.isResumed);
});

test('a store that holds anything is not copied into, whatever is asked', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  const store = await openSqliteStore({ path: to });
  await store.accounts.createAccount('mine', 1);
  await store.close();
  await assert.rejects(copy(from, to), /b\.db is not empty/);
  await assert.rejects(copy(from, to, { isAnew: true }), /b\.db is not empty/);
  assert.equal(rowsOf(to, 'account').length, 1);
});

test('a store that a server has open is neither copied nor copied into', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  for (const path of [from, to]) {
    const server = await openSqliteStore({ path, mode: 'server', node: NODE });
    await assert.rejects(copy(from, to), /a server runs on .*\.db/).finally(() => server.close());
  }
});
const NODE = { name: 'n', version: '1', services: [], sources: [] };

test('a target that was damaged is found, and the table is named', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  const damages: readonly (readonly [string, string])[] = [
    ['content', "UPDATE content SET bytes = x'00' WHERE id = 3"],
    ['recipient', 'DELETE FROM recipient WHERE id = 11'],
    ['counter', 'UPDATE counter SET n = n + 1'],
    ['suppression', "UPDATE suppression SET address = 'A@x.example' WHERE address = 'a@x.example'"],
  ];
  for (const [table, sql] of damages) {
    assert.deepEqual(await copy(from, to, { ...stopAtBatch(TABLES.length), isAnew: true }), { kind: 'stopped' });
    edit(to, (db) => db.exec(sql));
    const end = await copy(from, to);
    assert.ok(end.kind === 'different', table);
    const named = end.tables.map(({ name }) => name);
    // A message says where its recipients begin.
    assert.deepEqual(named, table === 'recipient' ? ['message', 'recipient'] : [table]);
    await assert.rejects(openSqliteStore({ path: to }), /unfinished copy/);
  }
});

test('a source that was used between two parts of a copy is found', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  assert.deepEqual(await copy(from, to, stopAtBatch(TABLES.length)), { kind: 'stopped' });
  const store = await openSqliteStore({ path: from });
  await store.accounts.createAccount('late', 1);
  await store.close();
  const end = await copy(from, to);
  assert.ok(end.kind === 'different');
  assert.deepEqual(
    end.tables.map(({ name, source, target }) => [name, source.rows, target.rows]),
    [['account', 3, 2]],
  );
});

test('what was given out of a ceiling counts as used in the copy, where nobody can give it back', async (t) => {
  const directory = directoryFor(t);
  const [from, to] = [join(directory, 'a.db'), join(directory, 'b.db')];
  await oddStore(from);
  edit(from, (db) =>
    db.exec(`DELETE FROM granted; INSERT INTO granted (name, start_ms, holder, held, used, is_counted, until_ms, keep_until_ms)
      VALUES ('a', 1, 1, 50, 20, 1, 9, 70), ('a', 1, 2, 30, 5, 0, 9, 80), ('a', 2, 1, 4, 4, 1, 9, 90)`),
  );
  assert.equal((await copy(from, to)).kind, 'done');
  const shown = rowsOf(to, 'granted').map((row) => [row['start_ms'], row['holder'], row['held'], row['used'], row['keep_until_ms']]);
  assert.deepEqual(shown, [
    [1, 0, 50, 50, 80],
    [2, 0, 4, 4, 90],
  ]);
});

test('a batch whose write fails leaves no row and no mark of it', async (t) => {
  const directory = directoryFor(t);
  const to = openSqliteTarget(join(directory, 'b.db')) as Target;
  const table = TABLES.find(({ name }) => name === 'account') as Table;
  const rows: Row[] = oddRows(table);
  await assert.rejects(async () => to.write(table, [...rows, ...rows], { from: 'x', beganMs: 0, done: [] }), /UNIQUE/);
  assert.equal(await to.mark(), undefined);
  assert.equal(await to.count(table), 0);
  await to.close();
});
