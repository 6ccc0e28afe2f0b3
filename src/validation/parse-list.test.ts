/** Lists as people type them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIST_ENTRIES_MAX, parseList } from './parse-list.ts';

test('what can be read is told apart from what cannot', () => {
  assert.deepEqual(parseList('Ann <ann@Example.org>, bob, "Smith, Jo" <jo@example.org>;  ,carl@example.org'), {
    parsed: ['Ann <ann@example.org>', '"Smith, Jo" <jo@example.org>', 'carl@example.org'],
    unparseable: ['bob'],
  });
  assert.deepEqual(parseList(''), { parsed: [], unparseable: [] });
});

test('a list has an end', () => {
  const many = Array.from({ length: LIST_ENTRIES_MAX + 5 }, (_, i) => `a${i}@x.example`);
  assert.equal(parseList(many.join(',')).parsed.length, LIST_ENTRIES_MAX);
  assert.equal(parseList(`?,${many.join(',')}`).parsed.length, LIST_ENTRIES_MAX - 1);
  assert.equal(parseList(`"${',x'.repeat(100_000)}`).unparseable.length, 1);
});
