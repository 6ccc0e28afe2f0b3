import { test } from 'node:test';
import assert from 'node:assert/strict';
import { decodeQuotedPrintable, decodeTransfer, encodeBase64, encodeQuotedPrintable, encodeText } from './transfer-encoding.ts';

const decoded = (text: string): string => {
  const { encoding, body } = encodeText(text);
  return decodeTransfer(Buffer.from(body), encoding).toString();
};

test('the encoding suits the text', () => {
  assert.equal(encodeText('plain\ntext').encoding, '7bit');
  assert.equal(encodeText(`${'x'.repeat(998)}\n${'y'.repeat(998)}`).encoding, '7bit');
  assert.equal(encodeText('x'.repeat(999)).encoding, 'quoted-printable');
  assert.equal(encodeText(`short\n${'x'.repeat(999)}\nshort`).encoding, 'quoted-printable');
  assert.equal(encodeText('ein paar Umlaute: ä, und sonst viel Text').encoding, 'quoted-printable');
  assert.equal(encodeText('日本語のテキスト').encoding, 'base64');
  assert.equal(encodeText('with\0nul').encoding, 'quoted-printable');
});

test('line ends of any kind become CRLF', () => {
  assert.equal(encodeText('a\nb\r\nc\rd\n\r\ne').body, 'a\r\nb\r\nc\r\nd\r\n\r\ne');
});

test('encoded text is short lines of ASCII that decode to what was written', () => {
  let seed = 3;
  const next = (max: number): number => (seed = (seed * 48271) % 2147483647) % max;
  const pieces = [
    'a',
    ' ',
    '  ',
    '\t',
    '=',
    'ö',
    '€',
    '😀',
    '\r\n',
    ' \r\n',
    'word '.repeat(30),
    'x'.repeat(74),
    'x'.repeat(75),
    '\0',
    '.',
    '\ufffd',
  ];
  for (let round = 0; round < 2000; round++) {
    const text = Array.from({ length: next(30) }, () => pieces[next(pieces.length)]).join('');
    const { encoding, body } = encodeText(text);
    assert.equal(decoded(text), text);
    for (const line of body.toString('latin1').split('\r\n')) {
      assert.match(line, /^[\t\x20-\x7e]*$/);
      assert.ok(line.length <= (encoding === '7bit' ? 998 : 76), `${encoding} ${line.length}`);
      if (encoding === 'quoted-printable') assert.doesNotMatch(line, /[ \t]$/);
    }
  }
});

test('quoted-printable keeps every octet', () => {
  const all = Buffer.from(Array.from({ length: 256 * 3 }, (_, i) => i & 255));
  assert.deepEqual(decodeQuotedPrintable(encodeQuotedPrintable(all)), all);
});

test('a worst case fits the space made for it', () => {
  const bytes = Buffer.alloc(100_000, 0xff);
  assert.deepEqual(decodeQuotedPrintable(encodeQuotedPrintable(bytes)), bytes);
  const spaces = Buffer.from(' \r\n'.repeat(30_000));
  assert.deepEqual(decodeQuotedPrintable(encodeQuotedPrintable(spaces)), spaces);
});

test('quoted-printable from careless writers is read', () => {
  assert.equal(decodeQuotedPrintable(Buffer.from('a=\r\nb=  \r\nc=\nd=c3=B6=zz=x=')).toString(), 'abcdö=zz=x');
});

test('base64 has lines of 76 characters and reads back', () => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) & 255));
  const encoded = encodeBase64(bytes);
  assert.ok(
    encoded
      .toString()
      .split('\r\n')
      .every((line) => line.length <= 76),
  );
  assert.deepEqual(decodeTransfer(encoded, ' BASE64 '), bytes);
  assert.equal(encodeBase64(Buffer.alloc(0)).length, 0);
});
