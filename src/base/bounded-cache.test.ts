import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedCache } from './bounded-cache.ts';

test('the least recently used entry goes first', () => {
  const cache = new BoundedCache<string, number>({ max: 2 });
  cache.set('a', 1, 0);
  cache.set('b', 2, 0);
  assert.equal(cache.get('a', 0), 1);
  cache.set('c', 3, 0);
  assert.deepEqual([cache.get('a', 0), cache.get('b', 0), cache.get('c', 0), cache.size], [1, undefined, 3, 2]);
});

test('an entry past its time is not found', () => {
  const cache = new BoundedCache<string, number>({ max: 10, ttlMs: 100 });
  cache.set('a', 1, 0);
  cache.set('short', 2, 0, 10);
  assert.deepEqual([cache.get('a', 99), cache.get('short', 9)], [1, 2]);
  assert.deepEqual([cache.get('a', 100), cache.get('short', 10), cache.size], [undefined, undefined, 0]);
});

test('weights bound the sum, and what is heavier than the whole is not kept', () => {
  const cache = new BoundedCache<string, string>({ max: 10, weigh: (value) => value.length });
  cache.set('a', 'xxxx', 0);
  cache.set('b', 'xxxx', 0);
  cache.set('c', 'xxxx', 0);
  assert.deepEqual([cache.get('a', 0), cache.size], [undefined, 2]);
  cache.set('b', 'x'.repeat(11), 0);
  assert.deepEqual([cache.get('b', 0), cache.get('c', 0)], [undefined, 'xxxx'], 'the old value of the key must not stand');
});

test('a key that is set again, deleted or expired gives its weight back', () => {
  const cache = new BoundedCache<string, string>({ max: 10, ttlMs: 5, weigh: (value) => value.length });
  for (let n = 0; n < 10; n++) cache.set('a', 'xxxxx', 0);
  cache.delete('a');
  cache.set('b', 'xxxxx', 0);
  assert.equal(cache.get('b', 5), undefined);
  cache.set('c', 'xxxxx', 6);
  cache.set('d', 'xxxxx', 6);
  assert.deepEqual([cache.get('c', 6), cache.get('d', 6)], ['xxxxx', 'xxxxx']);
  cache.clear();
  assert.equal(cache.size, 0);
});
