/** Connections, transactions, the schema and the ids, on a real server. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { startPostgres } from '../../../test/kit/postgres.ts';
import { until } from '../../../test/kit/until.ts';
import { Database } from './database.ts';
import { dayOf, dayOfId, firstIdOfDay, Ids } from './ids.ts';
import { migrate } from './migrate.ts';
import { partitionName, Partitions } from './partitions.ts';
import { Server } from './server.ts';
import { isUniqueViolation } from './trouble.ts';

const postgres = await startPostgres({ after });
const url = await postgres.newDatabase();
const serverOf = (place: string) => new Server(storePlace(place) as PostgresPlace);
const server = serverOf(url);
await migrate(server);
const db = new Database(server, 3);
after(() => db.close());

const DAY_MS = 86_400_000;

test('many that start at once bring the schema up to date once', async () => {
  const fresh = await postgres.newDatabase();
  await Promise.all([1, 2, 3, 4].map(() => migrate(serverOf(fresh))));
  await migrate(serverOf(fresh));
  const other = new Database(serverOf(fresh), 1);
  assert.ok(Number((await other.get('SELECT count(*) AS n FROM migration'))?.['n']) >= 1);
  await other.close();
});

test('a schema that a later version changed beyond this one is refused; one that it only added to is not', async () => {
  const later = await postgres.newDatabase();
  await migrate(serverOf(later));
  const other = new Database(serverOf(later), 1);
  await other.run("INSERT INTO migration (number, name, is_breaking, at_ms) VALUES (9998, '9998-more.sql', 0, 0)");
  await migrate(serverOf(later));
  await other.run("INSERT INTO migration (number, name, is_breaking, at_ms) VALUES (9999, '9999-other.sql', 1, 0)");
  await assert.rejects(migrate(serverOf(later)), /written by a later version .*9999-other/);
  await other.close();
});

test('a transaction that fails leaves nothing, and its connection is good for the next', async () => {
  await assert.rejects(
    db.transaction(async (queries) => {
      await queries.run("INSERT INTO setting VALUES ('half', '1')");
      await queries.run("INSERT INTO setting VALUES ('half', '2')");
    }),
    (error) => isUniqueViolation(error, 'setting_pkey'),
  );
  assert.equal(await db.get("SELECT 1 FROM setting WHERE name = 'half'"), undefined);
});

test('two transactions that wait for each other both come through', async () => {
  await db.run("INSERT INTO setting VALUES ('one', '0'), ('two', '0')");
  const add = (name: string) => [`UPDATE setting SET value = value::int + 1 WHERE name = $1`, name] as const;
  let met = 0;
  const meet = async (): Promise<void> => {
    met++;
    await until(() => met >= 2, 'both hold their first row');
  };
  const cross = (first: string, second: string) =>
    db.transaction(async (queries) => {
      await queries.run(...add(first));
      await meet();
      await queries.run(...add(second));
    });
  await Promise.all([cross('one', 'two'), cross('two', 'one')]);
  assert.deepEqual(await db.all("SELECT name, value FROM setting WHERE name IN ('one', 'two') ORDER BY name"), [
    { name: 'one', value: '2' },
    { name: 'two', value: '2' },
  ]);
});

test('a table that a later version widened goes on to be read, by connections that were there before', async () => {
  const ask = (): Promise<unknown> => db.get('SELECT * FROM account WHERE id = 0');
  await Promise.all([ask(), ask(), ask()]);
  await db.allOnce('ALTER TABLE account ADD COLUMN later TEXT');
  await Promise.all([ask(), ask(), ask()]);
  await db.transaction(async (queries) => queries.all('SELECT * FROM account WHERE id = 1'));
});

test('a server that is away is refused at once and found again by itself', async () => {
  await postgres.stop('immediate');
  await assert.rejects(db.get('SELECT 1'), { name: 'StoreError', kind: 'io' });
  await assert.rejects(db.get('SELECT 1'), { name: 'StoreError', kind: 'io' });
  await postgres.start();
  await until(
    () =>
      db.get('SELECT 1').then(
        () => true,
        () => false,
      ),
    'it answers again',
  );
});

test('numbers are taken in order, without a gap in what is asked for, and by two nodes never twice', async () => {
  const [one, two] = [new Ids(db), new Ids(db)];
  const taken = await Promise.all([1, 2, 3].flatMap((count) => [one.take('message', count), two.take('message', count)]));
  const all = taken.flatMap((first, position) => Array.from({ length: Math.floor(position / 2) + 1 }, (_, n) => first + n));
  assert.equal(new Set(all).size, 12);
  const first = await one.take('recipient', 100_000);
  assert.ok((await two.take('recipient', 1)) >= first + 100_000);
});

test('numbers begin anew before they run over into the next day', async () => {
  await db.run("UPDATE id_block SET next = $1 WHERE kind = 'event'", firstIdOfDay(1) - 100);
  const first = await new Ids(db).take('event', 1000);
  assert.equal(first, 1);
  assert.ok((await new Ids(db).take('event', 1)) > 1000);
});

test('an id tells its day, to the last of them that a number holds exactly', () => {
  const day = dayOf(Date.UTC(2026, 2, 1, 12));
  assert.equal(dayOfId(firstIdOfDay(day)), day);
  assert.equal(dayOfId(firstIdOfDay(day + 1) - 1), day);
  assert.ok(firstIdOfDay(dayOf(Date.UTC(2059, 0, 1))) < Number.MAX_SAFE_INTEGER);
});

test('partitions are made once, by whoever comes first', async () => {
  const days = [dayOf(Date.UTC(2026, 2, 1)), dayOf(Date.UTC(2027, 6, 1))];
  await Promise.all([1, 2, 3].map(() => new Partitions(db).ensure(days)));
  const names = (await db.all("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'event'::regclass")).map(
    (row) => row['name'],
  );
  assert.deepEqual(names.toSorted(), ['event_20260301', 'event_20270701', 'event_first']);
  assert.equal(partitionName('content', dayOf(Date.UTC(2026, 11, 31) + DAY_MS - 1)), 'content_20261231');
});
