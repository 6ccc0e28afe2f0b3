import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSignedTokens } from '#base/signed-token.ts';
import { type About, createReturnTokens } from './return-token.ts';

const tokens = createReturnTokens(createSignedTokens(Buffer.alloc(32, 1)));
const LARGEST: About = { kind: 'recipient', id: Number.MAX_SAFE_INTEGER };

function local(address: string): string {
  return address.slice(0, address.indexOf('@'));
}

test('a return path says whose mail came back, also in capitals', () => {
  for (const about of [LARGEST, { kind: 'recipient', id: 1 }, { kind: 'message', id: 255 }, { kind: 'message', id: 256 }] as const) {
    const path = tokens.returnPath(about, 'bounces.example.org');
    assert.match(path, /^bounce\+[a-z2-7]+@bounces\.example\.org$/);
    assert.deepEqual(tokens.openReturnPath(local(path)), about);
    assert.deepEqual(tokens.openReturnPath(local(path).toUpperCase()), about);
  }
});

test('local parts stay within 64 octets', () => {
  assert.ok(local(tokens.returnPath(LARGEST, 'x.test')).length <= 64);
  assert.ok(local(tokens.complaintAddress(tokens.feedbackToken(LARGEST), 'x.test')).length <= 64);
});

test('what was changed, cut, made with another key or for another use is not ours', () => {
  const path = local(tokens.returnPath(LARGEST, 'x.test'));
  const last = path.at(-1) === 'a' ? 'b' : 'a';
  const others = createReturnTokens(createSignedTokens(Buffer.alloc(32, 2)));
  const wrong = [`${path.slice(0, -1)}${last}`, path.slice(0, -1), `${path}a`, 'bounce+', 'bounce', '', 'bouncer+aaaa', 'x'.repeat(10_000)];
  for (const each of wrong) assert.equal(tokens.openReturnPath(each), undefined, each.slice(0, 80));
  assert.equal(others.openReturnPath(path), undefined);
  assert.equal(tokens.openComplaintAddress(path.replace('bounce', 'complaints')), undefined);
  assert.equal(tokens.openFeedbackToken(path.slice('bounce+'.length)), undefined);
});

test('the token of a complaint address is that of the feedback field', () => {
  const about: About = { kind: 'message', id: 77 };
  const address = local(tokens.complaintAddress(tokens.feedbackToken(about), 'x.test'));
  assert.deepEqual(tokens.openComplaintAddress(address), about);
  assert.deepEqual(tokens.openFeedbackToken(tokens.feedbackToken(about)), about);
});
