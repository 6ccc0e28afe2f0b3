/** One of three nodes is cut off from the database, whose answers do not reach it any more: connections hang and nothing says so. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startPostgres } from '../kit/postgres.ts';
import { TcpProxy } from '../kit/tcp-proxy.ts';
import { until } from '../kit/until.ts';
import { TestCluster } from './cluster.ts';

const postgres = await startPostgres({ after });
const database = new URL(await postgres.newDatabase());
const way = await TcpProxy.to({ after }, postgres.port);
const cluster = await TestCluster.make(
  { after },
  {
    nodes: 3,
    url: (n) => `postgres://${database.username}@127.0.0.1:${n === 3 ? way.port : postgres.port}${database.pathname}`,
    settings: 'store.lease = "3s"\ndelivery.connections_per_site = 4\n',
  },
);

test('a node that is cut off takes no mail and begins nothing, the others deliver what it had, and it comes back by itself', async (t) => {
  const node = cluster.node(3);
  const pid = node.process.pid;
  await cluster.underLoad(async () => {
    await cluster.takesMail(60);
    const { id } = await cluster.row(3);
    await way.keepBack();
    await until(() => node.logged('the lease of this node has run out').length > 0, 'it knows that it may be given up');
    await until(async () => (await fetch(`http://127.0.0.1:${node.home.httpPort}/readyz`)).status === 503, 'it is not ready');
    await until(async () => (await cluster.list()).find((row) => row.id === id)?.state === 'lost', 'it is given up');
    await until(async () => (await cluster.list()).find((row) => row.id === id)?.leased === 0, 'its mail is with the others');
    way.cut();
    await until(async () => (await cluster.row(3)).state === 'running', 'it is back, as another node');
    await cluster.takesMail(60);
  });
  assert.equal(node.process.pid, pid);
  const { faults, repeated } = await cluster.faults();
  t.diagnostic(`${cluster.ledger.accepted().length} accepted, ${repeated} repeated`);
  assert.deepEqual(faults, []);
});
