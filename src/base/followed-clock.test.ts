import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FollowedClock } from './followed-clock.ts';

const THEIRS = 1_800_000_000_000;

function made(): { clock: FollowedClock; monotonic: { ms: number } } {
  const monotonic = { ms: 1000 };
  return { clock: new FollowedClock(() => monotonic.ms), monotonic };
}

test('it shows the other clock’s time, as of the middle of the round trip, and goes on by monotonic time', () => {
  const { clock, monotonic } = made();
  clock.follow(THEIRS, 1000, 1010);
  monotonic.ms = 1010;
  assert.equal(clock.nowMs(), THEIRS + 5);
  monotonic.ms = 61_010;
  assert.equal(clock.nowMs(), THEIRS + 60_005);
  assert.equal(clock.monotonicMs(), 61_010);
});

test('before the first answer there is no time to tell', () => {
  assert.throws(() => made().clock.nowMs(), /follows nothing/);
});

test('an answer that took long does not move it when it proves nothing else', () => {
  const { clock, monotonic } = made();
  clock.follow(THEIRS, 1000, 1002);
  // The other clock was read at the very end of a round trip of 4 seconds.
  assert.equal(clock.follow(THEIRS + 8999, 6000, 10_000), 0);
  monotonic.ms = 10_000;
  assert.equal(clock.nowMs(), THEIRS + 8999);
});

test('a quicker answer makes it more exact', () => {
  const { clock, monotonic } = made();
  clock.follow(THEIRS, 1000, 2000);
  clock.follow(THEIRS + 1000, 2000, 2000);
  monotonic.ms = 2000;
  assert.equal(clock.nowMs(), THEIRS + 1000);
});

test('a step of the other clock is followed, and told', () => {
  const { clock, monotonic } = made();
  clock.follow(THEIRS, 1000, 1000);
  assert.equal(clock.follow(THEIRS - 3_600_000 + 5000, 6000, 6000), -3_600_000);
  monotonic.ms = 6000;
  assert.equal(clock.nowMs(), THEIRS - 3_595_000);
  assert.equal(clock.follow(THEIRS + 10_000, 11_000, 11_000), 3_600_000);
});
