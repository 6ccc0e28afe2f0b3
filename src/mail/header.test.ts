import { test } from 'node:test';
import assert from 'node:assert/strict';
import {
  decodeWords,
  editHeader,
  encodeHeaderValue,
  FIELDS_MAX,
  foldHeader,
  HEADER_BYTES_MAX,
  headerValue,
  headerValues,
  readHeader,
  splitMessage,
} from './header.ts';

const message = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));

test('header and body part at the first empty line', () => {
  assert.deepEqual(splitMessage(message('A: 1\nB: 2\n\nbody\n\nmore')), { headerEnd: 12, bodyStart: 14 });
  assert.deepEqual(splitMessage(message('\nbody')), { headerEnd: 0, bodyStart: 2 });
  assert.deepEqual(splitMessage(message('A: 1\n')), { headerEnd: 6, bodyStart: 6 });
  assert.deepEqual(splitMessage(Buffer.alloc(0)), { headerEnd: 0, bodyStart: 0 });
});

test('fields are read with their continuation lines and odd spellings', () => {
  const header = readHeader(message('Subject: one\n two\n\tthree\nx-EMPTY:\nWith-Space : v\nno field here\nTo:a@b\n\nbody: not'));
  assert.deepEqual(
    header.fields.map((field) => field.name),
    ['subject', 'x-empty', 'with-space', '', 'to'],
  );
  assert.equal(headerValue(header, 'subject'), 'one two\tthree');
  assert.equal(headerValue(header, 'x-empty'), '');
  assert.equal(headerValue(header, 'with-space'), 'v');
  assert.equal(headerValue(header, 'to'), 'a@b');
  assert.equal(headerValue(header, 'body'), undefined);
});

test('values are decoded from words, UTF-8 and, failing that, Latin-1', () => {
  const header = readHeader(Buffer.concat([message('S: =?utf-8?q?=C3=B6?=\nU: ö\nL: '), Buffer.from([0xf6]), message('\nS: 2\n\n')]));
  assert.equal(headerValue(header, 's'), 'ö');
  assert.equal(headerValue(header, 'u'), 'ö');
  assert.equal(headerValue(header, 'l'), 'ö');
  assert.deepEqual(headerValues(header, 's'), ['ö', '2']);
});

test('a replacement character that was sent is no sign of another charset', () => {
  assert.equal(headerValue(readHeader(message('S: ö\ufffd\n\n')), 's'), 'ö\ufffd');
});

test('a huge header is read up to its limits and says so', () => {
  assert.equal(readHeader(message(`X: ${'a'.repeat(1000)}\n`.repeat(600) + '\nbody')).trouble, 'header-too-large');
  assert.equal(readHeader(message('X: 1\n'.repeat(FIELDS_MAX + 1) + '\nbody')).trouble, 'too-many-fields');
  assert.equal(readHeader(message('X: 1\n'.repeat(FIELDS_MAX) + '\nbody')).trouble, undefined);
  assert.ok(HEADER_BYTES_MAX < 600_000);
});

test('an edit removes and adds fields and shares what stays', () => {
  const bytes = message('A: 1\nB: 2\n two\nC: 3\nB: 4\n\nbody\n');
  const chunks = editHeader(readHeader(bytes), { remove: (field) => field.name === 'b', prepend: 'P: 0\r\n', append: 'Z: 9\r\n' });
  assert.equal(Buffer.concat(chunks).toString(), message('P: 0\nA: 1\nC: 3\nZ: 9\n\nbody\n').toString());
  assert.equal(chunks.at(-1)?.buffer, bytes.buffer);
  assert.deepEqual(editHeader(readHeader(bytes), {}), [bytes]);
});

test('an edit of a message without header or without body stays well formed', () => {
  assert.equal(Buffer.concat(editHeader(readHeader(message('\nbody')), { append: 'A: 1\r\n' })).toString(), 'A: 1\r\n\r\nbody');
  assert.equal(Buffer.concat(editHeader(readHeader(message('A: 1')), { append: 'B: 2\r\n' })).toString(), 'A: 1\r\nB: 2\r\n');
  assert.equal(Buffer.concat(editHeader(readHeader(Buffer.alloc(0)), { append: 'B: 2\r\n' })).toString(), 'B: 2\r\n');
});

test('only the words that need it are encoded', () => {
  assert.equal(encodeHeaderValue('plain text'), 'plain text');
  assert.match(encodeHeaderValue('Your order für Jörg is ready'), /^Your order =\?UTF-8\?[BQ]\?[^ ]+\?= is ready$/);
  for (const text of ['Grüße', 'ends in ö', 'ö starts', 'a ö b ü c', 'x'.repeat(2000), `short ${'y'.repeat(1500)} end`]) {
    const encoded = encodeHeaderValue(text);
    assert.match(encoded, /^[\x20-\x7e]*$/);
    assert.equal(decodeWords(encoded), text);
  }
});

test('nothing written into a header can end it', () => {
  for (const text of ['a\r\nBcc: x', 'a\nb', 'a\rb', 'a\0b', 'a\u2028b', 'a\x85b']) {
    assert.match(encodeHeaderValue(text), /^a [^\r\n\0]*$/);
    assert.match(foldHeader('X', text), /^X: a [^\r\n\0]*\r\n$/);
  }
});

test('folding keeps the value and every line within the limits', () => {
  const values = [
    'short',
    'word '.repeat(100).trim(),
    `${'x'.repeat(300)} ${'y'.repeat(300)}`,
    'z'.repeat(5000),
    `a${' '.repeat(3000)}b`,
    `${' '.repeat(80)}leading`,
    'a  b   c '.repeat(300).trim(),
  ];
  for (const value of values) {
    const folded = foldHeader('Subject', value);
    for (const line of folded.split('\r\n').slice(0, -1)) {
      assert.ok(line.length <= 998, `${line.length}`);
      assert.match(line, /[^ ]/);
    }
    if (value.length < 1000) assert.equal(headerValue(readHeader(Buffer.from(`${folded}\r\n`)), 'subject'), value.trim());
  }
  for (const line of foldHeader('X', 'word '.repeat(100)).split('\r\n')) assert.ok(line.length <= 76);
});
