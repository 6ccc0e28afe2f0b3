import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '#model/outcome.ts';
import { nextAttempt, type RetryPlan } from './retry.ts';

const MINUTE_MS = 60_000;
const PLAN: RetryPlan = {
  delaysMs: [5 * MINUTE_MS, 10 * MINUTE_MS, 60 * MINUTE_MS],
  spread: 0,
  hintMinMs: MINUTE_MS,
  hintMaxMs: 240 * MINUTE_MS,
};
const NEVER = Number.MAX_SAFE_INTEGER;
const deferred: Outcome = { disposition: 'deferred', code: 451, text: 'later', attempt: { number: 1, startedMs: 0, steps: {} } };

test('each attempt waits for the next delay of the schedule, and the last delay repeats', () => {
  const at = (attempts: number): number | undefined => nextAttempt(PLAN, attempts, deferred, 0, NEVER)?.atMs;
  assert.deepEqual(
    [at(1), at(2), at(3), at(4), at(40)],
    [5, 10, 60, 60, 60].map((minutes) => minutes * MINUTE_MS),
  );
});

test('a hint in the reply is respected within its bounds', () => {
  const at = (retryAfterMs: number): unknown => nextAttempt(PLAN, 1, { ...deferred, retryAfterMs }, 0, NEVER);
  assert.deepEqual(at(7 * MINUTE_MS), { atMs: 7 * MINUTE_MS, wait: 'retry-hint' });
  assert.deepEqual(at(1), { atMs: MINUTE_MS, wait: 'retry-hint' });
  assert.deepEqual(at(1000 * MINUTE_MS), { atMs: 240 * MINUTE_MS, wait: 'retry-hint' });
});

test('a last attempt is made at the end of the message’s time, and none after it', () => {
  assert.equal(nextAttempt(PLAN, 3, deferred, 0, 30 * MINUTE_MS)?.atMs, 30 * MINUTE_MS);
  assert.equal(nextAttempt(PLAN, 3, deferred, 30 * MINUTE_MS, 30 * MINUTE_MS), undefined);
});

test('DNS trouble has its own name', () => {
  assert.equal(nextAttempt(PLAN, 1, { ...deferred, bounceClass: 'dns-failure' }, 0, NEVER)?.wait, 'dns-trouble');
});

test('delays are spread, so that what failed together does not come back together', () => {
  const spread = { ...PLAN, spread: 0.2 };
  const times = new Set(Array.from({ length: 50 }, () => nextAttempt(spread, 2, deferred, 0, NEVER)?.atMs));
  assert.ok(times.size > 10);
  for (const time of times) assert.ok(time !== undefined && time >= 8 * MINUTE_MS && time <= 12 * MINUTE_MS);
});
