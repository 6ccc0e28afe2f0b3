import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { scanHtml } from './html-scan.ts';
import { linkTarget } from './link-target.ts';
import { rewriteHtml } from './rewrite-html.ts';

const BASE = 'https://links.example';
const directory = join(import.meta.dirname, '../../test/corpus/newsletters');
interface Expected {
  readonly charset?: string;
  readonly targets: readonly string[];
  readonly top: string;
  readonly bottom: string;
}
const expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8')) as Readonly<Record<string, Expected>>;
const octetsOf = (name: string): string => readFileSync(join(directory, name), 'latin1');
const decoderOf = (charset = 'utf-8') => {
  const decoder = new TextDecoder(charset);
  return (octets: string): string => decoder.decode(Buffer.from(octets, 'latin1'));
};

/** Links become "https://links.example/c/0", "…/1"; what they led to is remembered. */
function rewritten(html: string, charset?: string, place?: 'top' | 'bottom'): { html: string; targets: string[] } {
  const targets: string[] = [];
  const link = (given: string): string | undefined => {
    const target = linkTarget(given, BASE);
    return target === undefined ? undefined : `${BASE}/c/${targets.push(target) - 1}.`;
  };
  const pixel = place === undefined ? undefined : { url: `${BASE}/o/pixel`, place };
  return { html: rewriteHtml(html, { link, decode: decoderOf(charset), ...(pixel && { pixel }) }), targets };
}

test('every document of the corpus has an expectation', () => {
  const files = readdirSync(directory).filter((name) => name.endsWith('.html'));
  assert.deepEqual(files.toSorted(), Object.keys(expected).toSorted());
});

for (const [name, { charset, targets, top, bottom }] of Object.entries(expected)) {
  const html = octetsOf(name);

  test(`${name}: the links that a browser would follow are counted, and no others`, () => {
    assert.deepEqual(rewritten(html, charset).targets, targets);
  });

  test(`${name}: every octet outside of changed links is the same`, () => {
    const after = rewritten(html, charset).html;
    const valuesOf = (text: string): string[] => scanHtml(text).links.map(({ start, end }) => text.slice(start, end));
    const now = valuesOf(after);
    // What was put in is taken out again for what stood there.
    const changed = valuesOf(html).filter((value, position) => now[position] !== value);
    const restored = after.replace(/https:\/\/links\.example\/c\/(\d+)\./g, (_, number: string) => changed[Number(number)] as string);
    assert.equal(changed.length, targets.length);
    assert.equal(restored, html);
  });

  test(`${name}: done again it changes nothing`, () => {
    const once = rewritten(html, charset).html;
    assert.equal(rewritten(once, charset).html, once);
  });

  test(`${name}: the pixel stands where it is shown, and nothing else changes for it`, () => {
    const decode = decoderOf(charset);
    const image = '<img width="1" height="1" alt="" src="https://links.example/o/pixel">';
    for (const [place, before] of [
      ['top', top],
      ['bottom', bottom],
    ] as const) {
      const after = rewriteHtml(html, { decode, pixel: { url: `${BASE}/o/pixel`, place } });
      const at = after.indexOf(image);
      assert.equal(after.slice(0, at) + after.slice(at + image.length), html);
      assert.ok(decode(after.slice(0, at)).endsWith(before), `${place}: …${decode(after.slice(Math.max(0, at - 30), at))}`);
      if (before === '') assert.equal(at, 0);
    }
  });
}

test('a huge document, and hostile ones, are read in time proportional to their length', () => {
  const pieces = [
    '<td><a href="https://shop.example/?a=1&amp;b=2">x</a></td>\n',
    '<!--[if mso]><style>x-->',
    '<!-- x -->',
    '<!--[if mso]><a href="',
    '<',
    '<a ',
    '<a href=',
    '</style',
    '<style>',
    '<!--',
    '"\'<a href="\'">',
    '</',
    '<![',
    '<a href="https://a.example/">)))',
  ];
  for (const piece of pieces) {
    const [small, large] = [100_000, 1_000_000].map((size) => {
      const html = piece.repeat(Math.floor(size / piece.length));
      const startMs = threadCpuMs();
      rewritten(html);
      return threadCpuMs() - startMs;
    }) as [number, number];
    assert.ok(large < 200 + small * 40, `${piece}: ${small.toFixed(0)} ms, then ${large.toFixed(0)} ms`);
  }
});
