/** What only several connections show: grants that are asked for, used and given back by several processes at once. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { GrantAsk } from '#store/grant-store.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { startPostgres } from '../../../test/kit/postgres.ts';
import { Database } from './database.ts';
import { grantTables, useGrants } from './grants.ts';
import { migrate } from './migrate.ts';
import { Server } from './server.ts';

const T0 = Date.UTC(2026, 2, 1, 12);
const LEASE_MS = 20_000;
const postgres = await startPostgres({ after });
const place = storePlace(await postgres.newDatabase()) as PostgresPlace;
await migrate(new Server(place));
const processes = [1, 2, 3].map(() => new Database(new Server(place), 4));
after(() => Promise.all(processes.map((db) => db.close())));

const ask = (name: string, wanted: number, change: Partial<GrantAsk> = {}): GrantAsk => ({
  name,
  startMs: T0,
  spanMs: 3_600_000,
  ceiling: 1000,
  wanted,
  ...change,
});
const of = (n: number): Database => processes[n % processes.length] as Database;

test('holders of several processes that ask for several ceilings at once are given each of them once', async () => {
  const names = Array.from({ length: 8 }, (_, n) => `ceiling ${n}`);
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, n) => {
      const order = n % 2 === 0 ? names : names.toReversed();
      const asks = order.map((name) => ask(name, 1 + ((n * 7) % 60), { used: 0 }));
      return grantTables(of(n)).hold(n + 1, asks, LEASE_MS, T0);
    }),
  );
  for (const [n, name] of names.entries()) {
    const held = answers.map((answer, holder) => answer[holder % 2 === 0 ? n : names.length - 1 - n]?.held ?? 0);
    assert.equal(
      held.reduce((sum, count) => sum + count, 0),
      1000,
      name,
    );
  }
});

test('uses that come while their holder asks and gives back are all counted, and none beyond what is held', async () => {
  const [name, holder] = ['busy', 77];
  const { hold } = grantTables(of(0));
  await hold(holder, [ask(name, 100)], LEASE_MS, T0);
  let used = 0;
  const use = async (n: number): Promise<void> => {
    if (await of(n).transaction((queries) => useGrants(queries, [{ holder, name, startMs: T0, count: 1 }]))) used++;
  };
  const asks = Array.from({ length: 20 }, (_, n) => hold(holder, [ask(name, n % 2 === 0 ? 60 : 100)], LEASE_MS, T0));
  const others = Array.from({ length: 20 }, (_, n) => grantTables(of(n)).hold(100 + n, [ask(name, 10)], LEASE_MS, T0 + (n % 3) * LEASE_MS));
  await Promise.all([...Array.from({ length: 150 }, (_, n) => use(n)), ...asks, ...others]);
  const row = await of(1).get('SELECT held, used FROM granted WHERE name = $1 AND holder = $2', name, holder);
  assert.equal(row?.['used'], used);
  assert.ok(used <= 100 && used > 0, `${used}`);
  const sum = await of(2).get('SELECT sum(held)::bigint AS held FROM granted WHERE name = $1', name);
  assert.ok(Number(sum?.['held']) <= 1000);
});

test('what a holder uses when it was taken for gone, and others were given its part, is refused', async () => {
  const [name, lost, other] = ['lost', 1, 2];
  const use = (count: number): Promise<boolean> =>
    of(0).transaction((queries) => useGrants(queries, [{ holder: lost, name, startMs: T0, count }]));
  await grantTables(of(0)).hold(lost, [ask(name, 1000)], LEASE_MS, T0);
  assert.equal(await use(5), true);
  const [answer] = await grantTables(of(1)).hold(other, [ask(name, 1000)], LEASE_MS, T0 + LEASE_MS);
  assert.equal(answer?.held, 995);
  assert.equal(await use(1), false);
});
