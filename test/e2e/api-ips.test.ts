/** Addresses that mail leaves from, pools of them, and which domain uses which. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { publicId } from '#accounts/public-id.ts';
import { startRig } from './api-kit.ts';
import type { ApiRig } from './api-kit.ts';

type Json = Record<string, unknown>;

const EGRESS = [
  { name: 'a', address: '192.0.2.1', ehlo: 'a.mail.example', pool: 'default' },
  { name: 'b', address: '192.0.2.2', ehlo: 'b.mail.example', pool: 'default' },
  { name: 'c', address: '2001:db8::3', ehlo: 'c.mail.example', pool: 'bulk' },
  { name: 'any', ehlo: 'mail.example', pool: 'default' },
];

const startWithAddresses = (): Promise<ApiRig> => startRig({}, { egress: EGRESS });

async function ask(rig: ApiRig, method: string, path: string, fields?: Record<string, string>, key?: string): Promise<[number, Json]> {
  const response = await rig.fetch(path, { method, ...(fields !== undefined && { body: new URLSearchParams(fields) }), key });
  return [response.status, (await response.json()) as Json];
}

test('the addresses of the configuration are the account’s', async () => {
  await using rig = await startWithAddresses();
  const [, list] = await ask(rig, 'GET', '/v3/ips');
  assert.deepEqual(list['items'], ['192.0.2.1', '192.0.2.2', '2001:db8::3']);
  assert.equal(list['total_count'], 3);
  assert.equal((await ask(rig, 'GET', '/v3/ips?dedicated=false'))[1]['total_count'], 3, 'false: not these alone');
  assert.deepEqual((await ask(rig, 'GET', '/v3/ips?enabled=false'))[1]['items'], []);
  assert.deepEqual(await ask(rig, 'GET', '/v3/ips/192.0.2.2'), [200, { ip: '192.0.2.2', dedicated: true, rdns: 'b.mail.example' }]);
  assert.equal((await ask(rig, 'GET', '/v3/ips/2001:db8:0::3'))[0], 200);
  for (const wrong of ['192.0.2.9', 'nonsense', '__proto__']) assert.equal((await ask(rig, 'GET', `/v3/ips/${wrong}`))[0], 404);
  const all = (await ask(rig, 'GET', '/v3/ips/details/all'))[1]['items'] as Json[];
  assert.equal(all.length, 3);
  const facts = { ip: '192.0.2.1', address: '192.0.2.1', account_id: publicId(rig.tenant.accountId), pool_ids: [], dedicated: true };
  assert.partialDeepStrictEqual(all[0], facts);
});

test('a domain has addresses of its own or a pool, and what is taken away can be replaced', async () => {
  await using rig = await startWithAddresses();
  const path = '/v3/domains/example.org/ips';
  const inUse = async (): Promise<unknown> => (await ask(rig, 'GET', path))[1]['items'];
  assert.deepEqual(await inUse(), ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual(await ask(rig, 'POST', path, { ip: '192.0.2.2' }), [200, { message: 'success' }]);
  assert.deepEqual(await inUse(), ['192.0.2.2']);
  assert.equal((await ask(rig, 'POST', path, { ip: '198.51.100.1' }))[0], 400);
  assert.equal((await ask(rig, 'POST', path, {}))[0], 400);
  assert.equal((await ask(rig, 'GET', `${path}/192.0.2.2`))[0], 200);
  assert.equal((await ask(rig, 'GET', `${path}/192.0.2.1`))[0], 404);
  assert.equal((await ask(rig, 'DELETE', `${path}/192.0.2.1`))[0], 404);
  assert.deepEqual(await ask(rig, 'DELETE', `${path}/192.0.2.2?ip=2001:db8::3`), [200, { message: 'success' }]);
  assert.deepEqual(await inUse(), ['2001:db8::3']);
  const [, made] = await ask(rig, 'POST', '/v3/ip_pools', { name: 'one', description: 'x', ip: '192.0.2.1' });
  await ask(rig, 'POST', path, { pool_id: String(made['pool_id']) });
  assert.deepEqual(await inUse(), ['192.0.2.1']);
  assert.equal((await ask(rig, 'DELETE', '/v3/domains/example.org/pool/ip_pool'))[0], 200);
  assert.deepEqual(await inUse(), ['192.0.2.1', '192.0.2.2']);
});

test('an address is given to all domains of the account and taken from them again', async () => {
  await using rig = await startWithAddresses();
  await ask(rig, 'POST', '/v4/domains', { name: 'second.example', ips: '192.0.2.1', dkim_key_size: '1024' });
  const { key } = await rig.addTenant('other', 'other.example');
  assert.equal((await ask(rig, 'POST', '/v3/ips/192.0.2.2/domains'))[1]['message'], 'success');
  const [, listed] = await ask(rig, 'GET', '/v3/ips/192.0.2.2/domains?limit=10&skip=0');
  assert.deepEqual(listed, {
    items: [
      { domain: 'example.org', ips: ['192.0.2.2'] },
      { domain: 'second.example', ips: ['192.0.2.1', '192.0.2.2'] },
    ],
    total_count: 2,
    assignable_to_pools: ['192.0.2.2'],
  });
  assert.equal((await ask(rig, 'GET', '/v3/ips/192.0.2.2/domains', undefined, key))[1]['total_count'], 0);
  await ask(rig, 'DELETE', '/v3/ips/192.0.2.2/domains?alternative=192.0.2.1');
  assert.equal((await ask(rig, 'GET', '/v3/ips/192.0.2.2/domains'))[1]['total_count'], 0);
  assert.equal((await ask(rig, 'GET', '/v3/ips/192.0.2.1/domains'))[1]['total_count'], 2);
  assert.equal((await ask(rig, 'DELETE', '/v3/ips/192.0.2.1/domains?alternative=x'))[0], 400);
});

test('pools are made, changed, linked to domains and deleted', async () => {
  await using rig = await startWithAddresses();
  const [, made] = await ask(rig, 'POST', '/v3/ip_pools', { name: 'news', description: 'of the week', ip: '192.0.2.1' });
  assert.equal(made['message'], 'success');
  const path = `/v3/ip_pools/${String(made['pool_id'])}`;
  assert.partialDeepStrictEqual((await ask(rig, 'GET', '/v3/ip_pools'))[1], {
    message: 'success',
    ip_pools: [{ name: 'news', description: 'of the week', ips: ['192.0.2.1'], is_linked: false, is_inherited: false }],
  });
  const patched = await ask(rig, 'PATCH', path, { name: 'daily', add_ip: '192.0.2.2', remove_ip: '192.0.2.1', link_domain: 'example.org' });
  assert.equal(patched[1]['message'], 'success');
  assert.partialDeepStrictEqual((await ask(rig, 'GET', path))[1], {
    name: 'daily',
    ips: ['192.0.2.2'],
    is_linked: true,
    details: { linked_domains: ['example.org'], ips: ['192.0.2.2'] },
  });
  assert.partialDeepStrictEqual((await ask(rig, 'GET', `${path}/domains?limit=1`))[1], { domains: [{ name: 'example.org' }] });
  assert.equal((await ask(rig, 'PUT', `${path}/ips/192.0.2.1`))[0], 200);
  assert.equal((await ask(rig, 'PUT', `${path}/ips/198.51.100.9`))[0], 400);
  assert.equal((await ask(rig, 'DELETE', `${path}/ips/192.0.2.1`))[0], 200);
  assert.equal((await ask(rig, 'DELETE', `${path}/ips/192.0.2.1`))[0], 404);
  const many = await rig.fetch(`${path}/ips.json`, {
    method: 'POST',
    body: JSON.stringify({ ips: ['192.0.2.1', '2001:db8::3'] }),
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(many.status, 200);
  assert.deepEqual((await ask(rig, 'GET', path))[1]['ips'], ['192.0.2.2', '192.0.2.1', '2001:db8::3']);
  assert.equal((await ask(rig, 'DELETE', `${path}?pool_id=nothing`))[0], 404);
  assert.equal((await ask(rig, 'DELETE', `${path}?ip=192.0.2.2`))[1]['message'], 'started');
  assert.equal((await ask(rig, 'GET', path))[0], 404);
  assert.deepEqual((await ask(rig, 'GET', '/v3/domains/example.org/ips'))[1]['items'], ['192.0.2.2']);
});

test('a pool needs a name of its own; one of another account is not there', async () => {
  await using rig = await startWithAddresses();
  const { key } = await rig.addTenant('other', 'other.example');
  const [, made] = await ask(rig, 'POST', '/v3/ip_pools', { name: 'mine', description: '' });
  assert.equal((await ask(rig, 'POST', '/v3/ip_pools', { name: 'mine' }))[0], 400);
  assert.equal((await ask(rig, 'POST', '/v3/ip_pools', { name: 'x\u0007' }))[0], 400);
  assert.equal((await ask(rig, 'POST', '/v3/ip_pools', {}))[0], 400);
  const path = `/v3/ip_pools/${String(made['pool_id'])}`;
  assert.equal((await ask(rig, 'GET', path, undefined, key))[0], 404);
  assert.equal((await ask(rig, 'PATCH', path, { name: 'stolen' }, key))[0], 404);
  assert.equal((await ask(rig, 'DELETE', path, undefined, key))[0], 404);
  assert.equal((await ask(rig, 'POST', '/v3/domains/other.example/ips', { pool_id: String(made['pool_id']) }, key))[0], 404);
  assert.equal((await ask(rig, 'PATCH', path, { link_domain: 'other.example' }))[0], 404);
});

test('a pool that is lent to a subaccount is used there, and changed by its owner alone', async () => {
  await using rig = await startWithAddresses();
  const child = await rig.accounts.createSubaccount(rig.tenant.accountId, 'child');
  assert.ok(child);
  const id = publicId(child.id);
  await rig.accounts.addDomain(child.id, 'child.example');
  const { secret: key } = await rig.accounts.createKey({ accountId: child.id, role: 'admin' });
  const stranger = await rig.addTenant('other', 'other.example');
  const [, made] = await ask(rig, 'POST', '/v3/ip_pools', { name: 'lent', ip: '192.0.2.2' });
  const pool = String(made['pool_id']);
  assert.equal((await ask(rig, 'PUT', `/v3/ip_pools/${pool}/delegate`, { subaccount_id: publicId(stranger.accountId) }))[0], 404);
  assert.equal((await ask(rig, 'PUT', `/v3/ip_pools/${pool}/delegate`, { subaccount_id: id }, stranger.key))[0], 404);
  assert.equal((await ask(rig, 'PUT', `/v3/ip_pools/${pool}/delegate`, { subaccount_id: id }))[1]['message'], 'success');
  assert.deepEqual((await ask(rig, 'GET', '/v3/domains/child.example/ips', undefined, key))[1]['items'], ['192.0.2.2']);
  assert.partialDeepStrictEqual((await ask(rig, 'GET', '/v3/ip_pools', undefined, key))[1], {
    ip_pools: [{ pool_id: pool, is_inherited: true }],
  });
  assert.equal((await ask(rig, 'PATCH', `/v3/ip_pools/${pool}`, { name: 'x' }, key))[0], 404);
  assert.deepEqual((await ask(rig, 'GET', '/v5/accounts/subaccounts/ip_pools/all'))[1], {
    items: [{ pool_id: pool, subaccount_id: id }],
    total_count: 1,
  });
  const one = `/v5/accounts/subaccounts/${id}`;
  assert.partialDeepStrictEqual((await ask(rig, 'GET', `${one}/ip_pools`))[1], { items: [{ pool_id: pool, name: 'lent' }] });
  assert.equal((await ask(rig, 'DELETE', `${one}/ip_pool?pool_id=${pool}`))[1]['message'], 'success');
  assert.equal((await ask(rig, 'DELETE', `${one}/ip_pool?pool_id=${pool}`))[0], 404);
  assert.deepEqual((await ask(rig, 'GET', '/v5/accounts/subaccounts/ip_pools/all'))[1], { items: [], total_count: 0 });
  assert.equal((await ask(rig, 'PUT', `${one}/ip_pool`, { pool_id: pool }))[0], 200);
  assert.equal((await ask(rig, 'PUT', `${one}/ip`, { ip: '192.0.2.1' }))[0], 200);
  assert.equal((await ask(rig, 'PUT', `${one}/ip`, { ip: '198.51.100.1' }))[0], 400);
});

test('mailgun.js manages addresses and pools', async () => {
  await using rig = await startWithAddresses();
  const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  assert.equal((await client.ips.list({ dedicated: true })).total_count, 3);
  assert.equal((await client.ips.get('192.0.2.1')).rdns, 'a.mail.example');
  const { pool_id: id } = await client.ip_pools.create({ name: 'js', description: 'x', ips: ['192.0.2.1'] });
  assert.equal((await client.ip_pools.list()).message, 'success');
  await client.ip_pools.update(id, { name: 'renamed', description: 'y' });
  await client.ip_pools.addIp(id, '192.0.2.2');
  await client.ip_pools.removeIp(id, '192.0.2.1');
  assert.deepEqual((await client.ip_pools.get(id)).ips, ['192.0.2.2']);
  assert.equal((await client.ip_pools.destroy(id, { ip: '192.0.2.2' })).message, 'started');
});

test('an address is warmed up by a plan until it is given up, at the wish of who operates the installation', async () => {
  await using rig = await startWithAddresses();
  const { key } = await rig.addTenant('other', 'other.example');
  const path = '/v3/ip_warmups/192.0.2.1';
  assert.equal((await ask(rig, 'GET', path))[0], 404);
  assert.deepEqual(await ask(rig, 'POST', path), [200, { message: 'IP warmup plan created' }]);
  assert.equal((await ask(rig, 'POST', path))[0], 400);
  assert.equal((await ask(rig, 'POST', '/v3/ip_warmups/192.0.2.9'))[0], 404);
  const [status, shown] = await ask(rig, 'GET', path);
  const details = shown['details'] as Json;
  assert.equal(status, 200);
  assert.deepEqual(
    [details['ip'], details['stage_number'], details['stage_volume_limit'], details['total_stages'], details['sent_within_stage']],
    ['192.0.2.1', 1, 50, 16, '0%'],
  );
  for (const name of ['stage_start_time', 'stage_started_at', 'hour_started_at', 'plan_started_at', 'plan_last_updated_at'])
    assert.match(String(details[name]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, name);
  assert.deepEqual(details['stage_history'], []);
  const [, all] = await ask(rig, 'GET', '/v3/ips');
  assert.deepEqual((all['details'] as Json[])[0], { ip: '192.0.2.1', is_on_warmup: true });

  // Whoever may look at addresses sees it; what all accounts share is not theirs to change.
  assert.equal((await ask(rig, 'GET', path, undefined, key))[0], 200);
  for (const method of ['POST', 'DELETE']) assert.equal((await ask(rig, method, path, undefined, key))[0], 403);

  await ask(rig, 'POST', '/v3/ip_warmups/192.0.2.2');
  await ask(rig, 'POST', '/v3/ip_warmups/2001:db8::3');
  const listed: string[] = [];
  let next = '/v3/ip_warmups?limit=2';
  for (let page = 0; page < 3; page++) {
    const [, answer] = await ask(rig, 'GET', next);
    listed.push(...(answer['items'] as Json[]).map(({ ip }) => String(ip)));
    next = String((answer['paging'] as Json)['next']).slice(rig.url.length);
  }
  assert.deepEqual(listed, ['192.0.2.1', '192.0.2.2', '2001:db8::3']);
  const [, last] = await ask(rig, 'GET', '/v3/ip_warmups?limit=1&page=last');
  assert.deepEqual((last['items'] as Json[])[0]?.['ip'], '2001:db8::3');
  const [, before] = await ask(rig, 'GET', String((last['paging'] as Json)['previous']).slice(rig.url.length));
  assert.deepEqual((before['items'] as Json[])[0]?.['ip'], '192.0.2.2');

  assert.deepEqual(await ask(rig, 'DELETE', path), [200, { message: 'IP warmup plan cancelled' }]);
  assert.equal((await ask(rig, 'DELETE', path))[0], 404);
  assert.equal((await ask(rig, 'GET', path))[0], 404);
});
