import { test } from 'node:test';
import assert from 'node:assert/strict';
import PostalMime from 'postal-mime';
import { buildDsn, ORIGINAL_MAX, type DsnFacts, type DsnRecipient } from './dsn.ts';
import { toSevenBit } from './eight-bit.ts';
import { headerValue, readHeader } from './header.ts';
import { parseMime } from './mime.ts';
import { octetFacts } from './octets.ts';

const FAILED: DsnRecipient = {
  address: 'nobody@example.net',
  orcpt: 'rfc822;No+2Bbody@example.net',
  action: 'failed',
  status: '5.1.1',
  remoteMta: 'mx.example.net',
  reply: '550 5.1.1 no such user',
  lastAttemptMs: 0,
};
const ORIGINAL = Buffer.from('From: app@example.org\r\nSubject: Hello\r\nMessage-ID: <orig@example.org>\r\n\r\nThe body\r\n');

const facts = (given: Partial<DsnFacts>): DsnFacts => ({
  reportingMta: 'mta.example.org',
  to: 'app@example.org',
  messageId: 'dsn1@mta.example.org',
  dateMs: Date.UTC(2026, 10, 4, 9, 5, 3),
  arrivalMs: Date.UTC(2026, 10, 4, 9, 0, 0),
  recipients: [FAILED],
  original: ORIGINAL,
  ret: 'FULL',
  ...given,
});

/** Type and octets of each part. */
function parts(dsn: Buffer): [type: string, text: string][] {
  return parseMime(dsn).parts.map((part) => [part.type.value, dsn.toString('utf8', part.bodyStart, part.bodyEnd)]);
}

test('a notification has the three parts of RFC 3464', () => {
  const dsn = buildDsn(facts({ envid: 'QQ+2B314159' }));
  const [report, text, status, original, ...more] = parts(dsn);
  assert.equal(report?.[0], 'multipart/report');
  assert.equal(parseMime(dsn).parts[0]?.type.parameters.get('report-type'), 'delivery-status');
  assert.equal(text?.[0], 'text/plain');
  assert.match(text?.[1] ?? '', /nobody@example\.net\r\n    mx\.example\.net said: 550 5\.1\.1 no such user/);
  assert.deepEqual(status, [
    'message/delivery-status',
    [
      'Reporting-MTA: dns; mta.example.org',
      'Original-Envelope-Id: QQ+314159',
      'Arrival-Date: Wed, 04 Nov 2026 09:00:00 +0000',
      '',
      'Original-Recipient: rfc822; No+body@example.net',
      'Final-Recipient: rfc822; nobody@example.net',
      'Action: failed',
      'Status: 5.1.1',
      'Remote-MTA: dns; mx.example.net',
      'Diagnostic-Code: smtp; 550 5.1.1 no such user',
      'Last-Attempt-Date: Thu, 01 Jan 1970 00:00:00 +0000',
      '',
    ].join('\r\n'),
  ]);
  assert.deepEqual(original, ['message/rfc822', ORIGINAL.toString()]);
  assert.deepEqual(more, []);
  assert.equal(dsn.buffer.byteLength, dsn.length);
});

test('its header says what it is and to what it belongs', () => {
  const header = readHeader(buildDsn(facts({})));
  assert.equal(headerValue(header, 'from'), 'Mail Delivery System <mailer-daemon@mta.example.org>');
  assert.equal(headerValue(header, 'to'), 'app@example.org');
  assert.equal(headerValue(header, 'auto-submitted'), 'auto-replied');
  assert.equal(headerValue(header, 'in-reply-to'), '<orig@example.org>');
  assert.equal(headerValue(header, 'message-id'), '<dsn1@mta.example.org>');
});

test('RET=HDRS and large originals return the header alone', () => {
  assert.deepEqual(parts(buildDsn(facts({ ret: 'HDRS' }))).at(-1), [
    'text/rfc822-headers',
    ORIGINAL.toString().split('\r\n\r\n')[0] + '\r\n',
  ]);
  const large = Buffer.concat([ORIGINAL, Buffer.alloc(ORIGINAL_MAX, 'x')]);
  assert.equal(parts(buildDsn(facts({ original: large }))).at(-1)?.[0], 'text/rfc822-headers');
});

test('each action has its words, and several recipients their blocks', () => {
  const recipients: DsnRecipient[] = [
    FAILED,
    { address: 'slow@example.net', action: 'delayed', status: '4.4.1', trouble: 'connection refused', willRetryUntilMs: 86_400_000 },
    { address: 'a@example.net', action: 'delivered', status: '2.0.0' },
    { address: 'b@example.net', action: 'relayed', status: '2.0.0' },
  ];
  const dsn = buildDsn(facts({ recipients }));
  const [, text, status] = parts(dsn);
  assert.match(text?.[1] ?? '', /could not[^]*has not been[^]*tried until Fri, 02 Jan[^]*handed on[^]*was delivered/);
  assert.equal(status?.[1].split('\r\n\r\n').length, 5);
  assert.match(status?.[1] ?? '', /Diagnostic-Code: x-postrider; connection refused\r\nWill-Retry-Until: Fri, 02 Jan 1970 00:00:00 \+0000/);
  assert.equal(headerValue(readHeader(dsn), 'subject'), 'Your mail could not be delivered');
  assert.equal(headerValue(readHeader(buildDsn(facts({ recipients: recipients.slice(1, 2) }))), 'subject'), 'Your mail is delayed');
});

test('what a stranger wrote cannot leave its field', () => {
  const evil = 'x\r\nFinal-Recipient: rfc822; victim@example.net\r\n\r\n--=_\u2028\0\x1b[31m';
  const recipient = { ...FAILED, reply: evil, remoteMta: evil, orcpt: `rfc822;a+0D+0AAction: delivered`, status: evil };
  const dsn = buildDsn(
    facts({
      recipients: [recipient],
      envid: 'a+0D+0AX: y',
      original: Buffer.from('Message-ID: <a> <b>\r\nSubject: =?utf-8?q?a=0Ab?=\r\n\r\nx\r\n'),
    }),
  );
  const [, , status] = parts(dsn);
  assert.equal(status?.[1].match(/^Final-Recipient/gm)?.length, 1);
  assert.equal(status?.[1].match(/^Action/gm)?.length, 1);
  assert.match(status?.[1] ?? '', /^Status: 5\.0\.0\r$/m);
  assert.equal(octetFacts(dsn).lineTrouble, undefined);
});

test('a long reply stays within the limits of a line', () => {
  const dsn = buildDsn(facts({ recipients: [{ ...FAILED, reply: `550 ${'x'.repeat(50_000)}` }] }));
  assert.equal(octetFacts(dsn).lineTrouble, undefined);
  assert.ok(dsn.length < 10_000);
});

test('an address beyond ASCII makes a notification of RFC 6533', () => {
  const dsn = buildDsn(facts({ recipients: [{ ...FAILED, address: '用户@example.net' }] }));
  const status = parts(dsn)[2];
  assert.equal(status?.[0], 'message/global-delivery-status');
  assert.match(status?.[1] ?? '', /Final-Recipient: utf-8; 用户@example\.net/);
});

test('an 8-bit original can still go to a server without 8BITMIME', async () => {
  const original = Buffer.from(
    'From: app@example.org\r\nSubject: grün\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße aus der Ferne, und mehr davon\r\n',
  );
  const dsn = buildDsn(facts({ original }));
  assert.equal(octetFacts(toSevenBit(dsn)).hasEightBitBody, false);
  const email = await PostalMime.parse(toSevenBit(dsn), { forceRfc822Attachments: true });
  assert.ok(email.attachments.length >= 1);
});
