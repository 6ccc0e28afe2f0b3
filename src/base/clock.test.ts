import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock, systemClock } from './clock.ts';

test('a held clock moves only when it is told to', () => {
  const clock = new HeldClock(1000);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [1000, 0]);
  clock.advance(5);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [1005, 5]);
});

test('a step of the wall clock leaves durations alone', () => {
  const clock = new HeldClock(1000);
  clock.step(-600);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [400, 0]);
});

test('the system’s clock tells this century’s time, and durations that do not go back', () => {
  assert.ok(systemClock.nowMs() > Date.UTC(2026, 0, 1));
  const before = systemClock.monotonicMs();
  assert.ok(systemClock.monotonicMs() >= before);
});
