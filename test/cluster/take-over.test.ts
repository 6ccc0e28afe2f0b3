/** With the default lease: how long the mail of a node that died waits for the others. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { until } from '../kit/until.ts';
import { TestCluster } from './cluster.ts';

const WITHIN_MS = 30_000;
const cluster = await TestCluster.make({ after }, { nodes: 2, settings: 'delivery.connections_per_site = 4\n' });

test('what a killed node had leased is delivered by another within 30 seconds by default', async (t) => {
  const never = new Promise<void>(() => undefined);
  let diedMs = 0;
  await cluster.underLoad(async () => {
    cluster.sink.configure({ gates: { dot: never } });
    cluster.sink.dropAll();
    await until(async () => (await cluster.row(1)).leased > 4, 'the node has mail in work');
    await cluster.node(1).kill();
    diedMs = performance.now();
    cluster.sink.configure({});
    cluster.sink.dropAll();
  });
  const { faults } = await cluster.faults();
  const tookMs = performance.now() - diedMs;
  t.diagnostic(`after ${Math.round(tookMs)} ms`);
  assert.deepEqual(faults, []);
  assert.ok(tookMs > 10_000 && tookMs < WITHIN_MS, `${Math.round(tookMs)} ms`);
});
