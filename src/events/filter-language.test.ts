import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate, parseFilter } from './filter-language.ts';

/** Does a text that has these words pass the filter? */
function passes(filter: string, ...words: string[]): boolean {
  return evaluate(parseFilter('subject', filter), (term) => words.includes(term.text));
}

test('terms side by side are all wanted, as with AND', () => {
  assert.equal(passes('a b', 'a', 'b'), true);
  assert.equal(passes('a and b', 'a'), false);
});

test('OR binds looser than AND, NOT binds tightest, parentheses decide', () => {
  assert.equal(passes('a OR b c', 'a'), true);
  assert.equal(passes('(a OR b) c', 'a'), false);
  assert.equal(passes('NOT a OR b', 'a', 'b'), true);
  assert.equal(passes('NOT (a OR b)', 'c'), true);
  assert.equal(passes('NOT NOT a', 'a'), true);
});

test('quotes keep words together and make operators words', () => {
  assert.equal(passes('"a b"', 'a b'), true);
  assert.equal(passes('"OR"', 'OR'), true);
  assert.equal(passes('"say \\"hi\\""', 'say "hi"'), true);
});

test('comparisons are told apart from terms', () => {
  assert.deepEqual(parseFilter('size', '>344 <=379'), {
    kind: 'and',
    parts: [
      { kind: 'term', text: '344', compare: '>' },
      { kind: 'term', text: '379', compare: '<=' },
    ],
  });
});

test('what is not whole, too long or too deep is refused with the field’s name', () => {
  for (const text of ['', 'a OR', 'NOT', '(a', 'a)', '"a', `${'('.repeat(30)}a${')'.repeat(30)}`, 'a '.repeat(300), 'x'.repeat(5000)]) {
    assert.throws(() => parseFilter('subject', text), /the filter of 'subject'/, text.slice(0, 20));
  }
});
