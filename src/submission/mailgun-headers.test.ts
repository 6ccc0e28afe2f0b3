import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeMailgunHeaders } from './mailgun-headers.ts';

function mime(...lines: string[]): Buffer {
  return Buffer.from(lines.join('\r\n'));
}

test('a message without such headers comes back as the same bytes, uncopied', () => {
  const message = mime('From: a@example.org', '', 'X-Mailgun-Tag: in the body');
  const taken = takeMailgunHeaders(message);
  assert.equal(taken.mime, message);
  assert.deepEqual(taken.pairs, []);
  assert.equal(taken.recipientVariables, undefined);
});

test('each header becomes its option and is cut out; the rest keeps its octets', () => {
  const message = mime(
    'X-Mailgun-Tag: first',
    'From: a@example.org',
    'x-mailgun-tag:second',
    'Subject:  odd   spacing ',
    'X-MAILGUN-Drop-Message: yes',
    'X-Mailgun-Deliver-By: Thu, 15 Jan 2026 14:00:00 GMT',
    'X-Mailgun-Track: htmlonly',
    'X-Mailgun-Template-Name: welcome',
    'X-Mailgun-Sid: of a forwarded message',
    'Constructor: not an option',
    '',
    'Body',
  );
  const taken = takeMailgunHeaders(message);
  assert.equal(
    taken.mime.toString(),
    'From: a@example.org\r\nSubject:  odd   spacing \r\nX-Mailgun-Sid: of a forwarded message\r\nConstructor: not an option\r\n\r\nBody',
  );
  assert.deepEqual(taken.pairs, [
    ['o:tag', 'first'],
    ['o:tag', 'second'],
    ['o:testmode', 'yes'],
    ['o:deliverytime', 'Thu, 15 Jan 2026 14:00:00 GMT'],
    ['o:tracking', 'htmlonly'],
    ['template', 'welcome'],
  ]);
});

test('JSON may be folded over lines and written as encoded words', () => {
  const taken = takeMailgunHeaders(
    mime(
      'X-Mailgun-Variables: {"a": 1,',
      '\t"b": "two"}',
      'X-Mailgun-Recipient-Variables: {"Bob@example.com":',
      ' {"name": "=?utf-8?q?J=C3=BCrgen?="}}',
      'From: a@example.org',
      '',
      '',
    ),
  );
  assert.deepEqual(JSON.parse(taken.pairs[0]?.[1] ?? ''), { a: 1, b: 'two' });
  assert.deepEqual(taken.recipientVariables?.get('bob@example.com'), { name: 'Jürgen' });
  assert.equal(taken.mime.toString(), 'From: a@example.org\r\n\r\n');
});

test('lines that end with LF alone, as files have, become CRLF', () => {
  const taken = takeMailgunHeaders(Buffer.from('From: a@example.org\nX-Mailgun-Tag: t\n\nX-Mailgun-Tag: body\n'));
  assert.equal(taken.mime.toString(), 'From: a@example.org\r\n\r\nX-Mailgun-Tag: body\r\n');
  assert.deepEqual(taken.pairs, [['o:tag', 't']]);
});

test('recipient variables that are no JSON refuse the message', () => {
  assert.throws(() => takeMailgunHeaders(mime('X-Mailgun-Recipient-Variables: {', '', '')), { code: 'bad-parameter' });
});

function container(json: string[], message: string[]): Buffer {
  const head = ['X-Mailgun-Tag: outer', 'Content-Type: multipart/mailgun-variables; boundary="b 1"', '', '--b 1'];
  return mime(...head, ...json, '--b 1', ...message, '--b 1--', '');
}

test('a multipart/mailgun-variables container gives the message inside and its variables', () => {
  const variables = Buffer.from('{"bob@example.com": {"id": 7}}').toString('base64');
  const taken = takeMailgunHeaders(
    container(
      ['Content-Type: application/json', 'Content-Transfer-Encoding: base64', '', variables],
      ['Content-Type: message/rfc822', '', 'From: a@example.org', 'X-Mailgun-Tag: inner', '', 'Hi %recipient.id%', ''],
    ),
  );
  assert.equal(taken.mime.toString(), 'From: a@example.org\r\n\r\nHi %recipient.id%\r\n');
  assert.deepEqual(taken.recipientVariables?.get('bob@example.com'), { id: 7 });
  assert.deepEqual(taken.pairs, [
    ['o:tag', 'outer'],
    ['o:tag', 'inner'],
  ]);
});

test('a container that lacks a part, or holds another container, is refused', () => {
  assert.throws(() => takeMailgunHeaders(mime('Content-Type: multipart/mailgun-variables; boundary=b', '', '--b', '', '{}', '')), {
    code: 'bad-content',
  });
  assert.throws(() => takeMailgunHeaders(mime('Content-Type: multipart/mailgun-variables', '', '{}')), { code: 'bad-content' });
  const inner = container(['', '{}'], ['', 'From: a@example.org', '', 'Hi', '']).toString().replaceAll('b 1', 'c 2');
  assert.throws(() => takeMailgunHeaders(container(['', '{}'], ['Content-Type: message/rfc822', '', inner])), { code: 'bad-content' });
});
