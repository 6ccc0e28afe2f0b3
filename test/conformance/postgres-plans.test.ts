/**
 * How PostgreSQL goes about our statements, with a queue and a history that are large beside what is asked for: the server writes down the plan of everything that it really does,
 * with the rows that it read for it. None of the ways that mail takes may read through the queue or the history, and what is asked about some days leaves the
 * partitions of the others alone. All of it twice: by statistics from when the tables were empty, and by true ones.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BEHIND_MS } from '#store/outbox-store.ts';
import type { Settlement, Store } from '#store/store.ts';
import { accept, bucketsOf, claim, mail, settlement, deferral, type Tenant, tenant, T0 } from './tenant.ts';
import { startPostgres } from '../kit/postgres.ts';
import { Database } from '#store/postgres/database.ts';
import { dayOf, firstIdOfDay } from '#store/postgres/ids.ts';
import { openPostgresStore } from '#store/postgres/open.ts';
import { Partitions } from '#store/postgres/partitions.ts';
import { Server } from '#store/postgres/server.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';

const DAY_MS = 86_400_000;
const DAYS = 40;
const MESSAGES_A_DAY = 500;
const QUEUED = 20_000;
const HOOK = 'https://hooks.example:443';
/** Rows of a table that a statement for a handful of rows may touch. */
const FEW = 300;

const postgres = await startPostgres(
  { after },
  {
    settings: {
      shared_preload_libraries: 'auto_explain',
      'auto_explain.log_min_duration': '0',
      'auto_explain.log_analyze': 'on',
      'auto_explain.log_timing': 'off',
      'auto_explain.log_format': 'json',
      autovacuum: 'off',
    },
  },
);

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

interface Asked {
  readonly sql: string;
  /** Rows read, whether or not they were wanted, by table. Partitions by their own names, of those that were opened. */
  readonly read: ReadonlyMap<string, number>;
  readonly nodes: readonly PlanNode[];
}

/** Every statement that the store has put to the server while it did this. */
async function askedBy(work: () => Promise<unknown>): Promise<Asked[]> {
  const start = postgres.log.length;
  await work();
  const texts = postgres.log.slice(start).matchAll(/ plan:\n((?:\t.*\n)+)/g);
  return [...texts].map(([, text = '']) => {
    const { 'Query Text': sql, Plan: plan } = JSON.parse(text.replaceAll('\n\t', '\n')) as { 'Query Text': string; Plan: PlanNode };
    const nodes = flat(plan);
    const read = new Map<string, number>();
    for (const node of nodes) {
      const name = node['Relation Name'];
      if (name === undefined || node['Actual Loops'] === 0) continue;
      const rows = node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
      read.set(name, (read.get(name) ?? 0) + rows * node['Actual Loops']);
    }
    return { sql, read, nodes };
  });
}

function flat(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flat)];
}

/** Of a table, or of all of its partitions. */
function rowsRead({ read }: Asked, table: string): number {
  return [...read].filter(([name]) => name === table || name.startsWith(`${table}_`)).reduce((sum, [, rows]) => sum + rows, 0);
}

function partitionsRead({ read }: Asked, table: string): string[] {
  return [...read.keys()].filter((name) => new RegExp(`^${table}_(\\d|first)`).test(name)).toSorted();
}

const LARGE = ['recipient', 'message', 'event', 'content', 'bucket', 'outbox', 'outbox_endpoint', 'fact_once', 'webhook_post'];

function readsFew(asked: readonly Asked[], most = FEW): void {
  assert.ok(asked.length > 0);
  for (const one of asked) {
    for (const table of LARGE) {
      const rows = rowsRead(one, table);
      assert.ok(rows <= most, `${rows} rows of ${table} were read: ${one.sql}`);
    }
  }
}

function find(asked: readonly Asked[], sql: RegExp): Asked {
  const found = asked.find((one) => sql.test(one.sql));
  assert.ok(found, `nothing asked like ${sql}: ${asked.map((one) => one.sql).join('\n')}`);
  return found;
}

const databaseOf = (url: string): string => new URL(url).pathname.slice(1);
const nameOfDay = (table: string, ms: number): string => `${table}_${new Date(ms).toISOString().slice(0, 10).replaceAll('-', '')}`;

for (const statistics of ['from when the tables were empty', 'that are true'] as const) {
  describe(`with statistics ${statistics}`, () => {
    let store: Store;
    let from: Tenant;
    let url: string;
    before(async () => {
      url = await postgres.newDatabase();
      store = await openPostgresStore({ url, mode: 'server', nowMs: T0 });
      from = await tenant(store);
      const sql = (text: string) => postgres.sql(text, [], databaseOf(url));
      await sql('ANALYZE');
      await fill(url, from, sql);
      if (statistics === 'that are true') await sql('VACUUM ANALYZE');
    });
    after(() => store.close());
    ways(
      () => store,
      () => from,
      () => url,
    );
  });
}

/** A history of as many days, whose last ones have their contents, and a queue: nearly all of it in one bucket. */
async function fill(url: string, from: Tenant, sql: (text: string) => Promise<unknown>): Promise<void> {
  const db = new Database(new Server(storePlace(url) as PostgresPlace), 1);
  const today = dayOf(T0);
  await new Partitions(db).ensure(Array.from({ length: DAYS + 1 }, (_, n) => today - n));
  await db.close();
  const { accountId, domainId } = from;
  const info = `'{"from":"a@x.example","to":"","subject":"","sizeBytes":1,"attachments":[],"method":"SMTP","origin":{"address":""},"options":{"tags":[],"variables":{},"testMode":false},"smtputf8":false,"body":"7BIT"}'`;
  const ids = `generate_series(${today - DAYS}, ${today - 1}) AS d, generate_series(1, ${MESSAGES_A_DAY}) AS n`;
  const perDay = firstIdOfDay(1);
  await sql(
    `INSERT INTO bucket (domain, account_id, priority) SELECT 'old' || n || '.example', ${accountId}, 0 FROM generate_series(1, 5000) n`,
  );
  await sql(`INSERT INTO message SELECT d * ${perDay} + 1000000 + n, ${accountId}, ${domainId}, d || 'm' || n || '@x.example', 'a@x.example', d::bigint * ${DAY_MS} + n,
    d::bigint * ${DAY_MS} + ${DAY_MS}, 0, CASE WHEN d > ${today - 4} THEN 1 ELSE 0 END, d * ${perDay} + 1000000 + n, 1, ${info} FROM ${ids}`);
  await sql(`INSERT INTO recipient (id, message, bucket, due_ms, expires_ms, attempts, epoch, state, address, wait, ending)
    SELECT d * ${perDay} + 1000000 + n, d * ${perDay} + 1000000 + n, 1 + n, d::bigint * ${DAY_MS} + n, d::bigint * ${DAY_MS} + ${DAY_MS}, 1, 1, 2, 'user' || n || '@old.example', 'due', 'delivered' FROM ${ids}`);
  await sql(`INSERT INTO event (id, at_us, account_id, domain_id, message, recipient, kind)
    SELECT d * ${perDay} + 2000000 + n * 2 + k, (d::bigint * ${DAY_MS} + n) * 1000, ${accountId}, ${domainId}, d * ${perDay} + 1000000 + n, d * ${perDay} + 1000000 + n, k
    FROM ${ids}, generate_series(1, 2) AS k`);
  await sql(`INSERT INTO content SELECT id, 'x' FROM message WHERE has_content = 1`);
  const big = today * perDay + 3_000_000;
  await sql(`INSERT INTO bucket (domain, account_id, priority, look_ms) VALUES ('big.example', ${accountId}, 0, ${T0 - 1000})`);
  await sql(
    `INSERT INTO message VALUES (${big}, ${accountId}, ${domainId}, 'big@x.example', 'a@x.example', ${T0}, ${T0 + DAY_MS}, 0, 1, ${big}, ${QUEUED}, ${info})`,
  );
  await sql(`INSERT INTO content VALUES (${big}, 'x')`);
  await sql(`INSERT INTO recipient (id, message, bucket, due_ms, expires_ms, state, address, wait)
    SELECT ${big} + n, ${big}, (SELECT id FROM bucket WHERE domain = 'big.example'), ${T0 - 1000} + n % 500, ${T0 + DAY_MS} + n, 0, 'user' || n || '@big.example', 'due'
    FROM generate_series(0, ${QUEUED - 1}) AS n`);
  await fillOutbox(sql, { accountId, domainId, today });
}

/** Webhooks: a backlog of one server, of which half waits behind the other, and a log of as many days as there are events. */
async function fillOutbox(
  sql: (text: string) => Promise<unknown>,
  { accountId, domainId, today }: { readonly accountId: number; readonly domainId: number; readonly today: number },
): Promise<void> {
  const perDay = firstIdOfDay(1);
  const yesterday = (today - 1) * perDay;
  await sql(
    `INSERT INTO outbox_endpoint (account_id, name, look_ms) SELECT ${accountId}, 'https://idle' || n || '.example:443', ${T0 + DAY_MS} FROM generate_series(1, 2000) n`,
  );
  await sql(`INSERT INTO outbox_endpoint (account_id, name, look_ms) VALUES (${accountId}, '${HOOK}', ${T0 - 1000})`);
  await sql(`INSERT INTO outbox (kind, endpoint, account_id, domain_id, message, recipient, target, payload, created_ms, due_ms, event)
    SELECT 'event', (SELECT id FROM outbox_endpoint WHERE name = '${HOOK}'), ${accountId}, ${domainId}, ${yesterday} + 1000000 + n, ${yesterday} + 1000000 + n, '${HOOK}/in', '{}',
      ${T0 - 1000} + k, CASE WHEN k = 1 THEN ${T0 - 1000} ELSE ${BEHIND_MS} END, ${yesterday} + 2000000 + n * 2 + k
    FROM generate_series(1, ${MESSAGES_A_DAY}) AS n, generate_series(1, 20) AS k ORDER BY k, n`);
  await sql(`INSERT INTO fact_once (recipient, key, at_ms) SELECT r.id, 'first opened', ${T0} FROM recipient r WHERE r.state = 2`);
  await sql(`INSERT INTO webhook_post SELECT d * ${perDay} + 1000000 + n, ${accountId}, ${domainId}, d * ${perDay} + 2000000 + n * 2 + 1, d * ${perDay} + 1000000 + n, d * ${perDay} + 1000000 + n,
      d::bigint * ${DAY_MS} + n, 12, 1, 1, CASE WHEN n % 50 = 0 THEN 3 ELSE 1 END, 200, '${HOOK}/in', '${HOOK}', '{}', '', ''
    FROM generate_series(${today - DAYS}, ${today - 1}) AS d, generate_series(1, ${MESSAGES_A_DAY}) AS n`);
}

function ways(store: () => Store, from: () => Tenant, url: () => string): void {
  test('accepting, settling and releasing read the rows that they concern', async () => {
    readsFew(
      await askedBy(async () => {
        const queued = mail(from(), { to: ['a@big.example', 'b@new.example'] });
        await accept(store(), { ...queued, idempotency: { key: 'k', fingerprint: 'f', untilMs: T0 + 1 } });
        const leased = await accept(store(), mail(from(), { to: ['a@big.example', 'b@big.example', 'c@big.example'], isLeased: true }));
        const suppression = { kind: 'bounce', address: 'a@big.example', code: 550, error: '', createdMs: T0 } as const;
        await store().mail.settle(settlement(from(), leased, { ending: 'failed', suppression }));
        await store().mail.settle(settlement(from(), { ...leased, firstRecipient: leased.firstRecipient + 1 }, deferral(T0)));
        await store().mail.release({ recipient: leased.firstRecipient + 2, epoch: 1, dueAtMs: T0, wait: 'due' });
      }),
    );
  });

  test('claims go by the buckets that are due, and in a bucket by what is due', async () => {
    const asked = await askedBy(async () => {
      const [bucket] = await bucketsOf(store(), 'big.example');
      await store().mail.nextDueAtMs();
      const claimed = await store().mail.claim([{ bucket: bucket?.id as number, room: 10 }], T0);
      assert.equal(claimed.flatMap(({ recipients }) => recipients).length, 10);
      await store().mail.parkBucket(bucket?.id as number, T0, 'lane-rate');
      await accept(store(), mail(from(), { to: ['a@small.example'] }));
      assert.equal((await claim(store(), 'small.example')).length, 1, 'the bucket is empty then, and its time is looked for');
    });
    readsFew(asked);
  });

  test('what is too old is found by its time, and what a lost node leased by its lease', async () => {
    readsFew(await askedBy(() => store().mail.claimExpired(T0 + DAY_MS + 5 + 61_000, 3)));
    readsFew(await askedBy(() => store().nodes.takeOver(20_000)));
    readsFew(await askedBy(() => store().nodes.beat('running')));
  });

  test('a content is looked for in one partition and among those that were kept', async () => {
    const { contentId } = await accept(store(), mail(from()));
    const asked = find(await askedBy(() => store().mail.content(contentId)), /FROM content\b/);
    assert.deepEqual(partitionsRead(asked, 'content'), [nameOfDay('content', T0)]);
    readsFew([asked]);
  });

  test('a message is found with its recipients and events, in the partitions since its day', async () => {
    const message = mail(from(), { to: ['a@found.example'] });
    const { id } = await accept(store(), message);
    const asked = await askedBy(async () => {
      assert.equal((await store().events.messageById(from().accountId, id))?.events.length, 1);
      assert.equal((await store().events.messageByMessageId(from().accountId, message.messageId))?.events.length, 1);
      assert.equal((await store().events.recipientsByAddress(from().accountId, 'a@found.example', 10)).length, 1);
    });
    readsFew(asked);
    for (const one of asked) {
      const opened = partitionsRead(one, 'event');
      assert.ok(
        opened.every((name) => name >= nameOfDay('event', T0 - DAY_MS)),
        `${opened.join()}: ${one.sql}`,
      );
    }
  });

  test('an old message is found by its index in each partition since', async () => {
    const day = dayOf(T0) - DAYS + 3;
    const asked = await askedBy(async () => {
      const view = await store().events.messageByMessageId(from().accountId, `${day}m7@x.example`);
      assert.equal(view?.events.length, 2);
    });
    readsFew(asked);
  });

  test('the newest messages are found by the order of their ids', async () => {
    readsFew(await askedBy(() => store().events.latestMessages(undefined, 10)), 1000);
    readsFew(await askedBy(() => store().events.latestMessages(from().accountId, 10)), 1000);
  });

  test('listing and moving what is scheduled reads nothing else of the backlog', async () => {
    const scheduled = { to: ['a@scheduled.example'], dueAtMs: T0 + 60_000, wait: 'scheduled' } as const;
    const { id } = await accept(store(), mail(from(), scheduled));
    const { accountId, domainId } = from();
    readsFew(await askedBy(() => store().mail.listScheduled([domainId], undefined, 10)));
    readsFew(await askedBy(() => store().mail.moveScheduled({ accountId, domainId, message: id }, T0 + 120_000, T0)));
    readsFew(await askedBy(() => store().mail.cancelScheduled({ accountId, domainId, message: id }, T0)));
  });

  test('cancelling one message reads no other', async () => {
    const { id } = await accept(store(), mail(from(), { to: ['a@cancel.example'] }));
    readsFew(await askedBy(() => store().mail.cancel(from().accountId, from().domainId, id, T0)));
  });

  facts(store, from);
  webhooks(store, from);
  many(store, from);
  lists(store, from);
  wholes(store, url);
}

function facts(store: () => Store, from: () => Tenant): void {
  const outbox = [{ kind: 'event', endpoint: HOOK, target: `${HOOK}/in`, payload: '{}' }] as const;

  test('what comes back is written beside the rows that it concerns', async () => {
    const { accountId, domainId } = from();
    const leased = await accept(store(), mail(from(), { isLeased: true, outbox }));
    const ids = { message: leased.id, recipient: leased.firstRecipient };
    const event = { kind: 'opened', atUs: T0 * 1000, accountId, domainId, ...ids, detail: {} } as const;
    const counter = { accountId, domainId, kind: 'opened', provider: '', tag: '' } as const;
    const suppression = { kind: 'bounce', address: 'a@big.example', code: 550, error: '', createdMs: T0 } as const;
    readsFew(
      await askedBy(async () => {
        await store().mail.record({ event, once: 'opened', suppression, counters: [counter], firstCounters: [counter], outbox });
        assert.ok(await store().events.recipientById(leased.firstRecipient));
      }),
    );
  });

  test('what comes in is written beside the rows that it concerns, with what is told of acceptances and settlements', async () => {
    const { accountId, domainId } = from();
    const event = { kind: 'stored', atUs: T0 * 1000, accountId, domainId, detail: {} } as const;
    readsFew(
      await askedBy(async () => {
        const forwards = [mail(from(), { to: ['a@big.example'] })];
        await store().mail.receive({
          message: mail(from(), { outbox }),
          events: [{ recipient: 0, event }],
          outbox: [{ ...outbox[0], recipient: 0 }],
          forwards,
        });
        const leased = await accept(store(), mail(from(), { isLeased: true, outbox }));
        await store().mail.settle(settlement(from(), leased, { outbox }));
      }),
    );
  });
}

function webhooks(store: () => Store, from: () => Tenant): void {
  test('a backlog of webhooks is claimed, settled and logged by the rows that it concerns, and events by the day of theirs', async () => {
    const asked = await askedBy(async () => {
      const due = await store().outbox.dueEndpoints(T0, 10);
      const { id } = due.find(({ endpoint }) => endpoint === HOOK) ?? assert.fail('it is not due');
      await store().outbox.nextDueAtMs();
      const items = await store().outbox.claim([{ endpoint: id, room: 10 }], T0, T0 + 60_000);
      assert.equal(items.length, 10);
      await Promise.all(
        items.map((item, n) => {
          const { accountId, domainId, message, recipient, event, endpoint, payload, target } = item;
          assert.ok(message && recipient && event);
          const ids = { event: event.id, message: message.id, recipient: recipient.id, kind: event.kind };
          const texts = { entry: 'event' as const, url: target, endpoint, payload, error: '', response: 'ok' };
          const post = { accountId, domainId, ...ids, ...texts, atMs: T0, number: 1, result: 'done', status: 200, tookMs: 3 } as const;
          return store().outbox.settle({ item, post, ...(n % 2 === 1 && { dueAtMs: T0 + 1000 }) });
        }),
      );
      await store().outbox.park(id, T0);
      assert.equal((await store().outbox.claimOld(T0 - 900, 5, T0, T0 + 60_000)).length, 5);
    });
    readsFew(asked);
    const days = partitionsRead(find(asked, /UPDATE outbox o SET .*FROM event v/s), 'event');
    assert.ok(days.length <= 2, days.join());
  });

  test('the log of webhooks is listed by its account and time, in the partitions of the days that are asked for', async () => {
    const { accountId } = from();
    const dayMs = T0 - 20 * DAY_MS;
    const filter = { accountId, beginMs: dayMs - DAY_MS / 2, endMs: dayMs + DAY_MS / 2 };
    for (const result of [undefined, 'failed'] as const) {
      const asked = await askedBy(async () => {
        const page = await store().outbox.listPosts({ ...filter, ...(result !== undefined && { result }) }, undefined, 5);
        assert.equal(page.length, 5);
      });
      readsFew(asked, 20);
      const opened = partitionsRead(find(asked, /FROM webhook_post/), 'webhook_post').filter((name) => name !== 'webhook_post_first');
      assert.ok(opened.length <= 4, opened.join());
    }
    readsFew(
      await askedBy(async () => assert.equal((await store().outbox.replayPosts({ ...filter, result: 'failed' }, T0, 5)).entries, 5)),
    );
  });
}

function many(store: () => Store, from: () => Tenant): void {
  test('settling reads no others that are leased, however many', async () => {
    const to = Array.from({ length: 2 * FEW }, (_, n) => `user${n}@leased.example`);
    const leased = await accept(store(), mail(from(), { to, isLeased: true }));
    const settle = (n: number, change: Partial<Settlement> = {}): Promise<boolean> =>
      store().mail.settle(settlement(from(), { ...leased, firstRecipient: leased.firstRecipient + n }, change));
    readsFew(
      await askedBy(async () => assert.deepEqual(await Promise.all([settle(0), settle(1), settle(2, { epoch: 7 })]), [true, true, false])),
    );
    await Promise.all(to.slice(2).map((_, n) => settle(n + 2)));
  });
}

function lists(store: () => Store, from: () => Tenant): void {
  const filterOf = (): { accountId: number; domainId: number } => ({ accountId: from().accountId, domainId: from().domainId });
  const listed = async (...[filter, order, position, limit]: Parameters<Store['events']['list']>): Promise<Asked> => {
    const asked = await askedBy(async () => {
      assert.equal((await store().events.list(filter, order, position, limit)).length, limit);
    });
    return find(asked, /FROM event [ex]/);
  };
  const noonOf = (daysAgo: number): number => (T0 - daysAgo * DAY_MS) * 1000;

  test('events of a domain are listed by its index, without sorting them, a few rows of each partition', async () => {
    for (const order of ['ascending', 'descending'] as const) {
      const asked = await listed(filterOf(), order, undefined, 10);
      assert.ok(rowsRead(asked, 'event') <= DAYS * 4 + 50, `${rowsRead(asked, 'event')} rows`);
    }
  });

  test('times bound the partitions that are opened, either way, and so does the position of a page', async () => {
    const up = { beginUs: noonOf(20) - 43_200_000_000, endUs: noonOf(18) };
    const down = { beginUs: up.endUs, endUs: up.beginUs };
    const days = [22, 21, 20, 19, 18, 17, 16].map((daysAgo) => nameOfDay('event', T0 - daysAgo * DAY_MS));
    for (const [filter, order] of [
      [up, 'ascending'],
      [down, 'descending'],
    ] as const) {
      const asked = await listed({ ...filterOf(), ...filter }, order, undefined, 10);
      const opened = partitionsRead(asked, 'event').filter((name) => name !== 'event_first');
      assert.ok(opened.length > 0 && opened.length <= 5 && opened.every((name) => days.includes(name)), `${order}: ${opened.join()}`);
      readsFew([asked]);
    }
    const later = await listed(filterOf(), 'ascending', { atUs: noonOf(2) - 43_200_000_000, id: 1 }, 10);
    assert.ok(partitionsRead(later, 'event').every((name) => name === 'event_first' || name >= nameOfDay('event', T0 - 4 * DAY_MS)));
    const earlier = await listed(filterOf(), 'descending', { atUs: noonOf(37), id: Number.MAX_SAFE_INTEGER }, 10);
    assert.ok(partitionsRead(earlier, 'event').every((name) => name <= nameOfDay('event', T0 - 35 * DAY_MS) || name === 'event_first'));
  });

  test('kinds do not make it read more than the days asked for', async () => {
    const times = { beginUs: noonOf(20) - 43_200_000_000, endUs: noonOf(19) };
    readsFew([await listed({ ...filterOf(), ...times, kinds: ['delivered'] }, 'ascending', undefined, 10)]);
  });

  test('events of one message or recipient are found by it, not among those of the domain', async () => {
    const day = dayOf(T0) - DAYS + 5;
    const ofMessage = await listed({ ...filterOf(), messageId: `${day}m9@x.example` }, 'ascending', undefined, 2);
    readsFew([ofMessage]);
    // One address of the history has a message each day.
    const ofRecipient = await listed({ ...filterOf(), recipient: 'USER9@old.example' }, 'descending', undefined, 2 * DAYS);
    assert.ok(rowsRead(ofRecipient, 'event') <= 4 * DAYS, `${rowsRead(ofRecipient, 'event')} rows`);
  });
}

function wholes(store: () => Store, url: () => string): void {
  test('the depth of the queue is counted by indexes that hold the queue alone', async () => {
    const asked = await askedBy(async () => {
      assert.ok((await store().events.queueDepth()).queued > QUEUED - 100);
      assert.ok((await store().events.queueByDomain(T0, 10)).length > 0);
    });
    for (const one of asked) {
      const scans = one.nodes.filter((node) => node['Relation Name'] === 'recipient').map((node) => node['Node Type']);
      assert.ok(!scans.includes('Seq Scan'), one.sql);
      assert.equal(rowsRead(one, 'event') + rowsRead(one, 'content'), 0);
    }
  });

  test('retention reads a bounded stretch in each step, and takes days of events away whole', async () => {
    const asked = await askedBy(() => store().mail.expire(T0, 200, 30 * DAY_MS));
    for (const one of asked) {
      for (const table of ['recipient', 'message', 'content']) {
        assert.ok(rowsRead(one, table) <= 5100, `${rowsRead(one, table)} rows of ${table}: ${one.sql}`);
      }
    }
    const oldest = async (): Promise<unknown> =>
      (await postgres.sql("SELECT min(relname) AS name FROM pg_class WHERE relname ~ '^event_[0-9]{8}$'", [], databaseOf(url())))[0]?.[
        'name'
      ];
    assert.equal(await oldest(), nameOfDay('event', T0 - (DAYS - 1) * DAY_MS));
  });
}
