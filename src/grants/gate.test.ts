/** Gates over a real store: what passes, what is told of what does not, and when it may again. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openSqliteStore, type SqliteStore } from '#store/sqlite/open.ts';
import { until } from '../../test/kit/until.ts';
import type { Ceiling } from './ceiling.ts';
import { Gate, type GateLimit } from './gate.ts';
import { Purse } from './purse.ts';

const T0 = Date.UTC(2026, 2, 1, 12);
const HOUR_MS = 3_600_000;
const directory = mkdtempSync(join(tmpdir(), 'postrider-gate-'));
let store: SqliteStore;
let serial = 0;

before(async () => {
  store = await openSqliteStore({ path: join(directory, 'postrider.db'), lingerMs: 0 });
});
after(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const ceiling = (count: number, change: Partial<Ceiling> = {}): Ceiling => ({
  name: `ceiling ${++serial}`,
  count,
  perMs: HOUR_MS,
  holds: 'windows',
  isCounted: false,
  ...change,
});

/** A gate that lets a queue of `waiting` pass, as its lane does. */
function gateFor(t: TestContext, waiting: number, ...limits: GateLimit[]) {
  const clock = new HeldClock(T0);
  const gate = new Gate(new Purse({ store: store.grants, clock, log: silentLog }), clock, () => limits);
  const state = { waiting, passed: 0, changes: 0, groups: [] as number[][] };
  const pump = (max = 5): void => {
    for (;;) {
      const items =
        state.waiting === 0
          ? undefined
          : gate.pass(Math.min(max, state.waiting), (allowed) => Array.from({ length: allowed }, (_, n) => n));
      if (items === undefined) return;
      state.waiting -= items.length;
      state.passed += items.length;
      state.groups.push(items);
    }
  };
  gate.changed = () => {
    state.changes++;
    pump();
  };
  t.after(() => gate.close());
  return { clock, gate, state, pump };
}

test('lets as many pass as its ceiling has, then tells why nothing does, until when, and that nothing is worth keeping', async (t) => {
  const { clock, gate, state, pump } = gateFor(t, 30, { ceiling: ceiling(12), reason: 'ceiling' });
  assert.equal(gate.room, Number.POSITIVE_INFINITY);
  pump();
  await until(() => gate.room === 0, 'it is shut');
  assert.equal(state.passed, 12);
  assert.deepEqual([gate.shut?.reason, gate.shut?.untilMs], ['ceiling', T0 + HOUR_MS]);
  clock.advance(HOUR_MS);
  assert.equal(gate.shut, undefined);
  assert.ok(gate.room > 0 && gate.room <= 32, `${gate.room}`);
  pump();
  await until(() => state.passed === 24, 'the next hour passes');
});

test('all of its ceilings count, and the one that is reached is told', async (t) => {
  const [wide, narrow] = [ceiling(1_000_000), ceiling(4)];
  const { gate, state, pump } = gateFor(t, 7, { ceiling: wide, reason: 'ceiling' }, { ceiling: narrow, reason: 'warm-up' });
  pump();
  await until(() => gate.shut?.reason === 'warm-up', 'the narrow one is reached');
  assert.equal(state.passed, 4);
});

test('what passed and was not tried may pass again', async (t) => {
  const { gate, state, pump } = gateFor(t, 4, { ceiling: ceiling(4), reason: 'ceiling' });
  pump();
  await until(() => state.passed === 4, 'four pass');
  state.waiting = 9;
  gate.untried(state.groups[0] ?? []);
  pump();
  await until(() => gate.shut !== undefined, 'it is shut');
  assert.equal(state.passed, 4 + (state.groups[0]?.length ?? 0));
});

test('two gates of one ceiling share it', async (t) => {
  const shared = ceiling(9, { isCounted: false });
  const [one, other] = [gateFor(t, 20, { ceiling: shared, reason: 'ceiling' }), gateFor(t, 20, { ceiling: shared, reason: 'ceiling' })];
  one.pump();
  other.pump();
  await until(() => one.gate.shut !== undefined && other.gate.shut !== undefined, 'both are shut');
  assert.equal(one.state.passed + other.state.passed, 9);
});
