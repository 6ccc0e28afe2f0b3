import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RETRY_HINT_MAX_MS, RETRY_HINT_MIN_MS, retryHintMs } from './retry-hint.ts';

test('a hint is read in the forms that servers use', () => {
  const minute = 60_000;
  for (const [text, ms] of [
    ['Try again in 300 seconds', 5 * minute],
    ['Greylisted for 5 minutes', 5 * minute],
    ['please retry after 00:05:00', 5 * minute],
    ['Too many messages, wait 90s', 90_000],
    ['try again in about 2 hours', 120 * minute],
    ['Throttled; retry in 1h', 60 * minute],
    ['Deferred, come back in 10 mins', 10 * minute],
    ['Delayed, retry after: 600 sec', 10 * minute],
    ['you must wait at least 4 minutes', 4 * minute],
  ] as const) {
    assert.equal(retryHintMs(text), ms, text);
  }
});

test('a hint is believed within bounds only', () => {
  assert.equal(retryHintMs('try again in 1 second'), RETRY_HINT_MIN_MS);
  assert.equal(retryHintMs('try again in 0 seconds'), RETRY_HINT_MIN_MS);
  assert.equal(retryHintMs('try again in 999999 days'), RETRY_HINT_MAX_MS);
  assert.equal(retryHintMs('try again after 99:99:99'), RETRY_HINT_MAX_MS);
});

test('other numbers are no hint', () => {
  for (const text of [
    'Try again later',
    'blocked for 5 bad messages',
    'mailbox unused for 90 days',
    'in 1999 seconds were shorter',
    'error 451 in 192.0.2.1',
  ]) {
    assert.equal(retryHintMs(text), undefined, text);
  }
});
