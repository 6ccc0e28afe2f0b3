import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { Account, Domain } from '#store/store.ts';
import type { OpenedStore } from '#store/open.ts';
import { openTestStore } from '../../test/kit/stores.ts';
import { until } from '../../test/kit/until.ts';
import { processCpuMs } from '../../test/kit/cpu-time.ts';
import { createAccounts } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import { openInstanceSecret } from './instance-secret.ts';
import type { InstanceSecret } from './instance-secret.ts';

const NOW = Date.UTC(2026, 0, 15);
const OFFICE = '192.0.2.1';

let directory: string;
let store: OpenedStore;
let secret: InstanceSecret;
let clock: HeldClock;
let accounts: Accounts;
let account: Account;
let count = 0;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postrider-accounts-'));
  store = await openTestStore(directory);
  secret = await openInstanceSecret({ data: directory }, store.accounts);
});
after(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  clock = new HeldClock(NOW);
  accounts = another();
  account = await accounts.createAccount(`account ${++count}`);
});

/** A second process on the same store. */
function another(): Accounts {
  return createAccounts({
    store: store.accounts,
    access: store.access,
    domains: store.domains,
    secret,
    clock,
    dkim: { bits: 2048, ed25519: true },
    retentionMs: 1000,
    sending: { hostname: 'mx.example.net', addresses: ['192.0.2.25', '2001:db8::25'] },
  });
}

async function addDomain(name = `d${count}.example.org`): Promise<Domain> {
  const domain = await accounts.addDomain(account.id, name);
  assert.ok(domain);
  return domain;
}

test('an account has a name of its own', async () => {
  await assert.rejects(accounts.createAccount(account.name), { code: 'already-exists' });
  await assert.rejects(accounts.createAccount(' '), { code: 'bad-parameter' });
});

test('a key says who is calling, and the store does not hold it', async () => {
  const { key, secret: text } = await accounts.createKey({ accountId: account.id });
  assert.match(text, /^[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}$/);
  assert.deepEqual(await accounts.authenticateKey(text), { accountId: account.id, kind: 'account-key', role: 'admin', keyId: key.id });
  assert.equal(JSON.stringify(await store.accounts.listKeys(account.id)).includes(text), false);
  assert.equal(await accounts.authenticateKey(`${text}0`), undefined);
  assert.equal(await accounts.authenticateKey(''), undefined);
});

test('a key of a domain is bound to it', async () => {
  const domain = await addDomain();
  const { key, secret: text } = await accounts.createKey({ accountId: account.id, domainId: domain.id });
  assert.deepEqual(await accounts.authenticateKey(text), {
    accountId: account.id,
    kind: 'domain-key',
    role: 'sending',
    domainId: domain.id,
    keyId: key.id,
  });
});

test('a key that another process revokes ends within two seconds', async () => {
  const { key, secret: text } = await accounts.createKey({ accountId: account.id });
  assert.ok(await accounts.authenticateKey(text));
  assert.equal(await another().revokeKey(account.id, key.id), true);
  clock.advance(2000);
  assert.equal(await accounts.authenticateKey(text), undefined);
});

test('a key is revoked only by its own account', async () => {
  const { key, secret: text } = await accounts.createKey({ accountId: account.id });
  assert.equal(await accounts.revokeKey(account.id + 1, key.id), false);
  assert.ok(await accounts.authenticateKey(text));
});

test('a key ends when it expires, cached or not', async () => {
  const { secret: text } = await accounts.createKey({ accountId: account.id, expiresAtMs: NOW + 1000 });
  assert.ok(await accounts.authenticateKey(text));
  clock.advance(1000);
  assert.equal(await accounts.authenticateKey(text), undefined);
});

test('a domain has one spelling, one owner, and two keys of its own', async () => {
  const domain = await addDomain('BÜCHER.Example.org');
  assert.equal(domain.name, 'xn--bcher-kva.example.org');
  assert.equal(domain.state, 'unverified');
  assert.equal(await accounts.addDomain(account.id, 'bücher.example.org.'), undefined);
  assert.equal((await accounts.domainFor('bücher.example.org'))?.id, domain.id);
  const keys = await accounts.signingKeys(domain.id);
  assert.deepEqual(
    keys.map(({ selector, domain: name, algorithm, key }) => [selector, name, algorithm, key.asymmetricKeyType]),
    [
      ['pr20260115', domain.name, 'rsa', 'rsa'],
      ['pr20260115e', domain.name, 'ed25519', 'ed25519'],
    ],
  );
});

test('what is no domain name is refused', async () => {
  for (const name of [
    '',
    'localhost',
    '192.0.2.1',
    'exa mple.org',
    'a..example.org',
    '-a.example.org',
    'a@example.org',
    `${'a'.repeat(64)}.org`,
  ]) {
    await assert.rejects(accounts.addDomain(account.id, name), { code: 'bad-parameter' }, name);
  }
});

test('private keys are sealed in the store', async () => {
  const domain = await addDomain();
  const [row] = await store.accounts.listDkimKeys(domain.id);
  const [key] = await accounts.signingKeys(domain.id);
  const plain = key?.key.export({ format: 'der', type: 'pkcs8' });
  assert.ok(row && plain);
  assert.equal(Buffer.from(row.privateKey).includes(plain.subarray(40, 80)), false);
});

test('an address that another process added is found within two seconds', async () => {
  const name = 'late.example.org';
  assert.equal(await accounts.domainFor(name), undefined);
  await another().addDomain(account.id, name);
  clock.advance(2000);
  assert.equal((await accounts.domainFor(name))?.accountId, account.id);
});

test('the records to publish are exact, and long ones come in strings of at most 255', async () => {
  const domain = await addDomain();
  const records = await accounts.dnsRecords(domain);
  assert.deepEqual(
    records.map((record) => [record.purpose, record.name, record.isRequired]),
    [
      ['dkim', `pr20260115._domainkey.${domain.name}`, true],
      ['dkim', `pr20260115e._domainkey.${domain.name}`, false],
      ['spf', domain.name, false],
      ['dmarc', `_dmarc.${domain.name}`, false],
    ],
  );
  const [rsa, , spf] = records;
  assert.match(rsa?.value ?? '', /^v=DKIM1; k=rsa; p=[A-Za-z0-9+/=]{392}$/);
  assert.deepEqual(
    rsa?.strings.map((part) => part.length),
    [255, (rsa?.value.length ?? 0) - 255],
  );
  assert.equal(rsa?.zoneLine, `${rsa?.name}. IN TXT ( "${rsa?.strings[0]}" "${rsa?.strings[1]}" )`);
  assert.equal(spf?.value, 'v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 ~all');
});

test('a domain becomes active when its signing key is in DNS', async () => {
  const domain = await addDomain();
  const zone = await zoneOf(domain);
  const { domain: verified, checks } = await accounts.verifyDomain(domain, zone.lookUp);
  assert.equal(verified.state, 'active');
  assert.ok(checks.every((check) => check.state === 'ok'));
  assert.equal((await accounts.domainFor(domain.name))?.state, 'active');
});

test('a missing, a foreign or a doubled key leaves a domain unverified, and says which', async () => {
  const domain = await addDomain();
  const zone = await zoneOf(domain);
  const rsa = `pr20260115._domainkey.${domain.name}`;
  const state = async (): Promise<string | undefined> => {
    const { domain: seen, checks } = await accounts.verifyDomain(domain, zone.lookUp);
    assert.equal(seen.state, 'unverified');
    return checks[0]?.trouble;
  };
  const right = zone.records.get(rsa) ?? [];
  zone.records.delete(rsa);
  assert.equal(await state(), 'no such record');
  zone.records.set(rsa, ['v=DKIM1; k=rsa; p=MIIBIjANBgkq']);
  assert.equal(await state(), 'it holds another key');
  zone.records.set(rsa, [...right, ...right]);
  assert.match((await state()) ?? '', /more than one/);
});

test('no answer from DNS changes nothing', async () => {
  const domain = await addDomain();
  const { domain: seen, checks } = await accounts.verifyDomain(domain, () => Promise.resolve(undefined));
  assert.equal(seen.state, 'unverified');
  assert.ok(checks.every((check) => check.state === 'unknown'));
});

test('SPF and DMARC are looked at, and do not stand in the way', async () => {
  const domain = await addDomain();
  const zone = await zoneOf(domain);
  zone.records.set(domain.name, ['google-site-verification=x', 'v=spf1 include:_spf.example.com -all']);
  zone.records.delete(`_dmarc.${domain.name}`);
  const { domain: verified, checks } = await accounts.verifyDomain(domain, zone.lookUp);
  assert.equal(verified.state, 'active');
  assert.match(checks.find((check) => check.record.purpose === 'spf')?.trouble ?? '', /does not name ip4:192\.0\.2\.25/);
  assert.equal(checks.find((check) => check.record.purpose === 'dmarc')?.state, 'missing');
});

test('a rotation signs with the new keys only once they are in DNS, and keeps the old ones published', async () => {
  const domain = await addDomain();
  clock.advance(86_400_000);
  const coming = await accounts.rotateDkim(domain);
  assert.deepEqual(
    coming.map((key) => key.selector),
    ['pr20260116', 'pr20260116e'],
  );
  assert.deepEqual(await accounts.rotateDkim(domain), coming, 'asked again, it is the same rotation');
  const selectors = async (): Promise<string[]> => (await accounts.signingKeys(domain.id)).map((key) => key.selector);
  clock.advance(10_000);
  assert.deepEqual(await selectors(), ['pr20260115', 'pr20260115e']);

  const { isRotated } = await accounts.verifyDomain(domain, (await zoneOf(domain)).lookUp);
  assert.equal(isRotated, true);
  assert.deepEqual(await selectors(), ['pr20260116', 'pr20260116e']);
  assert.equal((await accounts.dnsRecords(domain)).filter((record) => record.purpose === 'dkim').length, 4);

  clock.advance(86_400_000);
  await accounts.rotateDkim(domain);
  const states = (await store.accounts.listDkimKeys(domain.id)).map((key) => `${key.selector} ${key.state}`);
  assert.deepEqual(states, [
    'pr20260115 retired',
    'pr20260115e retired',
    'pr20260116 signing',
    'pr20260116e signing',
    'pr20260117 published',
    'pr20260117e published',
  ]);
});

test('a login is accepted with its password, in any spelling of the login', async () => {
  const domain = await addDomain();
  const password = await accounts.putCredential(domain, 'app', undefined);
  const result = await accounts.authenticateLogin({ login: `App@${domain.name.toUpperCase()}`, password, address: OFFICE });
  assert.equal(result.kind, 'ok');
  assert.deepEqual(result.principal, {
    accountId: account.id,
    kind: 'credential',
    role: 'sending',
    domainId: domain.id,
    login: `app@${domain.name}`,
  });
  assert.equal(result.domain.name, domain.name);
});

test('a wrong password and an unknown login get the same answer', async () => {
  const domain = await addDomain();
  await accounts.putCredential(domain, 'app', 'right password');
  const answers = await Promise.all(
    [`app@${domain.name}`, `nobody@${domain.name}`, 'app@elsewhere.example', 'app', ''].map((login, i) =>
      accounts.authenticateLogin({ login, password: 'wrong', address: `192.0.2.${i + 10}` }),
    ),
  );
  for (const answer of answers) {
    assert.equal(answer.kind, 'refused');
    assert.equal(answer.error.code, 'bad-credentials');
    assert.equal(answer.delayMs, 250);
  }
});

test('guessing is locked out, the owner at another address is not, and the right password does not help the guesser', async () => {
  const domain = await addDomain();
  const login = `app@${domain.name}`;
  const password = await accounts.putCredential(domain, login, 'right password');
  for (let i = 0; i < 10; i++) await accounts.authenticateLogin({ login, password: `guess ${i}`, address: '198.51.100.1' });
  const guesser = await accounts.authenticateLogin({ login, password, address: '198.51.100.1' });
  assert.equal(guesser.kind, 'refused');
  assert.equal(guesser.error.code, 'too-many-guesses');
  assert.match(guesser.error.message, /60 seconds/);
  assert.equal((await accounts.authenticateLogin({ login, password, address: OFFICE })).kind, 'ok');
});

test('one address that guesses on many connections at once is put off before it fills the queue', async () => {
  const domain = await addDomain();
  const login = `app@${domain.name}`;
  const password = await accounts.putCredential(domain, login, undefined);
  const guesses = Array.from({ length: 30 }, (_, i) =>
    accounts.authenticateLogin({ login, password: `guess ${i}`, address: '198.51.100.1' }),
  );
  const owner = accounts.authenticateLogin({ login, password, address: OFFICE });
  const codes = (await Promise.all(guesses)).map((result) => (result.kind === 'refused' ? result.error.code : 'ok'));
  assert.equal(codes.filter((code) => code === 'bad-credentials').length, 16);
  assert.equal(codes.filter((code) => code === 'overloaded').length, 14);
  assert.equal((await owner).kind, 'ok');
});

test('a thousand logins take less than a second of the processor, also when they begin at once', async () => {
  const domain = await addDomain();
  const login = `app@${domain.name}`;
  const password = await accounts.putCredential(domain, login, undefined);
  const start = processCpuMs();
  const results = await Promise.all(Array.from({ length: 1000 }, () => accounts.authenticateLogin({ login, password, address: OFFICE })));
  assert.ok(results.every((result) => result.kind === 'ok'));
  assert.ok(processCpuMs() - start < 1000);
});

test('a changed password ends the old one within two seconds, on open connections too', async () => {
  const domain = await addDomain();
  const login = `app@${domain.name}`;
  await accounts.putCredential(domain, login, 'old password');
  const result = await accounts.authenticateLogin({ login, password: 'old password', address: OFFICE });
  assert.equal(result.kind, 'ok');
  assert.equal(await accounts.stillStands(result.principal), true);
  await another().putCredential(domain, login, 'new password');
  clock.advance(2000);
  assert.equal(await accounts.stillStands(result.principal), false);
  assert.equal((await accounts.authenticateLogin({ login, password: 'old password', address: OFFICE })).kind, 'refused');
  assert.equal((await accounts.authenticateLogin({ login, password: 'new password', address: OFFICE })).kind, 'ok');
});

test('a deleted login ends within two seconds', async () => {
  const domain = await addDomain();
  const login = `app@${domain.name}`;
  const password = await accounts.putCredential(domain, login, undefined);
  assert.equal((await accounts.authenticateLogin({ login, password, address: OFFICE })).kind, 'ok');
  assert.equal(await another().deleteCredential(domain, login), true);
  clock.advance(2000);
  assert.equal((await accounts.authenticateLogin({ login, password, address: OFFICE })).kind, 'refused');
});

test('a login belongs to its own domain, and its password is neither tiny nor endless', async () => {
  const domain = await addDomain();
  for (const login of ['app@elsewhere.example', '@', 'a b', 'a\r\nb'])
    await assert.rejects(accounts.putCredential(domain, login, undefined), { code: 'bad-parameter' });
  for (const password of ['1234', 'x'.repeat(1025), 'has\0nul'])
    await assert.rejects(accounts.putCredential(domain, 'app', password), { code: 'bad-parameter' });
});

async function zoneOf(
  domain: Domain,
): Promise<{ records: Map<string, readonly string[]>; lookUp: (name: string) => Promise<readonly string[]> }> {
  const records = new Map(
    (await accounts.dnsRecords(domain)).map((record) => [record.name, [record.value]] as [string, readonly string[]]),
  );
  return { records, lookUp: (name) => Promise.resolve(records.get(name) ?? []) };
}

test('a key ends with its account, its parent account and its user', async () => {
  const parent = account;
  const child = await accounts.createSubaccount(parent.id, 'child');
  assert.ok(child);
  const { secret: text } = await accounts.createKey({ accountId: child.id });
  const ann = { email: 'ann@example.org', name: 'Ann', role: 'basic', isDisabled: false, isMaster: false, createdMs: NOW } as const;
  const user = await store.access.createUser({ ...ann, accountId: parent.id });
  assert.ok(user);
  const { secret: personal } = await accounts.createKey({ accountId: parent.id, role: 'basic', userId: user.id });
  const works = async (key: string): Promise<boolean> => {
    clock.advance(2000);
    return (await accounts.authenticateKey(key)) !== undefined;
  };
  assert.deepEqual([await works(text), await works(personal)], [true, true]);
  await store.access.setUserDisabled(parent.id, user.id, true);
  assert.deepEqual([await works(text), await works(personal)], [true, false]);
  await accounts.changeAccount(parent.id, { status: 'disabled' });
  assert.equal(await works(text), false);
  await accounts.changeAccount(parent.id, { status: 'open' });
  assert.equal(await works(text), true);
  await accounts.changeAccount(child.id, { status: 'closed' });
  assert.equal(await works(text), false);
});

test('an account that names networks is used from there only, by keys and by logins', async () => {
  const domain = await addDomain();
  const { secret: text } = await accounts.createKey({ accountId: account.id });
  const login = `app@${domain.name}`;
  const password = await accounts.putCredential(domain, login, undefined);
  const from = async (address: string): Promise<[boolean, string]> => {
    clock.advance(2000);
    return [
      (await accounts.authenticateKey(text, address)) !== undefined,
      (await accounts.authenticateLogin({ login, password, address })).kind,
    ];
  };
  assert.deepEqual(await from('198.51.100.7'), [true, 'ok']);
  await accounts.allowNetwork(account.id, '192.0.2.77/24', 'office');
  assert.deepEqual(await from('198.51.100.7'), [false, 'refused']);
  assert.deepEqual(await from(OFFICE), [true, 'ok']);
  assert.equal(await accounts.disallowNetwork(account.id, '192.0.2.0/24'), true);
  assert.deepEqual(await from('198.51.100.7'), [true, 'ok']);
  await assert.rejects(accounts.allowNetwork(account.id, 'home', ''), { code: 'bad-parameter' });
});

test('a disabled login is refused until it is enabled', async () => {
  const domain = await addDomain();
  const login = `app@${domain.name}`;
  const password = await accounts.putCredential(domain, login, undefined);
  const kind = async (): Promise<string> => (await accounts.authenticateLogin({ login, password, address: OFFICE })).kind;
  assert.equal(await accounts.setCredentialDisabled(domain, login, true), true);
  assert.equal(await kind(), 'refused');
  await accounts.setCredentialDisabled(domain, login, false);
  assert.equal(await kind(), 'ok');
  assert.equal(await accounts.setCredentialDisabled(domain, 'nobody', true), false);
});

test('when a key was used last is known to the minute', async () => {
  const { secret: text } = await accounts.createKey({ accountId: account.id });
  const lastUsed = async (): Promise<number | undefined> => (await accounts.listKeys(account.id))[0]?.lastUsedMs;
  await accounts.authenticateKey(text);
  await until(async () => (await lastUsed()) === NOW, 'the first use noted');
  clock.advance(59_000);
  await accounts.authenticateKey(text);
  clock.advance(2000);
  await accounts.authenticateKey(text);
  await until(async () => (await lastUsed()) === NOW + 61_000, 'the later use noted');
});

test('the key that webhooks are signed with is made once for all processes, sealed, and renewed when asked', async () => {
  const [one, two] = await Promise.all([accounts.webhookKey(account.id), another().webhookKey(account.id)]);
  assert.match(one, /^[0-9a-f]{32}$/);
  assert.equal(two, one);
  assert.equal((await store.access.signingKey(account.id))?.includes(one), false);
  const renewed = await accounts.renewWebhookKey(account.id);
  assert.notEqual(renewed, one);
  assert.equal(await another().webhookKey(account.id), renewed);
});

test('a public key says no more than whose it is, and a new one takes its place', async () => {
  const text = await accounts.renewPublicKey(account.id);
  assert.equal((await accounts.authenticateKey(text))?.kind, 'public-key');
  await accounts.renewPublicKey(account.id);
  assert.equal(await accounts.authenticateKey(text), undefined);
});
