/** What is sent to fill memory or to burn time is cut, and read in a time that grows no faster than its size. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REPORTED_MAX } from '#mail/status-report.ts';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { readReturned } from './read-returned.ts';

function report(status: string, text = 'Sorry.'): Buffer {
  return Buffer.from(
    'From: MAILER-DAEMON@x.test\r\nSubject: Undeliverable\r\nContent-Type: multipart/report; boundary=b\r\n\r\n' +
      `--b\r\n\r\n${text}\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n${status}\r\n--b--\r\n`,
  );
}

/** Milliseconds of the processor; the shorter of two, as the first has the code compiled too. */
function took(bytes: Buffer): number {
  const once = (): number => {
    const startMs = threadCpuMs();
    readReturned(bytes);
    return threadCpuMs() - startMs;
  };
  return Math.min(once(), once());
}

test('a report of 10,000 recipients is cut, and says so', () => {
  const blocks = Array.from({ length: 10_000 }, (_, i) => `Final-Recipient: rfc822; u${i}@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\n`);
  const read = readReturned(report(`Reporting-MTA: dns; x.test\r\n\r\n${blocks.join('\r\n')}`));
  assert.ok(read.kind === 'report' && read.isTruncated);
  assert.equal(read.recipients.length, REPORTED_MAX);
});

test('a thousand recipients in few octets are told from a thousand and one', () => {
  const blocks = (count: number): string => 'Action: failed\r\n\r\n'.repeat(count);
  for (const [count, isTruncated] of [
    [REPORTED_MAX, false],
    [REPORTED_MAX + 1, true],
  ] as const) {
    const read = readReturned(report(`Reporting-MTA: dns; x.test\r\n\r\n${blocks(count)}`));
    assert.ok(read.kind === 'report');
    assert.deepEqual([read.recipients.length, read.isTruncated], [REPORTED_MAX, isTruncated]);
  }
});

test('parts within parts end somewhere', () => {
  let inner = 'Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@x.test\r\nAction: failed\r\n';
  for (let depth = 0; depth < 3000; depth++)
    inner = `Content-Type: multipart/report; boundary=b${depth}\r\n\r\n--b${depth}\r\n${inner}--b${depth}--\r\n`;
  assert.ok(took(Buffer.from(`Subject: x\r\n${inner}`)) < 1000);
});

test('long lines, many lines and many addresses take no more time than their size asks for', () => {
  const texts = [
    'x'.repeat(2_000_000),
    'a@b.cc '.repeat(250_000),
    '<'.repeat(2_000_000),
    `${'('.repeat(60)}${'a'.repeat(64)}\r\n`.repeat(15_000),
    'jane@example.org:\r\n'.repeat(100_000),
    `${'@'.repeat(900)}\r\n`.repeat(2000),
  ];
  for (const text of texts) {
    const plain = Buffer.from(`From: MAILER-DAEMON@x.test\r\nSubject: Undeliverable\r\n\r\nThis is the Postfix program\r\n${text}`);
    assert.ok(took(plain) < 1500, `${text.slice(0, 20)}…: ${took(plain)} ms`);
    assert.ok(took(report(text, text)) < 1500);
  }
});

test('nothing that a stranger writes is thrown at us', () => {
  let seed = 7;
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const words = [
    '--b\r\n',
    '\r\n\r\n',
    'Content-Type: ',
    'multipart/report; boundary=b',
    'message/delivery-status',
    'Final-Recipient: utf-8; \\x{110000}@x',
    'Action: failed',
    ': ',
    '<',
    '>',
    '\0',
    'ä',
    'Feedback-Type: ',
    'message/feedback-report',
    'X-Failed-Recipients: ,,@,',
    '\r\n',
  ];
  for (let round = 0; round < 2000; round++) {
    const text = Array.from({ length: next(40) }, () => words[next(words.length)]).join('');
    assert.equal(typeof readReturned(Buffer.from(text)).kind, 'string');
  }
});
