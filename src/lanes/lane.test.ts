/** A lane against a scripted site: connections, pace, order, and its end. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { item, laneFor, LIMITS, many, quiet, T0 } from '../../test/kit/lane-rig.ts';

test('a lane starts with one connection, and each success allows one more, up to its limit', async (t) => {
  const { lane, site, put } = laneFor(t);
  site.holdsTransactions = true;
  put(...many(40));
  await quiet();
  assert.deepEqual([site.open, lane.report().state, lane.wait.reason], [1, 'starting', 'lane-starting']);
  for (const expected of [2, 3, 4, 4]) {
    site.running.shift()?.end();
    await quiet();
    assert.equal(site.open, expected);
  }
  assert.deepEqual([lane.report().state, lane.wait.reason], ['running', 'lane-connections']);
  assert.equal(site.peak, 4);
});

test('a new lane opens its first few connections without waiting for a success, so that a slow message does not hold up the others', async (t) => {
  const { lane, site, put } = laneFor(t, { openedFirst: 3 });
  site.holdsTransactions = true;
  put(...many(40));
  await quiet();
  assert.deepEqual([site.open, lane.report().state], [3, 'starting']);
  site.running.shift()?.end();
  await quiet();
  assert.deepEqual([site.open, lane.report().state], [4, 'running']);
});

test('a lane that is given one connection is running from the start', async (t) => {
  const { lane, site, put, names } = laneFor(t, { connectionsMax: 1 });
  put(...many(30));
  await quiet();
  assert.deepEqual([lane.report().state, site.peak, names().length], ['running', 1, 30]);
});

test('a failure of the mail itself allows no more connections', async (t) => {
  const { site, put, settled } = laneFor(t);
  site.holdsTransactions = true;
  put(...many(3));
  await quiet();
  site.endAll('failed');
  await quiet();
  assert.deepEqual([site.open, settled[0]?.outcome.disposition], [1, 'failed']);
});

test('connections never exceed the limit, counting those that are not gone yet (P11)', async (t) => {
  const { site, put } = laneFor(t, { connectionsMax: 2, messagesPerConnection: 1 });
  site.holdsClosing = true;
  put(...many(10));
  for (let turn = 0; turn < 10; turn++) {
    await quiet();
    assert.ok(site.open <= 2, `${site.open} connections`);
    site.finishClosing();
  }
  await quiet();
  site.finishClosing();
  await quiet();
  assert.equal(site.begun.length, 10);
  assert.equal(site.peak, 2);
});

test('an idle connection that is being closed still counts', async (t) => {
  const { site, put, pass } = laneFor(t, { connectionsMax: 1 });
  put('first');
  await quiet();
  site.holdsClosing = true;
  await pass(LIMITS.idleMs);
  put('second');
  await quiet();
  assert.deepEqual([site.open, site.begun.length], [1, 1]);
  site.finishClosing();
  await quiet();
  assert.deepEqual([site.peak, site.begun.length], [1, 2]);
});

test('a connection carries as many messages as it is given, then a new one is made', async (t) => {
  const { site, put } = laneFor(t, { connectionsMax: 1, messagesPerConnection: 3 });
  put(...many(7));
  await quiet();
  assert.deepEqual([site.begun.length, site.demands.length, site.closed], [7, 3, 2]);
});

test('a connection is kept for the next message, and closed when none comes', async (t) => {
  const { site, put, pass, lane } = laneFor(t);
  put('a');
  await quiet();
  await pass(LIMITS.idleMs - 1);
  put('b');
  await quiet();
  assert.equal(site.demands.length, 1);
  await pass(LIMITS.idleMs - 1);
  assert.equal(site.open, 1);
  await pass(1);
  assert.deepEqual([site.open, lane.isUnused], [0, true]);
});

test('a connection that the server had closed meanwhile is replaced, and the mail is not at fault', async (t) => {
  const { site, put, names, settled } = laneFor(t);
  put('a');
  await quiet();
  site.holdsTransactions = true;
  put('b');
  await quiet();
  site.running.shift()?.end('deferred', { stale: true });
  await quiet();
  site.endAll();
  await quiet();
  assert.deepEqual(names(), ['a', 'b']);
  assert.equal(settled[1]?.outcome.disposition, 'delivered');
  assert.equal(site.peak, 1);
});

test('a demand for TLS opens a connection that serves it, within the limit', async (t) => {
  const { site, put, lane, names } = laneFor(t, { connectionsMax: 1 });
  put('plain');
  await quiet();
  lane.put(item('secret', { tls: 'require-verified' }));
  await quiet();
  assert.deepEqual(site.demands, ['opportunistic', 'require-verified']);
  put('plain again');
  await quiet();
  assert.equal(site.demands.length, 2, 'a connection with TLS serves mail that does not ask for it');
  assert.deepEqual(names(), ['plain', 'secret', 'plain again']);
  assert.equal(site.peak, 1);
});

test('of several idle connections the one that serves the demand is taken', async (t) => {
  const { site, put, lane } = laneFor(t, { connectionsMax: 2 });
  put('plain');
  await quiet();
  site.holdsTransactions = true;
  put('plain too');
  lane.put(item('secret', { tls: 'require' }));
  await quiet();
  site.endAll();
  await quiet();
  assert.equal(site.demands.length, 2);
  lane.put(item('secret too', { tls: 'require' }));
  await quiet();
  assert.deepEqual([site.demands.length, site.running.length], [2, 1]);
});

test('recipients of one content share a transaction', async (t) => {
  const { site, lane } = laneFor(t, { recipientsPerTransaction: 3, connectionsMax: 1 });
  site.holdsTransactions = true;
  lane.put(item('first'));
  for (const name of many(5)) lane.put(item(name, { groupKey: 7 }));
  await quiet();
  for (let turn = 0; turn < 3; turn++) {
    site.endAll();
    await quiet();
  }
  assert.deepEqual(site.begun, [['first'], ['m0', 'm1', 'm2'], ['m3', 'm4']]);
});

test('recipients of one content share a transaction although connections stand free', async (t) => {
  const { site, lane } = laneFor(t, { recipientsPerTransaction: 100, connectionsMax: 10, openedFirst: 5 });
  for (const name of many(5)) lane.put(item(name, { groupKey: 7 }));
  await quiet();
  assert.deepEqual(site.begun, [['m0', 'm1', 'm2', 'm3', 'm4']]);
});

test('the rate is kept also after a rest: no second sees twice of what a second may', async (t) => {
  const { site, put, pass, lane } = laneFor(t, { ratePerMinute: 120, connectionsMax: 1 });
  put(...many(20));
  await quiet();
  assert.equal(site.begun.length, 1);
  assert.deepEqual(lane.wait, { reason: 'lane-rate', untilMs: T0 + 500 });
  await pass(499);
  assert.equal(site.begun.length, 1);
  await pass(1);
  assert.equal(site.begun.length, 2);
  for (let turn = 0; turn < 8; turn++) await pass(500);
  assert.equal(site.begun.length, 10);
});

test('the rate is not used up by looking for mail that is not there', async (t) => {
  const { site, put } = laneFor(t, { ratePerMinute: 1800, connectionsMax: 1 });
  for (const name of many(3)) {
    put(name);
    await quiet();
  }
  assert.equal(site.begun.length, 3, 'a tenth of a second’s worth may go at once');
});

test('accounts take turns at a lane', async (t) => {
  const { site, lane, names } = laneFor(t, { connectionsMax: 1 });
  site.holdsTransactions = true;
  for (const name of many(20, 'big')) lane.put(item(name, { accountId: 1 }));
  lane.put(item('small', { accountId: 2 }));
  await quiet();
  for (let turn = 0; turn < 3; turn++) {
    site.endAll();
    await quiet();
  }
  assert.deepEqual(names(), ['big0', 'big1', 'small']);
});

test('a receipt goes before a newsletter that came first', async (t) => {
  const { site, lane, names } = laneFor(t, { connectionsMax: 1 });
  site.holdsTransactions = true;
  for (const name of many(20, 'news')) lane.put(item(name, { priority: 2 }));
  lane.put(item('receipt', { accountId: 2 }));
  await quiet();
  for (let turn = 0; turn < 2; turn++) {
    site.endAll();
    await quiet();
  }
  assert.deepEqual(names(), ['news0', 'receipt']);
});

test('there is room for what the connections will soon take, and the lane says when there is again', async (t) => {
  const { site, put, lane, rooms } = laneFor(t, { connectionsMax: 2, readyPerConnection: 5 });
  site.holdsTransactions = true;
  assert.equal(lane.room, 10);
  put(...many(11));
  await quiet();
  assert.deepEqual([lane.room, rooms()], [0, 0]);
  site.endAll();
  await quiet();
  assert.ok(lane.room > 0 && rooms() > 0);
});

test('what waits in a lane can be asked why, and what is being tried cannot', async (t) => {
  const { site, put, lane } = laneFor(t, { connectionsMax: 1 });
  site.holdsTransactions = true;
  put('tried', 'waits');
  await quiet();
  assert.equal(
    lane.waitOf(({ name }) => name === 'tried'),
    undefined,
  );
  assert.equal(lane.waitOf(({ name }) => name === 'waits')?.reason, 'lane-connections');
});

test('an account finds a few places in a lane that another account has filled', async (t) => {
  const { site, put, lane } = laneFor(t, { connectionsMax: 1, readyPerConnection: 5 });
  site.holdsTransactions = true;
  put(...many(6));
  await quiet();
  assert.equal(lane.room, 0);
  assert.equal(lane.ownRoom(2, 0), 8);
  for (const name of ['a', 'b', 'c']) lane.put(item(name, { accountId: 2 }));
  assert.deepEqual([lane.ownRoom(2, 0), lane.ownRoom(2, 1)], [5, 8]);
});

test('draining returns what waits, lets what runs end, and closes connections', async (t) => {
  const { site, put, lane, names, returned } = laneFor(t, { connectionsMax: 1 });
  site.holdsTransactions = true;
  put(...many(3));
  await quiet();
  const drained = lane.drain(10_000);
  put('late');
  assert.deepEqual(
    returned.map(({ name, wait }) => [name, wait]),
    [
      ['m1', 'draining'],
      ['m2', 'draining'],
      ['late', 'draining'],
    ],
  );
  site.endAll();
  await drained;
  await quiet();
  assert.deepEqual([names(), site.open, lane.room], [['m0'], 0, 0]);
});

test('draining cuts what does not end in time, and settles it', async (t) => {
  const { site, put, lane, settled, pass } = laneFor(t, { connectionsMax: 1 });
  site.holdsTransactions = true;
  put('slow');
  await quiet();
  let isDrained = false;
  const drained = lane.drain(10_000).then(() => (isDrained = true));
  await pass(9999);
  assert.equal(isDrained, false);
  await pass(1);
  await drained;
  assert.partialDeepStrictEqual(settled[0], { name: 'slow', outcome: { disposition: 'deferred', unclear: true } });
  await quiet();
  assert.equal(site.open, 0);
});

test('mail whose connection was still being made when the node stops is returned, not failed', async (t) => {
  const { site, lane, put, returned, settled, pass } = laneFor(t);
  site.holdsConnecting = true;
  put('connecting');
  await quiet();
  const drained = lane.drain(1000);
  await pass(1000);
  site.finishConnecting();
  await drained;
  assert.deepEqual([settled, returned.map(({ name, wait }) => [name, wait])], [[], [['connecting', 'draining']]]);
  assert.equal(site.open, 0);
});

test('an exception of what the lane calls returns the items, and the lane goes on (P3, P5)', async (t) => {
  const { site, put, lane, names, returned, clock } = laneFor(t, { connectionsMax: 1 });
  site.refusals.push(new Error('a bug in connect'));
  put('a');
  await quiet();
  assert.deepEqual(returned, [{ name: 'a', wait: 'our-fault', dueAtMs: clock.nowMs() + 60_000 }]);
  site.holdsTransactions = true;
  put('b', 'c');
  await quiet();
  site.running.shift()?.throw(new Error('a bug in deliver'));
  await quiet();
  assert.deepEqual([returned.at(-1)?.name, returned.at(-1)?.wait], ['b', 'our-fault']);
  assert.equal(lane.report().lastTrouble, 'a bug in deliver');
  site.endAll();
  await quiet();
  assert.deepEqual([names(), site.peak], [['c'], 1]);
});

test('a job that cannot be made returns its items and loses no connection', async (t) => {
  const { site, put, returned } = laneFor(
    t,
    { connectionsMax: 1 },
    {
      job: () => {
        throw new Error('a bug in job');
      },
    },
  );
  put(...many(3));
  await quiet();
  assert.deepEqual(
    returned.map(({ name }) => name),
    many(3),
  );
  assert.equal(site.open, 0);
});

test('outcomes are counted for the report', async (t) => {
  const { site, put, lane } = laneFor(t);
  site.holdsTransactions = true;
  put(...many(3));
  for (const disposition of ['delivered', 'deferred', 'failed'] as const) {
    await quiet();
    site.running.shift()?.end(disposition);
  }
  await quiet();
  assert.partialDeepStrictEqual(lane.report(), { delivered: 1, deferred: 1, failed: 1, site: 'site.example', waitingInMemory: 0 });
});

test.afterEach(() => mock.reset());
