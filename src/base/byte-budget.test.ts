import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from './byte-budget.ts';

const LONG_MS = 60_000;

test('what does not fit is refused, and nothing of it is taken', () => {
  const budget = new ByteBudget(10);
  assert.equal(budget.take(6), true);
  assert.equal(budget.take(5), false);
  assert.equal(budget.usedBytes, 6);
  assert.equal(budget.take(4), true);
});

test('reservations are granted in the order of asking, as room comes', async () => {
  const budget = new ByteBudget(10);
  const granted: string[] = [];
  assert.equal(await budget.reserve(8, LONG_MS), true);
  const first = budget.reserve(9, LONG_MS).then(() => granted.push('first'));
  const second = budget.reserve(1, LONG_MS).then(() => granted.push('second'));
  budget.give(8);
  await Promise.all([first, second]);
  assert.deepEqual(granted, ['first', 'second']);
  assert.equal(budget.usedBytes, 10);
});

test('a reservation that finds no room in its time is refused and holds up nobody behind it', async () => {
  const budget = new ByteBudget(10);
  budget.take(5);
  const large = budget.reserve(9, 5);
  const small = budget.reserve(5, LONG_MS);
  assert.equal(await large, false);
  assert.equal(await small, true);
});

test('what can never fit does not wait', async () => {
  assert.equal(await new ByteBudget(10).reserve(11, LONG_MS), false);
});
