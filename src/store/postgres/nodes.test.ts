/** What only nodes on PostgreSQL do: follow each other under one name, ring, give back at their end, and stop for a later version. What any store's nodes do is in test/conformance. */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startPostgres } from '../../../test/kit/postgres.ts';
import { until } from '../../../test/kit/until.ts';
import type { AcceptMessage, NodeFacts } from '#store/store.ts';
import { newDomain } from '../../../test/kit/stored.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import type { Row } from '#store/rows-json.ts';
import { Database, type Value } from './database.ts';
import { Ids } from './ids.ts';
import { Leases } from './leases.ts';
import { Nodes } from './nodes.ts';
import { Partitions } from './partitions.ts';
import { Server } from './server.ts';
import { openPostgresStore, type PostgresOptions, type PostgresStore } from './open.ts';

const postgres = await startPostgres({ after });
const NOW_MS = Date.now();

const facts = (name: string): NodeFacts => ({ name, version: '1', services: ['accept', 'deliver'], sources: [] });

async function opened(t: TestContext, url: string, name: string, options: Partial<PostgresOptions> = {}): Promise<PostgresStore> {
  const store = await openPostgresStore({ url, mode: 'server', node: facts(name), ...options });
  t.after(() => store.close());
  return store;
}

async function message(
  store: PostgresStore,
  change: Partial<AcceptMessage> & { readonly isLeased?: boolean } = {},
): Promise<AcceptMessage> {
  const name = `sender${Math.random()}.example`;
  const { id: accountId } = await store.accounts.createAccount('one', NOW_MS);
  const domain = await store.accounts.createDomain(newDomain({ accountId, name, createdMs: NOW_MS, retentionMs: 1 }));
  return {
    accountId,
    domainId: domain?.id as number,
    domain: name,
    messageId: `1@${name}`,
    sender: '',
    createdMs: NOW_MS,
    dueAtMs: NOW_MS,
    wait: 'due',
    expiresAtMs: NOW_MS * 2,
    priority: 0,
    info: { options: { tags: [], variables: {}, testMode: false } } as unknown as AcceptMessage['info'],
    content: new Uint8Array(10),
    recipients: [{ address: `a@to.example`, domain: 'to.example', isLeased: change.isLeased === true }],
    ...change,
  };
}

/** What is asked of it first hears its answer when that is told to come. */
class SlowDatabase extends Database {
  answer: Promise<void> | undefined;

  override async get(sql: string, ...values: Value[]): Promise<Row | undefined> {
    const { answer } = this;
    const row = await super.get(sql, ...values);
    await answer;
    return row;
  }
}

/** As a process that was killed: its connections end, and nothing else. */
async function kill(url: string): Promise<void> {
  const database = new URL(url).pathname.slice(1);
  await postgres.sql(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
    [database],
    database,
  );
}

test('a node that is started again after it was killed takes its leases back at once', async (t) => {
  const url = await postgres.newDatabase();
  const before = await opened(t, url, 'same');
  await before.mail.accept(await message(before, { isLeased: true }));
  await kill(url);
  const again = await opened(t, url, 'same');
  assert.equal(again.recovered, 1);
  const [claimed] = await again.mail.claim([{ bucket: 1, room: 1 }], Date.now() + 60_000);
  assert.equal(claimed?.recipients[0]?.possibleDuplicate, true);
});

test('a second node under the name of one that runs is refused, and does it no harm', async (t) => {
  const url = await postgres.newDatabase();
  const first = await opened(t, url, 'same');
  const over = new AbortController();
  const beating = (async (): Promise<void> => {
    for (; !over.signal.aborted; await pause(50)) assert.equal((await first.nodes.beat('running')).wasLost, false);
  })();
  await assert.rejects(opened(t, url, 'same'), { name: 'StoreError', kind: 'busy' });
  over.abort();
  await beating;
});

test('a node of the same name whose machine is gone, with its connections open, is waited for no longer than a lease', async (t) => {
  const url = await postgres.newDatabase();
  await opened(t, url, 'same');
  const again = await opened(t, url, 'same', { leaseMs: 700 });
  assert.deepEqual(
    (await again.nodes.list()).map(({ name, state }) => [name, state]),
    [
      ['same', 'running'],
      ['same', 'lost'],
    ],
  );
});

test('a node that ends in good order leaves what it has leased to the others at once', async (t) => {
  const url = await postgres.newDatabase();
  const one = await opened(t, url, 'one');
  const two = await opened(t, url, 'two');
  const accepted = await two.mail.accept(await message(two, { isLeased: true }));
  assert.equal(accepted.kind, 'accepted');
  await two.close();
  const [bucket] = await one.mail.dueBuckets(Date.now() + 60_000, 10);
  const [claimed] = await one.mail.claim([{ bucket: bucket?.id as number, room: 1 }], Date.now() + 60_000);
  assert.partialDeepStrictEqual(claimed?.recipients[0], { wait: 'recovered', possibleDuplicate: true });
});

test('a node that ends just after the database was away ends in good order all the same', async (t) => {
  const url = await postgres.newDatabase();
  const one = await opened(t, url, 'one');
  const two = await opened(t, url, 'two');
  await postgres.stop('fast');
  // So that it has tried in vain for a while, and waits before it tries again.
  for (const awayMs = performance.now(); performance.now() - awayMs < 1000; await pause(50))
    await assert.rejects(two.nodes.beat('running'));
  await postgres.start();
  await two.close();
  const seen = await until(() => one.nodes.list().catch(() => undefined), 'the other has found its way back');
  assert.equal(seen.find(({ name }) => name === 'two')?.state, 'stopped');
});

test('a node that makes mail due tells the others, and not itself', async (t) => {
  const url = await postgres.newDatabase();
  const one = await opened(t, url, 'one');
  const two = await opened(t, url, 'two');
  const heard = { one: 0, two: 0 };
  one.onBell(() => heard.one++);
  two.onBell(() => heard.two++);
  await one.nodes.beat('running');
  await one.mail.accept(await message(one));
  await until(() => heard.two > 0, 'the other hears it');
  assert.equal(heard.one, 0);
});

test('a node hears the bell again after its connection was cut', async (t) => {
  const url = await postgres.newDatabase();
  const one = await opened(t, url, 'one');
  const two = await opened(t, url, 'two');
  let heard = 0;
  two.onBell(() => heard++);
  await kill(url);
  await until(() => heard > 0, 'it looks for itself when it is connected again');
  await until(() => one.nodes.beat('running').catch(() => undefined), 'the first has found its way back');
  heard = 0;
  await one.mail.accept(await message(one));
  await until(() => heard > 0, 'it hears the other');
});

test('a node drains when a later version changed the store beyond it, and is ended when nothing is left', async (t) => {
  const url = await postgres.newDatabase();
  const ended: Error[] = [];
  const node = await opened(t, url, 'old', { onFatal: (error) => ended.push(error) });
  assert.equal((await node.nodes.beat('running')).wanted, 'run');
  await postgres.sql(
    "INSERT INTO migration (number, name, is_breaking, at_ms) VALUES (9999, '9999-other.sql', 1, 0)",
    [],
    new URL(url).pathname.slice(1),
  );
  assert.equal((await node.nodes.beat('running')).wanted, 'drain');
  assert.equal((await node.nodes.beat('draining')).wanted, 'drain');
  assert.equal(ended.length, 0);
  await node.nodes.beat('drained');
  assert.match(String(ended[0]), /later version/);
});

test('a node that beats twice at once after it was lost has one new id', async (t) => {
  const url = await postgres.newDatabase();
  const one = await opened(t, url, 'one');
  const two = await opened(t, url, 'two');
  await until(async () => {
    await one.nodes.takeOver(1);
    return (await one.nodes.list()).some(({ name, state }) => name === 'two' && state === 'lost');
  }, 'it is declared lost');
  const beats = await Promise.all([two.nodes.beat('running'), two.nodes.beat('running')]);
  assert.deepEqual(
    beats.map(({ wasLost }) => wasLost),
    [true, true],
  );
  assert.equal((await one.nodes.list()).filter(({ name, state }) => name === 'two' && state === 'running').length, 1);
});

test('a beat that learns late that the node was lost, when another has seen to it, leaves alone what came since', async (t) => {
  const url = await postgres.newDatabase();
  const other = await opened(t, url, 'other');
  const db = new SlowDatabase(new Server(storePlace(url) as PostgresPlace), 3);
  t.after(() => db.close());
  const leases = new Leases();
  const tools = { db, leases, ids: new Ids(db), partitions: new Partitions(db), leaseMs: 20_000, isNode: async () => undefined };
  const node = new Nodes({ ...tools, ring: () => undefined, onFatal: (error) => assert.fail(error) }, facts('slow'));
  await node.register();
  await until(async () => {
    await other.nodes.takeOver(1);
    return (await other.nodes.list()).some(({ name, state }) => name === 'slow' && state === 'lost');
  }, 'it is declared lost');
  const answer = Promise.withResolvers<void>();
  db.answer = answer.promise;
  const late = node.beat('running');
  db.answer = undefined;
  assert.equal((await node.beat('running')).wasLost, true);
  const { id } = node;
  leases.add(7, 1);
  answer.resolve();
  assert.equal((await late).wasLost, true);
  assert.equal(node.id, id);
  assert.ok(leases.has(7, 1));
});

test('a tool is no node', async (t) => {
  const url = await postgres.newDatabase();
  const server = await opened(t, url, 'server');
  const tool = await openPostgresStore({ url });
  t.after(() => tool.close());
  assert.equal(tool.nodes.id, 0);
  assert.equal((await tool.nodes.list()).length, 1);
  assert.equal(await tool.nodes.want(server.nodes.id, 'drain'), true);
  assert.equal((await server.nodes.beat('running')).wanted, 'drain');
});
