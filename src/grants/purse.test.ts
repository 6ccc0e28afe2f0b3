/** One or two purses over a real store: what is given, given back, and asked. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openSqliteStore, type SqliteStore } from '#store/sqlite/open.ts';
import type { GrantStore } from '#store/grant-store.ts';
import { until } from '../../test/kit/until.ts';
import type { Ceiling } from './ceiling.ts';
import { type Part, Purse } from './purse.ts';

const T0 = Date.UTC(2026, 2, 1, 12);
const HOUR_MS = 3_600_000;
const directory = mkdtempSync(join(tmpdir(), 'postrider-purse-'));
let store: SqliteStore;
let serial = 0;

before(async () => {
  store = await openSqliteStore({ path: join(directory, 'postrider.db'), lingerMs: 0 });
});
after(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const hourly = (count: number, change: Partial<Ceiling> = {}): Ceiling => ({
  name: `ceiling ${++serial}`,
  count,
  perMs: HOUR_MS,
  holds: 'windows',
  isCounted: false,
  ...change,
});

/** The store's grants, with a count of how often it was asked. */
function counting(): GrantStore & { asked: number } {
  const counted = {
    asked: 0,
    hold: (...args: Parameters<GrantStore['hold']>) => {
      counted.asked++;
      return store.grants.hold(...args);
    },
    usedOf: store.grants.usedOf,
    limitsOf: store.grants.limitsOf,
    setLimits: store.grants.setLimits,
  };
  return counted;
}

function purse(clock: HeldClock, grants: GrantStore = store.grants): Purse {
  return new Purse({ store: grants, clock, log: silentLog });
}

/** Asks until nothing more is given; how many that were. */
async function useUp(from: Purse, ceiling: Ceiling, max = 1000): Promise<number> {
  let used = 0;
  while (used < max && (await from.ask(ceiling, 1)) !== undefined) used++;
  return used;
}

test('a ceiling lets through what it says, and then nothing until its window is over', async () => {
  const clock = new HeldClock(T0);
  const mine = purse(clock);
  const ceiling = hourly(25);
  assert.equal(await useUp(mine, ceiling), 25);
  assert.equal(mine.deniedUntilMs(ceiling), T0 + HOUR_MS);
  clock.advance(HOUR_MS - 1);
  assert.equal(await useUp(mine, ceiling), 0);
  clock.advance(1);
  assert.equal(await useUp(mine, ceiling), 25);
});

test('the store is asked far more seldom than parts are taken, and not at all once the ceiling is reached', async () => {
  const clock = new HeldClock(T0);
  const grants = counting();
  const mine = purse(clock, grants);
  const ceiling = hourly(10_000);
  let used = 0;
  for (let second = 0; second < 20; second++) {
    for (let n = 0; n < 500; n++) if ((await mine.ask(ceiling, 1)) !== undefined) used++;
    clock.advance(1000);
  }
  assert.equal(used, 10_000);
  assert.ok(grants.asked < 300, `asked ${grants.asked} times`);
  const before = grants.asked;
  assert.equal(await useUp(mine, ceiling), 0);
  assert.equal(await useUp(mine, ceiling), 0);
  assert.ok(grants.asked - before <= 1);
});

test('two purses share a ceiling exactly', async () => {
  const clock = new HeldClock(T0);
  const [one, other] = [purse(clock), purse(clock)];
  const ceiling = hourly(101);
  const used = await Promise.all([useUp(one, ceiling), useUp(other, ceiling)]);
  // What one has taken ahead when the other finds nothing is given back within seconds.
  await Promise.all([one.close(), other.close()]);
  used.push(await useUp(purse(clock), ceiling));
  assert.equal(
    used.reduce((sum, n) => sum + n, 0),
    101,
  );
  assert.ok(used.every((n) => n <= 101));
});

test('what is not used for two seconds is given back for others', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const clock = new HeldClock(T0);
  const mine = purse(clock);
  const ceiling = hourly(10);
  const part = (await mine.ask(ceiling, 10)) as Part;
  mine.putBack(part, 9);
  assert.equal(await purse(clock).ask(ceiling, 1), undefined);
  clock.advance(2000);
  t.mock.timers.tick(500);
  await until(async () => (await purse(clock).ask(ceiling, 9)) !== undefined, 'nine are given back');
});

test('all or nothing: a part is not given where there is less', async () => {
  const clock = new HeldClock(T0);
  const mine = purse(clock);
  const ceiling = hourly(10);
  assert.notEqual(await mine.ask(ceiling, 7), undefined);
  assert.equal(await mine.ask(ceiling, 4), undefined);
  assert.notEqual(await mine.ask(ceiling, 3), undefined);
  assert.equal(await mine.ask(ceiling, 11), undefined);
});

test('no stretch of its time sees more than a ceiling that always holds, wherever it begins', async () => {
  const clock = new HeldClock(T0 + 17);
  const mine = purse(clock);
  const ceiling = hourly(10, { perMs: 1000, holds: 'always' });
  const usedAtMs: number[] = [];
  for (let step = 0; step < 400; step++) {
    while ((await mine.ask(ceiling, 1)) !== undefined) usedAtMs.push(clock.nowMs());
    clock.advance(25);
  }
  for (const [n, atMs] of usedAtMs.entries()) {
    const within = usedAtMs.slice(n).filter((laterMs) => laterMs - atMs < 1000).length;
    assert.ok(within <= 10, `${within} within a second of ${atMs - T0}`);
  }
  assert.ok(usedAtMs.length >= 85, `${usedAtMs.length} of 100 in ten seconds`);
});

test('the end of a window may be waited for: what is asked at its end is for the next one', async () => {
  const clock = new HeldClock(T0);
  const slow: GrantStore = {
    ...counting(),
    hold: async (...args) => {
      clock.advance(30);
      return store.grants.hold(...args);
    },
  };
  const mine = purse(clock, slow);
  const ceiling = hourly(1000, { perMs: 100, holds: 'windows' });
  let used = 0;
  for (let n = 0; n < 50; n++) if ((await mine.ask(ceiling, 1)) !== undefined) used++;
  assert.ok(used > 40, `${used} of 50`);
});

test('a clock that is set back by an hour neither gives more of an hour that was used, nor stops anything for an hour', async () => {
  const clock = new HeldClock(T0 + HOUR_MS);
  const mine = purse(clock);
  const [quota, rate] = [hourly(10), hourly(10, { perMs: 1000, holds: 'always' })];
  assert.equal(await useUp(mine, quota), 10);
  assert.equal(await useUp(mine, rate), 10);
  clock.step(-HOUR_MS);
  assert.equal(await useUp(mine, quota), 10);
  assert.equal(await useUp(mine, rate), 10);
  clock.step(HOUR_MS);
  assert.equal(await useUp(mine, quota), 0);
});

test('when the store cannot be asked, nothing is given, and it says so', async () => {
  const clock = new HeldClock(T0);
  let isBroken = false;
  const breaking: GrantStore = {
    ...counting(),
    hold: (...args) => (isBroken ? Promise.reject(new Error('no connection')) : store.grants.hold(...args)),
  };
  const mine = purse(clock, breaking);
  const ceiling = hourly(10);
  assert.notEqual(await mine.ask(ceiling, 2), undefined);
  isBroken = true;
  await assert.rejects(mine.ask(ceiling, 5), /no connection/);
  isBroken = false;
  assert.notEqual(await mine.ask(ceiling, 8), undefined);
  assert.equal(await mine.ask(ceiling, 1), undefined);
});

test('a limit that was raised holds from the next ask on', async () => {
  const clock = new HeldClock(T0);
  const mine = purse(clock);
  const ceiling = hourly(5);
  assert.equal(await useUp(mine, ceiling), 5);
  assert.equal(await useUp(mine, { ...ceiling, count: 8 }), 3);
  assert.equal(await useUp(mine, { ...ceiling, count: 6 }), 0);
});

test('a purse with too many ceilings begins anew, and knows what it used of each', async () => {
  const clock = new HeldClock(T0);
  const mine = new Purse({ store: store.grants, clock, log: silentLog, pocketsMax: 3 });
  const ceilings = Array.from({ length: 8 }, () => hourly(4));
  for (const ceiling of ceilings) assert.notEqual(await mine.ask(ceiling, 3), undefined);
  for (const ceiling of ceilings) assert.equal(await useUp(mine, ceiling), 1);
});

test('a purse that is closed has given everything back', async () => {
  const clock = new HeldClock(T0);
  const mine = purse(clock);
  const ceiling = hourly(10);
  const part = (await mine.ask(ceiling, 10)) as Part;
  mine.putBack(part, 6);
  await mine.close();
  assert.equal(await useUp(purse(clock), ceiling), 6);
  await assert.rejects(mine.ask(ceiling, 1), /given back/);
});
