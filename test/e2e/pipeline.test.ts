/** The pipeline on a real store and a site that a test drives: what it keeps while outcomes cannot be written, and how it pauses, goes on, and lets go of what is not its own. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { type Store, StoreError } from '#store/store.ts';
import { accept, mail, tenant } from '../conformance/tenant.ts';
import { jobFor, ScriptedSite } from '../kit/scripted-site.ts';
import { openTestStore } from '../kit/stores.ts';
import { until } from '../kit/until.ts';
import { createPipeline } from '#app/pipeline.ts';

const READY = 20;
const SOURCE = { name: 'out', ehlo: 'us.test', pool: 'default' };
const ROUTE = { site: 'site.test', hosts: [{ host: 'mx.site.test', preference: 0 }], port: 25 };

async function pipelineFor(t: TestContext, recipients: number) {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-pipeline-'));
  const store = await openTestStore(directory, { mode: 'server' });
  const site = new ScriptedSite();
  const state = { isAway: false, leases: { isHeld: true, tenure: 1 } };
  const guarded: Store = {
    ...store,
    mail: {
      ...store.mail,
      settle: (settlement) => (state.isAway ? Promise.reject(new StoreError('io', 'away')) : store.mail.settle(settlement)),
    },
  };
  const pipeline = createPipeline({
    store: guarded,
    clock: systemClock,
    log: silentLog,
    findRoute: () => Promise.resolve({ kind: 'route', route: ROUTE }),
    connect: (_route, _source, demand, signal) => site.connect(demand, signal),
    retry: { delaysMs: [1000], spread: 0, hintMinMs: 1, hintMaxMs: 2 },
    readyRecipients: READY,
    readyBytes: 1_000_000,
    leases: {
      get isHeld() {
        return state.leases.isHeld;
      },
      get tenure() {
        return state.leases.tenure;
      },
    },
    laneLimits: () => ({
      connectionsMax: 2,
      messagesPerConnection: 1000,
      recipientsPerTransaction: 1,
      readyPerConnection: 40,
      idleMs: 1000,
      suspendAfter: 5,
      suspendMinMs: 1000,
      suspendMaxMs: 1000,
    }),
    ceilings: () => undefined,
    sourceFor: () => SOURCE,
    job: (items) =>
      jobFor(
        items.map(({ recipient }) => recipient.address),
        'opportunistic',
      ),
    follow: () => Promise.resolve(undefined),
    outbox: () => undefined,
    ringOutbox: () => undefined,
  });
  t.after(async () => {
    state.isAway = false;
    site.holdsTransactions = false;
    site.endAll();
    await pipeline.pause();
    await pipeline.lanes.drain(0);
    await until(() => pipeline.settler.pending === 0, 'every outcome is written');
    await store.close();
    rmSync(directory, { recursive: true });
  });
  const from = await tenant(store);
  const nowMs = Date.now();
  for (let n = 0; n < recipients; n++) {
    await accept(store, mail(from, { to: [`u${n}@site.test`], createdMs: nowMs, dueAtMs: nowMs, expiresAtMs: nowMs + 3_600_000 }));
  }
  return { pipeline, site, state, store };
}

/** Nothing is queued, nothing leased: not by a claim either whose answer is still on its way. */
async function isAllSettled(store: Store): Promise<boolean> {
  const { queued, leased } = await store.events.queueDepth();
  return queued + leased === 0;
}

test('outcomes that cannot be written are kept, and with what waits they are never more than memory is given', async (t) => {
  const { pipeline, site, state, store } = await pipelineFor(t, 3 * READY);
  state.isAway = true;
  pipeline.begin();
  await until(() => pipeline.settler.pending + pipeline.memory.recipients >= READY, 'memory is full of them');
  for (let looks = 0; looks < 10; looks++) {
    assert.ok(pipeline.settler.pending + pipeline.memory.recipients <= READY);
    await pipeline.lanes.returnWaiting('draining');
    pipeline.claimer.ring();
    await store.events.queueDepth();
  }
  assert.ok(site.begun.length <= READY, `${site.begun.length} were sent`);
  state.isAway = false;
  await until(async () => (await isAllSettled(store)) && pipeline.isIdle(), 'the rest follows when they can be', 60_000);
  assert.equal(new Set(site.begun.flat()).size, 3 * READY);
  assert.equal(site.begun.length, 3 * READY, 'each was sent once');
});

test('a pause gives back what waits and lets what runs end; then it goes on with the rest', async (t) => {
  const { pipeline, site, store } = await pipelineFor(t, 10);
  site.holdsTransactions = true;
  pipeline.begin();
  await until(() => site.running.length > 0 && pipeline.memory.recipients > 2, 'some run, others wait');
  const running = site.running.length;
  await pipeline.pause();
  await until(() => pipeline.memory.recipients <= running + 1, 'what waited is given back');
  assert.equal(pipeline.isIdle(), false);
  site.holdsTransactions = false;
  site.endAll();
  await until(() => pipeline.isIdle(), 'what ran has ended');
  assert.ok((await store.events.queueDepth()).queued > 0);
  pipeline.begin();
  await until(async () => (await isAllSettled(store)) && pipeline.isIdle(), 'the rest is sent');
  assert.equal(site.begun.length, 10);
});

test('what was leased before the leases were lost is let go, not tried', async (t) => {
  const { pipeline, site, state, store } = await pipelineFor(t, 10);
  site.holdsTransactions = true;
  pipeline.begin();
  await until(() => site.running.length > 0 && pipeline.memory.recipients > 4, 'some run, others wait');
  await pipeline.pause();
  pipeline.begin();
  await until(() => pipeline.memory.recipients > 4, 'others wait');
  const before = site.begun.length;
  state.leases.isHeld = false;
  site.endAll();
  await until(() => pipeline.counts.delivered > 0 && pipeline.settler.pending === 0, 'what ran has ended, and its connection is free');
  assert.ok(
    pipeline.lanes.report().every(({ waitingInMemory }) => waitingInMemory > 0),
    'the rest waits',
  );
  assert.equal(site.begun.length, before, 'nothing is begun without a lease');
  state.leases.tenure = 2;
  await pipeline.letGo();
  await until(() => pipeline.isIdle(), 'all of it is let go');
  assert.ok((await store.events.queueDepth()).queued > 0);
  state.leases.isHeld = true;
  site.holdsTransactions = false;
  pipeline.again();
  await until(async () => (await isAllSettled(store)) && pipeline.isIdle(), 'and is sent under new leases');
  assert.equal(site.begun.length, 10);
});
