import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLinkTokens } from './link-tokens.ts';

const tokens = createLinkTokens(Buffer.alloc(32, 'k'));
const SENT_MS = 1_800_000_000_000;

test('a link says whose it is, when it was made, and where it leads; a pixel the same but for the target', () => {
  for (const recipient of [1, 127, 128, 300, 2 ** 31, 2 ** 38 * 20_000, Number.MAX_SAFE_INTEGER]) {
    const copy = { recipient, sentMs: SENT_MS };
    const target = 'https://shop.example/?q=größe#x';
    assert.deepEqual(tokens.openLink(tokens.of(copy).link(target)), { ...copy, target });
    assert.deepEqual(tokens.openPixel(tokens.of(copy).pixel()), copy);
  }
});

test('a pixel is no link, a link no pixel, and another key opens neither', () => {
  const mine = tokens.of({ recipient: 7, sentMs: SENT_MS });
  assert.equal(tokens.openLink(mine.pixel()), undefined);
  assert.equal(tokens.openPixel(mine.link('https://a.example/')), undefined);
  assert.equal(createLinkTokens(Buffer.alloc(32, 'x')).openLink(mine.link('https://a.example/')), undefined);
});

test('a token with another target, of any spelling, is none', () => {
  const token = tokens.of({ recipient: 7, sentMs: SENT_MS }).link('https://good.example/');
  const forged = Buffer.from(token, 'base64url');
  forged.write('evil', forged.indexOf('good'));
  assert.equal(tokens.openLink(forged.toString('base64url')), undefined);
  for (let bit = 0; bit < token.length; bit++) assert.equal(tokens.openLink(`${token.slice(0, bit)}${token.slice(bit + 1)}`), undefined);
});

test('the same copy has the same tokens each time', () => {
  const copy = { recipient: 7, sentMs: SENT_MS };
  assert.equal(tokens.of(copy).link('https://a.example/'), tokens.of(copy).link('https://a.example/'));
});
