/** Warm-ups: when a stage is over, and that plans of the store hold, grow and end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openSqliteStore, type SqliteStore } from '#store/sqlite/open.ts';
import { until } from '../../test/kit/until.ts';
import { Gate } from './gate.ts';
import { Purse } from './purse.ts';
import { afterLook, beginWarmUp, ceilingName, STAGE_MS, stageLimit, WARM_UP_PLAN } from './warm-up.ts';
import { WarmUps } from './warm-ups.ts';

const T0 = Date.UTC(2026, 2, 1, 12);
const ADDRESS = '192.0.2.1';
const directory = mkdtempSync(join(tmpdir(), 'postrider-warm-up-'));
let store: SqliteStore;

before(async () => {
  store = await openSqliteStore({ path: join(directory, 'postrider.db'), lingerMs: 0 });
});
after(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

test('a plan grows from day to day, and by no more than twice and a little', () => {
  for (const [position, limit] of WARM_UP_PLAN.entries()) {
    const last = WARM_UP_PLAN[position - 1] ?? limit / 2;
    assert.ok(limit > last && limit <= last * 2, `${limit} after ${last}`);
  }
});

test('a stage is over after a day in which at least half of it was sent', () => {
  const begun = beginWarmUp(ADDRESS, T0, [50, 100]);
  assert.equal(stageLimit(begun), 50);
  assert.equal(afterLook(begun, 50, T0 + STAGE_MS - 1), undefined);
  assert.equal(afterLook(begun, 24, T0 + STAGE_MS), undefined);
  const second = afterLook(begun, 25, T0 + STAGE_MS);
  assert.ok(second !== undefined && second !== 'completed');
  assert.deepEqual([second.stage, stageLimit(second), second.stageStartedMs], [2, 100, T0 + STAGE_MS]);
  assert.deepEqual(second.history, [{ startedMs: T0, completedMs: T0 + STAGE_MS, limit: 50 }]);
  assert.equal(afterLook(second, 100, T0 + 2 * STAGE_MS - 1), undefined);
  assert.equal(afterLook(second, 100, T0 + 2 * STAGE_MS), 'completed');
});

test('what the plan of an address lets pass grows with its stages, and all passes when it is given up', async (t) => {
  const clock = new HeldClock(T0);
  const purse = new Purse({ store: store.grants, clock, log: silentLog });
  const warmUps = new WarmUps({ store: store.egress, purse, clock, log: silentLog, readEveryMs: 20 });
  await store.egress.startWarmUp(beginWarmUp(ADDRESS, T0, [4, 8]));
  await warmUps.start();
  t.after(() => warmUps.stop());
  const gate = new Gate(purse, clock, () => [warmUps.limitOf(ADDRESS)].flatMap((limit) => limit ?? []));
  t.after(() => gate.close());
  let passed = 0;
  const pump = (): void => {
    for (let items; (items = gate.pass(2, (allowed) => Array.from({ length: allowed }, (_, n) => n))) !== undefined;)
      passed += items.length;
  };
  gate.changed = pump;
  pump();
  await until(() => gate.shut !== undefined, 'the first stage is used up');
  assert.equal(passed, 4);
  assert.ok(warmUps.isUsedUp(ADDRESS));
  assert.deepEqual([gate.shut?.reason, gate.shut?.untilMs], ['warm-up', T0 + 12_000]);
  assert.equal(warmUps.limitOf('192.0.2.2'), undefined);

  assert.equal(await store.egress.givenSince(ceilingName(ADDRESS), T0 - STAGE_MS), 4);
  clock.advance(STAGE_MS);
  await until(() => warmUps.limitOf(ADDRESS)?.ceiling.count === 8, 'the second stage has begun');
  assert.equal(gate.shut, undefined);

  await store.egress.endWarmUp(ADDRESS);
  await until(() => warmUps.limitOf(ADDRESS) === undefined, 'the plan is known to be gone');
  assert.deepEqual(gate.pass(1000, (allowed) => Array.from({ length: allowed }, (_, n) => n))?.length, 1000);
});
