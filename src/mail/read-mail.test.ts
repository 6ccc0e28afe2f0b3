import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { readMail } from './read-mail.ts';

function read(lines: readonly string[]): ReturnType<typeof readMail> {
  return readMail(Buffer.from(lines.join('\r\n')));
}

test('texts, files and fields are read in their order, decoded', () => {
  const mail = read([
    'Subject: =?iso-8859-1?q?Sch=F6n?=',
    'x-B: one',
    'X-B: two',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain; charset=iso-8859-1',
    '',
    'Gr\xfc\xdfe',
    '--b',
    'Content-Type: text/plain; name="note.txt"',
    '',
    'a file',
    '--b',
    'Content-Type: text/html',
    '',
    '<b>x</b>',
    '--b',
    'Content-Type: message/rfc822',
    '',
    'Subject: inner',
    '',
    'inner text',
    '--b',
    'Content-Type: image/png',
    'Content-ID: <a@b>',
    'Content-Disposition: inline; filename="..\\\\..\\\\c:/pic\tx.png"',
    'Content-Transfer-Encoding: base64',
    '',
    'AAEC',
    '--b--',
  ]);
  assert.equal(mail.header('subject'), 'Schön');
  assert.deepEqual(mail.headers.slice(1, 3), [
    ['x-B', 'one'],
    ['X-B', 'two'],
  ]);
  assert.equal(mail.html, '<b>x</b>');
  assert.deepEqual(
    mail.files.map(({ filename, contentType, contentId, isInline }) => [filename, contentType, contentId, isInline]),
    [
      ['note.txt', 'text/plain', undefined, false],
      ['attachment-2.eml', 'message/rfc822', undefined, false],
      ['pic x.png', 'image/png', 'a@b', true],
    ],
  );
  assert.deepEqual([...(mail.files[2]?.octets() ?? [])], [0, 1, 2]);
});

test('a message without a structure is a text, and one without anything is nothing', () => {
  assert.equal(read(['Subject: x', '', 'Hi', '']).text, 'Hi\n');
  assert.equal(read(['Content-Type: text/html', '', '<p>']).html, '<p>');
  assert.equal(read(['Content-Type: text/calendar; name="a.ics"', '', 'BEGIN:VCALENDAR']).text, 'BEGIN:VCALENDAR');
  assert.deepEqual(read(['Content-Type: application/pdf', '', 'x']).files.length, 1);
  const empty = readMail(Buffer.alloc(0));
  assert.deepEqual([empty.text, empty.html, empty.files.length, empty.headers.length], ['', undefined, 0, 0]);
});

test('mail that was made to be dear to read is read at once', () => {
  const bombs = [
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(200_000)}`,
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'.repeat(50_000)}`,
    `${'X: y\r\n'.repeat(300_000)}\r\n`,
    `Content-Type: text/html\r\n\r\n${'<div>'.repeat(1_000_000)}`,
    `Subject: ${'=?utf-8?q?=?='.repeat(30_000)}\r\n\r\n`,
  ];
  const startMs = threadCpuMs();
  for (const bomb of bombs) readMail(Buffer.from(bomb));
  assert.ok(threadCpuMs() - startMs < 2000, `${Math.round(threadCpuMs() - startMs)} ms`);
});
