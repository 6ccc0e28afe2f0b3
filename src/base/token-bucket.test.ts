import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from './token-bucket.ts';

test('a burst may go at once, then the steady rate', () => {
  const bucket = new TokenBucket(60, 60_000, 3, 0);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => bucket.take(1, 0)),
    [true, true, true, false],
  );
  assert.equal(bucket.waitMs(1, 0), 1000);
  assert.equal(bucket.take(1, 999), false);
  assert.equal(bucket.take(1, 1000), true);
  assert.equal(bucket.take(1, 1000), false);
});

test('over a long time no more goes than the rate and one burst', () => {
  const bucket = new TokenBucket(100, 1000, 10, 0);
  let taken = 0;
  for (let ms = 0; ms <= 10_000; ms += 3) while (bucket.take(1, ms)) taken++;
  assert.ok(taken >= 1005 && taken <= 1010, `${taken}`);
});

test('a quiet time saves up no more than the burst', () => {
  const bucket = new TokenBucket(60, 60_000, 3, 0);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => bucket.take(1, 3_600_000)),
    [true, true, true, false],
  );
});

test('time that stands still or goes back gives nothing', () => {
  const bucket = new TokenBucket(60, 60_000, 1, 5000);
  assert.equal(bucket.take(1, 5000), true);
  assert.equal(bucket.take(1, 1000), false);
  assert.equal(bucket.take(1, 5999), false);
  assert.equal(bucket.take(1, 6000), true);
});

test('several tokens are taken together or not at all', () => {
  const bucket = new TokenBucket(60, 60_000, 5, 0);
  assert.equal(bucket.take(6, 0), false);
  assert.equal(bucket.take(5, 0), true);
  assert.equal(bucket.waitMs(2, 0), 2000);
});
