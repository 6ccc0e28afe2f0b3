import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSignedTokens } from '#base/signed-token.ts';
import { createUnsubscribeTokens, type Scope } from './tokens.ts';

const tokens = createUnsubscribeTokens(createSignedTokens(Buffer.alloc(32, 9)));
const SCOPES: readonly Scope[] = [
  { kind: 'all' },
  { kind: 'tags', tags: ['News', 'offers of the week'] },
  { kind: 'list', list: 'readers@lists.example.org' },
];

test('a token says who unsubscribes, and from what', () => {
  for (const scope of SCOPES) {
    for (const recipient of [1, 127, 128, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      const subscription = { recipient, domainId: 3, address: 'jörg.o’neil@example.com', scope };
      assert.deepEqual(tokens.openPage(tokens.page(subscription)), subscription);
    }
  }
});

test('a token is short enough for a URL in mail, and shows neither address nor tags', () => {
  const token = tokens.page({ recipient: 2 ** 52, domainId: 70_000, address: 'somebody@example.com', scope: SCOPES[0] as Scope });
  assert.ok(token.length < 80, `${token.length}`);
  assert.match(token, /^[\w-]+$/);
  const tagged = tokens.page({ recipient: 1, domainId: 1, address: 'somebody@example.com', scope: SCOPES[1] as Scope });
  assert.doesNotMatch(Buffer.from(tagged, 'base64url').toString('latin1'), /somebody|example|News|offers/);
});

test('tags that are too long for a URL are left out of its token', () => {
  const scope: Scope = { kind: 'tags', tags: ['a'.repeat(400), 'b'.repeat(400), 'c'] };
  const token = tokens.page({ recipient: 1, domainId: 1, address: 'a@example.com', scope });
  assert.deepEqual(tokens.openPage(token)?.scope, { kind: 'tags', tags: ['a'.repeat(400)] });
});

test('the mailbox fits the local part of an address, and means the same in capitals', () => {
  for (const { kind } of SCOPES) {
    const local = tokens.mailbox({ recipient: Number.MAX_SAFE_INTEGER, scope: kind });
    assert.ok(local.length <= 64, local);
    assert.deepEqual(tokens.openMailbox(local), { recipient: Number.MAX_SAFE_INTEGER, scope: kind });
    assert.deepEqual(tokens.openMailbox(local.toUpperCase()), { recipient: Number.MAX_SAFE_INTEGER, scope: kind });
  }
});

test('what is not ours is no token: guessed, changed, of another instance, or of another use', () => {
  const others = createUnsubscribeTokens(createSignedTokens(Buffer.alloc(32, 8)));
  const subscription = { recipient: 5, domainId: 3, address: 'a@example.com', scope: SCOPES[0] as Scope };
  const mailbox = tokens.mailbox({ recipient: 5, scope: 'all' });
  const page = tokens.page(subscription);
  for (const token of ['', 'x', 'a'.repeat(100), others.page(subscription), page.slice(1), `${page}A`, mailbox, mailbox.slice(12)])
    assert.equal(tokens.openPage(token), undefined);
  for (const local of [
    '',
    'unsubscribe',
    'unsubscribe+',
    'unsubscribe+5',
    others.mailbox({ recipient: 5, scope: 'all' }),
    mailbox.slice(12),
    `${mailbox}a`,
  ])
    assert.equal(tokens.openMailbox(local), undefined);
});
