/** The database's server dies under load and its standby takes its place: with synchronous replication nothing that was accepted is lost. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startPostgres } from '../kit/postgres.ts';
import { until } from '../kit/until.ts';
import { TestCluster } from './cluster.ts';

const primary = await startPostgres({ after });
const database = new URL(await primary.newDatabase());
const standby = await primary.standby();
await primary.configure({ synchronous_standby_names: '*' });
await until(
  async () => (await primary.sql("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")).length > 0,
  'commits wait for the standby',
);
// As an operator names both: the nodes find the one that takes writes.
const url = `postgres://${database.username}@127.0.0.1:${primary.port},127.0.0.1:${standby.port}${database.pathname}`;
const cluster = await TestCluster.make({ after }, { nodes: 3, url, settings: 'store.lease = "6s"\n' });

test('a standby that is promoted under load is found by every node, and nothing accepted is lost', async (t) => {
  const pids = cluster.nodes.map((node) => node.process.pid);
  await cluster.underLoad(async () => {
    await cluster.takesMail(100);
    await primary.stop('kill');
    const acceptedBefore = cluster.ledger.accepted().length;
    await standby.promote();
    await cluster.takesMail(60);
    t.diagnostic(`${acceptedBefore} accepted before, ${cluster.ledger.accepted().length - acceptedBefore} after`);
  });
  assert.deepEqual(
    cluster.nodes.map((node) => node.process.pid),
    pids,
    'no node ended',
  );
  const { faults, repeated } = await cluster.faults();
  t.diagnostic(`${repeated} repeated`);
  assert.deepEqual(faults, []);
});
