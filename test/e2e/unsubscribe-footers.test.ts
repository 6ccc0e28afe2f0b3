/** Footers in newsletters as they come, well made and otherwise: they are shown at the end, and nothing else is touched. A browser's parser is the judge. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type DefaultTreeAdapterTypes, parse } from 'parse5';
import { encodeBase64 } from '#mail/transfer-encoding.ts';
import { scanHtml } from '#tracking/html-scan.ts';
import { prepareUnsubscribing } from '#unsubscribe/prepare.ts';

const CORPUS = new URL('../corpus/newsletters/', import.meta.url);
const FOOTER = '<p><a href="%unsubscribe_url%">Enough</a></p>';
const HEADER = Buffer.from('MIME-Version: 1.0\r\nContent-Type: text/html; charset=x-unknown\r\nContent-Transfer-Encoding: base64\r\n\r\n');

type Node = DefaultTreeAdapterTypes.Node;

function* elements(node: Node): Generator<DefaultTreeAdapterTypes.Element> {
  if ('tagName' in node) yield node;
  if ('childNodes' in node) for (const child of node.childNodes) yield* elements(child);
}

function footed(html: Buffer): string {
  const { bytes } = prepareUnsubscribing(
    new Uint8Array(Buffer.concat([HEADER, encodeBase64(html)])),
    {
      options: { tags: [], variables: {}, testMode: false },
      settings: { trackUnsubscribes: true, unsubscribeHtml: FOOTER },
      isBatch: false,
      isLate: false,
    },
    { wishes: { header: 'tracked', scope: 'all' }, endOfBody: (document) => scanHtml(document).bottom },
    () => ({ base: 'https://mail.example.org' }),
  );
  return Buffer.from(Buffer.from(bytes).toString('latin1').slice(HEADER.length), 'base64').toString('latin1');
}

const newsletters = readdirSync(CORPUS).filter((name) => name.endsWith('.html'));

test('every newsletter that does not say so itself has its footer where it is shown, and is otherwise the same octet for octet', () => {
  assert.ok(newsletters.length > 10);
  for (const name of newsletters) {
    const html = readFileSync(new URL(name, CORPUS));
    const after = footed(html);
    assert.equal(after.replace(FOOTER, ''), html.toString('latin1'), name);
    // It says so itself.
    if (html.includes('%unsubscribe_url%')) continue;
    const links = [...elements(parse(after))].filter(({ tagName }) => tagName === 'a');
    const ours = links.filter(({ attrs }) =>
      attrs.some(({ name: attribute, value }) => attribute === 'href' && value === '%unsubscribe_url%'),
    );
    assert.equal(ours.length, 1, name);
    assert.equal(links.at(-1), ours[0], name);
  }
});

test('an end of the body in a comment, in a script or in an attribute is none', () => {
  for (const html of [
    '<body><p>Hello</p><!--[if mso]></body><![endif]--></body>',
    '<body><p title="</body>">Hello</p></body>',
    '<body><p>Hello</p><style>a::after{content:"</body>"}</style>',
    '<body><p>Hello</p></body></html><!-- </body> sent by x -->',
    '<p>Hello',
  ]) {
    const body = [...elements(parse(footed(Buffer.from(html))))].find(({ tagName }) => tagName === 'body');
    assert.ok(body && [...elements(body)].some(({ tagName }) => tagName === 'a'), html);
  }
});
