/** With the default lease: how long the mail of a node that died waits for the others. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { until } from '../kit/until.ts';
import { messageIdOf, TestCluster } from './cluster.ts';

const WITHIN_MS = 30_000;
const cluster = await TestCluster.make({ after }, { nodes: 2, settings: 'delivery.connections_per_site = 4\n' });

test('what a killed node had leased is delivered by another within 30 seconds by default', async (t) => {
  const never = new Promise<void>(() => undefined);
  let diedMs = 0;
  let its = new Set<string>();
  await cluster.underLoad(async () => {
    cluster.sink.configure({ gates: { dot: never } });
    cluster.sink.dropAll();
    const { id } = await until(async () => {
      const row = await cluster.row(1);
      return row.leased > 4 && row;
    }, 'the node has mail in work');
    await cluster.node(1).kill();
    diedMs = performance.now();
    its = await cluster.leasedBy(id);
    cluster.sink.configure({});
    cluster.sink.dropAll();
  });
  const { faults } = await cluster.faults();
  assert.deepEqual(faults, []);
  // When the mail came, not when this process has looked at all of it.
  const tookMs = cluster
    .acknowledged()
    .filter((transaction) => transaction.beganMs > diedMs && its.has(messageIdOf(transaction)))
    .map(({ beganMs }) => beganMs - diedMs);
  const lastMs = Math.max(...tookMs);
  t.diagnostic(`${tookMs.length} of ${its.size} after ${Math.round(Math.min(...tookMs))} to ${Math.round(lastMs)} ms`);
  assert.ok(tookMs.length > 0 && lastMs > 10_000 && lastMs < WITHIN_MS, `${Math.round(lastMs)} ms`);
});
