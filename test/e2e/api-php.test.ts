/**
 * What Mailgun's SDK for PHP needs beyond what all others do. Its models read some names that nobody else reads, an array without entries is a list to its JSON, and where
 * warnings are errors, as in the well-known frameworks, a name that is not there fails the call. Requests are written by hand after what it sends.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiRig, ask, type Json, startRig } from './api-kit.ts';

const BOUNDARY = '65f1a2b3c4d5e.1732420000';

/** Every body is such a form, also one without a part. */
async function form(rig: ApiRig, method: string, path: string, fields: Readonly<Record<string, string>> = {}): Promise<[number, Json]> {
  const parts = Object.entries(fields).map(
    ([name, value]) =>
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\nContent-Length: ${Buffer.byteLength(value)}\r\n\r\n${value}\r\n`,
  );
  const headers = { 'content-type': `multipart/form-data; boundary="${BOUNDARY}"` };
  const response = await rig.fetch(path, { method, headers, body: `${parts.join('')}--${BOUNDARY}--\r\n` });
  return [response.status, (await response.json()) as Json];
}

test('a member of a list without variables has none: they come as a list without entries', async () => {
  await using rig = await startRig();
  // A name that was not given comes as an empty text.
  await form(rig, 'POST', '/v3/lists', { address: 'news@example.org', name: '', description: '', access_level: 'readonly' });
  const members = '/v3/lists/news@example.org/members';
  const given = { address: 'joe@example.net', vars: '[]', subscribed: 'yes', upsert: 'no' };
  const [status, { member }] = await form(rig, 'POST', members, given);
  assert.deepEqual([status, member], [200, { address: 'joe@example.net', name: '', subscribed: true, vars: {} }]);
  await form(rig, 'PUT', `${members}/joe@example.net`, { vars: '{"n":1}' });
  const [, emptied] = await form(rig, 'PUT', `${members}/joe@example.net`, { vars: '[]' });
  assert.deepEqual((emptied['member'] as Json)['vars'], {});
  const many = JSON.stringify([{ address: 'a@example.net', vars: '[]' }, { address: 'b@example.net', vars: [] }, 'c@example.net']);
  assert.equal((await form(rig, 'POST', `${members}.json`, { members: many, upsert: 'yes' }))[0], 200);
  assert.equal((await form(rig, 'PUT', `${members}/joe@example.net`, { vars: '[1]' }))[0], 400);
});

test('forms without a part are none, whatever the method', async () => {
  await using rig = await startRig();
  for (const [method, path] of [
    ['PUT', '/v3/domains/example.org/verify'],
    ['POST', '/v5/accounts/http_signing_key'],
    ['DELETE', '/v3/example.org/bounces'],
    ['DELETE', '/v3/domains/example.org'],
  ] as const)
    assert.equal((await form(rig, method, path))[0], 200, path);
});

test('totals of a tag are found under the name of their kind, too', async () => {
  await using rig = await startRig();
  await ask(rig, 'POST', '/v3/example.org/messages', { from: 'a@example.org', to: 'b@example.net', text: 'x', 'o:tag': 'news' });
  for (const [kind, member] of [
    ['countries', 'country'],
    ['providers', 'provider'],
    ['devices', 'device'],
  ] as const) {
    const [, totals] = await ask(rig, 'GET', `/v3/example.org/tags/news/stats/aggregates/${kind}`);
    assert.ok(Object.keys(totals[kind] as Json).length > 0, kind);
    assert.deepEqual(totals[kind], totals[member]);
  }
});

test('every list of addresses says which may be put into pools', async () => {
  await using rig = await startRig({}, { egress: [{ name: 'one', address: '192.0.2.1', ehlo: 'mail.example.org', pool: 'default' }] });
  for (const path of ['/v3/ips', '/v3/domains/example.org/ips', '/v3/ips/192.0.2.1/domains?limit=10&skip=0'])
    assert.deepEqual((await ask(rig, 'GET', path))[1]['assignable_to_pools'], ['192.0.2.1'], path);
});

test('a tag, a selector and an address are also told in the form of a DELETE', async () => {
  await using rig = await startRig();
  await form(rig, 'POST', '/v3/example.org/messages', { from: 'a@example.org', to: 'b@example.net', text: 'x', 'o:tag': 'two words' });
  assert.equal((await form(rig, 'DELETE', '/v3/example.org/tag', { tag: 'two words' }))[0], 200);
  const key = { signing_domain: 'example.org', selector: 'foo' };
  assert.equal((await form(rig, 'POST', '/v1/dkim/keys', { ...key, bits: '1024' }))[0], 200);
  assert.equal((await form(rig, 'DELETE', '/v1/dkim/keys', key))[0], 200);
  for (const tag of ['one', 'two']) await form(rig, 'POST', '/v3/example.org/unsubscribes', { address: 't+1@example.net', tag });
  await form(rig, 'DELETE', '/v3/example.org/unsubscribes/t+1@example.net', { tag: 'one' });
  assert.deepEqual((await ask(rig, 'GET', '/v3/example.org/unsubscribes/t+1@example.net'))[1]['tags'], ['two']);
});

test('the next page of a pool’s domains is found by its whole URL', async () => {
  await using rig = await startRig();
  const [, { pool_id: pool }] = await form(rig, 'POST', '/v3/ip_pools', { name: 'daily', description: 'x' });
  await form(rig, 'POST', '/v4/domains', { name: 'second.example', dkim_key_size: '1024' });
  for (const domain of ['example.org', 'second.example']) await form(rig, 'PATCH', `/v3/ip_pools/${String(pool)}`, { link_domain: domain });
  const names: unknown[] = [];
  for (let page: string | undefined, left = 4; left > 0; left--) {
    const query = new URLSearchParams({ limit: '1', ...(page !== undefined && { page }) });
    const [, answer] = await ask(rig, 'GET', `/v3/ip_pools/${String(pool)}/domains?${query.toString()}`);
    const domains = answer['domains'] as Json[];
    names.push(...domains.map(({ name }) => name));
    page = String((answer['paging'] as Json)['next']);
  }
  assert.deepEqual(names, ['example.org', 'second.example']);
});

test('metrics are asked for by a form in which names come again', async () => {
  await using rig = await startRig();
  const fields = 'dimensions=time&dimensions=domain&metrics=accepted_count&metrics=delivered_count&include_aggregates=true';
  const response = await rig.fetch('/v1/analytics/metrics', { method: 'POST', body: new URLSearchParams(fields) });
  const { dimensions, aggregates } = (await response.json()) as { dimensions: string[]; aggregates: { metrics: Json } };
  assert.deepEqual(dimensions, ['time', 'domain']);
  assert.deepEqual(aggregates.metrics, { accepted_count: 0, delivered_count: 0 });
});
