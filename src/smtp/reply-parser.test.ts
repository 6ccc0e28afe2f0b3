import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reply } from '#model/outcome.ts';
import { REPLY_LINE_OCTETS_MAX, REPLY_LINES_MAX, REPLY_TEXT_MAX, ReplyParser } from './reply-parser.ts';

function parse(...pieces: (string | Buffer)[]): { replies: Reply[]; trouble: string | undefined } {
  const parser = new ReplyParser();
  const replies: Reply[] = [];
  let trouble: string | undefined;
  for (const piece of pieces) {
    const octets = Buffer.from(piece as string);
    trouble = parser.push(octets, octets.length, (reply) => replies.push(reply));
  }
  return { replies, trouble };
}

test('a reply is its code, its enhanced code and its text', () => {
  assert.deepEqual(parse('550 5.1.1 No such user\r\n').replies, [{ code: 550, enhanced: '5.1.1', text: 'No such user' }]);
  assert.deepEqual(parse('250 Ok\r\n354\r\n').replies, [
    { code: 250, text: 'Ok' },
    { code: 354, text: '' },
  ]);
});

test('lines are joined, and the enhanced code is cut from each', () => {
  assert.deepEqual(parse('550-5.7.1 one\r\n550-5.7.1\r\n550 5.7.1 three\r\n').replies, [
    { code: 550, enhanced: '5.7.1', text: 'one\n\nthree' },
  ]);
});

test('a reply may come in any pieces, and its lines may end with LF', () => {
  const octets = '250-mx.test\r\n250-SIZE 10\n250 HELP\r\n';
  const whole = parse(octets).replies;
  assert.deepEqual(parse(...octets).replies, whole);
  assert.equal(whole[0]?.text, 'mx.test\nSIZE 10\nHELP');
});

test('text cannot carry control characters, escapes, directions or octets that are no UTF-8', () => {
  const [reply] = parse(Buffer.from('550 a\x1b[31m\x00b\rc\x7f\xe9\xe2\x80\xae\xc2\x85\xc3\xbc\r\n', 'latin1')).replies;
  assert.equal(reply?.text, 'a?[31m?b?c?\ufffd??ü');
});

test('what is no reply is trouble, and nothing is parsed after it', () => {
  for (const text of ['hello\r\n', '25 Ok\r\n', '2500 Ok\r\n', '250_Ok\r\n', '\r\n', '099 low\r\n', '250-a\r\n251 b\r\n']) {
    const { replies, trouble } = parse(text, '250 Ok\r\n');
    assert.deepEqual([text, replies.length, typeof trouble], [text, 0, 'string']);
  }
});

test('lines, their length and their number are bounded', () => {
  assert.match(parse('250 '.padEnd(REPLY_LINE_OCTETS_MAX + 10, 'x')).trouble ?? '', /line of more than/);
  assert.match(parse('250-x\r\n'.repeat(REPLY_LINES_MAX + 1)).trouble ?? '', /more than 500 lines/);
  assert.match(parse(`250-${'x'.repeat(8000)}\r\n`.repeat(20)).trouble ?? '', /65536 octets/);
  const [long] = parse(`550-${'x'.repeat(1500)}\r\n550 ${'y'.repeat(1500)}\r\n`).replies;
  assert.equal(long?.text.length, REPLY_TEXT_MAX);
});
