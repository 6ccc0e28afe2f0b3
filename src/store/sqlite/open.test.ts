/** Opening the embedded store: where it can be, and where it must not. What crashes leave behind is in test/e2e/storage-crash.test.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { openSqliteStore } from './open.ts';

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-open-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('a store is made with its directories, and opened again with what it had', async (t) => {
  const path = join(directoryFor(t), 'deep', 'data', 'postrider.db');
  const first = await openSqliteStore({ path, mode: 'server' });
  const { id } = await first.accounts.createAccount('one', 1);
  await first.close();
  const second = await openSqliteStore({ path, mode: 'server' });
  assert.equal((await second.accounts.accountById(id))?.name, 'one');
  assert.equal(second.recovered, 0);
  await second.close();
});

test('one server at a time; the lock goes with the store', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const first = await openSqliteStore({ path, mode: 'server' });
  await assert.rejects(openSqliteStore({ path, mode: 'server' }), { name: 'StoreError', kind: 'busy' });
  await first.close();
  await (await openSqliteStore({ path, mode: 'server' })).close();
});

test('a store that a later version wrote is refused and left as it is', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const db = new DatabaseSync(path);
  db.exec('PRAGMA user_version = 9999');
  db.close();
  await assert.rejects(openSqliteStore({ path, mode: 'server' }), /written by a later version/);
  const after = new DatabaseSync(path);
  assert.deepEqual(after.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'], 0);
  after.close();
});

test('a file that is no store is refused, and the lock is free again', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  writeFileSync(path, 'this is a letter, not a database, and it is long enough to be read as one'.repeat(100));
  await assert.rejects(openSqliteStore({ path, mode: 'server' }), { name: 'StoreError', kind: 'io' });
  rmSync(path);
  await (await openSqliteStore({ path, mode: 'server' })).close();
});

test('what was handed in before the end is finished; what comes after is refused', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const store = await openSqliteStore({ path, mode: 'server', lingerMs: 50 });
  const made = store.accounts.createAccount('late', 1);
  const closing = store.close();
  assert.equal((await made).name, 'late');
  await closing;
  await assert.rejects(store.accounts.listAccounts(), { name: 'StoreError', kind: 'closed' });
  await store.close();
});

test('a node that did not end in good order is told as lost by the next', async (t) => {
  const path = join(directoryFor(t), 'postrider.db');
  const first = await openSqliteStore({ path, mode: 'server' });
  const killed = first.nodes.id;
  await first.close();
  const db = new DatabaseSync(path);
  db.exec("UPDATE node SET state = 'draining', ended_ms = NULL");
  db.close();
  const second = await openSqliteStore({
    path,
    mode: 'server',
    node: { name: 'mail', version: '1.2.3', services: ['accept'], sources: ['a'] },
  });
  const [own, former] = await second.nodes.list();
  await second.close();
  assert.partialDeepStrictEqual(own, { state: 'running', name: 'mail', version: '1.2.3', services: ['accept'], sources: ['a'] });
  assert.partialDeepStrictEqual(former, { id: killed, state: 'lost' });
});
