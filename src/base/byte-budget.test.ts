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

test('a part is never more than itself, nor than the whole', () => {
  const whole = new ByteBudget(10);
  const part = new ByteBudget(6, whole);
  assert.equal(part.take(7), false);
  assert.equal(part.take(6), true);
  assert.equal(whole.take(4), true, 'the rest is for others');
  part.give(6);
  assert.equal(whole.take(5), true);
  assert.equal(part.take(2), false, 'the whole is used up');
  assert.equal(whole.usedBytes, 9);
  assert.equal(part.usedBytes, 0);
});

test('a reservation in a part waits for room in the whole, and keeps nothing when there is none', async () => {
  const whole = new ByteBudget(10);
  const part = new ByteBudget(6, whole);
  whole.take(8);
  const first = part.reserve(5, LONG_MS);
  await Promise.resolve();
  assert.equal(part.isWaitedFor, true);
  whole.give(8);
  assert.equal(await first, true);
  assert.equal(whole.usedBytes, 5);
  whole.take(5);
  part.give(5);
  whole.take(5);
  assert.equal(await part.reserve(5, 5), false);
  assert.equal(part.usedBytes, 0);
});
