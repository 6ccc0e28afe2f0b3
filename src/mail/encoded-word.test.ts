import { test } from 'node:test';
import assert from 'node:assert/strict';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { decodeWords, encodeWords } from './encoded-word.ts';

test('words decode in both encodings and many charsets', () => {
  assert.equal(decodeWords('=?UTF-8?B?SsO2cmc=?='), 'Jörg');
  assert.equal(decodeWords('=?iso-8859-1?q?J=F6rg_M?= end'), 'Jörg M end');
  assert.equal(decodeWords('=?UTF-8*de?Q?J=C3=B6rg?='), 'Jörg');
  assert.equal(decodeWords('=?shift_jis?B?k/qWew==?='), '日本');
  assert.equal(decodeWords('Re: =?utf-8?q?caf=C3=A9?= (x)'), 'Re: café (x)');
});

test('white space between words goes, other white space stays', () => {
  assert.equal(decodeWords('=?utf-8?q?a?= =?utf-8?q?b?=\t=?us-ascii?q?c?= d =?utf-8?q?e?='), 'abc d e');
});

test('a character split between two words of one charset is whole again', () => {
  assert.equal(decodeWords('=?utf-8?B?w7bD?= =?utf-8?B?tg==?='), 'öö');
});

test('what is no word stays as it is', () => {
  for (const text of [
    '=?',
    '=?utf-8?x?abc?=',
    '=?utf-8?q?a b?=',
    '=?utf-8?q?abc',
    '=?nonsense-charset?q?abc?=',
    '=??q?abc?=',
    'a =? b ?= c',
  ]) {
    assert.equal(decodeWords(text), text);
  }
});

test('a decoded word has no control characters', () => {
  assert.equal(decodeWords('=?utf-8?q?a=0D=0Ab=00c=E2=80=A8d?='), 'a  b c d');
});

test('hostile words cost linear time', () => {
  const start = threadCpuMs();
  for (const text of ['=?'.repeat(500_000), '=?a?q?'.repeat(150_000), '=?utf-8?q??='.repeat(80_000), `=?utf-8?q?${'='.repeat(500_000)}`]) {
    decodeWords(text);
  }
  assert.ok(threadCpuMs() - start < 2000);
});

test('encoded words are short, whole and read back', () => {
  for (const text of [
    'ö',
    'Grüße aus Köln an alle, die hier lesen und warten',
    '日本語'.repeat(60),
    '😀'.repeat(50),
    'x'.repeat(200),
    'a=b?c_d"(),.;',
  ]) {
    const words = encodeWords(text);
    for (const word of words.split(' ')) {
      assert.ok(word.length <= 75, word);
      assert.doesNotMatch(decodeWords(word), /\ufffd/);
    }
    assert.equal(decodeWords(words), text);
  }
});

test('a lone surrogate becomes a replacement character', () => {
  assert.equal(decodeWords(encodeWords('a\ud800b')), 'a\ufffdb');
});
