import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createSignedTokens, TOKEN_PAYLOAD_MAX } from './signed-token.ts';

const LINK = 1;
const PIXEL = 2;
const tokens = createSignedTokens(Buffer.alloc(32, 'key'));
const payload = Buffer.from('payload \0\xff', 'latin1');

test('a token gives back what was signed, whatever its length', () => {
  for (let length = 0; length < 70; length++) {
    const given = randomBytes(length);
    assert.deepEqual(tokens.open(LINK, tokens.sign(LINK, given)), given);
    assert.deepEqual(tokens.openBase32(LINK, tokens.signBase32(LINK, given)), given);
  }
});

test('the longest payload can be opened in either spelling, and a longer one is a mistake of ours', () => {
  const longest = Buffer.alloc(TOKEN_PAYLOAD_MAX, 7);
  assert.deepEqual(tokens.open(LINK, tokens.sign(LINK, longest)), longest);
  assert.deepEqual(tokens.openBase32(LINK, tokens.signBase32(LINK, longest)), longest);
  assert.throws(() => tokens.sign(LINK, Buffer.alloc(TOKEN_PAYLOAD_MAX + 1)), RangeError);
});

test('a token is good for its own kind and under its own key only', () => {
  assert.equal(tokens.open(PIXEL, tokens.sign(LINK, payload)), undefined);
  assert.equal(createSignedTokens(Buffer.alloc(32, 'other')).open(LINK, tokens.sign(LINK, payload)), undefined);
  assert.throws(() => tokens.sign(256, payload), RangeError);
  assert.throws(() => createSignedTokens(Buffer.alloc(31)), RangeError);
});

test('a token with any character changed, added or taken away is none', () => {
  for (const [token, open] of [
    [tokens.sign(LINK, payload), tokens.open],
    [tokens.signBase32(LINK, payload), tokens.openBase32],
  ] as const) {
    for (let at = 0; at < token.length; at++) {
      for (const other of ['b', '7', '-', '=', ' ', '\0', 'é'])
        if (other !== token.charAt(at))
          assert.equal(open(LINK, token.slice(0, at) + other + token.slice(at + 1)), undefined, `${at}: ${other}`);
      assert.equal(open(LINK, token.slice(0, at)), undefined);
    }
    for (const more of ['A', '=', '==', ' ', '\n', token]) assert.equal(open(LINK, token + more), undefined);
  }
});

test('a token has one spelling: the bits that decoding drops must be zero', () => {
  const token = tokens.sign(LINK, Buffer.alloc(1));
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const opened = Array.from(last, (letter) => tokens.open(LINK, token.slice(0, -1) + letter)).filter((found) => found !== undefined);
  assert.equal(opened.length, 1);
});

test('the spelling for addresses has small letters and digits, and survives capitals', () => {
  const token = tokens.signBase32(LINK, payload);
  assert.match(token, /^[a-z2-7]+$/);
  assert.deepEqual(tokens.openBase32(LINK, token.toUpperCase()), payload);
  assert.equal(tokens.open(LINK, tokens.sign(LINK, payload).toUpperCase()), undefined);
});

test('text that is no token is told as such, however long', () => {
  for (const text of ['', 'x', '%00', '../../etc/passwd', 'é'.repeat(100), 'A'.repeat(100_000)]) {
    assert.equal(tokens.open(LINK, text), undefined);
    assert.equal(tokens.openBase32(LINK, text), undefined);
  }
});

test('what is sealed is opened again, is the same each time, and shows nothing of its payload', () => {
  const tokens = createSignedTokens(Buffer.alloc(32, 5));
  for (const size of [0, 1, 40, TOKEN_PAYLOAD_MAX]) {
    const payload = Buffer.alloc(size, 'reader@example.com');
    const token = tokens.signSealed(3, payload);
    assert.deepEqual(tokens.openSealed(3, token), payload);
    assert.equal(tokens.signSealed(3, payload), token);
    assert.equal(Buffer.from(token, 'base64url').includes('reader'), false);
  }
  assert.notEqual(tokens.signSealed(3, Buffer.from('a@example.com')), tokens.signSealed(4, Buffer.from('a@example.com')));
});

test('a sealed token with any bit changed, of another kind, of another key, cut, or signed only, is none', () => {
  const tokens = createSignedTokens(Buffer.alloc(32, 5));
  const token = tokens.signSealed(3, Buffer.from('reader@example.com'));
  const octets = Buffer.from(token, 'base64url');
  for (let bit = 0; bit < octets.length * 8; bit++) {
    const other = Buffer.from(octets);
    other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.equal(tokens.openSealed(3, other.toString('base64url')), undefined, `bit ${bit}`);
  }
  for (let size = 0; size < token.length; size++) assert.equal(tokens.openSealed(3, token.slice(0, size)), undefined);
  assert.equal(tokens.openSealed(4, token), undefined);
  assert.equal(createSignedTokens(Buffer.alloc(32, 6)).openSealed(3, token), undefined);
  assert.equal(tokens.openSealed(3, tokens.sign(3, Buffer.from('reader@example.com'))), undefined);
  assert.equal(tokens.openSealed(3, `${token}=`), undefined);
});
