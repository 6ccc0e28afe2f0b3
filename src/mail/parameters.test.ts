import { test } from 'node:test';
import assert from 'node:assert/strict';
import { isMediaType, parseParameters, writeLegacyParameter, writeParameter } from './parameters.ts';

const parameter = (text: string, name: string): string | undefined => parseParameters(text).parameters.get(name);

test('parameters are tokens or quoted strings, in any case', () => {
  assert.equal(parseParameters(' Text/HTML ; Charset = UTF-8 ').value, 'text/html');
  assert.equal(parameter('text/html; Charset = UTF-8 ; x=y', 'charset'), 'UTF-8');
  assert.equal(parameter('a/b; boundary="x;\\"y\\"=z"; c=d', 'boundary'), 'x;"y"=z');
  assert.equal(parameter('a/b; boundary="x;y"; c=d', 'c'), 'd');
  assert.equal(parameter('a/b; junk; c=d', 'c'), 'd');
  assert.equal(parameter('a/b; c="open', 'c'), 'open');
  assert.equal(parameter('a/b; c=first; c=second', 'c'), 'first');
});

test('RFC 2231 values are joined and decoded', () => {
  assert.equal(parameter("a/b; name*=UTF-8''%C3%BC%20x", 'name'), 'ü x');
  assert.equal(parameter("a/b; name*=iso-8859-1'de'%FC", 'name'), 'ü');
  assert.equal(parameter('a/b; name*0=one; name*1=" two"', 'name'), 'one two');
  assert.equal(parameter('a/b; name*1*=%BC; name*0*=UTF-8\'\'%C3; name*2="%41"', 'name'), 'ü%41');
  assert.equal(parameter("a/b; name=plain; name*=UTF-8''better", 'name'), 'better');
  assert.equal(parameter('a/b; name="=?utf-8?q?=C3=BC?="', 'name'), 'ü');
  assert.equal(parameter("a/b; name*=UTF-8''a%0D%0AX%00", 'name'), 'a  X ');
});

test('written parameters read back and keep their lines short', () => {
  for (const value of ['a.txt', 'a "b" \\c', 'ü', '日本語'.repeat(40), 'x'.repeat(250), "it's*", '100%', `${'%'.repeat(80)}`]) {
    for (const write of [writeParameter, writeLegacyParameter]) {
      const text = write('filename', value);
      assert.match(text, /^[\x20-\x7e\r\n]*$/);
      for (const line of text.split('\r\n')) assert.ok(line.length <= 90, line);
      assert.equal(parameter(`x/y${text.replaceAll('\r\n', '')}`, 'filename'), value);
    }
  }
});

test('a media type has one type and one subtype', () => {
  for (const text of ['text/html', 'application/vnd.x+json']) assert.ok(isMediaType(text));
  for (const text of ['', 'text', 'text/', '/html', 'a/b/c', 'a b/c', 'ä/b', 'a/b\r\nX']) assert.ok(!isMediaType(text), text);
});
