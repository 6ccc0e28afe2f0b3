import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { startRig } from './api-kit.ts';
import type { ApiRig } from './api-kit.ts';

type Json = Record<string, unknown>;

async function ask(
  rig: ApiRig,
  method: string,
  path: string,
  fields?: Record<string, string> | object[],
  key?: string,
): Promise<[status: number, body: Json]> {
  const body =
    fields === undefined
      ? undefined
      : Array.isArray(fields)
        ? JSON.stringify(fields)
        : new URLSearchParams(fields as Record<string, string>);
  const headers = Array.isArray(fields) ? { 'content-type': 'application/json' } : undefined;
  const response = await rig.fetch(path, { method, body, headers, key });
  return [response.status, (await response.json()) as Json];
}

test('domains show their records; taken and impossible names are refused', async () => {
  await using rig = await startRig();
  const [, made] = await ask(rig, 'POST', '/v4/domains', { name: 'Bücher.example' });
  assert.equal(made['message'], 'Domain DNS records have been created');
  const domain = made['domain'] as Json;
  assert.equal(domain['name'], 'xn--bcher-kva.example');
  assert.match(domain['created_at'] as string, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  assert.ok(
    (made['sending_dns_records'] as Json[]).some(
      (record) => record['record_type'] === 'TXT' && String(record['value']).startsWith('v=spf1 '),
    ),
  );
  assert.deepEqual(await ask(rig, 'POST', '/v3/domains', { name: 'example.org' }), [400, { message: 'This domain name is already taken' }]);
  assert.equal((await ask(rig, 'POST', '/v4/domains', { name: 'no domain' }))[0], 400);
  const [, list] = await ask(rig, 'GET', '/v4/domains?limit=1&skip=1');
  assert.equal(list['total_count'], 2);
  assert.equal((list['items'] as Json[]).length, 1);
});

test('SMTP logins are made, listed, changed and deleted; a password made here is shown once', async () => {
  await using rig = await startRig();
  const path = '/v3/domains/example.org/credentials';
  const [, made] = await ask(rig, 'POST', path, { login: 'App' });
  assert.equal(made['message'], 'Created 1 credentials pair(s)');
  const password = (made['credentials'] as Record<string, string>)['app@example.org'] ?? '';
  assert.equal((await rig.accounts.authenticateLogin({ login: 'app@example.org', password, address: '192.0.2.1' })).kind, 'ok');
  assert.deepEqual(await ask(rig, 'POST', path, { login: 'own', password: 'secret-1' }), [
    200,
    { message: 'Created 1 credentials pair(s)' },
  ]);
  assert.equal((await ask(rig, 'POST', path, { login: 'own', password: 'abc' }))[0], 400);
  assert.deepEqual(await ask(rig, 'POST', path, {}), [400, { message: "Parameter 'login' is missing" }]);
  const [, list] = await ask(rig, 'GET', path);
  assert.equal(list['total_count'], 2);
  assert.deepEqual(Object.keys((list['items'] as Json[])[0] ?? {}), ['created_at', 'login', 'mailbox', 'size_bytes']);
  assert.equal((await ask(rig, 'PUT', `${path}/own`, { password: 'secret-2' }))[1]['message'], 'Password changed');
  assert.equal((await ask(rig, 'PUT', `${path}/nobody`, { password: 'secret-2' }))[0], 404);
  assert.deepEqual(await ask(rig, 'DELETE', `${path}/own`), [200, { message: 'Credentials have been deleted', spec: 'own@example.org' }]);
  assert.equal((await ask(rig, 'DELETE', `${path}/own`))[0], 404);
});

test('suppression lists page forwards, backwards and to the end, and filter by what addresses begin with', async () => {
  await using rig = await startRig();
  const path = '/v3/example.org/complaints';
  const all = ['a1', 'a2', 'a3', 'b1', 'b2'].map((name) => `${name}@example.net`);
  assert.deepEqual(
    await ask(
      rig,
      'POST',
      path,
      all.map((address) => ({ address })),
    ),
    [200, { message: '5 complaint addresses have been added to the complaints table' }],
  );
  const page = async (url: string): Promise<[string[], Record<string, string>]> => {
    const [, body] = await ask(rig, 'GET', url.replace(rig.url, ''));
    return [(body['items'] as { address: string }[]).map((item) => item.address), body['paging'] as Record<string, string>];
  };
  const [first, paging] = await page(`${path}?limit=2`);
  assert.deepEqual(first, all.slice(0, 2));
  const [second, after] = await page(paging['next'] ?? '');
  assert.deepEqual(second, all.slice(2, 4));
  assert.deepEqual((await page(after['previous'] ?? ''))[0], all.slice(0, 2));
  assert.deepEqual((await page(after['last'] ?? ''))[0], all.slice(3));
  assert.deepEqual((await page(`${path}?term=b`))[0], all.slice(3));
  assert.deepEqual((await page(`${path}?term=b&page=previous&address=b2@example.net`))[0], all.slice(3, 4));
  const [none, empty] = await page(`${path}?term=zzz`);
  assert.deepEqual(none, []);
  for (const url of Object.values(empty)) assert.match(url, /\?limit=100&term=zzz$/);
  assert.deepEqual(
    await ask(
      rig,
      'POST',
      path,
      Array.from({ length: 1001 }, () => ({ address: 'a@example.net' })),
    ),
    [400, { message: 'Batch size should be less than 1000' }],
  );
});

test('each list has its own words', async () => {
  await using rig = await startRig();
  for (const [list, added, shown, removed, missing] of [
    [
      'bounces',
      'Address has been added to the bounces table',
      { code: '550', error: '' },
      'Bounced address has been removed',
      'Address not found in bounces table',
    ],
    [
      'unsubscribes',
      'Address has been added to the unsubscribes table',
      { tags: ['*'] },
      'Unsubscribe event has been removed',
      'Address not found in unsubscribers table',
    ],
    [
      'complaints',
      'Address has been added to the complaints table',
      {},
      'Spam complaint has been removed',
      'No spam complaints found for this address',
    ],
  ] as const) {
    const one = `/v3/example.org/${list}/x@example.net`;
    assert.deepEqual(await ask(rig, 'POST', `/v3/example.org/${list}`, { address: 'X@Example.net' }), [
      200,
      { message: added, address: 'x@example.net' },
    ]);
    const [, { created_at: created, ...entry }] = await ask(rig, 'GET', one);
    assert.deepEqual(entry, { address: 'x@example.net', ...shown });
    assert.match(created as string, / UTC$/);
    assert.deepEqual(await ask(rig, 'DELETE', one), [200, { message: removed, address: 'x@example.net' }]);
    assert.deepEqual(await ask(rig, 'GET', one), [404, { message: missing }]);
  }
});

test('templates have versions, of which one is active', async () => {
  await using rig = await startRig();
  const path = '/v3/example.org/templates';
  const [, made] = await ask(rig, 'POST', path, { name: 'Welcome', template: 'one', headers: '{"Subject":"Hi"}' });
  assert.equal(made['message'], 'template has been stored');
  assert.partialDeepStrictEqual(made['template'], { version: { tag: 'initial', active: true } });
  assert.deepEqual(await ask(rig, 'POST', path, { name: 'WELCOME', template: 'x' }), [400, { message: 'duplicate template' }]);
  assert.equal(
    (await ask(rig, 'POST', `${path}/welcome/versions`, { tag: 'V2', template: 'two', active: 'yes' }))[1]['message'],
    'new version of the template has been stored',
  );
  assert.deepEqual(await ask(rig, 'POST', `${path}/welcome/versions`, { tag: 'v2', template: 'two' }), [
    400,
    { message: 'version already exists' },
  ]);
  const version = async (url: string): Promise<unknown> =>
    ((await ask(rig, 'GET', url))[1]['template'] as { version?: { template: string } }).version?.template;
  assert.equal(await version(`${path}/welcome?active=yes`), 'two');
  assert.equal(await version(`${path}/Welcome/versions/INITIAL`), 'one');
  assert.equal(await version(`${path}/welcome`), undefined);
  assert.deepEqual(await ask(rig, 'GET', `${path}/nothing`), [404, { message: 'template not found' }]);
  assert.deepEqual(await ask(rig, 'GET', `${path}/welcome/versions/v9`), [404, { message: 'template version not found' }]);
  const body = { from: 'ann@example.org', to: 'bob@example.net', template: 'welcome', 't:version': 'initial' };
  assert.equal((await ask(rig, 'POST', '/v3/example.org/messages', body))[0], 200);
  assert.deepEqual(await ask(rig, 'DELETE', path), [200, { message: 'templates have been deleted' }]);
  assert.equal((await ask(rig, 'DELETE', `${path}/welcome`))[0], 404);
});

test('nothing of a domain is there for another account, under any spelling of its name', async () => {
  await using rig = await startRig();
  const { key } = await rig.addTenant('other', 'other.example');
  await ask(rig, 'POST', '/v3/example.org/bounces', { address: 'x@example.net' });
  await ask(rig, 'POST', '/v3/example.org/templates', { name: 'secret', template: 'x' });
  for (const name of ['example.org', 'EXAMPLE.ORG', 'example.org.', 'other.example/../example.org', '%65xample.org']) {
    for (const path of [
      `/v4/domains/${name}`,
      `/v3/domains/${name}`,
      `/v3/${name}/bounces`,
      `/v3/${name}/bounces/x@example.net`,
      `/v3/${name}/templates`,
      `/v3/${name}/templates/secret`,
      `/v3/${name}/events`,
      `/v3/domains/${name}/credentials`,
      `/v3/domains/${name}/sending_queues`,
    ]) {
      assert.equal((await ask(rig, 'GET', path, undefined, key))[0], 404, path);
    }
    assert.equal((await ask(rig, 'DELETE', `/v3/${name}/bounces/x@example.net`, undefined, key))[0], 404);
    assert.equal((await ask(rig, 'POST', `/v3/domains/${name}/credentials`, { login: 'thief' }, key))[0], 404);
  }
  assert.equal((await ask(rig, 'GET', '/v3/example.org/bounces/x@example.net'))[0], 200);
  assert.deepEqual(
    ((await ask(rig, 'GET', '/v4/domains', undefined, key))[1]['items'] as Json[]).map((item) => item['name']),
    ['other.example'],
  );
});

test('an account’s calls and recipients of an hour are bounded, and told', async () => {
  await using rig = await startRig({ limits: { recipientsPerHour: 3 } }, { clock: new HeldClock(Date.now()) });
  const send = (to: string) =>
    rig.fetch('/v3/example.org/messages', { method: 'POST', body: new URLSearchParams({ from: 'a@example.org', to, text: 'x' }) });
  assert.equal((await send('a@example.net,b@example.net')).headers.get('x-recipient-remaining'), '1');
  const refused = await send('c@example.net,d@example.net');
  assert.equal(refused.status, 429);
  assert.match(
    ((await refused.json()) as { message: string }).message,
    /^Domain example\.org is not allowed to send: recipient limit exceeded, try again after \d+ seconds$/,
  );
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  assert.equal((await send('c@example.net')).status, 200);
});
