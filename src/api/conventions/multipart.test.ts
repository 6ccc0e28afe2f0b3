import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boundaryOf, parseMultipart } from './multipart.ts';

const LIMITS = { parts: 10, partHeaderBytes: 1000 };

function parse(text: string): { fields: (readonly [string, string])[]; files: [string, string, string, string][] } {
  const form = parseMultipart(Buffer.from(text), 'b', LIMITS);
  return { fields: [...form.pairs], files: form.files.map((file) => [file.name, file.filename, file.contentType, file.bytes.toString()]) };
}

const part = (header: string, body: string): string => `--b\r\n${header}\r\n\r\n${body}\r\n`;
const field = (name: string, value: string): string => part(`Content-Disposition: form-data; name="${name}"`, value);

test('fields keep their text, empty ones and those that look like delimiters too', () => {
  const { fields } = parse(`${field('a', '')}${field('b', 'x\r\n--bb\r\ny')}${field('c', ' --b')}--b--\r\n`);
  assert.deepEqual(fields, [
    ['a', ''],
    ['b', 'x\r\n--bb\r\ny'],
    ['c', ' --b'],
  ]);
});

test('a preamble, an epilogue, padding and a header written in any case are understood', () => {
  const { fields } = parse(`preamble\r\n--b \t\r\nCONTENT-DISPOSITION: Form-Data; NAME=a\r\nX-Other: 1\r\n\r\nv\r\n--b--epilogue`);
  assert.deepEqual(fields, [['a', 'v']]);
});

test('file names come quoted, escaped, percent-escaped by browsers, extended, or with a path to be cut', () => {
  const named = (parameter: string): string | undefined =>
    parse(`${part(`Content-Disposition: form-data; name="f"; ${parameter}`, 'x')}--b--`).files[0]?.[1];
  assert.equal(named('filename="a \\"b\\".txt"'), 'a "b".txt');
  assert.equal(named('filename="a %22b%22.txt"'), 'a "b".txt');
  assert.equal(named('filename*=UTF-8\'\'na%C3%AFve.txt; filename="x"'), 'naïve.txt');
  assert.equal(named('filename="grün;1.txt"'), 'grün;1.txt');
  assert.equal(named('filename="C:\\dir\\file.txt"'), 'file.txt');
  assert.equal(named('filename=plain.txt'), 'plain.txt');
});

test('a charset of a part is honoured, base64 is undone', () => {
  const bytes = Buffer.concat([
    Buffer.from('--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n'),
    Buffer.from([0xe4]),
    Buffer.from(
      '\r\n--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--b--',
    ),
  ]);
  const form = parseMultipart(bytes, 'b', LIMITS);
  assert.equal(form.get('a'), 'ä');
  assert.equal(form.files[0]?.bytes.toString(), 'hi');
});

test('every cut of a whole body is refused, none is taken for whole', () => {
  const whole = `${field('a', '1')}${part('Content-Disposition: form-data; name="f"; filename="f"', 'bytes')}--b--`;
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parse(whole.slice(0, length)), { code: 'bad-parameter' }, `cut at ${length}`);
  }
});

test('what grows is bounded', () => {
  assert.throws(() => parse(`${field('a', '').repeat(11)}--b--`), /too many parameters, max is 10/);
  assert.throws(() => parse(`${field('n'.repeat(2000), '')}--b--`), /malformed/);
  assert.equal(boundaryOf(`multipart/form-data; boundary=${'x'.repeat(200)}`), undefined);
});

test('a boundary may be quoted and stand anywhere among the parameters', () => {
  assert.equal(boundaryOf('multipart/form-data; charset=utf-8; boundary="a b"'), 'a b');
  assert.equal(boundaryOf('multipart/form-data; Boundary=----x; x=y'), '----x');
});
