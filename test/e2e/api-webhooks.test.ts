/** Webhooks over the API: by type and by URL for a domain, and as objects for the account. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { Enums } from 'mailgun.js/definitions';
import type { ApiRig } from './api-kit.ts';
import { startRig } from './api-kit.ts';

type Body = Record<string, unknown>;
type Pairs = readonly (readonly [string, string])[];

async function ask(rig: ApiRig, method: string, path: string, pairs?: Pairs, key?: string): Promise<[number, Body]> {
  const body = pairs === undefined ? undefined : new URLSearchParams(pairs.map(([name, value]) => [name, value]));
  const response = await rig.fetch(path, { method, ...(body !== undefined && { body }), ...(key !== undefined && { key }) });
  const text = await response.text();
  return [response.status, text === '' ? {} : (JSON.parse(text) as Body)];
}

const V3 = '/v3/domains/example.org/webhooks';
const V4 = '/v4/domains/example.org/webhooks';
const URL_A = 'https://a.example/hook?x=1,2';
const URL_B = 'http://b.example/';

test('mailgun.js manages the webhooks of a domain', async () => {
  await using rig = await startRig();
  const { webhooks } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  const made = await webhooks.create('example.org', 'clicked', URL_A, false);
  assert.partialDeepStrictEqual(made, { id: 'clicked', urls: [URL_A] });
  const updated = await webhooks.update('example.org', 'clicked', [URL_B, URL_A]);
  assert.deepEqual(updated.urls, [URL_B, URL_A]);
  assert.deepEqual((await webhooks.get('example.org', Enums.WebhooksIds.CLICKED)).urls, [URL_B, URL_A]);
  assert.deepEqual(await webhooks.list('example.org', {}), { clicked: { urls: [URL_B, URL_A] } });
  assert.deepEqual((await webhooks.destroy('example.org', 'clicked')).urls, [URL_B, URL_A]);
  assert.deepEqual(await webhooks.list('example.org', {}), {});
});

test('a domain has at most three URLs for a type, each once, in the order given', async () => {
  await using rig = await startRig();
  const [status, made] = await ask(rig, 'POST', V3, [
    ['id', 'accepted'],
    ['url', URL_A],
    ['url', URL_B],
    ['url', URL_A],
  ]);
  assert.deepEqual([status, made], [200, { message: 'Webhook has been created', webhook: { urls: [URL_A, URL_B] } }]);
  const [twice, told] = await ask(rig, 'POST', V3, [
    ['id', 'accepted'],
    ['url', URL_B],
  ]);
  assert.equal(twice, 400);
  assert.equal(told['Reason'], `Webhook for event type 'accepted' with URL '${URL_B}' already exists`);
  assert.equal(
    (
      await ask(rig, 'POST', V3, [
        ['id', 'accepted'],
        ['url', 'https://c.example'],
      ])
    )[0],
    200,
  );
  assert.equal(
    (
      await ask(rig, 'POST', V3, [
        ['id', 'accepted'],
        ['url', 'https://d.example'],
      ])
    )[0],
    400,
  );
  assert.equal(
    (
      await ask(
        rig,
        'PUT',
        `${V3}/accepted`,
        ['a', 'b', 'c', 'd'].map((n) => ['url', `https://${n}.example`] as const),
      )
    )[0],
    400,
  );
  assert.deepEqual((await ask(rig, 'GET', `${V3}/accepted`))[1], { webhook: { urls: [URL_A, URL_B, 'https://c.example'] } });
});

test('names that clients used before 2018 mean the types of today', async () => {
  await using rig = await startRig();
  await ask(rig, 'POST', V3, [
    ['id', 'bounce'],
    ['url', URL_A],
  ]);
  assert.deepEqual((await ask(rig, 'GET', V3))[1], { webhooks: { permanent_fail: { urls: [URL_A] } } });
  assert.equal((await ask(rig, 'GET', `${V3}/drop`))[0], 200);
});

test('by URL: types are added, replaced and taken away, and show by type', async () => {
  await using rig = await startRig();
  const [status, made] = await ask(rig, 'POST', V4, [
    ['url', URL_A],
    ['event_types', 'clicked'],
    ['event_types', 'opened'],
  ]);
  assert.deepEqual([status, made], [200, { webhooks: { opened: { urls: [URL_A] }, clicked: { urls: [URL_A] } } }]);
  const [again, told] = await ask(rig, 'POST', V4, [
    ['url', URL_A],
    ['event_types', 'clicked'],
  ]);
  assert.equal(again, 400);
  assert.equal(told['Reason'], `Webhook for event type 'clicked' with URL '${URL_A}' already exists`);
  assert.deepEqual(
    (
      await ask(rig, 'PUT', V4, [
        ['url', URL_A],
        ['event_types', 'delivered'],
      ])
    )[1],
    {
      webhooks: { delivered: { urls: [URL_A] } },
    },
  );
  assert.deepEqual(
    await ask(rig, 'PUT', V4, [
      ['url', 'https://no.example'],
      ['event_types', 'delivered'],
    ]),
    [404, { message: 'Webhook not found', Description: 'Webhook not found' }],
  );
  await ask(rig, 'POST', V4, [
    ['url', URL_B],
    ['event_types', 'delivered'],
  ]);
  assert.deepEqual((await ask(rig, 'GET', `${V3}/delivered`))[1], { webhook: { urls: [URL_A, URL_B] } });
  assert.equal((await ask(rig, 'DELETE', V4))[1]['Field'], 'url');
  assert.equal((await ask(rig, 'DELETE', `${V4}?url=${encodeURIComponent('https://no.example,https://nor.example')}`))[0], 404);
  assert.deepEqual((await ask(rig, 'DELETE', `${V4}?url=${encodeURIComponent(URL_A)}`))[1], { webhooks: { delivered: { urls: [URL_B] } } });
  assert.deepEqual(await ask(rig, 'DELETE', `${V4}?url=${encodeURIComponent(`${URL_B},https://no.example`)}`), [200, { webhooks: {} }]);
});

test('the account’s webhooks are objects with ids', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'example.com');
  const [status, made] = await ask(rig, 'POST', '/v1/webhooks', [
    ['url', URL_A],
    ['event_types', 'clicked'],
    ['event_types', 'opened'],
    ['description', 'd'],
  ]);
  assert.equal(status, 200);
  const id = String(made['webhook_id']);
  assert.match(id, /^[0-9a-f]{24}$/);
  const [, shown] = await ask(rig, 'GET', `/v1/webhooks/${id}`);
  assert.partialDeepStrictEqual(shown, { webhook_id: id, url: URL_A, event_types: ['clicked', 'opened'], description: 'd' });
  assert.match(String(shown['created_at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal((await ask(rig, 'GET', `/v1/webhooks/${id}`, undefined, other.key))[0], 404);
  assert.deepEqual((await ask(rig, 'GET', '/v1/webhooks', undefined, other.key))[1], { webhooks: [] });
  assert.equal((await ask(rig, 'DELETE', `/v1/webhooks/${id}`, undefined, other.key))[0], 404);

  const put = await rig.fetch(`/v1/webhooks/${id}`, { method: 'PUT', body: new URLSearchParams({ url: URL_B, event_types: 'accepted' }) });
  assert.deepEqual([put.status, await put.text(), put.headers.get('content-length')], [204, '', null]);
  assert.partialDeepStrictEqual((await ask(rig, 'GET', '/v1/webhooks'))[1], {
    webhooks: [{ webhook_id: id, url: URL_B, event_types: ['accepted'] }],
  });
  assert.deepEqual((await ask(rig, 'GET', `/v1/webhooks?webhook_ids=${'0'.repeat(24)}`))[1], { webhooks: [] });
  assert.equal((await ask(rig, 'DELETE', `/v1/webhooks/${id}`))[0], 204);
  assert.equal((await ask(rig, 'DELETE', `/v1/webhooks/${id}`))[0], 404);
});

test('the account’s webhooks refuse what cannot be, in the hosted service’s words', async () => {
  await using rig = await startRig();
  const post = (...pairs: Pairs): Promise<[number, Body]> => ask(rig, 'POST', '/v1/webhooks', pairs);
  const events = ['event_types', 'delivered'] as const;
  assert.partialDeepStrictEqual(await post(events), [400, { Field: 'url', Value: 'missing or invalid url parameter' }]);
  assert.equal((await post(events, ['url', 'ftp://x.example']))[0], 400);
  assert.partialDeepStrictEqual(await post(['url', URL_A], ['event_types', 'accepted'], ['event_types', 'accepted']), [
    400,
    { Field: 'event_types', Value: "duplicate event types: 'accepted'" },
  ]);
  assert.partialDeepStrictEqual(await post(['url', URL_A], ['event_types', 'nope']), [
    404,
    { Description: "event_type 'nope' is invalid" },
  ]);
  for (const n of [1, 2, 3]) assert.equal((await post(events, ['url', `https://h${n}.example`]))[0], 200);
  assert.partialDeepStrictEqual(await post(events, ['url', 'https://h1.example']), [
    409,
    { Description: 'url https://h1.example already exists for event type delivered' },
  ]);
  assert.partialDeepStrictEqual(await post(events, ['url', 'https://h4.example']), [
    409,
    { Description: 'unable to add more than 3 urls for event type delivered' },
  ]);
  assert.partialDeepStrictEqual(await ask(rig, 'DELETE', '/v1/webhooks/nope'), [400, { Field: 'webhook_id', Value: 'is not valid' }]);
  assert.match(String((await ask(rig, 'DELETE', '/v1/webhooks?webhook_ids='))[1]['message']), /empty values not allowed/);
  assert.match(String((await ask(rig, 'GET', '/v1/webhooks?webhook_ids=,'))[1]['message']), /empty values not allowed/);
  assert.equal((await ask(rig, 'DELETE', '/v1/webhooks'))[0], 400);
  assert.equal(((await ask(rig, 'GET', '/v1/webhooks'))[1]['webhooks'] as unknown[]).length, 3);
  assert.equal((await ask(rig, 'DELETE', '/v1/webhooks?all=true'))[0], 204);
  assert.partialDeepStrictEqual(await ask(rig, 'DELETE', '/v1/webhooks?all=true'), [404, { Description: 'no webhooks found for account' }]);
});

test('nothing is kept of a URL or type that is none, nor in a domain of another account', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'example.com');
  for (const url of [
    'x',
    'ftp://a.example/',
    'https://',
    'https://a b.example/',
    `https://a.example/${'x'.repeat(2100)}`,
    'https://a.example/\r\nX: 1',
  ]) {
    const [status, body] = await ask(rig, 'POST', V3, [
      ['id', 'opened'],
      ['url', url],
    ]);
    assert.equal(status, 400);
    assert.match(String(body['Reason']), /is not a valid url/);
    assert.equal(
      (
        await ask(rig, 'POST', V4, [
          ['url', url],
          ['event_types', 'opened'],
        ])
      )[0],
      400,
    );
  }
  for (const id of ['__proto__', 'constructor', 'nope'])
    assert.equal(
      (
        await ask(rig, 'POST', V3, [
          ['id', id],
          ['url', URL_A],
        ])
      )[0],
      400,
    );
  assert.equal((await ask(rig, 'GET', `${V3}/__proto__`))[0], 404);
  assert.deepEqual((await ask(rig, 'GET', V3))[1], { webhooks: {} });
  for (const [method, path] of [
    ['GET', V3],
    ['POST', V3],
    ['PUT', `${V3}/opened`],
    ['DELETE', `${V3}/opened`],
    ['POST', V4],
    ['PUT', V4],
    ['DELETE', `${V4}?url=x`],
  ] as const) {
    assert.deepEqual(await ask(rig, method, path, method === 'GET' ? undefined : [['x', '1']], other.key), [
      404,
      { message: 'Domain not found' },
    ]);
  }
});

test('callers that add at once lose nothing of each other’s', async () => {
  await using rig = await startRig();
  const types = ['accepted', 'delivered', 'opened', 'clicked'];
  await Promise.all(
    types.map((id) =>
      ask(rig, 'POST', V3, [
        ['id', id],
        ['url', URL_A],
      ]),
    ),
  );
  assert.deepEqual(Object.keys((await ask(rig, 'GET', V3))[1]['webhooks'] as Body).sort(), types.toSorted());
});
