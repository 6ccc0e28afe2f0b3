/** Tags on PostgreSQL alone: what a deletion leaves that breaks in the middle. What any store's tags do is in store-stats.ts. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openPostgresStore } from '#store/postgres/open.ts';
import { startPostgres } from '../kit/postgres.ts';
import { accept, mail, tenant, T0 } from './tenant.ts';

const postgres = await startPostgres({ after });

test('a tag whose deletion breaks is still there with all of its counters, and can be deleted again', async (t) => {
  const url = await postgres.newDatabase();
  const database = new URL(url).pathname.slice(1);
  const store = await openPostgresStore({ url, mode: 'server', nowMs: T0 });
  t.after(() => store.close());
  const from = await tenant(store);
  const { accountId, domainId } = from;
  const counter = { accountId, domainId, kind: 'accepted', provider: '', tag: 'news', receiver: 'x.example', count: 1 } as const;
  await accept(store, mail(from, { counters: [counter] }));
  const left = async (): Promise<unknown> =>
    (
      await postgres.sql(
        "SELECT (SELECT count(*)::int FROM tag WHERE key = 'news') AS tags, (SELECT sum(n)::int FROM counter WHERE tag = 'news') AS counted",
        [],
        database,
      )
    )[0];

  await postgres.sql(
    "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$",
    [],
    database,
  );
  await postgres.sql('CREATE TRIGGER broken BEFORE DELETE ON counter_receiver FOR EACH STATEMENT EXECUTE FUNCTION broken()', [], database);
  await assert.rejects(store.stats.deleteTag(accountId, domainId, 'news'), /broken/);
  assert.deepEqual(await left(), { tags: 1, counted: 1 });

  await postgres.sql('DROP TRIGGER broken ON counter_receiver', [], database);
  assert.equal(await store.stats.deleteTag(accountId, domainId, 'news'), true);
  assert.deepEqual(await left(), { tags: 0, counted: null });
});
