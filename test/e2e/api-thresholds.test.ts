/** Thresholds: over the API, and that what is counted reaches them, is told as a hit and stops mail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureBy } from '#app/thresholds.ts';
import { silentLog } from '#base/log.ts';
import { LimitGate } from '#thresholds/gate.ts';
import { lookAtThresholds } from '#thresholds/watch.ts';
import { askWith as ask, type Json, startRig } from './api-kit.ts';

const LIMITS = '/v1/thresholds/limits';
const ALERTS = '/v1/thresholds/alerts/send';
const LIMIT = { name: 'many', metric: 'accepted_count', comparator: '>=', limit: '2', dimension: 'domain', period: '1d' };

test('limits and alerts are made, shown, changed and deleted by their names', async () => {
  await using rig = await startRig();
  for (const [path, more] of [
    [LIMITS, {}],
    [ALERTS, { alert_channels: ['email', 'webhook'] }],
  ] as const) {
    const filters = [{ dimension: 'domain', comparator: '=', values: ['example.org'] }];
    const [status, made] = await ask(rig, 'POST', path, { ...LIMIT, ...more, filters, description: 'd' });
    assert.equal(status, 200);
    assert.partialDeepStrictEqual(made, { ...LIMIT, ...more, filters, description: 'd', parent_account_id: String(rig.tenant.accountId) });
    assert.match(String(made['created_at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(await ask(rig, 'GET', `${path}/many`), [200, made]);
    assert.deepEqual(await ask(rig, 'GET', path), [200, { items: [made], total: 1 }]);
    assert.equal((await ask(rig, 'POST', path, LIMIT))[0], 400);
    assert.equal((await ask(rig, 'PUT', `${path}/many`, { ...LIMIT, limit: '3.5' }))[0], 200);
    assert.partialDeepStrictEqual((await ask(rig, 'GET', `${path}/many`))[1], { limit: '3.5', filters: [] });
    assert.equal((await ask(rig, 'DELETE', `${path}/many`))[0], 200);
    for (const method of ['GET', 'PUT', 'DELETE'])
      assert.equal((await ask(rig, method, `${path}/many`, method === 'PUT' ? LIMIT : undefined))[0], 404);
  }
});

test('what is no threshold is refused with a sentence, and nothing is kept', async () => {
  await using rig = await startRig();
  for (const change of [
    { name: undefined },
    { name: 'a/b' },
    { name: 'a\nb' },
    { name: 'x'.repeat(129) },
    { metric: 'nope' },
    { metric: '__proto__' },
    { comparator: '~' },
    { comparator: 'constructor' },
    { limit: 'many' },
    { limit: '-1' },
    { limit: '1e9' },
    { dimension: 'recipient_domain' },
    { period: '0d' },
    { period: 'always' },
    { description: 'a\r\nb' },
    { filters: 'x' },
    { filters: [{ dimension: 'nope', comparator: '=', values: ['x'] }] },
    { filters: [{ dimension: 'tag', comparator: '=', values: [] }] },
    { filters: [null] },
  ]) {
    const [status, body] = await ask(rig, 'POST', LIMITS, { ...LIMIT, ...change });
    assert.equal(status, 400, JSON.stringify(change));
    assert.ok(String(body['message']).length > 10);
  }
  assert.equal((await ask(rig, 'POST', ALERTS, { ...LIMIT, alert_channels: ['pigeon'] }))[0], 400);
  assert.equal((await ask(rig, 'GET', LIMITS))[1]['total'], 0);
});

test('a threshold of another account is not there', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'example.com');
  await ask(rig, 'POST', LIMITS, LIMIT);
  assert.equal((await ask(rig, 'GET', `${LIMITS}/many`, undefined, other.key))[0], 404);
  assert.equal((await ask(rig, 'DELETE', `${LIMITS}/many`, undefined, other.key))[0], 404);
  assert.equal((await ask(rig, 'GET', LIMITS, undefined, other.key))[1]['total'], 0);
});

test('a domain that was accepted from too often is a hit, and its limit stops its mail until it is deleted', async () => {
  await using rig = await startRig();
  const { store, tenant } = rig;
  const clock = { nowMs: () => Date.now() + 1000, monotonicMs: () => performance.now() };
  const look = () => lookAtThresholds({ store: store.thresholds, measure: measureBy(store), clock, log: silentLog });
  await ask(rig, 'POST', LIMITS, LIMIT);
  await ask(rig, 'POST', ALERTS, { ...LIMIT, name: 'told', dimension: 'account' });
  const send = () =>
    rig.fetch('/v3/example.org/messages', {
      method: 'POST',
      body: new URLSearchParams({ from: 'ann@example.org', to: 'bob@example.net', subject: 's', text: 't' }),
    });
  await send();
  assert.equal(await look(), 2);
  assert.deepEqual(await ask(rig, 'GET', '/v1/thresholds/hits'), [200, { items: [], total: 0 }]);
  await send();
  for (const kind of ['limit', 'alert'] as const) {
    for (const each of await store.thresholds.listThresholds(tenant.accountId, kind)) {
      await store.thresholds.changeThreshold(tenant.accountId, kind, each.name, each);
    }
  }
  assert.equal(await look(), 2);
  const [, hits] = await ask(rig, 'GET', '/v1/thresholds/hits');
  const items = (hits['items'] as Json[]).toSorted((a, b) => String(a['name']).localeCompare(String(b['name'])));
  assert.partialDeepStrictEqual(items, [
    { name: 'many', triggered: true, latest_value: '2', dimension: 'domain', dimension_value: 'example.org', limit: '2' },
    { name: 'told', triggered: true, dimension: 'account', dimension_value: String(tenant.accountId) },
  ]);

  const [view] = await store.events.latestMessages(tenant.accountId, 1);
  assert.ok(view !== undefined);
  const message = { accountId: tenant.accountId, domain: 'example.org', info: view.message.info };
  const isTaken = async (): Promise<boolean> => {
    const gate = new LimitGate(store.thresholds, clock);
    const accept = gate.accepting(
      async () => ({ kind: 'conflict' }) as const,
      async () => ({ kind: 'ungranted' }) as const,
    );
    return accept(message).then(
      () => true,
      () => false,
    );
  };
  assert.equal(await isTaken(), false);
  await ask(rig, 'DELETE', `${LIMITS}/many`);
  assert.equal(await isTaken(), true);
});
