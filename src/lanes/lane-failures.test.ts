/** A lane whose site refuses connections: suspension, shrinking, and growing again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { item, laneFor, many, quiet } from '../../test/kit/lane-rig.ts';

test('failures to connect in a row suspend the lane: what waits is returned, and what comes is not taken', async (t) => {
  const { site, put, lane, settled, returned, clock } = laneFor(t);
  site.isDown = true;
  put(...many(5));
  await quiet();
  assert.deepEqual(
    settled.map(({ name }) => name),
    ['m0', 'm1', 'm2'],
  );
  assert.deepEqual(
    returned.map(({ name, wait }) => [name, wait]),
    [
      ['m3', 'lane-suspended'],
      ['m4', 'lane-suspended'],
    ],
  );
  const report = lane.report();
  assert.deepEqual(
    [report.state, lane.room, lane.wait.reason, report.lastTrouble],
    ['suspended', 0, 'lane-suspended', '421 too many connections'],
  );
  put('late');
  assert.partialDeepStrictEqual(returned.at(-1), { name: 'late', wait: 'lane-suspended', dueAtMs: report.suspendedUntilMs });
  const forMs = (report.suspendedUntilMs as number) - clock.nowMs();
  assert.ok(forMs >= 54_000 && forMs <= 66_000, `${forMs} ms`);
  assert.equal(site.demands.length, 3);
});

test('a suspension ends with one try; each that fails doubles it, up to its limit, and a success forgets them all', async (t) => {
  const { site, put, lane, clock, pass } = laneFor(t, { suspendMaxMs: 300_000 });
  site.isDown = true;
  put(...many(3));
  await quiet();
  const lasts = (): number => Math.round(((lane.report().suspendedUntilMs as number) - clock.nowMs()) / 60_000);
  assert.equal(lasts(), 1);
  for (const minutes of [2, 4, 5, 5]) {
    await pass(lasts() * 66_000);
    const before = site.demands.length;
    put('try', 'wait');
    await quiet();
    assert.equal(site.demands.length, before + 1);
    assert.ok(Math.abs(lasts() - minutes) <= 1, `${lasts()} minutes, expected about ${minutes}`);
  }
  await pass(6 * 66_000);
  site.isDown = false;
  put('works');
  await quiet();
  assert.equal(lane.report().state, 'starting');
  await lane.closeIdle();
  site.isDown = true;
  put('fails', 'fails too');
  await quiet();
  assert.equal(lane.isSuspended, false, 'it takes as many failures as at first');
  put('fails at last');
  await quiet();
  assert.equal(lasts(), 1);
});

test('mail that demands TLS where there is none fails alone: other mail is neither suspended nor slowed', async (t) => {
  const { site, put, lane, settled } = laneFor(t);
  site.hasTls = false;
  put('plain');
  await quiet();
  const { connectionsAllowed } = lane.report();
  for (const name of many(10, 'secret')) lane.put(item(name, { tls: 'require' }));
  await quiet();
  assert.deepEqual([lane.report().state, lane.report().connectionsAllowed], ['starting', connectionsAllowed]);
  site.holdsTransactions = true;
  put('slow');
  for (const name of many(3, 'late')) lane.put(item(name, { tls: 'require' }));
  await quiet();
  assert.deepEqual(
    settled
      .slice(1)
      .map(({ name }) => name)
      .sort(),
    [...many(3, 'late'), ...many(10, 'secret')],
  );
  assert.equal(site.demands.filter((demand) => demand === 'require').length, 13, 'each was tried once');
});

test('a connection that is refused while others work costs no attempt: the mail waits, and fewer connections are used', async (t) => {
  const { site, put, lane, names, settled } = laneFor(t);
  site.holdsTransactions = true;
  put(...many(10));
  await quiet();
  site.running.shift()?.end();
  await quiet();
  assert.equal(site.open, 2);
  site.refusals.push('refused');
  site.running.shift()?.end();
  await quiet();
  assert.deepEqual([site.open, lane.report().connectionsAllowed], [2, 2]);
  for (let turn = 0; turn < 10; turn++) {
    site.endAll();
    await quiet();
  }
  assert.deepEqual(names().sort(), many(10));
  assert.ok(settled.every(({ outcome }) => outcome.disposition === 'delivered'));
  assert.equal(lane.report().connectionsAllowed, 2, 'growth pauses for a while');
});

test('growth goes on when the pause after a refusal is over', async (t) => {
  const { site, put, lane, pass } = laneFor(t);
  site.holdsTransactions = true;
  put(...many(30));
  await quiet();
  site.running.shift()?.end();
  await quiet();
  site.refusals.push('refused');
  site.running.shift()?.end();
  await quiet();
  assert.equal(lane.report().connectionsAllowed, 2);
  await pass(30_001);
  site.running.shift()?.end();
  await quiet();
  assert.equal(lane.report().connectionsAllowed, 3);
});

test('a suspended lane says what connecting met, so that mail which grows too old meanwhile can tell it', async (t) => {
  const { site, put, lane } = laneFor(t, { suspendAfter: 1 });
  site.refusals.push('down');
  assert.equal(lane.siteTrouble, undefined);
  put('one');
  await quiet();
  assert.match(lane.siteTrouble ?? '', /^\d{3} /);
});

test('a refusal in a lane that was suspended meanwhile leaves nothing behind in it', async (t) => {
  const { site, put, lane, settled, returned } = laneFor(t, { suspendAfter: 1, connectionsMax: 2 });
  put('first');
  await quiet();
  await lane.closeIdle();
  site.refusals.push('down', 'refused');
  put('one', 'two');
  await quiet();
  assert.equal(lane.isSuspended, true);
  assert.deepEqual([...settled, ...returned].map(({ name }) => name).sort(), ['first', 'one', 'two']);
  assert.equal(lane.report().waitingInMemory, 0);
});
