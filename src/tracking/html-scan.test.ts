import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DefaultTreeAdapterTypes, parse } from 'parse5';
import { LINKS_MAX, scanHtml } from './html-scan.ts';

/** What documents are put together of, in any order: whole things, and parts of things that make something else of what follows. */
const PIECES = [
  '<a href="u1">',
  '<a href=u2>',
  "<A HREF = 'u3'>",
  '</a>',
  '<area href="u4"/>',
  '<a/href=u5>',
  '<a href="u6" href="u7">',
  '<a href="">',
  '<a title="',
  "<a title='x",
  '<a x=y href',
  '<a href=',
  'href="u8"',
  '<a =href=u9>',
  '<a<b href=u10>',
  '<a\nhref\n=\n"u11"\n>',
  '<a href=u12/>',
  '<a href="u13"b=c>',
  '<abbr href=x>',
  '<ahref=x>',
  '<a\vhref=u14>',
  '<img src=x href=y>',
  '<base href=x>',
  '<div a"b=c href=x>',
  '<b>',
  '</b>',
  '<p>',
  '</p>',
  '<br/>',
  '<table><tr><td>',
  '</td></tr></table>',
  '<style>',
  '</style>',
  '<STYLE type=x>',
  '</style ',
  '<script>',
  '</script>',
  '</scrip',
  '<title>',
  '</title>',
  '<textarea>',
  '</textarea>',
  '<xmp>',
  '</xmp>',
  '<iframe>',
  '</iframe>',
  '<noembed>',
  '</noembed>',
  '<noscript>',
  '</noscript>',
  '<plaintexty>',
  '<!--',
  '-->',
  '--!>',
  '<!-->',
  '<!--->',
  '<!',
  '<!x>',
  '<?x',
  '--',
  '!',
  '-',
  '<![CDATA[',
  ']]>',
  '<!doctype html>',
  '<head>',
  '</head>',
  '<body>',
  '</body>',
  '</html>',
  '>',
  '"',
  "'",
  '=',
  ' ',
  '\n',
  '\f',
  '\0',
  '/',
  '<',
  '</',
  '</>',
  '</ >',
  '</1>',
  '<1>',
  'text',
  '&amp;',
];

/** The same documents each time. */
function documents(count: number): string[] {
  let state = 20_261_123;
  const below = (max: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * max);
  };
  return Array.from({ length: count }, () => Array.from({ length: 1 + below(12) }, () => PIECES[below(PIECES.length)]).join(''));
}

/** The values of href that a browser's parser finds in links, in order. A tag that the parser repeats elsewhere in its tree is one. */
function byBrowser(html: string): string[] {
  const found = new Map<number, string>();
  const walk = (node: DefaultTreeAdapterTypes.Node): void => {
    if ('tagName' in node && (node.tagName === 'a' || node.tagName === 'area')) {
      const at = node.sourceCodeLocation?.attrs?.['href']?.startOffset;
      if (at !== undefined) found.set(at, node.attrs.find(({ name }) => name === 'href')?.value ?? '');
    }
    if ('content' in node) walk(node.content);
    if ('childNodes' in node) node.childNodes.forEach(walk);
  };
  walk(parse(html, { sourceCodeLocationInfo: true, scriptingEnabled: false }));
  return [...found].toSorted(([a], [b]) => a - b).map(([, value]) => value);
}

test('in documents put together at random the links are those that a browser finds', () => {
  let links = 0;
  for (const html of documents(6000)) {
    const ours = scanHtml(html).links.map(({ start, end }) => html.slice(start, end).replaceAll('\0', '\ufffd').replaceAll('&amp;', '&'));
    links += ours.length;
    assert.deepEqual(ours, byBrowser(html), JSON.stringify(html));
  }
  assert.ok(links > 1000, `${links} links in all`);
});

/** A picture of that name is in what a browser shows. */
function shows(html: string, name: string): boolean {
  const isThere = (node: DefaultTreeAdapterTypes.Node): boolean =>
    ('tagName' in node && node.tagName === 'img' && node.attrs.some((attribute) => attribute.value === name)) ||
    ('childNodes' in node && node.childNodes.some(isThere));
  return isThere(parse(html, { scriptingEnabled: false }));
}

test('what is put at the top or the bottom of a document is seen by a browser, and parts no link', () => {
  for (const html of documents(6000)) {
    const { top, bottom, links } = scanHtml(html);
    for (const at of [top, bottom]) {
      assert.ok(
        shows(`${html.slice(0, at)}<img src="pixel">${html.slice(at)}`, 'pixel'),
        JSON.stringify([html.slice(0, at), html.slice(at)]),
      );
      for (const { start, end } of links) assert.ok(at < start || at > end, JSON.stringify(html));
    }
  }
});

test('links beyond the limit are not found', () => {
  assert.equal(scanHtml('<a href=x>'.repeat(LINKS_MAX + 5)).links.length, LINKS_MAX);
});
