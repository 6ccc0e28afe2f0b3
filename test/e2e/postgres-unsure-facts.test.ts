/**
 * Facts, mail that comes in and what came of entries of the outbox, on a PostgreSQL whose answer never comes: whichever answer of the transaction it is that is lost with the connection, what
 * was handed in stands once in the end, and is told so.
 */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import type { OutboxItem } from '#store/outbox-store.ts';
import { openPostgresStore, type PostgresStore } from '#store/postgres/open.ts';
import { checkPostgresStore } from '../conformance/check-postgres.ts';
import { accept, claimEntries, counter, endpointName, entry, HOUR_MS, mail, type Tenant, tenant, T0 } from '../conformance/tenant.ts';
import { startPostgres } from '../kit/postgres.ts';
import { TcpProxy } from '../kit/tcp-proxy.ts';
import { until } from '../kit/until.ts';

const postgres = await startPostgres({ after });

interface Rig {
  readonly proxy: TcpProxy;
  readonly store: PostgresStore;
  readonly from: Tenant;
  sql(text: string): Promise<Record<string, unknown>[]>;
}

async function rig(t: TestContext): Promise<Rig> {
  const url = await postgres.newDatabase();
  const proxy = await TcpProxy.to({ after: (end) => t.after(end) }, postgres.port);
  const store = await openPostgresStore({ url: url.replace(`:${postgres.port}`, `:${proxy.port}`), mode: 'server', nowMs: T0 });
  t.after(async () => {
    await store.close();
    assert.deepEqual(await checkPostgresStore(url), []);
  });
  return { proxy, store, from: await tenant(store), sql: (text) => postgres.sql(text, [], new URL(url).pathname.slice(1)) };
}

/** Pieces of answers that one of these transactions takes, and more. */
const ANSWERS_MAX = 40;

/**
 * Does it again and again, each time with one more answer that comes through before the connections are cut, until all of them come. As the program does: what could not be written
 * is handed in again, the same. Resolves to how often it was done.
 */
async function cutAnywhere<Subject, T>(
  { proxy, store }: Rig,
  prepare: () => Promise<Subject>,
  what: (subject: Subject) => Promise<T>,
  look: (answer: T, subject: Subject) => Promise<void>,
): Promise<number> {
  for (let passing = 0; passing < ANSWERS_MAX; passing++) {
    const subject = await prepare();
    const kept = proxy.keepBackAfter(passing).then(() => 'cut' as const);
    const done = insistently(store, () => what(subject));
    const first = await Promise.race([kept, done.then(() => 'done' as const)]);
    proxy.cut();
    await look(await done, subject);
    if (first === 'done') return passing + 1;
  }
  return assert.fail('it takes more answers than it may');
}

async function insistently<T>(store: PostgresStore, what: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await what();
    } catch (error) {
      assert.equal((error as { kind?: unknown }).kind, 'io', String(error));
      await until(() => store.health().isWritable, 'the store can be written again');
    }
  }
}

/** Reads may meet a connection that was cut. */
function read<T>({ store }: Rig, ask: () => Promise<T>): Promise<T> {
  return insistently(store, ask);
}

for (const once of ['complained', undefined]) {
  test(`a fact (${once === undefined ? 'each counts' : 'counts once'}) is recorded once, whichever answer is lost`, async (t) => {
    const r = await rig(t);
    const { store, from } = r;
    const { accountId, domainId } = from;
    let recorded = 0;
    const times = await cutAnywhere(
      r,
      async () => {
        const accepted = await read(r, () => accept(store, mail(from, { isLeased: true, to: ['a@there.example'] })));
        const ids = { message: accepted.id, recipient: accepted.firstRecipient };
        return {
          event: { kind: 'complained', atUs: T0 * 1000, accountId, domainId, ...ids, detail: {} },
          ...(once !== undefined && { once }),
          counters: [counter(from, 'complained')],
          firstCounters: [counter(from, 'stored')],
          outbox: [entry(endpointName())],
        } as const;
      },
      (fact) => store.mail.record(fact),
      async (answer, { event, outbox }) => {
        assert.equal(answer, 'recorded');
        recorded++;
        const view = await read(r, () => store.events.messageById(accountId, event.message));
        assert.deepEqual(
          view?.events.map(({ kind, detail }) => [kind, detail]),
          [
            ['accepted', {}],
            ['complained', { isFirst: true }],
          ],
        );
        assert.equal((await read(r, () => claimEntries(store, outbox[0].endpoint))).length, 1);
      },
    );
    assert.ok(times > 5, `${times}`);
    const [row] = await r.sql(`SELECT sum(n)::int AS n FROM counter WHERE kind = 9 AND domain_id = ${domainId}`);
    assert.equal(row?.['n'], recorded);
  });
}

test('what comes in is kept once with what is sent on, whichever answer is lost', async (t) => {
  const r = await rig(t);
  const { store, from } = r;
  const { accountId, domainId } = from;
  const to = ['in@in.example', 'out@out.example'] as const;
  const times = await cutAnywhere(
    r,
    () =>
      Promise.resolve({
        message: mail(from, { to: [to[0]] }),
        events: [{ recipient: 0, event: { kind: 'stored', atUs: T0 * 1000, accountId, domainId, detail: {} } }],
        outbox: [{ ...entry(endpointName(), { kind: 'forward' }), recipient: 0 }],
        forwards: [mail(from, { to: [to[1]], isLeased: true })],
      } as const),
    (reception) => store.mail.receive(reception),
    async (answer, { message, outbox, forwards }) => {
      assert.equal(answer.kind, 'received');
      for (const { messageId } of [message, ...forwards]) {
        const [row] = await r.sql(`SELECT count(*)::int AS n FROM message WHERE message_id = '${messageId}'`);
        assert.equal(row?.['n'], 1);
      }
      const [item, ...others] = await read(r, () => claimEntries(store, outbox[0].endpoint));
      assert.deepEqual([item?.message?.messageId, others], [message.messageId, []]);
    },
  );
  assert.ok(times > 4, `${times}`);
});

for (const dueAtMs of [undefined, T0 + 10 * HOUR_MS]) {
  test(`a post is logged once and its entry is ${dueAtMs === undefined ? 'done with' : 'put off'}, whichever answer is lost`, async (t) => {
    const r = await rig(t);
    const { store, from } = r;
    const times = await cutAnywhere(
      r,
      async () => {
        const name = endpointName();
        await read(r, () => accept(store, mail(from, { to: ['a@there.example'], outbox: [entry(name)] })));
        const [item] = await read(r, () => claimEntries(store, name));
        return { item: item as OutboxItem, post: postOf(item as OutboxItem), ...(dueAtMs !== undefined && { dueAtMs }) };
      },
      (settlement) => store.outbox.settle(settlement),
      async (answer, { item }) => {
        assert.equal(answer, true);
        const [posts] = await r.sql(`SELECT count(*)::int AS n FROM webhook_post WHERE message = ${item.message?.id}`);
        const [left] = await r.sql(`SELECT count(*)::int AS n FROM outbox WHERE id = ${item.id} AND is_leased = 0`);
        assert.deepEqual([posts?.['n'], left?.['n']], [1, dueAtMs === undefined ? 0 : 1]);
      },
    );
    assert.ok(times > 4, `${times}`);
  });
}

function postOf(item: OutboxItem) {
  const { accountId, domainId, endpoint, payload, target, event, message, recipient } = item;
  assert.ok(event && message && recipient);
  const ids = { accountId, domainId, event: event.id, message: message.id, recipient: recipient.id, kind: event.kind };
  return {
    ...ids,
    entry: 'event' as const,
    url: target,
    endpoint,
    payload,
    atMs: T0,
    number: 1,
    result: 'failed' as const,
    tookMs: 1,
    error: 'no',
    response: '',
  };
}
