/** Subaccounts and acting for them, limits of a month, allowed networks, people, sandbox recipients, and the account itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { publicId } from '#accounts/public-id.ts';
import { type ApiRig, basic, bodyOf, startRig } from './api-kit.ts';

const SUBACCOUNTS = '/v5/accounts/subaccounts';

interface Subaccount {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly features: Readonly<Record<string, { readonly enabled: boolean }>>;
}

const form = (method: string, fields: Readonly<Record<string, string>> = {}): RequestInit => ({
  method,
  body: new URLSearchParams(fields),
});

async function addSubaccount(rig: ApiRig, name: string): Promise<Subaccount> {
  return (await bodyOf<{ readonly subaccount: Subaccount }>(await rig.fetch(SUBACCOUNTS, form('POST', { name })))).subaccount;
}

function onBehalfOf(rig: ApiRig, id: string, path: string, init: RequestInit = {}, key = rig.tenant.key): Promise<Response> {
  return fetch(rig.url + path, { ...init, headers: { authorization: basic(key), 'x-mailgun-on-behalf-of': id } });
}

const letter = (domain: string): RequestInit => form('POST', { from: `a@${domain}`, to: 'b@example.net', subject: 'x', text: 'y' });

test('mailgun.js makes, lists, disables, enables and closes subaccounts', async () => {
  await using rig = await startRig();
  const { subaccounts } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  const { subaccount } = await subaccounts.create('shop');
  assert.deepEqual([subaccount.name, subaccount.status], ['shop', 'open']);
  assert.deepEqual((await subaccounts.get(subaccount.id)).subaccount.id, subaccount.id);
  const { subaccounts: items, total } = await subaccounts.list({ limit: 5, sort: 'asc' });
  assert.deepEqual([items.map(({ name }) => name), total], [['shop'], 1]);
  assert.equal((await subaccounts.disable(subaccount.id)).subaccount.status, 'disabled');
  assert.equal((await subaccounts.enable(subaccount.id)).subaccount.status, 'open');
  assert.equal((await subaccounts.setMonthlySendingLimit(subaccount.id, 5000)).success, true);
  const limit = await subaccounts.getMonthlySendingLimit(subaccount.id);
  assert.deepEqual([limit.limit, limit.current, limit.period], [5000, 0, '1m']);
  await subaccounts.destroy(subaccount.id);
  await assert.rejects(subaccounts.get(subaccount.id), { status: 404 });
  assert.equal((await subaccounts.list()).total, 0);
});

test("an account acts for its subaccount: what it makes is the subaccount's, and what it sends is sent by it", async () => {
  await using rig = await startRig();
  const shop = await addSubaccount(rig, 'shop');
  await bodyOf(await onBehalfOf(rig, shop.id, '/v3/domains', form('POST', { name: 'shop.example' })));
  assert.equal((await rig.fetch('/v3/domains/shop.example')).status, 404, "it is not the parent's own");
  const listed = async (query: string): Promise<unknown> =>
    (await bodyOf<{ items: Record<string, unknown>[] }>(await rig.fetch(`/v4/domains${query}`))).items.map((item) => [
      item['name'],
      item['subaccount_id'],
    ]);
  assert.deepEqual(await listed(''), [['example.org', undefined]]);
  assert.deepEqual(await listed('?include_subaccounts=true'), [
    ['example.org', undefined],
    ['shop.example', shop.id],
  ]);
  await bodyOf(await onBehalfOf(rig, shop.id, '/v3/shop.example/messages', letter('shop.example')));
  assert.equal((await rig.fetch('/v3/shop.example/messages', letter('shop.example'))).status, 401);
  const { key } = await bodyOf<{ key: { secret: string } }>(await onBehalfOf(rig, shop.id, '/v1/keys', form('POST', { role: 'admin' })));
  assert.equal((await rig.fetch('/v3/domains/shop.example', { key: key.secret })).status, 200);
  assert.equal((await rig.fetch('/v3/domains/example.org', { key: key.secret })).status, 404);
});

test("an account acts for no other account's subaccount, nor for one that does not exist", async () => {
  await using rig = await startRig();
  const shop = await addSubaccount(rig, 'shop');
  const other = await rig.addTenant('other', 'other.example');
  for (const id of [shop.id, 'nothing', '0'.repeat(24), 'f'.repeat(24)]) {
    assert.equal((await onBehalfOf(rig, id, '/v3/domains', {}, other.key)).status, 404, id);
    assert.equal((await rig.fetch(`${SUBACCOUNTS}/${id}`, { key: other.key })).status, 404, id);
    assert.equal((await rig.fetch(`${SUBACCOUNTS}/${id}/disable`, { method: 'POST', key: other.key })).status, 404, id);
  }
  const { secret } = await rig.accounts.createKey({ accountId: rig.tenant.accountId, domainId: rig.tenant.domain.id });
  assert.equal((await onBehalfOf(rig, shop.id, '/v3/example.org/messages', letter('example.org'), secret)).status, 403);
});

test('nobody comes in for a disabled subaccount, and its parent may only look', async () => {
  await using rig = await startRig();
  const shop = await addSubaccount(rig, 'shop');
  await bodyOf(await onBehalfOf(rig, shop.id, '/v3/domains', form('POST', { name: 'shop.example' })));
  const { key } = await bodyOf<{ key: { secret: string } }>(await onBehalfOf(rig, shop.id, '/v1/keys', form('POST', { role: 'admin' })));
  await bodyOf(await rig.fetch(`${SUBACCOUNTS}/${shop.id}/disable?reason=unpaid`, { method: 'POST' }));
  assert.deepEqual(await bodyOf(await rig.fetch(`${SUBACCOUNTS}/${shop.id}/disable`, { method: 'POST' }), 400), {
    message: 'subaccount is already disabled',
  });
  assert.equal((await rig.fetch('/v3/domains', { key: key.secret })).status, 401);
  assert.equal((await onBehalfOf(rig, shop.id, '/v3/domains')).status, 200);
  assert.equal((await onBehalfOf(rig, shop.id, '/v3/shop.example/messages', letter('shop.example'))).status, 403);
  await bodyOf(await rig.fetch(`${SUBACCOUNTS}/${shop.id}/enable`, { method: 'POST' }));
  await bodyOf(await onBehalfOf(rig, shop.id, '/v3/shop.example/messages', letter('shop.example')));
});

test('a subaccount sends nothing while sending is off for it', async () => {
  await using rig = await startRig();
  const shop = await addSubaccount(rig, 'shop');
  assert.equal(shop.features['sending']?.enabled, true);
  await bodyOf(await onBehalfOf(rig, shop.id, '/v3/domains', form('POST', { name: 'shop.example' })));
  const set = (value: string): Promise<Response> => rig.fetch(`${SUBACCOUNTS}/${shop.id}/features`, form('PUT', { sending: value }));
  const { features } = await bodyOf<Subaccount>(await set('{"enabled": false}'));
  assert.equal(features['sending']?.enabled, false);
  assert.equal((await onBehalfOf(rig, shop.id, '/v3/shop.example/messages', letter('shop.example'))).status, 403);
  await bodyOf(await set('{"enabled": true}'));
  await bodyOf(await onBehalfOf(rig, shop.id, '/v3/shop.example/messages', letter('shop.example')));
  for (const value of ['{"enabled": 1}', '[]', '{']) await bodyOf(await set(value), 400);
  assert.deepEqual(await bodyOf(await rig.fetch(`${SUBACCOUNTS}/${shop.id}/features`, form('PUT')), 400), {
    message: 'No valid updates provided',
  });
});

test('the limit of a month is set, shown and removed, wherever the client puts the number', async () => {
  await using rig = await startRig();
  const url = '/v5/accounts/limit/custom/monthly';
  assert.deepEqual(await bodyOf(await rig.fetch(url), 404), { message: 'No threshold for account' });
  await bodyOf(await rig.fetch(`${url}?limit=2000`, { method: 'PUT' }));
  assert.deepEqual(await bodyOf(await rig.fetch(url)), { limit: 2000, current: 0, period: '1m' });
  await bodyOf(await rig.fetch(url, form('PUT', { limit: '3000' })));
  for (const limit of ['999', '-5', '1e9', 'many', '99999999999'])
    await bodyOf(await rig.fetch(`${url}?limit=${limit}`, { method: 'PUT' }), 400);
  assert.deepEqual(await bodyOf(await rig.fetch(url)), { limit: 3000, current: 0, period: '1m' });
  assert.deepEqual(await rig.store.grants.limitsOf(rig.tenant.accountId), { recipientsPerMonth: 3000 });
  assert.deepEqual(await bodyOf(await rig.fetch('/v5/accounts/limit/custom/enable', { method: 'PUT' })), { success: true });
  await bodyOf(await rig.fetch(url, { method: 'DELETE' }));
  assert.deepEqual(await bodyOf(await rig.fetch(url, { method: 'DELETE' }), 400), { message: 'Could not delete threshold for account' });
});

test('an account that names networks answers only there, under either spelling of the path', async () => {
  await using rig = await startRig();
  const url = '/v2/ip_whitelist';
  assert.deepEqual(await bodyOf(await rig.fetch(url)), { addresses: [] });
  await bodyOf(await rig.fetch(url, form('POST', { address: '127.0.0.9/8', description: 'here' })));
  await bodyOf(await rig.fetch('/v2/ip/whitelist', form('PUT', { address: '127.0.0.0/8', description: 'home' })));
  const addresses = [{ ip_address: '127.0.0.0/8', description: 'home' }];
  assert.deepEqual(await bodyOf(await rig.fetch(url)), { addresses });
  assert.deepEqual(await bodyOf(await rig.fetch(url, form('PUT', { address: '192.0.2.1' })), 400), { message: 'IP not found' });
  assert.deepEqual(await bodyOf(await rig.fetch(url, form('POST', { address: 'home' })), 400), { message: 'Invalid IP Address or CIDR' });
  assert.deepEqual(await bodyOf(await rig.fetch(url, { method: 'DELETE' }), 400), { message: 'IP address can not be blank' });
  // Another key, so that nothing of it is remembered.
  const { secret } = await rig.accounts.createKey({ accountId: rig.tenant.accountId });
  await bodyOf(await rig.fetch(url, form('POST', { address: '192.0.2.1' })));
  await bodyOf(await rig.fetch(`${url}?address=127.0.0.0/8`, { method: 'DELETE' }));
  const answer = await rig.fetch(url, { key: secret });
  assert.deepEqual([answer.status, await answer.text()], [401, 'Forbidden']);
});

test('a sandbox domain sends to five addresses that were named, and to no other', async () => {
  await using rig = await startRig();
  const { accountManagement } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  await rig.accounts.addDomain(rig.tenant.accountId, 'sandbox.example', 'sandbox');
  assert.equal((await rig.fetch('/v3/sandbox.example/messages', letter('sandbox.example'))).status, 403);
  assert.deepEqual((await accountManagement.addSandboxAuthorizedRecipient('B@example.net')).recipient, {
    email: 'b@example.net',
    activated: true,
  });
  await bodyOf(await rig.fetch('/v3/sandbox.example/messages', letter('sandbox.example')));
  for (let i = 0; i < 4; i++) await bodyOf(await rig.fetch('/v5/sandbox/auth/recipients', form('POST', { email: `${i}@example.net` })));
  assert.deepEqual(await bodyOf(await rig.fetch('/v5/sandbox/auth_recipients?email=6@example.net', { method: 'POST' }), 400), {
    message: 'Only 5 sandbox recipients are allowed',
  });
  assert.equal((await accountManagement.getSandboxAuthorizedRecipients()).recipients.length, 5);
  await accountManagement.removeSandboxAuthorizedRecipient('b@example.net');
  assert.equal((await rig.fetch('/v3/sandbox.example/messages', letter('sandbox.example'))).status, 403);
  for (const email of ['', 'nobody', 'a@b@c']) await bodyOf(await rig.fetch('/v5/sandbox/auth_recipients', form('POST', { email })), 400);
});

test('people are listed with their roles, and a key says whose it is', async () => {
  await using rig = await startRig();
  const { accountId } = rig.tenant;
  const ann = { accountId, email: 'ann@example.org', name: 'Ann', role: 'basic', isDisabled: false, isMaster: true, createdMs: 0 } as const;
  const made = await rig.store.access.createUser(ann);
  const { users, total } = await bodyOf<{ users: { id: string; email: string }[]; total: number }>(await rig.fetch('/v5/users?role=basic'));
  assert.deepEqual([users[0]?.email, total], ['ann@example.org', 1]);
  assert.deepEqual(await bodyOf(await rig.fetch(`/v5/users/${users[0]?.id ?? ''}`)), users[0]);
  const { secret } = await rig.accounts.createKey({ accountId, role: 'basic', userId: made?.id ?? 0 });
  assert.deepEqual(await bodyOf(await rig.fetch('/v5/users/me', { key: secret })), users[0]);
  assert.deepEqual(await bodyOf(await rig.fetch('/v5/users/me'), 403), { message: 'Incompatible key for this endpoint' });
  const other = await rig.addTenant('other', 'other.example');
  assert.deepEqual(await bodyOf(await rig.fetch(`/v5/users/${users[0]?.id ?? ''}`, { key: other.key }), 404), {
    message: 'No such user exists',
  });
});

test('the account has another name when it is told so, and nothing changes for what makes no sense', async () => {
  await using rig = await startRig();
  const put = (query: string): Promise<Response> => rig.fetch(`/v5/accounts?${query}`, { method: 'PUT' });
  assert.deepEqual(await bodyOf(await put('name=Shop&inactive_session_timeout=600')), { message: 'Account info has been updated' });
  for (const query of [
    '',
    'inactive_session_timeout=soon',
    'logout_redirect_url=javascript:alert(1)',
    `name=${'x'.repeat(101)}`,
    'name=a%0d%0ab',
  ])
    await bodyOf(await put(query), 400);
  const facts = await rig.store.access.accountFacts(rig.tenant.accountId);
  assert.deepEqual([facts?.name, facts?.settings], ['Shop', { inactive_session_timeout: 600 }]);
});

test('what a parent switched off for a subaccount is refused there, and the subaccount does not switch it on', async () => {
  await using rig = await startRig();
  const below = await rig.accounts.createSubaccount(rig.tenant.accountId, 'below');
  assert.ok(below);
  const { secret: own } = await rig.accounts.createKey({ accountId: below.id, role: 'admin' });
  const put = (fields: Record<string, string>, options: { readonly key?: string; readonly as?: number } = {}): Promise<Response> =>
    rig.fetch('/v5/accounts/features', {
      ...form('PUT', fields),
      ...(options.key !== undefined && { key: options.key }),
      headers: { ...(options.as !== undefined && { 'x-mailgun-on-behalf-of': publicId(options.as) }) },
    });
  const validate = async (key: string): Promise<number> => (await rig.fetch('/v4/address/validate?address=a@example.net', { key })).status;
  assert.equal(await validate(own), 200);
  const off = await bodyOf<Subaccount>(await put({ validations: '{"enabled":false}' }, { as: below.id }));
  assert.deepEqual(off.features['validations'], { enabled: false });
  assert.equal(off.features['webhooks_redact_pii']?.enabled, false);
  assert.equal(await validate(own), 403);
  assert.equal(await validate(rig.tenant.key), 200);
  assert.equal((await put({ validations: '{"enabled":true}' }, { key: own })).status, 400);
  assert.equal(await validate(own), 403);
  const wish = await bodyOf<Subaccount>(await put({ webhooks_redact_pii: '{"enabled":true}' }, { key: own }));
  assert.deepEqual([wish.features['webhooks_redact_pii']?.enabled, wish.features['validations']?.enabled], [true, false]);
  assert.equal((await put({ validations: 'yes' }, { as: below.id })).status, 200);
  assert.equal(await validate(own), 200);
  assert.equal((await put({ validations: '{"enabled":7}' })).status, 400);
});

test('mailgun.js changes features of the account', async () => {
  await using rig = await startRig();
  const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  const { features } = (await client.accountManagement.updateAccountFeature({ ai_insights: { enabled: true } })) as unknown as Subaccount;
  assert.deepEqual(features['ai_insights'], { enabled: true });
});
