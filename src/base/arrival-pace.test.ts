import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArrivalPace } from './arrival-pace.ts';
import { ByteBudget } from './byte-budget.ts';

const SECOND_MS = 1000;

test('who is silent keeps the place as long as nobody else wants it', () => {
  const memory = new ByteBudget(100);
  memory.take(100);
  const pace = new ArrivalPace(memory, 0);
  assert.equal(pace.isTooSlow(0, 100, 600 * SECOND_MS), false);
});

test('who is silent loses the place when somebody was refused for want of it', () => {
  const memory = new ByteBudget(100);
  memory.take(100);
  const pace = new ArrivalPace(memory, 0);
  memory.take(1);
  assert.equal(pace.isTooSlow(0, 100, 9 * SECOND_MS), false);
  memory.take(1);
  assert.equal(pace.isTooSlow(0, 100, 10 * SECOND_MS), true);
});

test('or when somebody waits for it', async () => {
  const memory = new ByteBudget(100);
  memory.take(100);
  const pace = new ArrivalPace(memory, 0);
  const waiting = memory.reserve(1, 60 * SECOND_MS);
  assert.equal(pace.isTooSlow(0, 100, 10 * SECOND_MS), true);
  memory.give(100);
  assert.equal(await waiting, true);
  assert.equal(pace.isTooSlow(0, 100, 20 * SECOND_MS), false);
});

test('one octet from time to time is no pace; what comes steadily has two minutes', () => {
  const memory = new ByteBudget(1000);
  const isTooSlow = (bytes: (second: number) => number): number | undefined => {
    const pace = new ArrivalPace(memory, 0);
    for (let second = 1; second <= 130; second++) {
      memory.take(2000);
      if (pace.isTooSlow(bytes(second), 1000, second * SECOND_MS)) return second;
    }
    return undefined;
  };
  assert.equal(
    isTooSlow((second) => second),
    10,
  );
  assert.equal(
    isTooSlow((second) => second * 9),
    120,
  );
});
