/** Keys, the signing key of webhooks, and SMTP logins, as SDKs administer them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import type { Interfaces } from 'mailgun.js/definitions';
import { type ApiRig, bodyOf, startRig } from './api-kit.ts';

const form = (fields: Readonly<Record<string, string>>): RequestInit => ({ method: 'POST', body: new URLSearchParams(fields) });

interface Key {
  readonly id: string;
  readonly secret: string;
  readonly created_at: string;
  readonly expires_at?: string;
  readonly is_disabled: boolean;
  readonly disabled_reason?: string;
}
interface Keys {
  readonly total_count: number;
  readonly items: readonly Key[];
}
interface SigningKey {
  readonly http_signing_key: string;
}
interface Made {
  readonly message: string;
  readonly credentials: Readonly<Record<string, string>>;
}

async function makeKey(rig: ApiRig, fields: Readonly<Record<string, string>>): Promise<Key> {
  return (await bodyOf<{ readonly key: Key }>(await rig.fetch('/v1/keys', form(fields)))).key;
}

test('mailgun.js makes, lists and ends keys', async () => {
  await using rig = await startRig();
  // The SDK's own type of its client forgets this part of it.
  const { apiKeys: keys } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url }) as unknown as {
    readonly apiKeys: Interfaces.IAPIKeysClient;
  };
  const made = await keys.create({ role: 'sending', kind: 'domain', domain_name: 'example.org', description: 'shop' });
  assert.ok(made);
  const { items, totalCount } = await keys.list({ kind: 'domain', domain_name: 'example.org' });
  assert.equal(totalCount, 1);
  const [key] = items;
  assert.deepEqual(
    [key?.kind, key?.role, key?.domain_name, key?.description, key?.is_disabled],
    ['domain', 'sending', 'example.org', 'shop', false],
  );
  assert.ok(key?.created_at instanceof Date);
  assert.equal((await keys.destroy(key?.id ?? '')).message, 'key deleted');
  assert.equal((await keys.list({ kind: 'domain' })).totalCount, 0);
  assert.match((await keys.regeneratePublicKey()).key, /^pubkey-[0-9a-f]{32}$/);
});

test('a key works from the answer that shows its secret until it is ended', async () => {
  await using rig = await startRig();
  const key = await makeKey(rig, { role: 'basic', description: 'reads' });
  assert.match(key.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  assert.equal((await rig.fetch('/v3/domains', { key: key.secret })).status, 200);
  const listed = (await bodyOf<Keys>(await rig.fetch('/v1/keys'))).items;
  assert.equal(JSON.stringify(listed).includes(key.secret), false);
  assert.deepEqual(
    Object.keys(listed.find(({ id }) => id === key.id) ?? {}).includes('expires_at'),
    false,
    'what is not there is left out',
  );
  assert.deepEqual(await bodyOf(await rig.fetch(`/v1/keys/${key.id}`, { method: 'DELETE' })), { message: 'key deleted' });
  assert.equal((await rig.fetch('/v3/domains', { key: key.secret })).status, 401);
  assert.deepEqual(await bodyOf(await rig.fetch(`/v1/keys/${key.id}`, { method: 'DELETE' }), 404), { message: 'no key matching id' });
});

test('a key that expires says when, and is none afterwards', async () => {
  await using rig = await startRig();
  const key = await makeKey(rig, { role: 'developer', expiration: '1' });
  assert.ok(key.expires_at);
  const deadline = Date.now() + 10_000;
  while ((await rig.fetch('/v3/domains', { key: key.secret })).status === 200) assert.ok(Date.now() < deadline, 'it does not end');
  const items = (await bodyOf<Keys>(await rig.fetch('/v1/keys'))).items;
  const listed = items.find(({ id }) => id === key.id);
  assert.deepEqual([listed?.is_disabled, listed?.disabled_reason], [true, 'expired']);
});

test('bad wishes for a key are told, and make none', async () => {
  await using rig = await startRig();
  await rig.addTenant('other', 'other.example');
  for (const [fields, status] of [
    [{}, 400],
    [{ role: 'owner' }, 400],
    [{ role: 'admin', kind: 'spare' }, 400],
    [{ role: 'sending', kind: 'domain' }, 400],
    [{ role: 'admin', kind: 'domain', domain_name: 'example.org' }, 400],
    [{ role: 'sending', kind: 'domain', domain_name: 'other.example' }, 404],
    [{ role: 'admin', expiration: '-1' }, 400],
    [{ role: 'admin', expiration: 'soon' }, 400],
    [{ role: 'admin', description: 'a\r\nb' }, 400],
    [{ role: 'admin', user_id: '000000000000000000000001' }, 400],
  ] as const) {
    await bodyOf(await rig.fetch('/v1/keys', form(fields)), status);
  }
  assert.equal((await bodyOf<Keys>(await rig.fetch('/v1/keys'))).total_count, 1);
  assert.deepEqual(await bodyOf(await rig.fetch('/v1/keys?kind=x'), 400), {
    message: "expected 'kind' param to be one of [domain user web] or absent",
  });
});

test('the key that webhooks are signed with stays until it is made anew, under either spelling of its path', async () => {
  await using rig = await startRig();
  const url = '/v5/accounts/http_signing_key';
  const first = await bodyOf<SigningKey>(await rig.fetch(url));
  assert.match(first.http_signing_key, /^[0-9a-f]{32}$/);
  assert.deepEqual(await bodyOf(await rig.fetch('/v5/accounts/http/signing/key')), first);
  const renewed = await bodyOf<SigningKey>(await rig.fetch(url, { method: 'POST' }));
  assert.notEqual(renewed.http_signing_key, first.http_signing_key);
  assert.deepEqual(await bodyOf(await rig.fetch(url)), renewed);
  const other = await rig.addTenant('other', 'other.example');
  assert.notEqual((await bodyOf<SigningKey>(await rig.fetch(url, { key: other.key }))).http_signing_key, renewed.http_signing_key);
});

test('SMTP logins are made, changed and deleted, one or all, but for those of the system', async () => {
  await using rig = await startRig();
  const url = '/v3/domains/example.org/credentials';
  const logins = async (): Promise<string[]> => {
    const { items, total_count } = await bodyOf<{ items: { login: string }[]; total_count: number }>(await rig.fetch(url));
    assert.equal(total_count, items.length);
    return items.map(({ login }) => login);
  };
  assert.deepEqual(await bodyOf(await rig.fetch(url, form({ login: 'ann', password: 'secret-1' }))), {
    message: 'Created 1 credentials pair(s)',
  });
  const made = await bodyOf<Made>(await rig.fetch(url, form({ mailbox: 'bob@example.org' })));
  assert.equal(typeof made.credentials['bob@example.org'], 'string');
  const asJson = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ login: 'cy', password: 'secret-2' }),
  };
  await bodyOf(await rig.fetch(url, asJson));
  await bodyOf(await rig.fetch(url, form({ login: 'postmaster', password: 'secret-3', system: 'yes' })));
  assert.deepEqual(await logins(), ['ann@example.org', 'bob@example.org', 'cy@example.org', 'postmaster@example.org']);

  // As Ruby asks for a new password: with a field that means nothing.
  const changed = await bodyOf<Made>(await rig.fetch(`${url}/ann`, { ...form({ spec: 'abc' }), method: 'PUT' }));
  assert.equal(changed.message, 'Password changed');
  const password = changed.credentials['ann@example.org'] ?? '';
  const log = async (login: string, given: string): Promise<string> =>
    (await rig.accounts.authenticateLogin({ login, password: given, address: '192.0.2.1' })).kind;
  assert.equal(await log('ann@example.org', password), 'ok');

  assert.deepEqual(await bodyOf(await rig.fetch(`${url}/postmaster`, { method: 'DELETE' }), 400), {
    message: 'Cannot delete system mailbox: postmaster@example.org',
  });
  assert.deepEqual(await bodyOf(await rig.fetch(`${url}/ann%40example.org`, { method: 'DELETE' })), {
    message: 'Credentials have been deleted',
    spec: 'ann@example.org',
  });
  assert.equal(await log('ann@example.org', password), 'refused');
  assert.deepEqual(await bodyOf(await rig.fetch(url, { method: 'DELETE' })), {
    message: 'All domain credentials have been deleted',
    count: 2,
  });
  assert.deepEqual(await logins(), ['postmaster@example.org']);
});
