/** The heartbeat against a store whose answers the test gives, on a clock that the test moves. */
import assert from 'node:assert/strict';
import { mock, type TestContext, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Beat, NodeStore } from '#store/store.ts';
import { Heartbeat } from './beat.ts';

const LEASE_MS = 20_000;
const EVERY_MS = 5000;
const T0 = 1_800_000_000_000;

/** A heartbeat that has begun, the calls it made, and how the store behaves. */
async function beating(t: TestContext, isAlone = false) {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const clock = new HeldClock(T0);
  const store = {
    beats: [] as string[],
    takeOvers: 0,
    /** Of the others. */
    orphans: 0,
    isAway: false,
    wasLost: false,
    wanted: 'run' as Beat['wanted'],
    stepMs: 0,
    /** The answer waits for it. */
    gate: undefined as Promise<void> | undefined,
  };
  const nodes: NodeStore = {
    id: 7,
    async beat(state) {
      store.beats.push(state);
      await store.gate;
      if (store.isAway) throw new Error('the store is away');
      const { wasLost } = store;
      store.wasLost = false;
      return { nowMs: clock.monotonicMs() + T0 + store.stepMs, wanted: store.wanted, wasLost };
    },
    list: async () => [],
    want: async () => true,
    async takeOver(leaseMs) {
      assert.equal(leaseMs, LEASE_MS);
      store.takeOvers++;
      return store.orphans;
    },
  };
  const seen = { lost: 0, held: 0, tookOver: 0, wanted: [] as string[], differenceMs: undefined as number | undefined };
  const heartbeat = new Heartbeat({
    nodes,
    log: silentLog,
    leaseMs: LEASE_MS,
    everyMs: EVERY_MS,
    isAlone,
    monotonicMs: () => clock.monotonicMs(),
    wallMs: () => clock.nowMs(),
    state: () => 'running',
    follow(theirMs, sentMs) {
      const differenceMs = theirMs - sentMs;
      const movedMs = differenceMs - (seen.differenceMs ?? differenceMs);
      seen.differenceMs = differenceMs;
      return movedMs;
    },
    wanted: (wanted) => seen.wanted.push(wanted),
    lost: () => seen.lost++,
    held: () => seen.held++,
    tookOver: (recipients) => (seen.tookOver += recipients),
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  /** In steps, as time passes: timers see it. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 500) {
      const step = Math.min(left, 500);
      clock.advance(step);
      mock.timers.tick(step);
      await settle();
    }
  };
  await heartbeat.start();
  t.after(() => heartbeat.stop());
  return { heartbeat, store, seen, clock, pass, settle };
}

test('it beats every few seconds, and holds its leases as long as it is answered', async (t) => {
  const { heartbeat, store, pass } = await beating(t);
  await pass(60_000);
  assert.equal(store.beats.length, 13);
  assert.deepEqual([heartbeat.isHeld, heartbeat.tenure], [true, 1]);
});

test('without an answer its leases are held for less than a lease from when the last answered beat was sent', async (t) => {
  const { heartbeat, store, clock } = await beating(t);
  store.isAway = true;
  clock.advance(LEASE_MS * 0.9 - 1);
  assert.deepEqual([heartbeat.isHeld, heartbeat.isHeard], [true, true]);
  clock.advance(1);
  assert.deepEqual([heartbeat.isHeld, heartbeat.isHeard], [false, false]);
});

test('an answer that was long under way prolongs from when it was asked for', async (t) => {
  const { heartbeat, store, clock, pass, settle } = await beating(t);
  const answer = Promise.withResolvers<void>();
  store.gate = answer.promise;
  await pass(5000);
  clock.advance(10_000);
  store.gate = undefined;
  answer.resolve();
  await settle();
  // Asked at 5 s.
  clock.advance(7999);
  assert.equal(heartbeat.isHeld, true);
  clock.advance(2001);
  assert.equal(heartbeat.isHeld, false);
});

test('a process that stood still finds its leases run out at once, before any beat', async (t) => {
  const { heartbeat, clock } = await beating(t);
  clock.advance(25_000);
  assert.equal(heartbeat.isHeld, false);
});

test('a machine that slept, whose monotonic time stood still, holds nothing until it is answered', async (t) => {
  const { heartbeat, clock, pass } = await beating(t);
  clock.step(25_000);
  assert.deepEqual([heartbeat.isHeld, heartbeat.isHeard], [false, true]);
  await pass(1000);
  assert.equal(heartbeat.isHeld, true);
});

test('a store that comes back before anybody took the leases finds them held again, and work goes on', async (t) => {
  const { heartbeat, store, seen, pass } = await beating(t);
  const heldBefore = seen.held;
  store.isAway = true;
  await pass(30_000);
  assert.equal(heartbeat.isHeld, false);
  store.isAway = false;
  await pass(EVERY_MS);
  assert.deepEqual([heartbeat.isHeld, heartbeat.tenure, seen.lost, seen.held - heldBefore], [true, 1, 0, 1]);
});

test('a node that was given up learns it, lets go of what it had, and goes on in a new tenure', async (t) => {
  const { heartbeat, store, seen, pass } = await beating(t);
  store.wasLost = true;
  await pass(EVERY_MS);
  assert.deepEqual([heartbeat.isHeld, heartbeat.tenure, seen.lost], [true, 2, 1]);
  await pass(EVERY_MS);
  assert.deepEqual([heartbeat.tenure, seen.lost], [2, 1]);
});

test('what an operator wants comes with each beat', async (t) => {
  const { store, seen, pass } = await beating(t);
  store.wanted = 'drain';
  await pass(EVERY_MS);
  store.wanted = 'run';
  await pass(EVERY_MS);
  assert.deepEqual(seen.wanted, ['run', 'drain', 'run']);
});

test('lost nodes are looked for with each beat, and what they had is told', async (t) => {
  const { store, seen, pass } = await beating(t);
  store.orphans = 3;
  await pass(LEASE_MS - EVERY_MS);
  assert.deepEqual([store.takeOvers, seen.tookOver], [0, 0], 'not by one that has just come');
  await pass(EVERY_MS);
  assert.deepEqual([store.takeOvers, seen.tookOver], [1, 3]);
  await pass(EVERY_MS);
  assert.deepEqual([store.takeOvers, seen.tookOver], [2, 6]);
});

test('after the store was away, others get a lease of time to be heard before they are declared lost', async (t) => {
  const { store, pass } = await beating(t);
  await pass(LEASE_MS);
  store.isAway = true;
  await pass(EVERY_MS);
  store.isAway = false;
  const before = store.takeOvers;
  await pass(LEASE_MS);
  assert.equal(store.takeOvers, before);
  await pass(2 * EVERY_MS);
  assert.ok(store.takeOvers > before);
});

for (const [way, stepMs] of [
  ['forward', 3_600_000],
  ['back', -3_600_000],
] as const) {
  test(`after the store's clock was set ${way}, nobody is declared lost by what it says for a lease`, async (t) => {
    const { store, heartbeat, pass } = await beating(t);
    await pass(LEASE_MS);
    store.stepMs = stepMs;
    const before = store.takeOvers;
    await pass(LEASE_MS);
    assert.equal(store.takeOvers, before);
    assert.equal(heartbeat.isHeld, true);
    await pass(2 * EVERY_MS);
    assert.ok(store.takeOvers > before);
  });
}

test('beats that hang do not gather', async (t) => {
  const { store, pass } = await beating(t);
  const answer = Promise.withResolvers<void>();
  store.gate = answer.promise;
  await pass(10 * EVERY_MS);
  assert.equal(store.beats.length, 3);
  store.gate = undefined;
  answer.resolve();
  await pass(EVERY_MS);
  assert.equal(store.beats.length, 4);
});

test('a node that is alone with its store holds its leases whatever happens', async (t) => {
  const { heartbeat, store, clock } = await beating(t, true);
  store.isAway = true;
  clock.advance(3_600_000);
  clock.step(3_600_000);
  assert.equal(heartbeat.isHeld, true);
});
