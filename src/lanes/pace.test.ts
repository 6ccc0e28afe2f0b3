import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paceOf } from './pace.ts';

/** Milliseconds of what a sender sends that always has something to send, and looks when it was told to, late by up to `lateMs`. */
function sent(count: number, windowMs: number, windows: number, lateMs: number): number[] {
  const pace = paceOf((count * 60_000) / windowMs, windowMs, 0);
  const times: number[] = [];
  for (let nowMs = 0; nowMs < windows * windowMs; nowMs += pace.waitMs(1, nowMs) + (times.length % 3 === 0 ? lateMs : 0)) {
    while (pace.take(1, nowMs)) times.push(nowMs);
  }
  return times;
}

for (const [count, windowMs] of [
  [1, 1000],
  [20, 1000],
  [100, 1000],
  [2, 60_000],
  [120, 60_000],
  [3000, 60_000],
  [500, 3_600_000],
] as const) {
  test(`${count} in ${windowMs} ms: no stretch of that length sees more, and hardly less is sent`, () => {
    for (const lateMs of [0, 7]) {
      const times = sent(count, windowMs, 10, lateMs);
      for (let first = 0, last = 0; last < times.length; last++) {
        while ((times[last] as number) - (times[first] as number) >= windowMs) first++;
        assert.ok(last - first < count, `${last - first + 1} from ${times[first]} ms on`);
      }
      if (lateMs === 0) assert.ok(times.length >= 9 * count, `${times.length} in ten windows`);
    }
  });
}

test('a pause saves up a small burst, at most a tenth of a second’s worth', () => {
  const pace = paceOf(3000, 60_000, 0);
  let burst = 0;
  while (pace.take(1, 3_600_000)) burst++;
  assert.equal(burst, 5);
});
