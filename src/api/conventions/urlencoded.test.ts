import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQuery } from './urlencoded.ts';

test('names and values are decoded as UTF-8, a plus is a space, lists keep every value', () => {
  const form = parseQuery('a=1+2%2B&gr%C3%BC%C3%9F=%E2%82%AC&b[]=x&b[1]=y&b=&empty&=v', 20);
  assert.deepEqual(form.pairs, [
    ['a', '1 2+'],
    ['grüß', '€'],
    ['b', 'x'],
    ['b', 'y'],
    ['b', ''],
    ['empty', ''],
    ['', 'v'],
  ]);
  assert.deepEqual(form.all('b'), ['x', 'y']);
  assert.equal(form.get('empty'), undefined);
});

test('bytes that are no UTF-8 become the replacement character', () => {
  assert.equal(parseQuery('a=%ff', 1).get('a'), '\ufffd');
});

test('a broken escape and too many fields are refused', () => {
  for (const text of ['a=%', 'a=%4', 'a=%zz', '%=1']) assert.throws(() => parseQuery(text, 5), /invalid URL escape/);
  assert.throws(() => parseQuery('a&b&c', 2), /too many parameters, max is 2/);
  assert.throws(() => parseQuery('&&&', 2), /too many parameters, max is 2/);
});
