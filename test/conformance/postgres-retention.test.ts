/** Retention by days: a large day's contents go with their table, what must stay stays readable, and nothing that happens in between loses mail. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Store } from '#store/store.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { checkPostgresStore } from './check-postgres.ts';
import {
  accept,
  addresses,
  claim,
  claimEntries,
  DAY_MS,
  endpointName,
  entry,
  HOUR_MS,
  mail,
  settlement,
  type Tenant,
  tenant,
  T0,
  unique,
} from './tenant.ts';
import { startPostgres } from '../kit/postgres.ts';
import { Database } from '#store/postgres/database.ts';
import { dayOf } from '#store/postgres/ids.ts';
import { openPostgresStore } from '#store/postgres/open.ts';
import { partitionName, Partitions } from '#store/postgres/partitions.ts';
import { Retention } from '#store/postgres/retention.ts';
import { Server } from '#store/postgres/server.ts';

const postgres = await startPostgres({ after });
const EVENTS_MS = 60 * DAY_MS;
const TABLE = partitionName('content', dayOf(T0));
/** The day of T0 is over by the retention of three days, and its content's grace. */
const OVER_MS = T0 + 4 * DAY_MS + 6 * HOUR_MS;

interface Rig {
  readonly url: string;
  readonly store: Store;
  readonly db: Database;
  readonly from: Tenant;
  /** For which every day is a large one. */
  readonly retention: Retention;
}

async function rig(t: { after(end: () => Promise<void>): void }): Promise<Rig> {
  const url = await postgres.newDatabase();
  const store = await openPostgresStore({ url, mode: 'server', nowMs: T0 });
  const db = new Database(new Server(storePlace(url) as PostgresPlace), 4);
  t.after(async () => {
    await db.close();
    await store.close();
  });
  return { url, store, db, from: await tenant(store), retention: new Retention(db, new Partitions(db), -1) };
}

async function expireAll({ retention }: Rig, nowMs: number): Promise<void> {
  while ((await retention.expire(nowMs, 100, EVENTS_MS)) > 0);
}

async function exists({ db }: Rig, name: string): Promise<boolean> {
  return (await db.get('SELECT to_regclass($1) AS found', name))?.['found'] !== null;
}

async function textOf({ store }: Rig, contentId: number): Promise<string | undefined> {
  const bytes = await store.mail.content(contentId);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

test('what came in and is still to be posted keeps its content when its large day goes', async (t) => {
  const r = await rig(t);
  const { store, from } = r;
  const name = endpointName();
  const message = mail(from, { content: Buffer.from('still to be posted') });
  const received = await store.mail.receive({
    message,
    events: [],
    outbox: [{ ...entry(name, { kind: 'forward' }), recipient: 0 }],
    forwards: [],
  });
  assert.ok(received.kind === 'received');
  await expireAll(r, OVER_MS);
  assert.ok(!(await exists(r, TABLE)));
  const [item] = await claimEntries(store, name, OVER_MS);
  assert.equal(item?.message?.contentId, received.contentId);
  assert.equal(await textOf(r, received.contentId), 'still to be posted');
  await store.outbox.settle({ item });
  await expireAll(r, OVER_MS + HOUR_MS);
  assert.equal(await textOf(r, received.contentId), undefined);
  assert.deepEqual(await checkPostgresStore(r.url), []);
});

test('a large day goes whole when it is over by the retention, and what is not settled keeps its content', async (t) => {
  const r = await rig(t);
  const { store, from } = r;
  const gone = await accept(store, mail(from, { isLeased: true }));
  await store.mail.settle(settlement(from, gone));
  const to = `${unique('waiting')}.example`;
  const waiting = await accept(store, mail(from, { to: [`a@${to}`], content: Buffer.from('still to be sent') }));
  await expireAll(r, OVER_MS - 12 * HOUR_MS - 1);
  assert.ok(await exists(r, TABLE), 'not yet: it is the day that counts');
  assert.equal(await textOf(r, gone.contentId), 'hello');
  await expireAll(r, OVER_MS);
  assert.ok(!(await exists(r, TABLE)));
  assert.equal(await textOf(r, gone.contentId), undefined);
  assert.equal((await store.events.messageById(from.accountId, gone.id))?.message.contentId, 0, 'and is told as gone');
  const [claimed] = await claim(store, to, OVER_MS);
  assert.equal(claimed?.message.contentId, waiting.contentId);
  assert.equal(await textOf(r, waiting.contentId), 'still to be sent');
  assert.deepEqual(await checkPostgresStore(r.url), []);
  await store.mail.settle(settlement(from, waiting, { atMs: OVER_MS }));
  await expireAll(r, OVER_MS + 3 * DAY_MS - HOUR_MS);
  assert.equal(await textOf(r, waiting.contentId), 'still to be sent', 'its retention counts from its own end');
  await expireAll(r, OVER_MS + 3 * DAY_MS + HOUR_MS);
  assert.equal(await textOf(r, waiting.contentId), undefined);
  assert.deepEqual(await checkPostgresStore(r.url), []);
});

test('what was settled late keeps its content until its own retention is over', async (t) => {
  const r = await rig(t);
  const late = await accept(r.store, mail(r.from, { isLeased: true }));
  await r.store.mail.settle(settlement(r.from, late, { atMs: T0 + 2 * DAY_MS }));
  await expireAll(r, OVER_MS);
  assert.ok(!(await exists(r, TABLE)));
  assert.equal(await textOf(r, late.contentId), 'hello');
  assert.equal((await r.store.events.messageById(r.from.accountId, late.id))?.message.contentId, late.contentId);
  assert.equal(await r.store.mail.deleteContent(r.from.accountId, late.id), true);
  assert.equal(await textOf(r, late.contentId), undefined);
  assert.deepEqual(await checkPostgresStore(r.url), []);
});

test('a domain that keeps contents for a shorter time than others does not wait for the day', async (t) => {
  const r = await rig(t);
  const short = await tenant(r.store, { retentionMs: HOUR_MS });
  const [mine, theirs] = [await accept(r.store, mail(short, { isLeased: true })), await accept(r.store, mail(r.from, { isLeased: true }))];
  await r.store.mail.settle(settlement(short, mine));
  await r.store.mail.settle(settlement(r.from, theirs));
  await expireAll(r, T0 + 2 * HOUR_MS);
  assert.equal(await textOf(r, mine.contentId), undefined);
  assert.equal(await textOf(r, theirs.contentId), 'hello');
});

test('a drop that was cut off half-way is ended by the next step', async (t) => {
  const r = await rig(t);
  const waiting = await accept(r.store, mail(r.from));
  // As when the process dies between the two: nothing was moved, too.
  await r.db.allOnce(`ALTER TABLE content DETACH PARTITION ${TABLE} CONCURRENTLY`);
  assert.equal(await textOf(r, waiting.contentId), undefined);
  await expireAll(r, OVER_MS);
  assert.ok(!(await exists(r, TABLE)));
  assert.equal(await textOf(r, waiting.contentId), 'hello');
  assert.deepEqual(await checkPostgresStore(r.url), []);
});

test('mail of a day that was dropped, from a clock that is wrong, is taken and delivered all the same', async (t) => {
  const r = await rig(t);
  await accept(r.store, mail(r.from));
  await expireAll(r, OVER_MS);
  assert.ok(!(await exists(r, TABLE)));
  const to = `${unique('again')}.example`;
  const again = await accept(r.store, mail(r.from, { to: [`a@${to}`] }));
  const claimed = await claim(r.store, to);
  assert.deepEqual(addresses(claimed), [`a@${to}`]);
  assert.equal(claimed[0]?.message.contentId, again.contentId);
  assert.equal(await textOf(r, again.contentId), 'hello');
  assert.equal((await r.store.events.messageById(r.from.accountId, again.id))?.message.contentId, again.contentId);
});

test('a day that is needed again while it is being dropped stays', async (t) => {
  const r = await rig(t);
  await accept(r.store, mail(r.from));
  const partitions = new Partitions(r.db);
  const [day] = await partitions.list('content');
  assert.equal(day?.name, TABLE);
  await partitions.detach('content', day);
  await new Partitions(r.db).ensure([dayOf(T0)]);
  assert.equal(await partitions.drop('content', { ...day, state: 'detached' }, () => assert.fail('it is attached')), false);
  assert.ok(await exists(r, TABLE));
});

test('two nodes that expire at once are not in each other’s way', async (t) => {
  const r = await rig(t);
  const waiting = await accept(r.store, mail(r.from));
  const others = Array.from({ length: 2 }, () => new Retention(r.db, new Partitions(r.db), -1));
  for (let step = 0; step < 5; step++)
    await Promise.all([r.retention, ...others].map((one) => one.expire(OVER_MS + 100 * DAY_MS, 100, EVENTS_MS)));
  await expireAll(r, OVER_MS + 100 * DAY_MS);
  assert.ok(!(await exists(r, TABLE)) && !(await exists(r, partitionName('event', dayOf(T0)))));
  assert.equal(await textOf(r, waiting.contentId), 'hello');
});

test('partitions are made ahead', async (t) => {
  const r = await rig(t);
  await r.retention.expire(T0 + 20 * DAY_MS, 100, EVENTS_MS);
  for (const ahead of [20, 21, 22, 23]) assert.ok(await exists(r, partitionName('event', dayOf(T0) + ahead)), `${ahead}`);
});
