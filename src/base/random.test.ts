import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jitter, randomHex, shuffled } from './random.ts';

test('random names have their length and do not repeat, over many blocks', () => {
  const names = new Set<string>();
  for (let n = 0; n < 2000; n++) {
    const name = randomHex(12);
    assert.match(name, /^[0-9a-f]{24}$/);
    names.add(name);
  }
  assert.equal(names.size, 2000);
  assert.equal(randomHex(5000).length, 10_000);
});

test('a shuffle keeps every item, leaves the given list alone, and favours no place', () => {
  const given = ['a', 'b', 'c', 'd'];
  const firsts = { a: 0, b: 0, c: 0, d: 0 };
  for (let n = 0; n < 4000; n++) {
    const result = shuffled(given);
    assert.deepEqual([...result].sort(), given);
    firsts[result[0] as keyof typeof firsts]++;
  }
  assert.deepEqual(given, ['a', 'b', 'c', 'd']);
  for (const count of Object.values(firsts)) assert.ok(count > 800 && count < 1200, JSON.stringify(firsts));
});

test('jitter stays within its spread and uses it', () => {
  const all = Array.from({ length: 2000 }, () => jitter(0.2));
  assert.ok(all.every((factor) => factor >= 0.8 && factor <= 1.2));
  assert.ok(Math.min(...all) < 0.82 && Math.max(...all) > 1.18);
});
