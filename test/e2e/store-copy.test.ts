/** A store goes to PostgreSQL and comes back. What copies of the embedded store have in common with it is in src/store/copy/copy-store.test.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, type TestContext, test } from 'node:test';
import { EVENT_KINDS } from '#model/event.ts';
import { type CopyEnd, type CopyOptions, copyStore } from '#store/copy/copy-store.ts';
import { backupStore, openSource, openTarget } from '#store/copy/open-side.ts';
import { restoreBackup } from '#store/copy/restore.ts';
import { BATCH_BYTES_MAX } from '#store/copy/side.ts';
import { openSqliteTarget } from '#store/copy/sqlite-side.ts';
import { COLUMNS_LEFT_BEHIND, TABLES, TABLES_LEFT_BEHIND } from '#store/copy/tables.ts';
import { openStore } from '#store/open.ts';
import { BIG_ID, NOW_MS, oddRows } from '../kit/odd-rows.ts';
import { startPostgres, type TestPostgres } from '../kit/postgres.ts';

const DAY_MS = 86_400_000;
const IDS_PER_DAY = 2 ** 38;
/** Tables in which a copy ends leases. */
const SETTLED = new Set(['bucket', 'recipient', 'outbox', 'outbox_endpoint']);

let postgres: TestPostgres;
before(async (t) => {
  postgres = await startPostgres(t as TestContext);
});

interface Place {
  readonly directory: string;
  /** With odd values in every table. */
  readonly store: string;
  /** Empty. */
  readonly url: string;
  sql(text: string): Promise<Record<string, unknown>[]>;
}

async function place(t: TestContext): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-store-copy-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const store = join(directory, 'odd.db');
  const target = openSqliteTarget(store);
  for (const table of TABLES) await target.write(table, oddRows(table), { from: 'a test', beganMs: NOW_MS, done: [] });
  await target.close();
  edit(store, "DELETE FROM setting WHERE name = 'copy'");
  const url = await postgres.newDatabase();
  const name = url.slice(url.lastIndexOf('/') + 1);
  return { directory, store, url, sql: (text) => postgres.sql(text, [], name) };
}

function edit(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

function rowsOf(path: string, table: string, condition = 'true'): unknown[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare(`SELECT * FROM ${table} WHERE ${condition} ORDER BY 1, 2`).all();
  db.close();
  return rows;
}

async function copy(from: string, to: string, options: Partial<CopyOptions> = {}): Promise<CopyEnd> {
  const source = await openSource(from);
  try {
    const target = await openTarget(to);
    try {
      return await copyStore({ source, target, nowMs: NOW_MS + 60_000, ...options });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function stoppedAtTheComparison(): Pick<CopyOptions, 'signal' | 'onProgress'> {
  const stop = new AbortController();
  return { signal: stop.signal, onProgress: ({ phase }) => phase === 'compare' && stop.abort() };
}

test('the list of tables is what the schema on PostgreSQL has', async (t) => {
  const { url, sql } = await place(t);
  await (await openStore({ url })).close();
  const columns =
    await sql(`SELECT c.relname AS name, a.attname AS column, t.typname AS type FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    JOIN pg_type t ON t.oid = a.atttypid WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped`);
  const found = Map.groupBy(columns, (row) => String(row['name']));
  // What only this engine needs: where ids are, which schema it has, and contents that were moved out of their partition.
  const own = ['id_block', 'migration', 'content_kept'];
  assert.deepEqual([...found.keys()].sort(), [...TABLES.map(({ name }) => name), ...TABLES_LEFT_BEHIND, ...own].sort());
  const kinds: Readonly<Record<string, string>> = { int2: 'integer', int4: 'integer', int8: 'integer', text: 'text', bytea: 'bytes' };
  for (const table of TABLES) {
    const left = [...(COLUMNS_LEFT_BEHIND[table.name] ?? []), ...Object.keys(table.only ?? {})];
    const has = Object.fromEntries((found.get(table.name) ?? []).map((row) => [String(row['column']), kinds[String(row['type'])]]));
    for (const name of left) delete has[name];
    assert.deepEqual(has, table.columns, table.name);
    const [index] = await sql(`SELECT count(*) AS n FROM pg_index WHERE indrelid = '${table.name}'::regclass AND indisunique
      AND pg_get_indexdef(indexrelid) LIKE '%(${[...table.key.map((column) => (table.caseless?.includes(column) === true ? `lower(${column})` : column)), ...Object.keys(table.only ?? {}).filter((name) => name === 'node')].join(', ')})'`);
    assert.equal(Number(index?.['n']), 1, `${table.name} is walked by a unique index`);
  }
});

test('every table goes there and comes back as it was, and what was leased is queued', async (t) => {
  const { directory, store, url, sql } = await place(t);
  const [back, beside] = [join(directory, 'back.db'), join(directory, 'beside.db')];
  const there = await copy(`sqlite:${store}`, url);
  assert.ok(there.kind === 'done' && there.recovered === 1);
  assert.equal((await copy(url, `sqlite:${back}`)).kind, 'done');
  // The embedded store alone does the same.
  assert.equal((await copy(`sqlite:${store}`, `sqlite:${beside}`)).kind, 'done');
  for (const { name } of TABLES) {
    if (name !== 'event') assert.deepEqual(rowsOf(back, name), rowsOf(beside, name), name);
    if (!SETTLED.has(name))
      assert.ok(rowsOf(back, name).length >= oddRows(TABLES.find((table) => table.name === name) as never).length, name);
  }
  assert.deepEqual(rowsOf(back, 'event', `kind <> ${EVENT_KINDS.recovered}`), rowsOf(store, 'event'));
  assert.equal(rowsOf(back, 'event', `kind = ${EVENT_KINDS.recovered}`).length, 1);
  const partitions = await sql('SELECT tableoid::regclass::text AS name, id FROM content ORDER BY id');
  assert.deepEqual(
    partitions.map((row) => row['name']),
    ['content_first', `content_${new Date(NOW_MS).toISOString().slice(0, 10).replaceAll('-', '')}`],
  );
});

test('on PostgreSQL ids go on above all that were copied', async (t) => {
  const { store, url, sql } = await place(t);
  await copy(`sqlite:${store}`, url);
  const opened = await openStore({ url });
  const { id } = await opened.accounts.createAccount('new', 1).finally(() => opened.close());
  assert.equal(id, 3);
  const blocks = await sql('SELECT kind, next FROM id_block ORDER BY kind');
  const number = BIG_ID % IDS_PER_DAY;
  assert.deepEqual(
    blocks.map((row) => [row['kind'], Number(row['next'])]),
    // One event is the end of a lease.
    [
      ['event', number + 1001],
      ['message', number + 1],
      ['recipient', number + 42],
      ['webhook_post', 1],
    ],
  );
});

test('what is kept there in other ways is copied as what it comes to', async (t) => {
  const { directory, store, url, sql } = await place(t);
  await copy(`sqlite:${store}`, url);
  // Two nodes counted; a content was moved when its day was dropped, and another went with its day.
  await sql(
    'INSERT INTO counter SELECT account_id, domain_id, tag, hour, kind, reason, provider, source, country, device, 7, 5 FROM counter',
  );
  await sql(`INSERT INTO content_kept SELECT * FROM content WHERE id = ${BIG_ID}`);
  await sql('DELETE FROM content');
  await sql(`UPDATE message SET has_content = 2 WHERE id = ${BIG_ID}`);
  await sql("INSERT INTO setting VALUES ('content.floor', '1')");
  const back = join(directory, 'back.db');
  assert.equal((await copy(url, `sqlite:${back}`)).kind, 'done');
  const values = (table: string, column: string): unknown[] => rowsOf(back, table).map((row) => (row as Record<string, unknown>)[column]);
  assert.deepEqual(
    values('counter', 'n'),
    Array.from({ length: 4 }, () => 2 ** 40 + 5),
  );
  assert.deepEqual(values('message', 'has_content'), [0, 1]);
  assert.deepEqual(values('content', 'id'), [BIG_ID]);
  assert.equal(values('setting', 'name').includes('content.floor'), false);
});

test('events whose ids do not tell their day any more are kept with those without a day', async (t) => {
  const { directory, store, url, sql } = await place(t);
  // A month on the embedded store, which goes on where a node's ids ended.
  const lateUs = (NOW_MS + 30 * DAY_MS) * 1000;
  edit(
    store,
    `INSERT INTO event (kind, at_us, account_id, domain_id, message, recipient) VALUES (6, ${lateUs}, 1, 7, 3, 11), (7, ${lateUs + 1}, 1, 7, 3, 11)`,
  );
  edit(store, 'UPDATE outbox SET event = (SELECT max(id) FROM event) WHERE id = 21');
  // The second time the source is read again, to be compared.
  assert.equal((await copy(`sqlite:${store}`, url, stoppedAtTheComparison())).kind, 'stopped');
  assert.equal((await copy(`sqlite:${store}`, url)).kind, 'done');
  const moved = await sql(`SELECT tableoid::regclass::text AS name, kind FROM event WHERE at_us >= ${lateUs} ORDER BY id`);
  assert.deepEqual(moved, [
    { name: 'event_first', kind: 6 },
    { name: 'event_first', kind: 7 },
  ]);
  const [entry] = await sql('SELECT e.kind AS kind FROM outbox o JOIN event e ON e.id = o.event WHERE o.id = 21');
  assert.equal(entry?.['kind'], 7, 'what is to be told of one follows it');
  const opened = await openStore({ url });
  t.after(() => opened.close());
  const listed = await opened.events.list({ accountId: 1, domainId: 7, beginUs: lateUs }, 'ascending', undefined, 10);
  assert.deepEqual(
    listed.map(({ event }) => event.kind),
    ['opened', 'clicked'],
  );
  assert.equal((await opened.events.messageById(1, 3))?.events.length, 5, 'with the end of a lease');
  const again = join(directory, 'again.db');
  assert.equal((await copy(url, `sqlite:${again}`)).kind, 'done');
});

test('a copy to PostgreSQL that is stopped at any batch goes on where it stood', async (t) => {
  const { store, url, sql } = await place(t);
  edit(
    store,
    `WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 103)
     INSERT INTO captured (id, at_ms, sender, recipients, size_bytes, subject, from_header, bytes) SELECT n, n, '', '[]', 1, '', '', randomblob(${BATCH_BYTES_MAX / 2}) FROM n`,
  );
  let stops = 0;
  let written = 0;
  for (;;) {
    const stop = new AbortController();
    let seen = 0;
    const end = await copy(`sqlite:${store}`, url, {
      signal: stop.signal,
      onProgress({ phase }) {
        if (phase !== 'copy') return;
        written++;
        if (++seen === 2) stop.abort();
      },
    });
    if (end.kind === 'stopped') {
      stops++;
      if (stops === 1) await assert.rejects(openStore({ url }), /holds an unfinished copy of sqlite:/);
      continue;
    }
    assert.ok(end.kind === 'done' && end.isResumed, JSON.stringify(end));
    break;
  }
  assert.ok(stops > TABLES.length / 3, `${stops} stops`);
  assert.equal(written, TABLES.length + 1, 'no batch is written twice');
  assert.deepEqual(await sql('SELECT count(*)::int AS n FROM captured'), [{ n: 5 }]);
});

test('two copies never go into one database at a time, and one may begin when the other has just ended', async (t) => {
  const { url } = await place(t);
  const first = await openTarget(url);
  await assert.rejects(openTarget(url), /another copy into postgres:.* is at work/);
  const next = openTarget(url);
  await first.close();
  await (await next).close();
});

test('a target on PostgreSQL that was damaged is found, and the table is named', async (t) => {
  const { store, url, sql } = await place(t);
  assert.equal((await copy(`sqlite:${store}`, url, stoppedAtTheComparison())).kind, 'stopped');
  await sql("UPDATE suppression SET error = error || ' ' WHERE address = 'a@x.example'");
  const end = await copy(`sqlite:${store}`, url);
  assert.ok(end.kind === 'different');
  assert.deepEqual(
    end.tables.map(({ name }) => name),
    ['suppression'],
  );
  assert.equal((await copy(`sqlite:${store}`, url, { isAnew: true })).kind, 'done');
  await assert.rejects(copy(`sqlite:${store}`, url, { isAnew: true }), /is not empty/);
});

test('a database that nodes serve is neither copied nor copied into', async (t) => {
  const { store, url, sql } = await place(t);
  const server = await openStore({ url, mode: 'server', node: { name: 'north', version: '1', services: ['deliver'], sources: [] } });
  try {
    await assert.rejects(copy(`sqlite:${store}`, url), /is served by north; stop them first/);
    // Frozen for a while, and connected still: it goes on when it wakes.
    await sql('UPDATE node SET seen_ms = 0');
    await assert.rejects(copy(`sqlite:${store}`, url), /is served by north; stop them first/);
    await assert.rejects(copy(url, `sqlite:${store}.copy`), /is served by north; what they accept would be missing/);
  } finally {
    await server.close();
  }
  assert.equal((await copy(`sqlite:${store}`, url)).kind, 'done');
});

test('what PostgreSQL cannot keep is kept as what its driver makes of it', async (t) => {
  const { store, url, sql } = await place(t);
  edit(store, "UPDATE template SET description = 'a' || char(0) || 'b'");
  assert.equal((await copy(`sqlite:${store}`, url)).kind, 'done');
  assert.deepEqual(await sql('SELECT description FROM template'), [{ description: 'a\u{FFFD}b' }]);
});

test('a backup of a database is one moment of it, and can be restored into either engine', async (t) => {
  const { directory, store, url, sql } = await place(t);
  await copy(`sqlite:${store}`, url);
  const file = join(directory, 'backup.db');
  let isChanged = false;
  const made = await backupStore(url, {
    file,
    nowMs: NOW_MS + 90_000,
    // While it is read: the message that comes has no recipients to be found in the tables that are read later, nor does what goes leave a gap.
    onProgress({ phase, what }) {
      if (isChanged || phase !== 'copy' || what !== 'account') return;
      isChanged = true;
      changing = sql(
        `DELETE FROM recipient WHERE id = 11; UPDATE domain SET name = 'changed.example' WHERE id = 7; DELETE FROM content WHERE id = 3`,
      );
    },
  });
  await changing;
  assert.ok(made.kind === 'done' && isChanged);
  assert.equal(rowsOf(file, 'recipient').length, 4);
  assert.equal(rowsOf(file, 'content').length, 2);
  for (const [i, to] of [`sqlite:${join(directory, 'restored.db')}`, await postgres.newDatabase()].entries()) {
    const target = await openTarget(to);
    const end = await restoreBackup({ file, target, nowMs: NOW_MS + 100_000, scratchDirectory: directory });
    await target.close();
    assert.equal(end.kind, 'done', to);
    const again = join(directory, `again${i}.db`);
    assert.equal((await copy(to, `sqlite:${again}`)).kind, 'done');
    for (const { name } of TABLES.filter((table) => table.name !== 'setting'))
      assert.deepEqual(rowsOf(again, name), rowsOf(file, name), name);
  }
});
let changing: Promise<unknown> = Promise.resolve();
