/** The arithmetic of docs/scaling.md: with round numbers that can be followed by hand, and against the page. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { INPUTS, inputsOf, pageInOrder } from '../../bench/plan.ts';
import { type Costs, type Demand, type Machines, databaseCarries, plan, wholePagesPerMessage } from '../../bench/plan-arithmetic.ts';

const DAY_SECONDS = 86_400;

const COSTS: Costs = {
  nodeCpuMs: 0.4,
  nodeCpuMsPerKb: 0.01,
  signingCpuMs: 1,
  databaseCpuMs: 0.2,
  databaseCpuMsPerKb: 0.01,
  walBytes: 3000,
  walPerContentByte: 1,
  retireCpuMs: 0,
  retireWalBytes: 0,
  contentPerByte: 1,
  contentBytes: 1000,
  rowBytes: 1000,
  addressIndexBytes: 0,
  connectionsPerNode: 10,
};

/** 1,000 a second on the average, 2,000 at the peak, 10 KB each, one attempt. */
const DEMAND: Demand = {
  messagesPerDay: 1000 * DAY_SECONDS,
  sizeBytes: 10_000,
  messagesPerContent: 1,
  peakFactor: 2,
  attempts: 1,
  deliverySeconds: 2,
  isSigned: false,
  bodiesDays: 2,
  eventsDays: 10,
  replicas: 1,
};

const MACHINES: Machines = {
  utilisation: 0.5,
  nodeCores: 4,
  databaseCores: 4,
  checkpointSeconds: 1000,
  walBytesPerSecond: 100e6,
  storageBytes: 10e12,
  connectionsPerNode: 1000,
  messagesPerAddress: 1_000_000,
};

test('what is busy at the peak is the rate at the peak times the cost of one', () => {
  const made = plan(DEMAND, COSTS, MACHINES);
  assert.equal(made.peakPerSecond, 2000);
  // 0.4 ms and 10 KB at 0.01 ms; 0.2 ms and the same.
  near(made.nodeCores, 1);
  near(made.databaseCores, 0.6);
  near(made.walBytesPerSecondAtPeak, 2000 * 13_000);
  near(made.walBytesPerDay, 13_000 * 1000 * DAY_SECONDS);
  near(made.deliveriesAtOnce, 4000);
});

test('there are as many nodes as the busiest of their limits asks for, and one to spare', () => {
  // One thread at half of its time does 1,000 a second: 2. 4,000 deliveries at once: 4.
  assert.equal(plan(DEMAND, COSTS, MACHINES).nodes, 5);
  assert.equal(plan({ ...DEMAND, deliverySeconds: 0.1 }, COSTS, MACHINES).nodes, 3);
  assert.equal(plan({ ...DEMAND, messagesPerDay: 1000 }, COSTS, MACHINES).nodes, 2);
});

test('what is over its time is taken away all day long, at the mean rate', () => {
  const [kept, retired] = [plan(DEMAND, COSTS, MACHINES), plan(DEMAND, { ...COSTS, retireCpuMs: 0.1, retireWalBytes: 500 }, MACHINES)];
  near(retired.databaseCores - kept.databaseCores, 0.1);
  near(retired.walBytesPerSecond - kept.walBytesPerSecond, 500_000);
  near(retired.walBytesPerSecondAtPeak - kept.walBytesPerSecondAtPeak, 500_000);
});

test('signatures cost the nodes and nothing else', () => {
  const [without, signed] = [plan(DEMAND, COSTS, MACHINES), plan({ ...DEMAND, isSigned: true }, COSTS, MACHINES)];
  near(signed.nodeCores - without.nodeCores, 2);
  assert.equal(signed.databaseCores, without.databaseCores);
});

test('a content that many share is kept, logged and taken in once, and sent to each', () => {
  const [own, shared] = [plan(DEMAND, COSTS, MACHINES), plan({ ...DEMAND, messagesPerContent: 100 }, COSTS, MACHINES)];
  near(shared.contentBytes, own.contentBytes / 100);
  near(shared.inBitsPerSecond, own.inBitsPerSecond / 100);
  near(shared.walBytesPerSecond, 1000 * 3100);
  assert.equal(shared.outBitsPerSecond, own.outBitsPerSecond);
  assert.equal(shared.rowBytes, own.rowBytes);
});

test('retention is storage', () => {
  const made = plan(DEMAND, COSTS, MACHINES);
  near(made.contentBytes, 1000 * DAY_SECONDS * 2 * 11_000);
  near(made.rowBytes, 1000 * DAY_SECONDS * 10 * 1000);
});

test('a second cluster is needed where a first is full: of work, of log or of mail, and the plan says of which', () => {
  assert.deepEqual(clusters({}, {}), [1, 'one is enough']);
  assert.deepEqual(clusters({}, { databaseCores: 0.5 }), [3, 'processor']);
  assert.deepEqual(clusters({}, { walBytesPerSecond: 20e6 }), [2, 'log']);
  assert.deepEqual(clusters({ bodiesDays: 40 }, {}), [4, 'storage']);
});

test('connections are those of a cluster’s own nodes', () => {
  const made = plan(DEMAND, COSTS, { ...MACHINES, walBytesPerSecond: 20e6 });
  assert.deepEqual([made.clusters, made.nodes, made.connections], [2, 6, 30]);
});

test('what one database carries is where the plan asks for a second', () => {
  const { byProcessor, byLog } = databaseCarries(DEMAND, COSTS, MACHINES);
  // 4 cores at half, 0.3 ms each; 100 MB at 13 KB each.
  near(byProcessor, 2000 / 0.3);
  near(byLog, 100e6 / 13_000);
  const atLimit = (factor: number): number =>
    plan({ ...DEMAND, peakFactor: 1, messagesPerDay: byProcessor * factor * DAY_SECONDS, bodiesDays: 1, eventsDays: 1 }, COSTS, MACHINES)
      .clusters;
  assert.deepEqual([atLimit(0.99), atLimit(1.01)], [1, 2]);
});

test('whole pages: every message writes one while the index is large, and few do when a checkpoint’s messages touch it all over', () => {
  near(wholePagesPerMessage(1e9, 1000), 1, 0.001);
  near(wholePagesPerMessage(1000, 1e6), 0.001, 0.001);
});

test('the index by address adds to the log a page for each message, where it is large', () => {
  // 1,000 a second, ten days, 100 octets each: 10.5 million pages, of which a million messages touch nearly as many in 1,000 seconds.
  const indexed = plan(DEMAND, { ...COSTS, addressIndexBytes: 100 }, MACHINES);
  const whole = indexed.walBytesPerSecond / 1000 - 13_000;
  near(whole, 8192 * 0.954, 0.001);
  near(indexed.diskBytesPerSecond, 1000 * (13_000 + 11_000 + 1000 + 2 * whole));
});

test('inputs are read with their units, and what is no number is refused', () => {
  const { demand, machines } = inputsOf({ size: '50KB', 'wal-rate': '0.5GB', unsigned: 'yes', 'messages-per-day': '1e8' });
  assert.deepEqual([demand.sizeBytes, demand.messagesPerDay, demand.isSigned, machines.walBytesPerSecond], [50_000, 1e8, false, 500e6]);
  for (const given of ['', '-1', '0', '10 KB', '1e', 'many'])
    assert.throws(() => inputsOf({ size: given }), /--size .*: expected a number/);
  assert.equal(inputsOf({ replicas: '0' }).demand.replicas, 0);
});

test('docs/scaling.md has the tables that bench/plan.ts makes of bench/costs.json, and every input', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/scaling.md'), 'utf8');
  assert.equal(pageInOrder(page), page, 'run "node bin/pinned-node.js bench/plan.ts --write"');
  for (const name of Object.keys(INPUTS)) assert.ok(page.includes(`\`--${name}\``), name);
});

function clusters(demand: Partial<Demand>, machines: Partial<Machines>): readonly [number, string] {
  const made = plan({ ...DEMAND, ...demand }, COSTS, { ...MACHINES, ...machines });
  return [made.clusters, made.clustersBecause];
}

function near(actual: number, expected: number, share = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= Math.abs(expected) * share, `${actual} is not ${expected}`);
}
