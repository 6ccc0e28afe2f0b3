import { test } from 'node:test';
import assert from 'node:assert/strict';
import { endLineScan, lineTrouble, normalizeNewlines, scanNewlines, startLineScan } from './smtp-text.ts';

/** The plain way to say what the scan says. */
function plainTrouble(text: string, lineMax: number): string | undefined {
  let line = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '\r' && text[i + 1] === '\n') {
      if (line > lineMax) return 'line-too-long';
      line = 0;
      i++;
    } else if (character === '\r') return line > lineMax ? 'line-too-long' : 'bare-cr';
    else if (character === '\n') return 'bare-lf';
    else if (character === '\0') return 'nul';
    else line++;
  }
  return line > lineMax ? 'line-too-long' : undefined;
}

test('clean text has no trouble, in whatever pieces it comes', () => {
  const text = Buffer.from('Subject: x\r\n\r\nline\tone\r\n.\r\nümlaut\r\n\r\n\x01\x0b\x0c\r\n');
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const scan = startLineScan();
      for (const chunk of [text.subarray(0, first), text.subarray(first, second), text.subarray(second)]) scanNewlines(chunk, scan, 998);
      assert.equal(endLineScan(scan), undefined);
    }
  }
});

test('each trouble has its name, at every alignment', () => {
  for (let pad = 0; pad < 9; pad++) {
    const before = 'x'.repeat(pad);
    for (let after = 0; after < 9; after++) {
      const tail = 'y'.repeat(after);
      assert.equal(lineTrouble(Buffer.from(`${before}\r${tail}`), 998), 'bare-cr');
      assert.equal(lineTrouble(Buffer.from(`${before}\n${tail}`), 998), 'bare-lf');
      assert.equal(lineTrouble(Buffer.from(`${before}\0${tail}`), 998), 'nul');
      assert.equal(lineTrouble(Buffer.from(`${before}\r\r\n${tail}`), 998), 'bare-cr');
      assert.equal(lineTrouble(Buffer.from(`${before}\r\n\n${tail}`), 998), 'bare-lf');
    }
  }
});

test('a line is as long as its octets without CRLF', () => {
  assert.equal(lineTrouble(Buffer.from(`${'a'.repeat(998)}\r\n${'b'.repeat(998)}`), 998), undefined);
  assert.equal(lineTrouble(Buffer.from(`${'a'.repeat(999)}\r\n`), 998), 'line-too-long');
  assert.equal(lineTrouble(Buffer.from(`x\r\n${'b'.repeat(999)}`), 998), 'line-too-long');
  const scan = startLineScan();
  for (let i = 0; i < 999; i++) scanNewlines(Buffer.from('a'), scan, 998);
  assert.equal(scan.trouble, 'line-too-long');
});

test('random text in random pieces gives what a plain reading gives', () => {
  const letters = ['a', 'é', '.', '\r', '\n', '\r\n', '\r\n', '\r\n', '\0', '\t', 'aaaa'];
  let seed = 1;
  const next = (max: number): number => (seed = (seed * 48271) % 2147483647) % max;
  let clean = 0;
  for (let round = 0; round < 3000; round++) {
    const text = Array.from(
      { length: next(12) },
      () => letters[round % 2 === 0 ? next(letters.length) : [0, 1, 2, 5, 9, 10][next(6)]!],
    ).join('');
    const bytes = Buffer.from(text);
    const scan = startLineScan();
    for (let at = 0; at < bytes.length;) {
      const size = 1 + next(5);
      scanNewlines(bytes.subarray(at, at + size), scan, 6);
      at += size;
    }
    const expected = plainTrouble(bytes.toString('latin1'), 6);
    // Only the end of a piece can show a long line before the character that ends it.
    const found = endLineScan(scan);
    assert.ok(found === expected || (found === 'line-too-long' && expected !== undefined), `${JSON.stringify(text)}: ${found} ${expected}`);
    if (expected === undefined) clean++;
  }
  assert.ok(clean > 500);
});

test('newlines are normalised, and clean text is not copied', () => {
  assert.equal(normalizeNewlines(Buffer.from('a\nb\rc\r\nd\n\re\r\r\n')).toString(), 'a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\n');
  const clean = Buffer.from('a\r\nb\r\n');
  assert.equal(normalizeNewlines(clean), clean);
});
