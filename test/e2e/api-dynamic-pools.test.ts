/** Pools whose domains come and go by how their mail fares. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookAtPools, POOL_CHECK_MS } from '#accounts/dynamic-pool-watch.ts';
import { createDynamicPools } from '#accounts/dynamic-pools.ts';
import { publicId } from '#accounts/public-id.ts';
import { measureHealth } from '#app/pool-health.ts';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { countReason } from '#model/count-reason.ts';
import { accept, mail } from '../conformance/tenant.ts';
import { type ApiRig, startRig, type Tenant } from './api-kit.ts';

type Json = Record<string, unknown>;

const EGRESS = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '2001:db8::4'].map((address) => ({
  name: address,
  address,
  ehlo: 'mail.example',
  pool: 'default',
}));
const BANDS = { good_reputation: '192.0.2.1', poor_reputation: '192.0.2.2', new_senders: '192.0.2.3' };
const POOL = '/v3/domains/example.org/dynamic_pools';
const V1 = '/v1/dynamic_pools';

async function ask(rig: ApiRig, method: string, path: string, fields?: Record<string, string>, key?: string): Promise<[number, Json]> {
  const response = await rig.fetch(path, { method, ...(fields !== undefined && { body: new URLSearchParams(fields) }), key });
  return [response.status, (await response.json()) as Json];
}

async function startWithPools(): Promise<ApiRig> {
  const rig = await startRig({}, { egress: EGRESS });
  assert.deepEqual(await ask(rig, 'POST', '/v3/dynamic_pools/all', BANDS), [200, { message: 'success' }]);
  return rig;
}

/** So much was delivered and bounced a moment ago. */
async function happened(rig: ApiRig, tenant: Tenant, delivered: number, bounced: number): Promise<void> {
  const from = { accountId: tenant.accountId, domainId: tenant.domain.id, domain: tenant.domain.name };
  const key = { ...from, provider: '', tag: '' };
  const reason = countReason('failed', { code: 550, text: 'No such user', reason: 'bounce', bounceClass: 'invalid-recipient' }, 1);
  const counters = [
    { ...key, kind: 'delivered' as const, count: delivered },
    { ...key, kind: 'failed' as const, reason, count: bounced },
  ];
  await accept(rig.store, mail(from, { createdMs: Date.now() - 1000, counters }));
}

/** Once an hour each domain is looked at; so many hours from now. */
async function lookedAt(rig: ApiRig, hours = 1): Promise<void> {
  const clock = new HeldClock(Date.now() + hours * POOL_CHECK_MS + 1000);
  const { accounts, store } = rig;
  const pools = createDynamicPools({
    egress: store.egress,
    changeDomain: accounts.changeDomain,
    domainById: accounts.domainById,
    parentOf: async (accountId) => (await accounts.standingOf(accountId))?.parentId,
    measure: measureHealth(store, clock),
    clock,
    log: silentLog,
  });
  await lookAtPools({ egress: store.egress, pools, clock, log: silentLog });
}

test('the three pools are set together, changed one by one, and taken away when nobody uses them', async () => {
  await using rig = await startRig({}, { egress: EGRESS });
  const url = '/v3/dynamic_pools';
  assert.deepEqual((await ask(rig, 'GET', url))[1]['dynamic_good'], []);
  assert.equal((await ask(rig, 'POST', POOL))[0], 400);
  for (const wrong of [
    {},
    { ...BANDS, poor_reputation: '' },
    { ...BANDS, new_senders: '198.51.100.1' },
    { ...BANDS, new_senders: '192.0.2.1' },
  ])
    assert.equal((await ask(rig, 'POST', `${url}/all`, wrong))[0], 400);
  assert.equal((await ask(rig, 'POST', `${url}/all`, BANDS))[0], 200);
  const [, pools] = await ask(rig, 'GET', url);
  assert.deepEqual([pools['dynamic_good'], pools['poor_reputation'], pools['dynamic_new']], [['192.0.2.1'], ['192.0.2.2'], ['192.0.2.3']]);
  assert.equal((await ask(rig, 'POST', `${url}/dynamic_good/2001:db8::4`))[0], 200);
  assert.equal((await ask(rig, 'POST', `${url}/dynamic_good/192.0.2.2`))[0], 400);
  assert.equal((await ask(rig, 'POST', `${url}/other/2001:db8::4`))[0], 404);
  assert.equal((await ask(rig, 'PATCH', `${url}/good_reputation`, { remove_ip: '192.0.2.1' }))[0], 200);
  assert.equal((await ask(rig, 'PATCH', `${url}/good`, { remove_ip: '2001:db8::4' }))[0], 400, 'nothing would be left');
  assert.equal((await ask(rig, 'PATCH', `${url}/good`, {}))[0], 400);
  // One that is being warmed up cannot be all that a pool has.
  await ask(rig, 'POST', '/v3/ip_warmups/192.0.2.1');
  assert.equal((await ask(rig, 'PATCH', `${url}/good`, { add_ip: '192.0.2.1', remove_ip: '2001:db8::4' }))[0], 400);
  assert.deepEqual((await ask(rig, 'GET', url))[1]['dynamic_good'], ['2001:db8::4']);
  assert.equal((await ask(rig, 'POST', POOL))[0], 200);
  assert.equal((await ask(rig, 'DELETE', `${url}/all`))[0], 400);
  assert.equal((await ask(rig, 'DELETE', `${POOL}?replacement_ip=shared`))[0], 200);
  assert.equal((await ask(rig, 'DELETE', `${url}/all`))[0], 200);
  assert.equal((await ask(rig, 'DELETE', `${url}/all`))[0], 404);
});

test('a domain is enrolled as a new sender, and leaves with addresses or a pool of its own', async () => {
  await using rig = await startWithPools();
  const inUse = async (): Promise<unknown> => (await ask(rig, 'GET', '/v3/domains/example.org/ips'))[1]['items'];
  const assignable = async (): Promise<unknown[]> =>
    ((await ask(rig, 'GET', '/v3/domains/dynamic_pools/assignable'))[1]['items'] as Json[]).map(({ name }) => name);
  assert.deepEqual(await assignable(), ['example.org']);
  assert.deepEqual(await ask(rig, 'POST', POOL), [200, { message: 'success' }]);
  assert.equal((await ask(rig, 'POST', POOL))[0], 400);
  assert.deepEqual([await assignable(), await inUse()], [[], ['192.0.2.3']]);
  assert.equal((await ask(rig, 'DELETE', POOL))[0], 400);
  assert.equal((await ask(rig, 'DELETE', `${POOL}?replacement_ip=192.0.2.1`))[0], 400, 'it is in a dynamic pool');
  assert.equal((await ask(rig, 'DELETE', `${POOL}?replacement_ip=2001:db8::4`))[0], 200);
  assert.deepEqual(await inUse(), ['2001:db8::4']);
  assert.equal((await ask(rig, 'DELETE', `${POOL}?replacement_ip=2001:db8::4`))[0], 404);
  const [, made] = await ask(rig, 'POST', '/v3/ip_pools', { name: 'one', description: 'x', ip: '192.0.2.1' });
  await ask(rig, 'POST', POOL);
  assert.equal((await ask(rig, 'DELETE', `${POOL}?replacement_pool_id=${String(made['pool_id'])}`))[0], 200);
  assert.deepEqual(await inUse(), ['192.0.2.1']);
  // Whoever gives it addresses otherwise takes it out too.
  await ask(rig, 'POST', POOL);
  await ask(rig, 'POST', '/v3/domains/example.org/pool/2001:db8::4');
  assert.deepEqual([await inUse(), await assignable()], [['2001:db8::4'], ['example.org']]);
  assert.equal((await ask(rig, 'GET', `${V1}/domains`))[1]['total_items'], 0);
  await lookedAt(rig);
  assert.equal(await rig.store.egress.enrolledDomain(rig.tenant.domain.id), undefined);
});

test('how the mail of a domain fares moves it between the pools, and with it the address that it leaves from', async () => {
  await using rig = await startWithPools();
  await ask(rig, 'POST', POOL);
  const band = async (): Promise<unknown> => ((await ask(rig, 'GET', `${V1}/domains`))[1]['items'] as Json[])[0]?.['pool'];
  const inUse = async (): Promise<unknown> => (await ask(rig, 'GET', '/v3/domains/example.org/ips'))[1]['items'];
  assert.equal(await band(), 'dynamic_new');
  await happened(rig, rig.tenant, 1990, 10);
  assert.deepEqual((await ask(rig, 'GET', `${V1}/domains/example.org/preview`))[1], {
    pool: 'dynamic_good',
    reason: 'low bounce and complaint rates',
    bounce_rate: 0.005,
    complaint_rate: 0,
    processed_count: 2000,
    message: 'success',
  });
  assert.equal(await band(), 'dynamic_new', 'a preview moves nothing');
  await lookedAt(rig);
  assert.deepEqual([await band(), await inUse()], ['dynamic_good', ['192.0.2.1']]);
  await happened(rig, rig.tenant, 800, 200);
  await lookedAt(rig, 3);
  assert.deepEqual([await band(), await inUse()], ['dynamic_poor', ['192.0.2.2']]);
  const [, { items }] = await ask(rig, 'GET', `${V1}/domains?sort_by=bounce_rate&sort_order=descending`);
  const [shown] = items as Json[];
  assert.deepEqual([shown?.['bounce_rate'], shown?.['processed_count'], shown?.['override']], [0.07, 3000, false]);

  const [, history] = await ask(rig, 'GET', `${V1}/domains/example.org/history`);
  const moves = (history['items'] as Json[]).map((move) => [move['prev_band'], move['new_band'], move['reason']]);
  assert.deepEqual(moves, [
    ['dynamic_good', 'dynamic_poor', 'bounce rate'],
    ['dynamic_new', 'dynamic_good', 'low bounce and complaint rates'],
    ['', 'dynamic_new', 'too little mail in the last week'],
  ]);
  assert.equal(history['new_band'], 'dynamic_poor');
  assert.equal((await ask(rig, 'GET', `${V1}/history?moved_to=dynamic_good`))[1]['total_items'], 1);
  assert.equal((await ask(rig, 'GET', `${V1}/history?Limit=1&domain=example.org`))[1]['total_items'], 3);
  assert.equal((await ask(rig, 'GET', `${V1}/history?before=100`))[1]['total_items'], 0);
  assert.equal((await ask(rig, 'GET', `${V1}/history?moved_from=fast`))[0], 400);
});

test('a pool that was chosen by hand stays until that is undone', async () => {
  await using rig = await startWithPools();
  const override = `${V1}/domains/example.org/override`;
  assert.equal((await ask(rig, 'PUT', override, { pool: 'dynamic_poor' }))[0], 404);
  await ask(rig, 'POST', POOL);
  assert.deepEqual(await ask(rig, 'PUT', override, { pool: 'invalid_name' }), [
    400,
    { message: 'there is no dynamic IP pool of that name', Field: 'pool', Value: 'invalid_name' },
  ]);
  const [, kept] = await ask(rig, 'PUT', override, { pool: 'dynamic_poor' });
  assert.deepEqual([kept['pool'], kept['override']], ['dynamic_poor', true]);
  await happened(rig, rig.tenant, 2000, 0);
  await lookedAt(rig);
  const [, list] = await ask(rig, 'GET', `${V1}/domains?pool=poor`);
  assert.deepEqual(
    (list['items'] as Json[]).map(({ processed_count }) => processed_count),
    [2000],
  );
  const [, free] = await ask(rig, 'DELETE', override);
  assert.deepEqual([free['pool'], free['override']], ['dynamic_good', false]);
});

test('the pools of an account serve its subaccounts, which change nothing of them; others see nothing', async () => {
  await using rig = await startWithPools();
  const stranger = await rig.addTenant('stranger', 'stranger.example');
  const below = await rig.accounts.createSubaccount(rig.tenant.accountId, 'below');
  assert.ok(below);
  const { secret: key } = await rig.accounts.createKey({ accountId: below.id, role: 'admin' });
  await rig.accounts.addDomain(below.id, 'below.example');
  assert.equal((await ask(rig, 'POST', '/v3/dynamic_pools/all', BANDS, key))[0], 400);
  assert.deepEqual((await ask(rig, 'GET', '/v3/dynamic_pools', undefined, key))[1]['dynamic_good'], ['192.0.2.1']);
  assert.equal((await ask(rig, 'POST', '/v3/domains/all/dynamic_pools/enroll?include_subaccounts=true'))[0], 200);
  const names = async (of?: string): Promise<unknown[]> =>
    ((await ask(rig, 'GET', `${V1}/domains`, undefined, of))[1]['items'] as Json[]).map(({ name }) => name);
  assert.deepEqual(await names(), ['below.example', 'example.org']);
  assert.deepEqual(await names(key), ['below.example']);
  assert.deepEqual(await names(stranger.key), []);
  assert.deepEqual((await ask(rig, 'GET', '/v3/domains/below.example/ips', undefined, key))[1]['items'], ['192.0.2.3']);
  const [, some] = await ask(rig, 'GET', `${V1}/domains?account=${publicId(below.id)}`);
  assert.deepEqual([some['total_items'], (some['items'] as Json[])[0]?.['account_name']], [1, 'below']);
  assert.equal((await ask(rig, 'GET', `${V1}/history`))[1]['total_items'], 1);
  assert.equal((await ask(rig, 'GET', `${V1}/history?include_subaccounts=yes`))[1]['total_items'], 2);
  assert.equal((await ask(rig, 'GET', `${V1}/history?include_subaccounts=yes`, undefined, key))[1]['total_items'], 1);
  assert.equal((await ask(rig, 'GET', `${V1}/history?include_subaccounts=yes`, undefined, stranger.key))[1]['total_items'], 0);
  const [, page] = await ask(rig, 'GET', `${V1}/domains?limit=1`);
  const { Next: next } = page['paging'] as Json;
  const [, second] = await ask(rig, 'GET', String(next).slice(rig.url.length));
  assert.deepEqual(
    (second['items'] as Json[]).map(({ name }) => name),
    ['example.org'],
  );
});
