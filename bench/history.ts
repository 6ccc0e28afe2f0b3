/**
 * How long it takes to look at a long history: a store is filled with a month of events and what was counted of them, and the questions of the events, logs and metrics
 * APIs are asked as the API asks them. The worst and the middle of several times are printed, in milliseconds.
 *
 *   node bin/pinned-node.js bench/history.ts                          ten million events, on the embedded store
 *   node bin/pinned-node.js bench/history.ts --store postgres         on a PostgreSQL of its own
 *   node bin/pinned-node.js bench/history.ts --events 1000000         fewer
 *
 * Rows are written straight into the tables: two events for each message, one domain, twenty tags of which each message has one, two rare tags, 200 receiving domains.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { EventKind } from '#model/event.ts';
import { logItem, runLogs } from '#events/logs.ts';
import { readEventQuery, runEventQuery } from '#events/query.ts';
import { groupsOf } from '#stats/metrics.ts';
import { rangeOf } from '#stats/range.ts';
import { totalsByTime } from '#stats/totals.ts';
import { openStore } from '#store/open.ts';
import { Link } from '#store/postgres/database.ts';
import { Database as PostgresDatabase } from '#store/postgres/database.ts';
import { Partitions } from '#store/postgres/partitions.ts';
import { Server } from '#store/postgres/server.ts';
import { Database as SqliteDatabase } from '#store/sqlite/database.ts';
import type { Store } from '#store/store.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { startPostgres } from '../test/kit/postgres.ts';

const { values: options } = parseArgs({
  options: {
    events: { type: 'string', default: '10000000' },
    store: { type: 'string', default: 'sqlite' },
    repeats: { type: 'string', default: '5' },
  },
});
const EVENTS = Number(options.events);
const MESSAGES = Math.floor(EVENTS / 2);
const REPEATS = Number(options.repeats);
const SCAN_ROWS = 100_000;
const DAY_MS = 86_400_000;
const DAYS = 30;
const NOW_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2;
const START_MS = NOW_MS - DAYS * DAY_MS;
const FIRST_DAY = Math.floor(START_MS / DAY_MS);
const DAY_IDS = 2 ** 38;

const ends: (() => unknown)[] = [];
const keeper = { after: (end: () => unknown) => void ends.unshift(end) };

/** SQL of both engines, for the n-th message (n from 0). `$` joins texts, `/` divides whole numbers. */
const at = `(${START_MS} + n * ${Math.floor((DAYS * DAY_MS) / MESSAGES)})`;
const tagOf = `CASE WHEN n % 10007 = 0 THEN 'rare' WHEN n % 1000003 = 0 THEN 'rarest' ELSE 'tag' || (n % 20) END`;
const infoOf = `'{"from":"Shop <shop@sender.example>","to":"user' || n || '@r' || (n % 200) || '.example","subject":"Your order ' || n || '","sizeBytes":10240,"attachments":[],"method":"HTTP","origin":{"address":"192.0.2.7"},"options":{"tags":["' || ${tagOf} || '"],"variables":{"order":' || n || '},"testMode":false},"smtputf8":false,"body":"7BIT"}'`;
const secondKind = 'CASE WHEN n % 9973 = 0 THEN 9 WHEN n % 50 = 0 THEN 3 WHEN n % 33 = 0 THEN 4 ELSE 2 END';
const detailOf = `'{"code":250,"text":"2.0.0 Ok: queued","attempt":{"number":1,"startedMs":0,"source":"ip1","host":"mx.r.example","steps":{"dot":12}}}'`;

interface Sql {
  readonly numbers: (count: number) => string;
  readonly id: string;
  readonly run: (sql: string) => Promise<unknown>;
}

async function fill({ numbers, id, run }: Sql, domain: number, account: number): Promise<void> {
  const isPostgres = options.store === 'postgres';
  const each = numbers(MESSAGES);
  const first = isPostgres ? ', first_recipient' : '';
  await run(`INSERT INTO message (id, account_id, domain_id, message_id, sender, created_ms, expires_ms, priority, has_content, recipient_count, info${first})
    SELECT ${id}, ${account}, ${domain}, 'm' || n || '@sender.example', 'shop@sender.example', ${at}, ${at}, 1, 0, 1, ${infoOf}${isPostgres ? `, ${id}` : ''} FROM ${each}`);
  await run(`INSERT INTO recipient (id, message, bucket, address, state, ending, due_ms, expires_ms, wait)
    SELECT ${id}, ${id}, 1, 'user' || n || '@r' || (n % 200) || '.example', 2, 'delivered', ${at}, ${at}, 'due' FROM ${each}`);
  const event = (eventId: string, kind: string, us: string, detail: string): string =>
    `INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail)
     SELECT ${eventId}, ${kind}, ${us}, ${account}, ${domain}, ${id}, ${id}, ${detail} FROM ${each}`;
  await run(event(id, '1', `${at} * 1000`, 'NULL'));
  const second = isPostgres ? `${id} + ${2 ** 36}` : `${id} + ${MESSAGES}`;
  await run(event(second, secondKind, `(${at} + 3000) * 1000`, detailOf));
  await run(`INSERT INTO event_tag (domain_id, tag, at_us, event, kind) SELECT ${domain}, ${tagOf}, ${at} * 1000, ${id}, 1 FROM ${each}`);
  await run(
    `INSERT INTO event_tag (domain_id, tag, at_us, event, kind) SELECT ${domain}, ${tagOf}, (${at} + 3000) * 1000, ${second}, ${secondKind} FROM ${each}`,
  );
  const node = isPostgres ? ['node, ', '1, '] : ['', ''];
  const counted = (table: string, time: string, count: number, receiver: readonly [string, string], groups: number): string =>
    `INSERT INTO ${table} (account_id, domain_id, tag, ${time}, kind, reason, ${receiver[0]}provider, source, country, device, ${node[0]}n)
     SELECT ${account}, ${domain}, CASE WHEN n % 21 = 0 THEN '' ELSE 'tag' || (n % 21 - 1) END, ${time === 'day' ? FIRST_DAY : FIRST_DAY * 24} + n / ${count / (DAYS * (time === 'day' ? 1 : 24))},
       (n / 21) % 3 + 1, CASE (n / 21) % 3 WHEN 0 THEN '' WHEN 1 THEN '//1' ELSE 'bounce/invalid-recipient/1' END, ${receiver[1]}'provider' || ((n / 63) % ${groups}), 'ip1', '', '', ${node[1]}10
     FROM ${numbers(count)}`;
  await run(counted('counter', 'hour', 21 * 3 * 11 * DAYS * 24, ['', ''], 11));
  await run(counted('counter_day', 'day', 21 * 3 * 11 * DAYS, ['', ''], 11));
  await run(counted('counter_receiver', 'day', 21 * 3 * 200 * DAYS, ['receiver, ', "'r' || ((n / 63) % 200) || '.example', "], 200));
  await run('ANALYZE');
}

async function opened(): Promise<{ readonly url: string; readonly sql: (domain: number, account: number) => Promise<void> }> {
  if (options.store === 'postgres') {
    const postgres = await startPostgres(keeper, { settings: { shared_buffers: '512MB', max_wal_size: '8GB', synchronous_commit: 'off' } });
    const url = await postgres.newDatabase();
    const server = new Server(storePlace(url) as PostgresPlace);
    const run = async (sql: string): Promise<void> => {
      const link = new Link(server, { isPatient: true });
      await link.exec(sql).finally(() => link.close());
    };
    return {
      url,
      async sql(domain, account) {
        const pool = new PostgresDatabase(server, 2);
        await new Partitions(pool).ensure(Array.from({ length: DAYS + 2 }, (_, i) => FIRST_DAY + i));
        await pool.close();
        const numbers = (count: number): string => `generate_series(0::bigint, ${count - 1}) AS g (n)`;
        await fill({ numbers, id: `(${at} / ${DAY_MS} * ${DAY_IDS} + n + 1)`, run }, domain, account);
      },
    };
  }
  const directory = mkdtempSync(join(tmpdir(), 'postrider-history-'));
  keeper.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'postrider.db');
  return {
    url: `sqlite:${path}`,
    async sql(domain, account) {
      const db = new SqliteDatabase(path, 'write');
      const numbers = (count: number): string =>
        `(WITH RECURSIVE g (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g LIMIT ${count}) SELECT n FROM g)`;
      db.exec('PRAGMA synchronous = OFF; BEGIN');
      await fill({ numbers, id: '(n + 1)', run: (sql) => Promise.resolve(db.exec(sql)) }, domain, account);
      db.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
      db.close();
      console.log(`${(statSync(path).size / 2 ** 30).toFixed(1)} GiB`);
    },
  };
}

async function time(name: string, ask: () => Promise<number>): Promise<void> {
  const times: number[] = [];
  let rows = 0;
  for (let i = 0; i < REPEATS; i++) {
    const start = performance.now();
    rows = await ask();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const [middle, worst] = [times[Math.floor(times.length / 2)] as number, times.at(-1) as number];
  console.log(`${name.padEnd(64)} ${middle.toFixed(1).padStart(8)} ${worst.toFixed(1).padStart(8)}   ${rows} rows`);
}

async function ask(store: Store, accountId: number, domainId: number): Promise<void> {
  const events = (parameters: Readonly<Record<string, string>>) => async (): Promise<number> => {
    const query = readEventQuery((name) => (parameters[name] === undefined ? [] : [parameters[name]]));
    return (await runEventQuery(store.events, { accountId, domainId }, { query, isBack: false }, SCAN_ROWS)).items.length;
  };
  const middle = (START_MS + (NOW_MS - START_MS) / 2) / 1000;
  const some = Math.floor(MESSAGES / 3);
  console.log(`${''.padEnd(64)} ${'middle'.padStart(8)} ${'worst'.padStart(8)}`);
  await time('events: the newest 300', events({ limit: '300' }));
  await time('events: 300 since a time in the middle, ascending', events({ limit: '300', begin: String(middle + 0.25), ascending: 'yes' }));
  await time('events: event=failed', events({ limit: '300', event: 'failed' }));
  await time('events: event=complained', events({ limit: '300', event: 'complained' }));
  await time('events: delivered OR failed OR complained', events({ limit: '300', event: 'delivered OR failed OR complained' }));
  await time('events: one recipient', events({ limit: '300', recipient: `user${some}@r${some % 200}.example` }));
  await time('events: one message-id', events({ limit: '300', 'message-id': `m${some}@sender.example` }));
  await time('events: tags=tag3, one in twenty', events({ limit: '300', tags: 'tag3' }));
  await time('events: tags=rare, one in ten thousand', events({ limit: '300', tags: 'rare' }));
  await time('events: tags=none', events({ limit: '300', tags: 'none' }));
  const domains = new Map([[domainId, 'sender.example']]);
  const common = { accountId, domains, startUs: START_MS * 1000, endUs: NOW_MS * 1000, order: 'descending', limit: 100 } as const;
  const logs = (wanted: readonly string[]) => async (): Promise<number> => {
    const page = await runLogs(store.events, { ...common, events: wanted, where: [] }, undefined, SCAN_ROWS);
    return page.items.map((item) => logItem(item, { storage: () => '' })).length;
  };
  await time('logs: the newest 100 of the account', logs([]));
  await time('logs: failed', logs(['failed' satisfies EventKind]));
  const whose = { accountId, accountName: '', domains };
  const metrics = (resolution: string, dimensions: string[]) => async (): Promise<number> =>
    (await groupsOf(store.stats, whose, { range: rangeOf({ duration: '30d', resolution }, NOW_MS), dimensions, where: [] })).length;
  await time('metrics: 30 days by day', metrics('day', ['time']));
  await time('metrics: 30 days by hour', metrics('hour', ['time']));
  await time('metrics: 30 days by tag', metrics('day', ['tag']));
  await time('metrics: 30 days by day and tag', metrics('day', ['time', 'tag']));
  await time('metrics: 30 days by receiving domain', metrics('day', ['recipient_domain']));
  await time('stats: totals of 30 days by day', async () => {
    return (await totalsByTime(store.stats, { ...whose, domainId }, rangeOf({ duration: '30d' }, NOW_MS))).length;
  });
}

try {
  const place = await opened();
  const store = await openStore({ url: place.url });
  keeper.after(() => store.close());
  const account = await store.accounts.createAccount('bench', START_MS);
  const domain = await store.accounts.createDomain({
    accountId: account.id,
    name: 'sender.example',
    type: 'custom',
    state: 'active',
    createdMs: START_MS,
    retentionMs: DAY_MS,
    requireTls: false,
    skipVerification: false,
  });
  if (domain === undefined) throw new Error('the domain is taken');
  const start = performance.now();
  await place.sql(domain.id, account.id);
  console.log(`${options.store}: ${MESSAGES * 2} events, filled in ${Math.round((performance.now() - start) / 1000)} s`);
  await ask(store, account.id, domain.id);
} finally {
  for (const end of ends) await end();
}
