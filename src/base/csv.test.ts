import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { CsvReader } from './csv.ts';

function rows(text: string): string[][] {
  const reader = new CsvReader(Buffer.from(text));
  const all: string[][] = [];
  for (let row = reader.next(); row !== undefined; row = reader.next()) all.push(row);
  return all;
}

test('rows end with LF or CRLF, the last one also with the file, and empty lines are none', () => {
  assert.deepEqual(rows('a,b\r\nc,d\n\n\r\ne,'), [
    ['a', 'b'],
    ['c', 'd'],
    ['e', ''],
  ]);
});

test('a quoted field holds commas, quotes and line ends', () => {
  assert.deepEqual(rows('"a,b","say ""hi""","two\r\nlines"\nnext,"",x\n'), [
    ['a,b', 'say "hi"', 'two\r\nlines'],
    ['next', '', 'x'],
  ]);
});

test('the mark of the order of octets, which spreadsheets write, is not part of the first name', () => {
  assert.deepEqual(rows('\ufeffaddress\nä@x.example'), [['address'], ['ä@x.example']]);
});

test('reading goes on from any row', () => {
  const bytes = Buffer.from('a\n"b\nb"\nc\n');
  const first = new CsvReader(bytes);
  first.next();
  first.next();
  const second = new CsvReader(bytes, first.position);
  assert.deepEqual(second.next(), ['c']);
  assert.equal(second.next(), undefined);
});

test('a quote that is never closed spoils its own line alone', () => {
  const text = `a\n"never closed\n${'row,x\n'.repeat(20_000)}`;
  const all = rows(text);
  assert.deepEqual(all.slice(0, 3), [['a'], [], ['row', 'x']]);
  assert.equal(all.length, 20_002);
});

test('the time for a row does not grow with the file, quotes or none', () => {
  const startMs = threadCpuMs();
  assert.equal(rows('someone.long@example.net,Ann\n'.repeat(200_000)).length, 200_000);
  const tookMs = threadCpuMs() - startMs;
  // A tenth of a second; looking through the rest of the file in each row takes a quarter of a minute.
  assert.ok(tookMs < 5000, `${Math.round(tookMs)} ms`);
});
