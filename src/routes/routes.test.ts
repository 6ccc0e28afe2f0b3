import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAction } from './action.ts';
import { matchesExpression, parseExpression } from './expression.ts';
import type { Arrival } from './expression.ts';

function matches(text: string, arrival: Partial<Arrival> = {}): boolean {
  const whole = { recipient: 'bob@example.org', headers: new Map(), isCaught: false, ...arrival };
  return matchesExpression(parseExpression(text), whole, () => undefined);
}

test('a recipient is matched from its start and without regard to case', () => {
  assert.ok(matches('match_recipient("bob")') && matches('match_recipient("BOB@.*")') && matches(`MATCH_RECIPIENT('.*@example\\.org$')`));
  assert.ok(!matches('match_recipient("example")') && !matches('match_recipient("bob$")'));
  assert.ok(matches('match_recipient("(?P<user>.*)@(?P<domain>.*)")'));
});

test('a header is matched wherever it stands, by its name without regard to case', () => {
  const headers = new Map([
    ['subject', ['Your order']],
    ['x-tag', ['a', 'b']],
  ]);
  assert.ok(matches('match_header("subject", ".*order")', { headers }) && matches('match_header("X-TAG", "b")', { headers }));
  assert.ok(!matches('match_header("subject", "order")', { headers }) && !matches('match_header("from", ".*")', { headers }));
});

test('and binds tighter than or, not tighter than both, and parentheses tightest', () => {
  const [yes, no] = ['match_recipient("bob")', 'match_recipient("eve")'];
  assert.ok(matches(`${yes} or ${no} and ${no}`) && !matches(`(${yes} or ${no}) and ${no}`));
  assert.ok(matches(`not ${no} and ${yes}`) && !matches(`not (${no} or ${yes})`) && matches(`NOT ${no} AND not not ${yes}`));
});

test('catch_all takes what no route before took', () => {
  assert.ok(matches('catch_all()') && matches('catchall()'));
  assert.ok(!matches('catch_all()', { isCaught: true }) && !matches('catch_all() and match_recipient("bob")', { isCaught: true }));
});

test('an expression that cannot be read is refused with a sentence', () => {
  for (const text of [
    '',
    'match_recipient',
    'match_recipient()',
    'match_recipient(bob)',
    'match_recipient("bob"',
    'match_recipient("(")',
    `match_recipient("${'()'.repeat(51)}")`,
    Array.from({ length: 8 }, () => 'match_recipient("(.{190}){10}")').join(' or '),
    'match_recipient("a", "b")',
    'match_header("x")',
    'match_header("a b", "x")',
    'catch_all("x")',
    'catch_all() catch_all()',
    'catch_all() and',
    'and',
    'not',
    '()',
    'eval("1")',
    'match_recipient("a") ; stop()',
    `${'not '.repeat(40)}catch_all()`,
    `${'('.repeat(40)}catch_all()${')'.repeat(40)}`,
    `${'catch_all() or '.repeat(300)}catch_all()`,
    'match_recipient("(?=a)")',
  ]) {
    assert.throws(() => parseExpression(text), SyntaxError, text.slice(0, 60));
  }
});

test('patterns that make a backtracking matcher run for ever are matched at once', () => {
  assert.ok(!matches('match_recipient("(a+)+$")', { recipient: `${'a'.repeat(300)}!` }));
});

test('actions are read, and what is none is refused', () => {
  assert.deepEqual(parseAction('forward("https://a.example/x")'), { kind: 'forward', to: ['https://a.example/x'] });
  assert.deepEqual(parseAction("forward('a@b.example, \\1@c.example')"), { kind: 'forward', to: ['a@b.example', '\\1@c.example'] });
  assert.deepEqual(parseAction(' STORE( notify = "http://a.example/" ) '), { kind: 'store', notify: 'http://a.example/' });
  assert.deepEqual([parseAction('store()'), parseAction('stop()')], [{ kind: 'store' }, { kind: 'stop' }]);
  for (const text of [
    '',
    'stop',
    'stop("x")',
    'forward()',
    'forward("")',
    'forward("nobody")',
    'forward("http://")',
    'forward("https://a b.example/")',
    'store("ftp://x.example")',
    'store(other="http://x.example")',
    'stop() stop()',
    'drop()',
    `forward("${'a'.repeat(4100)}@b.example")`,
  ]) {
    assert.throws(() => parseAction(text), SyntaxError, text.slice(0, 60));
  }
});
