/**
 * PostgreSQL whose answer never comes, because the connection breaks while a write is on its way: the write may stand or not. Whoever asked must be told what is true in the end, nothing may be
 * written twice, and nothing that is leased may be forgotten.
 */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import { openPostgresStore, type PostgresStore } from '#store/postgres/open.ts';
import type { AcceptResult, Settlement } from '#store/store.ts';
import { checkPostgresStore } from '../conformance/check-postgres.ts';
import {
  accept,
  type Accepted,
  addresses,
  claim,
  deferral,
  mail,
  settlement,
  type Tenant,
  tenant,
  T0,
  unique,
} from '../conformance/tenant.ts';
import { startPostgres } from '../kit/postgres.ts';
import { TcpProxy } from '../kit/tcp-proxy.ts';
import { until } from '../kit/until.ts';

const postgres = await startPostgres({ after });

interface Rig {
  readonly url: string;
  readonly proxy: TcpProxy;
  readonly store: PostgresStore;
  readonly from: Tenant;
}

async function rig(t: TestContext, leaseMs?: number): Promise<Rig> {
  const url = await postgres.newDatabase();
  const proxy = await TcpProxy.to({ after: (end) => t.after(end) }, postgres.port);
  const store = await openPostgresStore({ url: url.replace(`:${postgres.port}`, `:${proxy.port}`), mode: 'server', nowMs: T0, leaseMs });
  t.after(async () => {
    await store.close();
    assert.deepEqual(await checkPostgresStore(url), []);
  });
  // So that nothing has to be prepared any more when answers are kept back.
  const from = await tenant(store);
  const accepted = await accept(store, mail(from, { isLeased: true }));
  await store.mail.settle(settlement(from, accepted));
  await store.mail.claim([{ bucket: 0, room: 1 }], T0);
  return { url, proxy, store, from };
}

/** Does it, and cuts the connections when the server has answered and the answer has not come. */
async function unanswered<T>({ proxy }: Rig, what: () => Promise<T>): Promise<T> {
  const kept = proxy.keepBack();
  const done = what();
  await kept;
  proxy.cut();
  return done;
}

const kindsOf = async ({ store, from }: Rig, { id }: { readonly id: number }): Promise<string[]> =>
  ((await store.events.messageById(from.accountId, id))?.events ?? []).map(({ kind }) => kind);

test('a message whose acceptance was committed without an answer is accepted once, with what is to be said of it', async (t) => {
  const r = await rig(t);
  const { store, from } = r;
  const to = `${unique('unsure')}.example`;
  await store.accounts.putSuppression(from.domainId, { kind: 'bounce', address: `gone@${to}`, code: 550, error: '', createdMs: T0 });
  await accept(store, mail(from, { to: [`known@${to}`], isLeased: true }));
  const results = await unanswered(r, () =>
    Promise.all([1, 2].map(() => accept(store, mail(from, { to: [`a@${to}`, `gone@${to}`], isLeased: true })))),
  );
  for (const result of results) {
    assert.deepEqual(result.suppressed, [[1, 'bounce']]);
    assert.deepEqual(await kindsOf(r, result), ['accepted', 'accepted']);
    assert.equal(await store.mail.settle(settlement(from, result)), true);
  }
  const [row] = await postgres.sql(
    'SELECT count(*)::int AS n, count(DISTINCT message_id)::int AS different FROM message',
    [],
    new URL(r.url).pathname.slice(1),
  );
  assert.equal(row?.['n'], row?.['different'], 'none is there twice');
});

test('a message whose acceptance was not committed is accepted by the next connection', async (t) => {
  const r = await rig(t);
  const database = new URL(r.url).pathname.slice(1);
  const to = `${unique('unsure')}.example`;
  await accept(r.store, mail(r.from, { to: [`known@${to}`] }));
  const release = await holdMessages(database);
  const accepting = accept(r.store, mail(r.from, { to: [`a@${to}`] }));
  await until(async () => (await waitingFor(database)).length > 0, 'the acceptance waits');
  for (const row of await waitingFor(database)) await postgres.sql('SELECT pg_terminate_backend($1)', [row['pid']]);
  await release();
  const accepted = await accepting;
  assert.deepEqual(await kindsOf(r, accepted), ['accepted']);
});

test('a message with an Idempotency-Key whose acceptance was committed without an answer is accepted, not a repeat', async (t) => {
  const r = await rig(t);
  const idempotency = (key: string) => ({ key, fingerprint: 'f', untilMs: T0 * 2 });
  const to = `${unique('unsure')}.example`;
  await accept(r.store, mail(r.from, { idempotency: idempotency('first'), to: [`known@${to}`] }));
  const message = mail(r.from, { idempotency: idempotency('second'), to: [`a@${to}`] });
  // Its transaction takes several answers; the one that is kept back is each of them in turn.
  const database = new URL(r.url).pathname.slice(1);
  const result = await cutAfterCommit(r, database, message.messageId, () => r.store.mail.accept(message));
  assert.equal(result.kind, 'accepted');
  assert.deepEqual(await kindsOf(r, result as Accepted), ['accepted']);
  assert.partialDeepStrictEqual(await r.store.mail.accept(message), { kind: 'repeat', id: (result as Accepted).id });
});

for (const [what, change] of [
  ['an end', {}],
  ['a deferral', deferral(T0 + 1000)],
] as const) {
  test(`${what} that was committed without an answer stands, and is not told as refused`, async (t) => {
    const r = await rig(t);
    const accepted = await accept(r.store, mail(r.from, { isLeased: true }));
    assert.equal(await unanswered(r, () => r.store.mail.settle(settlement(r.from, accepted, change))), true);
    assert.deepEqual(await kindsOf(r, accepted), ['accepted', 'event' in change ? 'deferred' : 'delivered']);
  });
}

test('among many returns that were committed without an answer, the one that is refused is told so', async (t) => {
  const r = await rig(t);
  const leased = await Promise.all([1, 2, 3].map(() => accept(r.store, mail(r.from, { isLeased: true }))));
  const change = (position: number): Partial<Settlement> => (position === 1 ? { epoch: 7 } : {});
  const answers = await unanswered(r, () =>
    Promise.all(leased.map((accepted, position) => r.store.mail.settle(settlement(r.from, accepted, change(position))))),
  );
  assert.deepEqual(answers, [true, false, true]);
});

test('a release that was committed without an answer stands', async (t) => {
  const r = await rig(t);
  const to = `${unique('unsure')}.example`;
  const { firstRecipient } = await accept(r.store, mail(r.from, { to: [`a@${to}`], isLeased: true }));
  const release = { recipient: firstRecipient, epoch: 1, dueAtMs: T0 + 5, wait: 'lane-rate' } as const;
  assert.equal(await unanswered(r, () => r.store.mail.release(release)), true);
  assert.deepEqual(addresses(await claim(r.store, to, T0 + 5)), [`a@${to}`]);
});

test('a notification goes once with the settlement that was committed without an answer', async (t) => {
  const r = await rig(t);
  const { store, from } = r;
  const accepted = await accept(store, mail(from, { isLeased: true }));
  const dsn = mail(from, { to: [`app@${from.domain}`] });
  await accept(store, mail(from, { to: [`known@${from.domain}`] }));
  const database = new URL(r.url).pathname.slice(1);
  const isSettled = await cutAfterCommit(r, database, dsn.messageId, () =>
    store.mail.settle(settlement(from, accepted, { notification: { action: 'failed', message: dsn } })),
  );
  assert.equal(isSettled, true);
  assert.deepEqual(await kindsOf(r, accepted), ['accepted', 'delivered', 'notified']);
  const rows = await postgres.sql('SELECT count(*)::int AS n FROM message WHERE message_id = $1', [dsn.messageId], database);
  assert.equal(rows[0]?.['n'], 1);
});

test('what was claimed without an answer is put back, as a possible repeat, though the node lives', async (t) => {
  const r = await rig(t, 200);
  const to = `${unique('unsure')}.example`;
  await accept(r.store, mail(r.from, { to: [`a@${to}`, `b@${to}`] }));
  const kept = await accept(r.store, mail(r.from, { to: [`kept@${to}`], isLeased: true }));
  const [bucket] = (await r.store.mail.dueBuckets(T0, 10)).filter(({ domain }) => domain === to);
  await assert.rejects(
    unanswered(r, () => r.store.mail.claim([{ bucket: bucket?.id as number, room: 9 }], T0)),
    { kind: 'io' },
  );
  // Its other connections were cut too: a beat may be the first to find that.
  const beating = async (): Promise<number> => {
    const beat = await until(() => r.store.nodes.beat('running').catch(() => undefined), 'a beat is answered');
    return beat.nowMs;
  };
  const claimed = await until(async () => {
    const found = await claim(r.store, to, await beating());
    return found.length > 0 && found;
  }, 'it is put back');
  assert.deepEqual(addresses(claimed).sort(), [`a@${to}`, `b@${to}`]);
  assert.ok(
    claimed.every(({ recipients }) => recipients.every(({ possibleDuplicate, wait }) => possibleDuplicate && wait === 'recovered')),
  );
  assert.equal(await r.store.mail.settle(settlement(r.from, kept)), true, 'what it knows of it keeps');
});

test('a server that is killed and started under load loses nothing that was answered, and repeats nothing', async (t) => {
  const r = await rig(t);
  const accepted: AcceptResult[] = [];
  const over = new AbortController();
  const sender = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        const result = await accept(r.store, mail(r.from, { isLeased: true }));
        accepted.push(result);
        await settleUntilWritten(r, result);
      } catch (error) {
        assert.equal((error as { kind?: unknown }).kind, 'io', String(error));
        await until(() => over.signal.aborted || r.store.health().isWritable, 'the store can be written again');
      }
    }
  };
  const senders = Promise.all(Array.from({ length: 10 }, sender));
  for (const how of ['kill', 'immediate', 'fast'] as const) {
    const enough = accepted.length + 50;
    await until(() => accepted.length > enough, 'mail goes');
    await postgres.restart(how);
  }
  const enough = accepted.length + 50;
  await until(() => accepted.length > enough, 'mail goes again');
  over.abort();
  await senders;
  const database = new URL(r.url).pathname.slice(1);
  const [row] = await postgres.sql(
    'SELECT count(*)::int AS n FROM recipient WHERE state = 2 AND id = ANY($1)',
    [accepted.map((result) => (result as Accepted).firstRecipient)],
    database,
  );
  assert.equal(row?.['n'], accepted.length);
});

/** As the program does it: an outcome is kept until it stands. */
async function settleUntilWritten({ store, from }: Rig, accepted: Accepted): Promise<void> {
  const outcome = settlement(from, accepted);
  for (;;) {
    try {
      assert.equal(await store.mail.settle(outcome), true);
      return;
    } catch (error) {
      if ((error as { kind?: unknown }).kind !== 'io') throw error;
      await until(() => store.health().isWritable, 'the store can be written again');
    }
  }
}

const waitingFor = (database: string): Promise<Record<string, unknown>[]> =>
  postgres.sql("SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'", [database]);

/** Nobody can insert messages until what it gives is called. */
async function holdMessages(database: string): Promise<() => Promise<unknown>> {
  const held = postgres.sql('BEGIN; LOCK TABLE message IN SHARE MODE; SELECT pg_sleep(60)', undefined, database).catch(() => undefined);
  const pid = await until(async () => {
    const [row] = await postgres.sql("SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep'", [database]);
    return row?.['pid'] as number | undefined;
  }, 'the table is locked');
  return async () => {
    await postgres.sql('SELECT pg_terminate_backend($1)', [pid]);
    await held;
  };
}

/** Cuts the connections when the message is there and nobody was told. */
async function cutAfterCommit<T>({ proxy }: Rig, database: string, messageId: string, what: () => Promise<T>): Promise<T> {
  const release = await holdMessages(database);
  const done = what();
  await until(async () => (await waitingFor(database)).length > 0, 'the message waits to be written');
  // The answer to the statement comes through, and the commit is sent; its answer does not.
  proxy.keepBackAfter(1);
  await release();
  await until(async () => {
    const rows = await postgres.sql('SELECT 1 FROM message WHERE message_id = $1', [messageId], database);
    return rows.length > 0;
  }, 'the message is there');
  proxy.cut();
  return done;
}
