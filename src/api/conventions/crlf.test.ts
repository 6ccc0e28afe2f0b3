import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCrlf } from './crlf.ts';

test('every kind of line end becomes CRLF', () => {
  assert.equal(toCrlf(Buffer.from('a\nb\r\nc\rd\n\r\r\n')).toString(), 'a\r\nb\r\nc\r\nd\r\n\r\n\r\n');
});

test('what is right already is handed back, not copied', () => {
  const bytes = Buffer.from('a\r\nb\r\n');
  assert.equal(toCrlf(bytes), bytes);
});
