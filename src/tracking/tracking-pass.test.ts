import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rewriteLeaves } from '#mail/text-leaves.ts';
import { partText, parseMime } from '#mail/mime.ts';
import type { MessageTracking, StoredMessage, StoredRecipient } from '#model/message.ts';
import { LINKS_MAX } from './html-scan.ts';
import { createLinkTokens } from './link-tokens.ts';
import { trackingPass } from './tracking-pass.ts';

const tokens = createLinkTokens(Buffer.alloc(32, 'k'));
const SENT_MS = 1_800_000_000_000;
const BASE = 'https://links.example';
const BOTH: MessageTracking = { base: BASE, opens: 'bottom', clicks: 'all' };

const HTML =
  '<html><body><a href="https://shop.example/a?x=1&amp;y=2"><img src="x.png"></a> <a href=\'https://shop.example/a?x=1&amp;y=2\'>A</a></body></html>';
const MIME = [
  'Content-Type: multipart/alternative; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'A: https://shop.example/a?x=1&y=2.',
  '--b',
  'Content-Type: text/html; charset=utf-8',
  '',
  HTML,
  '--b--',
  '',
].join('\r\n');

/** The texts as a recipient gets them, and what their tokens say. */
function run(tracking: MessageTracking | undefined, id = 7, mime = MIME) {
  const message = { info: { tracking } } as unknown as StoredMessage;
  const pass = trackingPass(tokens, message, { id, address: 'jane@inbox.example' } as StoredRecipient, SENT_MS);
  const bytes = rewriteLeaves(Buffer.from(mime), pass?.leaf === undefined ? [] : [pass.leaf]);
  const structure = parseMime(bytes);
  const [text = '', html = ''] = structure.parts.filter(({ isContainer }) => !isContainer).map((part) => partText(structure, part));
  return { text, html, isSame: bytes.toString() === mime };
}

const linksOf = (text: string) =>
  Array.from(text.matchAll(/https:\/\/links\.example\/c\/([\w-]+)/g), ([, token]) => tokens.openLink(token as string));
const pixelsOf = (text: string) =>
  Array.from(text.matchAll(/https:\/\/links\.example\/o\/([\w-]+)/g), ([, token]) => tokens.openPixel(token as string));

test('every link and the pixel say whose they are', () => {
  const { text, html } = run(BOTH, 42);
  const link = { recipient: 42, sentMs: SENT_MS, target: 'https://shop.example/a?x=1&y=2' };
  assert.deepEqual(linksOf(html), [link, link]);
  assert.deepEqual(linksOf(text), [link]);
  assert.deepEqual(pixelsOf(html), [{ recipient: 42, sentMs: SENT_MS }]);
  assert.match(text, /^A: https:\/\/links\.example\/c\/[\w-]+\.$/);
  assert.match(html, /"><\/body><\/html>$/);
});

test('a link that stands there several times is one link', () => {
  const { text, html } = run(BOTH);
  assert.equal(new Set(`${text} ${html}`.match(/\/c\/[\w-]+/g)).size, 1);
});

test('recipients have links of their own', () => {
  assert.notEqual(run(BOTH, 7).text, run(BOTH, 8).text);
});

test('what is not to be counted stays as it is', () => {
  assert.equal(run(undefined).isSame, true);
  const clicksInHtml = run({ base: BASE, clicks: 'html' });
  assert.deepEqual([linksOf(clicksInHtml.text).length, linksOf(clicksInHtml.html).length, pixelsOf(clicksInHtml.html).length], [0, 2, 0]);
  const opens = run({ base: BASE, opens: 'top' });
  assert.deepEqual([linksOf(opens.text).length, linksOf(opens.html).length], [0, 0]);
  assert.match(opens.html, /^<html><body><img width="1" height="1" alt="" src="https:\/\/links\.example\/o\/[\w-]+"><a /);
});

test('of several HTML parts the first has the pixel', () => {
  const part = `--b\r\nContent-Type: text/html\r\n\r\n${HTML}\r\n`;
  const { text, html } = run(BOTH, 7, `Content-Type: multipart/mixed; boundary=b\r\n\r\n${part}${part}--b--\r\n`);
  assert.deepEqual([pixelsOf(text).length, pixelsOf(html).length], [1, 0]);
});

test('parameters are added to what is counted', () => {
  const { text } = run({ ...BOTH, utm: 'utm_source=news&x=9' });
  assert.equal(linksOf(text)[0]?.target, 'https://shop.example/a?x=1&y=2&utm_source=news');
});

test('links beyond the limit stay as they are', () => {
  const many = Array.from({ length: LINKS_MAX + 10 }, (_, n) => `https://shop.example/${n}`).join('\r\n');
  const { text } = run(BOTH, 7, `Content-Type: text/plain\r\n\r\n${many}\r\n`);
  assert.equal(linksOf(text).length, LINKS_MAX);
  assert.ok(text.includes(`https://shop.example/${LINKS_MAX + 9}`));
});

test('no address stands in a token', () => {
  const { text, html } = run(BOTH);
  for (const [token] of `${text} ${html}`.matchAll(/(?<=\/[co]\/)[\w-]+/g))
    assert.doesNotMatch(Buffer.from(token, 'base64url').toString('latin1'), /jane|inbox/);
});
