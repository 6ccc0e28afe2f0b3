import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { Route } from '#model/egress.ts';
import { jobFor, ScriptedSite } from '../../test/kit/scripted-site.ts';
import type { LaneItem } from './lane.ts';
import { Lanes } from './lanes.ts';

function lanesFor(t: TestContext, lanesMax = 100) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const clock = new HeldClock(1_700_000_000_000);
  const site = new ScriptedSite();
  const lanes = new Lanes<LaneItem>({
    clock,
    lanesMax,
    domainsMax: 1000,
    limits: () => ({
      connectionsMax: 2,
      messagesPerConnection: 10,
      recipientsPerTransaction: 10,
      readyPerConnection: 10,
      idleMs: 1000,
      suspendAfter: 3,
      suspendMinMs: 1000,
      suspendMaxMs: 1000,
    }),
    deps: () => ({
      clock,
      connect: site.connect,
      job: (items) => jobFor(items.map(String), 'opportunistic'),
      settled: () => undefined,
      returned: () => undefined,
      hasRoom: () => undefined,
    }),
  });
  const pass = (ms: number): void => {
    clock.advance(ms);
    t.mock.timers.tick(ms);
  };
  return { lanes, site, pass };
}

const route = (site: string): Route => ({ site, hosts: [{ host: site, preference: 0 }], port: 25 });
const item = (): LaneItem => ({ accountId: 1, priority: 0, groupKey: 0, tls: 'opportunistic' });

async function quiet(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('domains of one site share a lane, and each source has its own', (t) => {
  const { lanes } = lanesFor(t);
  const lane = lanes.of('a.example', route('mx'), 'one');
  assert.equal(lanes.of('b.example', route('mx'), 'one'), lane);
  assert.notEqual(lanes.of('a.example', route('mx'), 'two'), lane);
  assert.notEqual(lanes.of('a.example', route('other'), 'one'), lane);
  assert.equal(lanes.size, 3);
});

test('the lane that a domain took last is found by the domain', (t) => {
  const { lanes } = lanesFor(t);
  assert.equal(lanes.ofDomain('a.example'), undefined);
  const lane = lanes.of('a.example', route('mx'), 'one');
  assert.equal(lanes.ofDomain('a.example'), lane);
});

test('a lane that is long unused is forgotten, and one in use is not', async (t) => {
  const { lanes, site, pass } = lanesFor(t);
  lanes.of('a.example', route('unused'), 'one');
  site.holdsTransactions = true;
  const used = lanes.of('b.example', route('used'), 'one');
  used.put(item());
  await quiet();
  pass(320_000);
  assert.equal(lanes.size, 1);
  assert.equal(lanes.of('b.example', route('used'), 'one'), used);
});

test('a lane that was dropped is not found by its domain, so that no site has two (P11)', async (t) => {
  const { lanes, pass } = lanesFor(t, 8);
  const first = lanes.of('first.example', route('first'), 'one');
  pass(1);
  for (let n = 0; n < 8; n++) lanes.of(`${n}.example`, route(`mx${n}`), 'one');
  assert.equal(lanes.ofDomain('first.example'), undefined);
  assert.notEqual(lanes.of('first.example', route('first'), 'one'), first);
});

test('at the limit the longest unused lanes go first', async (t) => {
  const { lanes, pass } = lanesFor(t, 16);
  for (let n = 0; n < 16; n++) {
    lanes.of(`${n}.example`, route(`mx${n}`), 'one');
    pass(1000);
  }
  lanes.of('new.example', route('new'), 'one');
  assert.deepEqual([lanes.ofDomain('0.example'), lanes.ofDomain('1.example')], [undefined, undefined]);
  assert.ok(lanes.ofDomain('2.example'));
  assert.equal(lanes.size, 15);
});

test('all lanes are drained together', async (t) => {
  const { lanes, site } = lanesFor(t);
  for (const name of ['a', 'b']) lanes.of(`${name}.example`, route(name), 'one').put(item());
  await quiet();
  assert.equal(site.open, 2);
  await lanes.drain(1000);
  assert.equal(site.open, 0);
  assert.deepEqual(
    lanes.report().map(({ state }) => state),
    ['draining', 'draining'],
  );
});
