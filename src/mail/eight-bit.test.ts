import { test } from 'node:test';
import assert from 'node:assert/strict';
import PostalMime from 'postal-mime';
import { downgradeHeader, toSevenBit } from './eight-bit.ts';
import { parseMime, partText } from './mime.ts';
import { octetFacts } from './octets.ts';
import { headerValue, readHeader } from './header.ts';

const message = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));

function assertSendable(mime: Buffer): void {
  const { bodyStart } = readHeader(mime);
  assert.deepEqual(octetFacts(mime.subarray(Math.max(0, bodyStart - 2))), {
    hasEightBitHeader: false,
    hasEightBitBody: false,
    lineTrouble: undefined,
  });
}

test('a 7-bit message is not copied', () => {
  const mime = message('Subject: ö\nContent-Transfer-Encoding: 8bit\n\nplain\n');
  assert.equal(toSevenBit(mime), mime);
});

test('an 8-bit text becomes quoted-printable, or base64 when most of it is beyond ASCII', async () => {
  const text = 'Grüße aus dem Süden, mit sonst gewöhnlichem Text und vielen Wörtern dazu.\n';
  const mime = toSevenBit(
    message(`From: a@example.org\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${text}`),
  );
  assertSendable(mime);
  assert.match(
    mime.toString(),
    /Content-Type: text\/plain; charset=utf-8\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe/,
  );
  assert.equal((await PostalMime.parse(mime)).text, text);
  assert.match(toSevenBit(message('MIME-Version: 1.0\n\n日本語日本語\n')).toString(), /base64\r\n\r\n/);
});

test('each leaf is encoded as it needs, and what is around it follows', async () => {
  const mime = toSevenBit(
    message(`MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=a
Content-Transfer-Encoding: 8bit

prämble
--a
Content-Type: text/html; charset=utf-8

<p>größe</p> ${'word '.repeat(30)}
--a
Content-Type: text/plain

plain
--a
Content-Type: application/pdf; name="ü.pdf"
Content-Transfer-Encoding: binary
Content-Disposition: attachment; filename="ü.pdf"

bin\0är
--a
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: größe
Content-Transfer-Encoding: 8bit

wörd ${'word '.repeat(30)}
--a--
nächwort
`),
  );
  assertSendable(mime);
  const email = await PostalMime.parse(mime, { forceRfc822Attachments: true });
  assert.match(email.html ?? '', /^<p>größe<\/p>/);
  assert.match(email.text ?? '', /\nplain\n$/);
  assert.equal(email.attachments[0]?.filename, 'ü.pdf');
  assert.equal(Buffer.from(email.attachments[0]?.content as ArrayBuffer).toString(), 'bin\0är');
  const inner = await PostalMime.parse(email.attachments[1]?.content as ArrayBuffer);
  assert.equal(inner.subject, 'größe');
  assert.match(inner.text ?? '', /^wörd word/);
  assert.doesNotMatch(mime.toString(), /8bit|binary/);
});

test('text in a charset of wide characters is kept to the octet', () => {
  const octets = Buffer.from('zwei\nZeilen', 'utf16le');
  const out = toSevenBit(Buffer.concat([Buffer.from('Content-Type: text/plain; charset=utf-16le\r\n\r\n'), octets]));
  assert.equal(partText(parseMime(out), parseMime(out).parts[0]!), 'zwei\nZeilen');
});

test('long lines, bare line ends and NUL are put right, whatever the encoding they claim', async () => {
  for (const [encoding, body] of [
    ['7bit', 'x'.repeat(5000)],
    ['7bit', 'a\nb\rc\0d'],
    ['base64', `${Buffer.from('x'.repeat(5000)).toString('base64')}`],
    ['base64', 'eHh4ä'],
    ['quoted-printable', `x=C3=B6 ä ${'x'.repeat(3000)}`],
  ] as const) {
    const mime = Buffer.from(
      `MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`,
    );
    const out = toSevenBit(mime);
    assertSendable(out);
    assert.notEqual(out, mime);
  }
  const email = await PostalMime.parse(
    toSevenBit(Buffer.from('Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx=C3=B6 ä\r\n')),
  );
  assert.equal(email.text?.trim(), 'xö ä');
});

test('what stands outside of parts is made sendable octet by octet, and no line of 998 is cut', () => {
  const preamble = `${'a'.repeat(998)}\r\n${'b'.repeat(999)}\r\n${'c'.repeat(1996)}\n\x00\xe9`;
  const mime = Buffer.from(`Content-Type: multipart/mixed; boundary=x\r\n\r\n${preamble}\r\n--x\r\n\r\nhi\r\n--x--\r\n`, 'latin1');
  const c = 'c'.repeat(998);
  const wanted = `${'a'.repeat(998)}\r\n${'b'.repeat(998)}\r\nb\r\n${c}\r\n${c}\r\n??\r\n--x\r\n`;
  assert.ok(toSevenBit(mime).toString('latin1').includes(`\r\n\r\n${wanted}`));
});

test('a raw 8-bit header becomes encoded words when its addresses allow it', () => {
  const mime = message('Subject: größe\nFrom: Jörg <j@bücher.example>\nX-Plain: 1\n\nbody\n');
  const out = downgradeHeader(mime) as Buffer;
  assert.equal(octetFacts(out).hasEightBitHeader, false);
  assert.equal(headerValue(readHeader(out), 'subject'), 'größe');
  assert.equal(headerValue(readHeader(out), 'from'), 'Jörg <j@xn--bcher-kva.example>');
  assert.match(out.toString(), /\r\nX-Plain: 1\r\n\r\nbody\r\n$/);
  assert.equal(downgradeHeader(message('From: 用户@example.org\n\nbody\n')), undefined);
  const plain = message('Subject: x\n\nbödy\n');
  assert.equal(downgradeHeader(plain), plain);
});

test('a header line over 998 octets is folded', () => {
  const out = downgradeHeader(message(`X-Long: ${'word '.repeat(500)}\nSubject: ${'x'.repeat(2000)}\n\nbody\n`)) as Buffer;
  assert.equal(octetFacts(out).lineTrouble, undefined);
});

test('random damage always ends in something that can be sent', () => {
  let seed = 11;
  const next = (max: number): number => (seed = (seed * 48271) % 2147483647) % max;
  const pieces = [
    '--a\r\n',
    '--a--\r\n',
    '--b\r\n',
    '\r\n',
    '\r\n\r\n',
    'ö',
    '\0',
    '\n',
    '\r',
    'x'.repeat(999),
    'Content-Type: multipart/mixed; boundary=b\r\n',
    'Content-Type: message/rfc822\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    'Content-Type: text/html; name=ü\r\n',
    'text',
    'X:',
    ' ',
  ];
  for (let round = 0; round < 3000; round++) {
    const body = Array.from({ length: next(25) }, () => pieces[next(pieces.length)]).join('');
    const mime = Buffer.from(`MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n${body}\r\n`);
    assertSendable(toSevenBit(mime));
  }
});
