import { test } from 'node:test';
import assert from 'node:assert/strict';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { attachmentFacts, DEPTH_MAX, parseMime, PARTS_MAX, partText, type MimeStructure } from './mime.ts';

const message = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));
const shape = (mime: MimeStructure): string[] =>
  mime.parts.map(
    (part) => `${part.depth} ${part.type.value} ${JSON.stringify(mime.bytes.toString('latin1', part.bodyStart, part.bodyEnd))}`,
  );
const leaves = (mime: MimeStructure): string[] => mime.parts.filter((part) => !part.isContainer).map((part) => partText(mime, part));

const NESTED = message(`From: a@example.org
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner

plain
--inner
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<p>=F6</p>

--inner--
between
--outer \t
Content-Type: application/pdf; name="a.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=UTF-8''%C3%BC.pdf

UERGIGNvbnRlbnQ=
--outer--
epilogue
`);

test('parts stand where they stand, without the line end that belongs to the delimiter', () => {
  const mime = parseMime(NESTED);
  assert.equal(mime.isTruncated, false);
  assert.deepEqual(
    mime.parts.map((part) => [part.parent, part.depth, part.type.value, part.isContainer]),
    [
      [-1, 0, 'multipart/mixed', true],
      [0, 1, 'multipart/alternative', true],
      [1, 2, 'text/plain', false],
      [1, 2, 'text/html', false],
      [0, 1, 'application/pdf', false],
    ],
  );
  assert.deepEqual(leaves(mime), ['plain', '<p>ö</p>\r\n', 'PDF content']);
});

test('attached files are told with their names and decoded sizes', () => {
  assert.deepEqual(attachmentFacts(parseMime(NESTED)), [{ filename: 'ü.pdf', 'content-type': 'application/pdf', size: 11 }]);
  assert.deepEqual(attachmentFacts(parseMime(message('Subject: x\n\nhello'))), []);
  for (const size of [0, 1, 2, 3, 56, 57, 58, 1000, 5700]) {
    const base64 = Buffer.alloc(size, 'x').toString('base64').replace(/.{76}/g, '$&\r\n');
    const mime = parseMime(Buffer.from(`Content-Type: image/png; name=x\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n`));
    assert.equal(attachmentFacts(mime)[0]?.size, size);
  }
});

test('a plain message is one leaf', () => {
  assert.deepEqual(shape(parseMime(message('Subject: x\n\nhello\n--x\n'))), ['0 text/plain "hello\\r\\n--x\\r\\n"']);
  assert.deepEqual(shape(parseMime(Buffer.alloc(0))), ['0 text/plain ""']);
  assert.deepEqual(shape(parseMime(message('Content-Type: multipart/mixed\n\n--\nx'))), ['0 multipart/mixed "--\\r\\nx"']);
});

test('what careless or cut-off messages leave open ends with what is around it', () => {
  assert.deepEqual(leaves(parseMime(message('Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\n\ny'))), ['x', 'y']);
  assert.deepEqual(
    leaves(
      parseMime(
        message(
          'Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--a\n\ny\n--a--\n--b\n\nz',
        ),
      ),
    ),
    ['x', 'y'],
  );
  // A part whose header never ends, a header that is cut by a delimiter, a boundary that is a prefix of another.
  assert.deepEqual(leaves(parseMime(message('Content-Type: multipart/mixed; boundary=a\n\n--a\nX: y\n--a\n\nz\n--a--'))), ['', 'z']);
  assert.deepEqual(leaves(parseMime(message('Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--ab\n--a b\ny\n--a--'))), [
    'x\r\n--ab\r\n--a b\r\ny',
  ]);
  assert.deepEqual(leaves(parseMime(message('Content-Type: multipart/mixed; boundary=a\n\n--a'))), ['']);
});

test('an inner boundary that repeats an outer one does not hide it', () => {
  const inner = 'Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\n\ny\n--a--\n';
  const mime = parseMime(message(`Content-Type: multipart/mixed; boundary=a\n\n--a\n${inner}`));
  assert.deepEqual(
    mime.parts.map((part) => [part.parent, part.isContainer]),
    [
      [-1, true],
      [0, false],
      [0, false],
      [0, false],
    ],
  );
});

test('messages inside are looked into only when asked', () => {
  const bytes = message('Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n--a--\n');
  assert.deepEqual(leaves(parseMime(bytes)), ['Subject: in\r\n\r\nbody']);
  assert.deepEqual(leaves(parseMime(bytes, { intoMessages: true })), ['body']);
});

test('thousands of levels, tens of thousands of parts and their like are cut at the bounds', () => {
  let deep = '';
  for (let i = 0; i < 5000; i++) deep += `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`;
  const deepMime = parseMime(Buffer.from(deep));
  assert.ok(deepMime.isTruncated && deepMime.parts.length <= DEPTH_MAX);
  const wide = parseMime(message(`Content-Type: multipart/mixed; boundary=a\n\n${'--a\n\nx\n'.repeat(50_000)}`));
  assert.ok(wide.isTruncated && wide.parts.length === PARTS_MAX);
  const messages = parseMime(message('Content-Type: message/rfc822\n\n'.repeat(10_000)), { intoMessages: true });
  assert.ok(messages.isTruncated && messages.parts.length <= DEPTH_MAX);
});

test('hostile structures cost linear time', () => {
  const head = 'Content-Type: multipart/mixed; boundary=a\r\n\r\n';
  const big = 10_000_000;
  let nested = '';
  for (let i = 0; i < 99; i++) nested += `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`;
  const hostile = [
    head + '\r\n--'.repeat(big / 4),
    head + '--a\r\nX'.repeat(big / 6),
    head + '--a\r\n'.repeat(1000) + 'x\r\n'.repeat(big / 3),
    head + '--a\r\n' + 'Content-Type: message/rfc822\r\n\r\n'.repeat(97) + '\n-x'.repeat(big / 3),
    nested + 'x'.repeat(big),
    'Content-Type: message/rfc822\r\n\r\n'.repeat(99) + nested + 'x'.repeat(big),
    `Content-Type: multipart/mixed; boundary="${'b'.repeat(100_000)}"\r\n\r\n--${'b'.repeat(100_000)}\r\n`,
    `Content-Type: multipart/mixed; ${'x*0*=a;'.repeat(50_000)}\r\n\r\n`,
    `Content-Type: multipart/mixed; ${Array.from({ length: 20_000 }, (_, i) => `boundary*${i}=a`).join(';')}\r\n\r\n`,
    `Content-Type: text/plain; charset="${'c'.repeat(100_000)}"\r\n\r\nx`,
    `Content-Type: ${';'.repeat(1_000_000)}\r\n\r\nx`,
    `Content-Type: text/plain; a="${'\\"'.repeat(500_000)}\r\n\r\nx`,
    'A:\r\n'.repeat(500_000),
  ];
  for (const text of hostile) {
    const start = threadCpuMs();
    const mime = parseMime(Buffer.from(text, 'latin1'), { intoMessages: true });
    attachmentFacts(mime);
    for (const part of mime.parts.slice(0, 2)) partText(mime, part);
    assert.ok(threadCpuMs() - start < 1500, text.slice(0, 60));
  }
});

test('hostile charsets and encodings give some text', () => {
  for (const charset of ['nonsense', 'utf-7', 'iso-2022-kr', '../../etc/passwd', '', 'UTF-16', 'x'.repeat(500), '__proto__']) {
    const mime = parseMime(Buffer.from(`Content-Type: text/plain; charset="${charset}"\r\nContent-Transfer-Encoding: nonsense\r\n\r\nabc`));
    assert.equal(typeof partText(mime, mime.parts[0]!), 'string', charset);
  }
});
