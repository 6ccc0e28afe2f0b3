import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { stuffed, whole } from './client-body.ts';

const LINES = ['', '.', '..', 'a', '.a', 'a.', '..a.'];

test('every dot after a line end is doubled, in few lines and in many, wherever the chunks are cut', () => {
  for (const count of [1, 10, 150, 5000]) {
    const text = Array.from({ length: count }, (_, i) => `${LINES[(i * i + count) % LINES.length]}\r\n`).join('');
    const octets = Buffer.from(text);
    for (const cut of [0, 1, 2, 3, 7, octets.length >> 1, octets.length]) {
      const sent = Buffer.concat(stuffed([octets.subarray(0, cut), octets.subarray(cut)])).toString();
      assert.equal(sent, `${text.replace(/^\./gm, '..')}.\r\n`, `${count} lines cut at ${cut}`);
    }
  }
});

test('a message without a last line end gets one before the end of data', () => {
  assert.equal(Buffer.concat(stuffed([Buffer.from('a\r'), Buffer.from('\n')])).toString(), 'a\r\n.\r\n');
  assert.equal(Buffer.concat(stuffed([Buffer.from('.')])).toString(), '..\r\n.\r\n');
  assert.equal(whole([Buffer.from('.')], 1).sizeBytes, 3);
});

test('a message of nothing but dots is a few writes, not one for each line', () => {
  assert.ok(stuffed([Buffer.from('.\r\n'.repeat(100_000))]).length < 500);
});
