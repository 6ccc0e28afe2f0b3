import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { checkPattern, matchesPattern } from './pattern.ts';

function matches(pattern: string, text: string): boolean {
  return matchesPattern(pattern, text, () => undefined);
}

test('agrees with the language’s own expressions where both know the syntax', () => {
  const patterns = [
    'a',
    'a.c',
    '^a',
    'c$',
    '^$',
    'a|b|',
    '(ab)+c',
    '(?:ab)*',
    '[a-c]+d',
    '[^a-c]',
    '\\d{2,3}',
    '\\bfoo\\b',
    'x?y',
    'a{3}',
    '[\\d-]+',
    '\\.',
    '[.]',
    'a+?b',
    '(a|b)*c',
    '\\Bo',
    '[a\\]]',
  ];
  const texts = ['', 'a', 'abc', 'ababc', 'ccd', '1', '12', 'a foo b', 'xfoo', 'y', 'aaa', 'a.c', '-', ']', 'abab', 'bbac', 'o', '\n'];
  for (const pattern of patterns) {
    for (const text of texts) assert.equal(matches(pattern, text), new RegExp(pattern).test(text), `${pattern} on ${JSON.stringify(text)}`);
  }
});

test('(?i) ignores case, in classes and after escapes too', () => {
  assert.ok(matches('(?i)HeLLo', 'say hello'));
  assert.ok(matches('(?i)^[A-C]+$', 'abC'));
  assert.ok(!matches('(?i)[^a]', 'A'));
  assert.ok(matches('(?i)\\D', 'x') && !matches('(?i)\\D', '7'));
});

test('patterns that make a backtracking matcher run for ever end at once', () => {
  const text = `${'a'.repeat(5000)}!`;
  assert.ok(!matches('^(a+)+$', text));
  assert.ok(!matches('^(a|aa)*$', text));
  assert.ok(!matches('^(.*)*x$', text));
});

test('what repeats nothing within repetitions is read at once', () => {
  const beganMs = threadCpuMs();
  checkPattern('(?:a{0}'.repeat(4) + '){200}'.repeat(4));
  assert.ok(matches('^a((((){200}){200}){200}){200}b$', 'ab') && !matches('^a((((){200}){200}){200}){200}b$', 'ba'));
  assert.throws(() => checkPattern('((((){200}){200}){200}){200}'), /too large/);
  const tookMs = threadCpuMs() - beganMs;
  assert.ok(tookMs < 500, `${Math.round(tookMs)} ms`);
});

test('work is paid for', () => {
  let steps = 0;
  matchesPattern('(a|b|c)*x', 'abc'.repeat(100), (n) => void (steps += n));
  assert.ok(steps >= 300);
});

test('what a pattern walks through without reading anything is paid for too, and so is reading the pattern', () => {
  let steps = 0;
  matchesPattern('(.(||||||){100})*x', 'a'.repeat(100), (n) => void (steps += n));
  assert.ok(steps >= 10_000, `${steps} steps`);
  steps = 0;
  matchesPattern(`[${'abcde'.repeat(90)}]`, '', (n) => void (steps += n));
  assert.ok(steps >= 100, `${steps} steps`);
});

test('a class is what its members are, in any order, whether they overlap or not', () => {
  const all = Array.from({ length: 0x250 }, (_, code) => String.fromCharCode(code));
  for (const members of ['a', 'z-za-c', 'a-mg-z', 'm-pa-fe-nx', '\\dx-z\\s', '^a-mg-z', '^\\Wb', 'é-üA', '.*$-', '\\]\\[^']) {
    const [own, theirs] = [`[${members}]`, new RegExp(`[${members}]`)];
    for (const char of all.filter((each) => !/[\u0085\u00a0]/.test(each)))
      assert.equal(matches(own, char), theirs.test(char), `${own} ${char.charCodeAt(0)}`);
  }
});

test('what cannot be read or grows too large is refused', () => {
  for (const pattern of [
    '(',
    ')',
    '[a',
    '*',
    'a{2,1}',
    'a{500}',
    '\\q',
    '(?=a)',
    '\\',
    '[z-a]',
    '(a{200}){200}',
    '('.repeat(40) + ')'.repeat(40),
  ]) {
    assert.throws(() => matches(pattern, 'a'), SyntaxError, pattern);
  }
  assert.throws(() => matches('a'.repeat(501), 'a'), SyntaxError);
  assert.throws(() => matches('a', 'a'.repeat(10_001)), SyntaxError);
});

test('a match that is anchored begins where the text does', () => {
  const anchored = (pattern: string, text: string): boolean => matchesPattern(pattern, text, () => undefined, { isAnchored: true });
  assert.ok(anchored('bob', 'bob@example.net') && !anchored('example', 'bob@example.net'));
  assert.ok(anchored('.*example', 'bob@example.net') && !anchored('a|b$', 'cb'));
});

test('named groups are groups, and case is ignored when the caller says so', () => {
  assert.ok(matches('^(?P<user>.*)@(?<host>b.c)$', 'a@b.c'));
  assert.ok(matchesPattern('BOB', 'bob', () => undefined, { isCaseBlind: true }) && !matches('BOB', 'bob'));
});

test('a pattern is checked without a text', () => {
  checkPattern('(a|b)+');
  // Each group that is told apart takes two more.
  assert.ok(matches('(a){200}(b){200}(c){200}(d){200}', 'a') === false);
  for (const pattern of ['(', 'a)', '*', '(?=a)', '(?<=a)b', '(?P=x)', 'x'.repeat(501), '(a){200}(b){200}(c){200}(d){200}'])
    assert.throws(() => checkPattern(pattern), SyntaxError, pattern);
});
