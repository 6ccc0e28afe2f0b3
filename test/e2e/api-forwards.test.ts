/** Plain rules for mail that comes in, over the API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, type Json, startRig } from './api-kit.ts';

test('a forward is made, shown, changed in what is named, listed by domain, and deleted', async () => {
  await using rig = await startRig();
  const [status, made] = await ask(rig, 'POST', '/v3/forwards', {
    domain_name: 'example.org',
    match: 'sales-*@example.org',
    'forward.url': ['https://a.example/1', 'https://a.example/2'],
    'forward.recipient': 'x@y.example',
    'forward.store': 'https://a.example/kept',
  });
  assert.equal(status, 200, JSON.stringify(made));
  const { message, ...rule } = made;
  assert.equal(message, 'Forward has been created');
  assert.match(String(rule['id']), /^[0-9a-f]{24}$/);
  assert.match(String(rule['created_at']), /^\d{4}-\d\d-\d\dT/);
  assert.equal(rule['domain_name'], 'example.org');
  const forward = { urls: ['https://a.example/1', 'https://a.example/2'], recipients: ['x@y.example'], store: 'https://a.example/kept' };
  assert.deepEqual(rule['forward'], forward);
  assert.deepEqual(await ask(rig, 'GET', `/v3/forwards/${rule['id']}`), [200, rule]);
  const [, changed] = await ask(rig, 'PUT', `/v3/forwards/${rule['id']}`, { 'forward.url': '', 'forward.store': 'yes' });
  assert.deepEqual([changed['match'], changed['forward']], ['sales-*@example.org', { ...forward, urls: [], store: '' }]);
  const [, page] = await ask(rig, 'GET', '/v3/forwards?domain_name=example.org&limit=1');
  assert.deepEqual([page['total_count'], (page['items'] as Json[]).map(({ id }) => id)], [1, [rule['id']]]);
  assert.deepEqual((await ask(rig, 'DELETE', `/v3/forwards/${rule['id']}`))[1], { message: 'Forward has been deleted', id: rule['id'] });
  assert.deepEqual(await ask(rig, 'GET', `/v3/forwards/${rule['id']}`), [404, { message: 'Forward not found' }]);
});

test('a forward that leads nowhere, to too much, or to what is no place is refused with a sentence', async () => {
  await using rig = await startRig();
  const refusal = async (fields: Record<string, string | readonly string[]>): Promise<unknown> => {
    const [status, body] = await ask(rig, 'POST', '/v3/forwards', { domain_name: 'example.org', match: '*', ...fields });
    assert.equal(status, 400, JSON.stringify(fields));
    return body['message'];
  };
  assert.equal(await refusal({}), 'a forward goes somewhere: forward.url, forward.recipient or forward.store');
  assert.equal(
    await refusal({ 'forward.url': Array.from({ length: 4 }, (_, n) => `https://a.example/${n}`) }),
    'too many forward.url, max is 3',
  );
  assert.equal(
    await refusal({ 'forward.recipient': ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${name}@x.example`) }),
    'too many forward.recipient, max is 5',
  );
  assert.equal(await refusal({ 'forward.url': 'ftp://a.example' }), 'forward.url parameter is not a URL of http or https');
  assert.match(String(await refusal({ 'forward.recipient': 'nobody' })), /^forward\.recipient parameter is not a valid address/);
  assert.match(String(await refusal({ match: 'a b', 'forward.store': 'yes' })), /^match parameter is an address/);
});

test("another account's forwards are not there", async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'other.example');
  const [, made] = await ask(rig, 'POST', '/v3/forwards', { domain_name: 'example.org', match: '*', 'forward.store': 'yes' });
  const id = String(made['id']);
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const fields = method === 'PUT' ? { match: 'x' } : undefined;
    assert.deepEqual(await ask(rig, method, `/v3/forwards/${id}`, fields, other.key), [404, { message: 'Forward not found' }], method);
  }
  assert.deepEqual((await ask(rig, 'GET', '/v3/forwards', undefined, other.key))[1]['items'], []);
  assert.equal(
    (await ask(rig, 'POST', '/v3/forwards', { domain_name: 'example.org', match: '*', 'forward.store': 'yes' }, other.key))[0],
    404,
  );
});
