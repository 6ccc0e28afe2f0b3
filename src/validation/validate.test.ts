/** What is said of an address, by what DNS and the account's own past say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, MxRecord } from '#dns/resolver.ts';
import { createValidate, type PastTrouble, type Validate } from './validate.ts';

const ZONE: Readonly<Record<string, Answer<MxRecord>>> = {
  'example.net': { kind: 'found', records: [{ preference: 10, host: 'mx.example.net' }] },
  'gmial.com': { kind: 'found', records: [{ preference: 10, host: 'mx.parked.example' }] },
  'mailinator.com': { kind: 'found', records: [{ preference: 10, host: 'mx.mailinator.com' }] },
  'null.example': { kind: 'found', records: [{ preference: 0, host: '' }] },
  'plain.example': { kind: 'none' },
  'empty.example': { kind: 'none' },
  'slow.example': { kind: 'trouble', trouble: 'timeout' },
};

function validator(past: readonly PastTrouble[] = []): Validate {
  return createValidate({
    dns: {
      mx: async (domain) => ZONE[domain] ?? { kind: 'no-such-domain' },
      addresses: async (host) => (host === 'plain.example' ? { kind: 'found', records: ['192.0.2.1'] } : { kind: 'none' }),
    },
    pastTroubles: async () => past,
  });
}

const summary = async (address: string, past?: readonly PastTrouble[]): Promise<readonly [string, string]> => {
  const { result, risk } = await validator(past)(1, address);
  return [result, risk];
};

test('an address of a domain that takes mail is deliverable', async () => {
  assert.deepEqual(await validator()(1, ' Ann.Smith+news@Example.NET '), {
    address: 'Ann.Smith+news@example.net',
    parts: { local: 'Ann.Smith+news', domain: 'example.net', address: 'Ann.Smith+news@example.net', isUtf8: false },
    result: 'deliverable',
    risk: 'low',
    reasons: [],
    isDisposable: false,
    isRole: false,
    root: 'Ann.Smith@example.net',
  });
});

test('what is not an address is undeliverable, whatever it is made of', async () => {
  for (const text of [
    '',
    'ann',
    'ann@',
    '@example.net',
    'a b@example.net',
    'ann@[192.0.2.1]',
    'ann@localhost',
    'ann@example.net\r\nX: y',
    '\0@x.y',
  ])
    assert.deepEqual(await summary(text), ['undeliverable', 'high'], JSON.stringify(text));
  assert.deepEqual((await validator()(1, 'ann')).reasons, ['malformed address; missing @ sign']);
});

test('a domain that does not exist, takes no mail or has no server is undeliverable; without MX its own address counts', async () => {
  for (const domain of ['gone.example', 'null.example', 'empty.example'])
    assert.deepEqual(await summary(`ann@${domain}`), ['undeliverable', 'high'], domain);
  assert.deepEqual(await summary('ann@plain.example'), ['deliverable', 'low']);
});

test('a domain that cannot be looked up is unknown, except those that never exist', async () => {
  assert.deepEqual(await summary('ann@slow.example'), ['unknown', 'unknown']);
  const withoutDns = createValidate({ dns: undefined, pastTroubles: async () => [] });
  assert.equal((await withoutDns(1, 'ann@example.net')).result, 'unknown');
  assert.equal((await withoutDns(1, 'ann@nowhere.invalid')).result, 'undeliverable');
});

test('disposable addresses are not to be sent to, also below the domain', async () => {
  assert.deepEqual(await summary('ann@mailinator.com'), ['do_not_send', 'high']);
  const below = await createValidate({ dns: undefined, pastTroubles: async () => [] })(1, 'ann@x.mailinator.com');
  assert.equal(below.isDisposable, true);
});

test('an address of a function is a medium risk', async () => {
  const validation = await validator()(1, 'Postmaster@example.net');
  assert.deepEqual([validation.isRole, validation.result, validation.risk], [true, 'deliverable', 'medium']);
  assert.deepEqual(validation.reasons, ['mailbox_is_role_address']);
});

test('a slip near a large provider is told, and the provider itself is not', async () => {
  assert.equal((await validator()(1, 'ann@gmial.com')).didYouMean, 'ann@gmail.com');
  assert.equal((await validator()(1, 'ann@hotmial.com')).didYouMean, 'ann@hotmail.com');
  assert.equal((await validator()(1, 'ann@gmail.com')).didYouMean, undefined);
  assert.equal((await validator()(1, 'ann@gmx.at')).didYouMean, undefined);
});

test("the account's own mail speaks: a bounce makes it undeliverable, a complaint not to be sent to, an unsubscribe nothing", async () => {
  assert.deepEqual(await summary('ann@example.net', [{ kind: 'bounce', code: 550 }]), ['undeliverable', 'high']);
  assert.deepEqual(await summary('ann@example.net', [{ kind: 'complaint', code: 0 }]), ['do_not_send', 'high']);
  assert.deepEqual(await summary('ann@example.net', [{ kind: 'unsubscribe', code: 0 }]), ['deliverable', 'low']);
});
