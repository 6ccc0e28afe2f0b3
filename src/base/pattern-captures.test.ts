import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capturesOf } from './pattern-captures.ts';

function caught(pattern: string, text: string): readonly (string | undefined)[] | undefined {
  return capturesOf(pattern, text, () => undefined, true)?.byNumber;
}

test('groups catch what a backtracking matcher would let them catch', () => {
  for (const [pattern, text] of [
    ['(.*)@(.*)', 'bob@example.org'],
    ['(.*?)(\\+(.*))?@', 'bob+tag@example.org'],
    ['(a|ab)(c|bcd)(d*)', 'abcd'],
    ['(a+)(a*)', 'aaa'],
    ['(a+?)(a*)', 'aaa'],
    ['^([^.@]+)\\.(\\w+)@b\\.c$', 'ann.lee@b.c'],
    ['(\\d{2,3})(\\d?)', '1234'],
    ['(a)|b', 'b'],
    ['(x*)', ''],
  ] as const) {
    assert.deepEqual(caught(pattern, text), [...(new RegExp(`^(?:${pattern})`, 'i').exec(text) ?? [])], pattern);
  }
  assert.equal(caught('(b)', 'ab'), undefined);
  // As Python: what a group caught in an earlier round stays.
  assert.deepEqual(caught('(?:x|(y))+', 'xyx'), ['xyx', 'y']);
});

test('named groups are told by their names, as Python and as ECMAScript write them', () => {
  const found = capturesOf('(?P<user>.*)@(?<domain>.*)', 'Bob@Example.org', () => undefined, true);
  assert.deepEqual({ ...found?.byName }, { user: 'Bob', domain: 'Example.org' });
});

test('a pattern that makes a backtracking matcher run for ever takes a bounded number of steps', () => {
  let steps = 0;
  const spend = (more: number): void => void (steps += more);
  assert.equal(capturesOf('((a+)+)+$', `${'a'.repeat(2000)}!`, spend, true), undefined);
  assert.ok(steps < 100_000, `${steps} steps`);
});
