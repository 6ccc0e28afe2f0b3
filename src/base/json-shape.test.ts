import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWithin, JSON_BOUNDS } from './json-shape.ts';

const bounds = { depth: 3, values: 10 };

test('nesting is counted outside strings', () => {
  assert.equal(isWithin('{"a":[{"b":1}]}', bounds), true);
  assert.equal(isWithin('{"a":[{"b":[]}]}', bounds), false);
  assert.equal(isWithin('["[[[[[[", "\\"[[[[[["]', bounds), true);
});

test('what was closed does not count as nesting', () => {
  assert.equal(isWithin('[[],[],[]]', bounds), true);
});

test('many values are too many, however flat they stand', () => {
  assert.equal(isWithin('[1,2,3,4,5,6,7,8,9,10]', bounds), true);
  assert.equal(isWithin('[1,2,3,4,5,6,7,8,9,10,11]', bounds), false);
  assert.equal(isWithin('["a,b,c,d,e,f,g,h,i,j,k,l"]', bounds), true);
});

test('the variables of a thousand recipients are within the bounds for strangers', () => {
  const values = Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`key${i}`, i]));
  const all = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`user${i}@example.net`, values]));
  assert.equal(isWithin(JSON.stringify(all), JSON_BOUNDS), true);
});

test('what is no JSON at all comes to an end', () => {
  for (const text of ['', '"', '"\\', ']]]]', '{'.repeat(100_000)]) isWithin(text, JSON_BOUNDS);
});
