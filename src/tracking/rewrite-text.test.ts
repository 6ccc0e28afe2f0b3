import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { rewriteText } from './rewrite-text.ts';

const utf8 = (octets: string): string => Buffer.from(octets, 'latin1').toString();
const octets = (text: string): string => Buffer.from(text).toString('latin1');

/** The URLs that were found, and the text with "@" for each. */
function run(text: string): { found: string[]; text: string } {
  const found: string[] = [];
  const after = rewriteText(octets(text), (url) => (found.push(url), '@'), utf8);
  return { found, text: utf8(after) };
}

for (const [text, url, after] of [
  ['see https://a.example/x for more', 'https://a.example/x', 'see @ for more'],
  ['see https://a.example/x.', 'https://a.example/x', 'see @.'],
  ['(https://a.example/x)', 'https://a.example/x', '(@)'],
  ['(see https://a.example/x_(y)).', 'https://a.example/x_(y)', '(see @).'],
  ['<https://a.example/x?y=1&z=2>', 'https://a.example/x?y=1&z=2', '<@>'],
  ['"https://a.example/x!"', 'https://a.example/x', '"@!"'],
  ['[1]: https://a.example/[x]', 'https://a.example/[x]', '[1]: @'],
  ['HTTPS://A.EXAMPLE/X\r\nnext', 'HTTPS://A.EXAMPLE/X', '@\r\nnext'],
  ['„https://a.example/x“', 'https://a.example/x', '„@“'],
  ['https://a.example/{{id}} left over', 'https://a.example/{{id}}', '@ left over'],
  ['https://a.example/~x/%7E;y#z', 'https://a.example/~x/%7E;y#z', '@'],
] as const) {
  test(`in ${JSON.stringify(text)} the link is ${url}`, () => {
    assert.deepEqual(run(text), { found: [url], text: after });
  });
}

test('a URL that goes on with letters beyond ASCII has no end that can be told, and stays', () => {
  for (const text of ['https://a.example/über', '詳細はhttps://a.example/詳細', 'https://bücher.example/'])
    assert.deepEqual(run(text), { found: [], text });
});

test('what only looks like a URL stays', () => {
  for (const text of ['xhttps://a.example/', 'https:/a.example', 'http', 'example.org/x', 'mailto:a@a.example'])
    assert.deepEqual(run(text), { found: [], text });
});

test('several links in one text are each found', () => {
  assert.deepEqual(run('https://a.example/ https://b.example/,\nhttps://c.example/'), {
    found: ['https://a.example/', 'https://b.example/', 'https://c.example/'],
    text: '@ @,\n@',
  });
});

test('a link that is to stay is not changed by a bit', () => {
  const text = 'a https://a.example/ b';
  assert.equal(
    rewriteText(text, () => undefined, utf8),
    text,
  );
});

test('hostile texts are read in time proportional to their length', () => {
  for (const piece of ['https://', 'https://a)', 'https://a.example/ ', '(((', 'https://a\u00fc']) {
    const [small, large] = [100_000, 1_000_000].map((size) => {
      const text = piece.repeat(size / piece.length);
      const startMs = threadCpuMs();
      rewriteText(text, () => 'x', utf8);
      return threadCpuMs() - startMs;
    }) as [number, number];
    assert.ok(large < 200 + small * 40, `${piece}: ${small.toFixed(0)} ms, then ${large.toFixed(0)} ms`);
  }
});
