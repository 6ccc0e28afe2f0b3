/** A lane whose node may have been given up: it begins nothing, and goes on when it may. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { laneFor, many, quiet, T0 } from '../../test/kit/lane-rig.ts';

test('while the leases are not held nothing is begun, and what waits says why', async (t) => {
  const leases = { isHeld: false };
  const { lane, site, put, names } = laneFor(t, {}, {}, leases);
  put('a', 'b');
  await quiet();
  assert.deepEqual([site.open, names(), lane.waiting, lane.wait.reason], [0, [], 2, 'lease-lapsed']);
  leases.isHeld = true;
  lane.again();
  await quiet();
  assert.deepEqual(names(), ['a', 'b']);
});

test('a transaction that runs ends, and none comes after it on its connection', async (t) => {
  const leases = { isHeld: true };
  const { lane, site, put, names } = laneFor(t, { connectionsMax: 1 }, {}, leases);
  site.holdsTransactions = true;
  put('running', 'waiting');
  await quiet();
  leases.isHeld = false;
  site.endAll();
  await quiet();
  assert.deepEqual([names(), lane.waiting], [['running'], 1]);
});

test('what was withdrawn before its first octet is given back without an attempt, and the connection serves on', async (t) => {
  const leases = { isHeld: true };
  const { lane, site, put, names, returned } = laneFor(t, { connectionsMax: 1 }, {}, leases);
  site.holdsTransactions = true;
  put('a');
  await quiet();
  leases.isHeld = false;
  site.running.shift()?.end('deferred', { withdrawn: true });
  await quiet();
  assert.deepEqual(returned, [{ name: 'a', wait: 'lease-lapsed', dueAtMs: T0 }]);
  assert.deepEqual([names(), lane.report().deferred], [[], 0]);
  leases.isHeld = true;
  site.holdsTransactions = false;
  put('b');
  await quiet();
  assert.deepEqual([names(), site.demands.length], [['b'], 1]);
});

test('what waits is returned at once when it is asked for, while what runs goes on; more may come later', async (t) => {
  const { lane, site, put, names, returned } = laneFor(t, { connectionsMax: 1 });
  site.holdsTransactions = true;
  put(...many(4));
  await quiet();
  lane.returnWaiting('draining');
  assert.deepEqual(
    returned.map(({ name, wait }) => [name, wait]),
    many(3).map((_, n) => [`m${n + 1}`, 'draining']),
  );
  put('later');
  site.endAll();
  await quiet();
  site.endAll();
  await quiet();
  assert.deepEqual(names(), ['m0', 'later']);
});
