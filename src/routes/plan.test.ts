import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHeader } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { ForwardRule } from '#store/forward-store.ts';
import { parseAction } from './action.ts';
import { parseExpression } from './expression.ts';
import { matchesWildcard } from './forward-match.ts';
import { type Plan, planOf, type Prospect, prospectOf } from './plan.ts';
import type { ReadRoute, Rules } from './route-book.ts';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';

function route(text: string, ...actions: readonly string[]): ReadRoute {
  return { id: text, text, expression: parseExpression(text), actions: actions.map(parseAction) };
}

const rules = (...routes: readonly ReadRoute[]): Rules => ({ forwards: [], routes });
const header = (text: string): ReturnType<typeof readHeader> => readHeader(Buffer.from(`${text}\r\n\r\n`));

function plan(all: Rules, recipient = 'bob@ours.example', text = 'Subject: hello'): Promise<Plan> {
  return planOf(all, recipient, header(text));
}

test('what the envelope alone decides is certain, and what the header decides is not', async () => {
  const cases: readonly (readonly [string, Prospect['isTaken']])[] = [
    ['match_recipient("bob")', 'yes'],
    ['match_recipient("eve")', 'no'],
    ['match_header("a", "b")', 'maybe'],
    ['match_recipient("bob") and match_header("a", "b")', 'maybe'],
    ['match_recipient("eve") and match_header("a", "b")', 'no'],
    ['match_recipient("bob") or match_header("a", "b")', 'yes'],
    ['not match_recipient("bob")', 'no'],
    ['not match_header("a", "b")', 'maybe'],
    ['catch_all()', 'yes'],
    ['not catch_all()', 'maybe'],
    ['catch_all() and match_header("a", "b")', 'maybe'],
  ];
  for (const [text, expected] of cases)
    assert.equal((await prospectOf(rules(route(text, 'store()')), 'bob@ours.example')).isTaken, expected, text);
  assert.equal((await prospectOf(rules(), 'bob@ours.example')).isTaken, 'no');
});

test('captures fill URLs and addresses, and cannot become anything else there', async () => {
  const all = rules(
    route(
      'match_recipient("(?P<user>.*)@(.*)")',
      'forward("https://a.example/\\g<user>/?d=\\2&x=\\9")',
      'forward("\\1@b.example, fixed@b.example")',
    ),
    route('match_header("subject", "(.*)")', 'store(notify="https://a.example/\\1")'),
  );
  const found = await plan(all, 'a/b&c=d#e@ours.example', 'Subject: <x y> ü\r\n');
  assert.deepEqual(
    found.posts.map(({ kind, url }) => `${kind} ${url}`),
    ['forward https://a.example/a%2Fb%26c%3Dd%23e/?d=ours.example&x=', 'notify https://a.example/%3Cx%20y%3E%20%C3%BC'],
  );
  assert.deepEqual(found.addresses, ['a/b&c=d#e@b.example', 'fixed@b.example']);
  assert.deepEqual(
    (await plan(rules(route('match_header("subject", "(.*)")', 'forward("\\1@b.example")')), undefined, 'Subject: x@evil.example, y'))
      .addresses,
    [],
  );
});

test('dots that were caught lead to no other place of a URL', async () => {
  const all = rules(
    route(
      'match_header("subject", "(.*)")',
      'forward("https://a.example/in/\\1/mail")',
      'store(notify="https://a.example/in/\\1?s=\\1#\\1")',
    ),
  );
  for (const dots of ['.', '..']) {
    const { posts } = await plan(all, undefined, `Subject: ${dots}`);
    const [forward, notify] = posts.map(({ url }) => new URL(url));
    assert.deepEqual(
      [forward?.pathname, notify?.pathname],
      [`/in/${'%252E'.repeat(dots.length)}/mail`, `/in/${'%252E'.repeat(dots.length)}`],
    );
    assert.equal(notify?.searchParams.get('s'), dots);
  }
  const [plain] = (await plan(all, undefined, 'Subject: ..a.')).posts;
  assert.equal(plain?.url, 'https://a.example/in/..a./mail');
});

test('a host of a URL is never what somebody else wrote', () => {
  for (const text of ['forward("https://\\1.example/")', 'forward("https://a.example\\1/")', 'forward("http://\\g<x>@a.example/")'])
    assert.throws(() => parseAction(text), SyntaxError, text);
});

test('the same place is told once, and stop ends it', async () => {
  const all = rules(
    route('match_recipient("bob")', 'forward("https://a.example/")', 'forward("X@b.example")', 'store()'),
    route('match_recipient(".*")', 'forward("https://a.example/")', 'forward("x@B.example")', 'stop()'),
    route('match_recipient(".*")', 'forward("https://never.example/")'),
  );
  const found = await plan(all);
  assert.deepEqual(
    [found.posts.map(({ url }) => url), found.addresses, found.isStored, found.matched.length],
    [['https://a.example/'], ['X@b.example'], true, 2],
  );
});

test('catch_all is for what nothing before matched, plain rules included', async () => {
  const rest = route('catch_all()', 'store()');
  assert.equal((await plan(rules(route('match_header("subject", "hello")', 'stop()'), rest))).matched.length, 1);
  assert.equal((await plan(rules(route('match_header("subject", "other")', 'stop()'), rest))).isStored, true);
  const rule: ForwardRule = {
    id: 'r',
    accountId: 1,
    domainId: 1,
    match: 'b*',
    urls: ['https://a.example/'],
    recipients: [],
    createdMs: 0,
    updatedMs: 0,
  };
  const found = await plan({ forwards: [rule], routes: [rest] });
  assert.deepEqual([found.matched.map(({ id }) => id), found.isStored], [['r'], false]);
});

test('stars stand for any text, in whole addresses and in local parts, without regard to case', () => {
  const yes = [
    ['*', 'a@b.c'],
    ['a*', 'ABC@d.e'],
    ['*@B.C', 'x@b.c'],
    ['a*c@*', 'abbc@x'],
    ['a*a@b', 'aa@b'],
    ['a@b.c', 'A@b.c'],
    ['**', 'x@y'],
  ];
  const no = [
    ['a*', 'b@a'],
    ['a*a@b', 'a@b'],
    ['*@b', 'a@b.c'],
    ['a', 'ab@c'],
    ['*x*x@c', 'x@c'],
    ['', 'a@b'],
  ];
  for (const [pattern, address] of yes) assert.ok(matchesWildcard(pattern as string, address as string), `${pattern} ${address}`);
  for (const [pattern, address] of no) assert.ok(!matchesWildcard(pattern as string, address as string), `${pattern} ${address}`);
});

test('rules that take too long are put off, and let others have their turns meanwhile', async () => {
  const dear = route(`match_header("x", "${'(a|a?)+'.repeat(20)}b")`, 'store()');
  const all = rules(...Array.from({ length: 400 }, () => dear));
  let turns = 0;
  let isOver = false;
  const others = (): void => {
    turns++;
    if (!isOver) setImmediate(others);
  };
  setImmediate(others);
  await assert.rejects(
    planOf(all, 'bob@ours.example', header(`X: ${'a'.repeat(900)}`)),
    (error) => error instanceof AppError && error.smtpCode === 451,
  );
  isOver = true;
  assert.ok(turns > 3, `${turns} turns`);
});

test('what rules ask of a header is little work, however many they are and whatever patterns they have', async () => {
  const manyFields = Array.from({ length: 500 }, (_, index) => `X${index}: y`).join('\r\n');
  const others = Array.from({ length: 70 }, () => 'match_header("x","q")').join(' or ');
  const wide = `[${'bcdefghijklmnopqrstuvwxyz0123456789'.repeat(13)}]`;
  const longValues = Array.from({ length: 30 }, () => `X: ${'a'.repeat(1990)}`).join('\r\n');
  const cases = [
    { text: others, count: 1000, fields: manyFields },
    {
      text: Array.from({ length: 8 }, () => `match_header("x","${wide}")`).join(' or '),
      count: 5,
      fields: manyFields.replace(/X\d+/g, 'X'),
    },
    { text: `match_header("x","(${wide.slice(0, -1)}q]|.){1,150}!")`, count: 1, fields: longValues },
    { text: `match_header("x","(.(||||||){100})*!")`, count: 1, fields: longValues },
    { text: `match_header("x","(.(||||||){100})*") and match_header("x", "!")`, count: 1, fields: longValues },
  ];
  for (const { text, count, fields } of cases) {
    const all = rules(...Array.from({ length: count }, () => route(text, 'store()')));
    const beganMs = threadCpuMs();
    await planOf(all, 'bob@ours.example', header(fields)).catch((error: unknown) => assert.ok(error instanceof AppError));
    const spentMs = threadCpuMs() - beganMs;
    assert.ok(spentMs < 1000, `${Math.round(spentMs)} ms for ${count} of ${text.slice(0, 60)}`);
  }
});
