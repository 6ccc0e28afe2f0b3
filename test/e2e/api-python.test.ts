/**
 * What Mailgun's client for Python needs, octet by octet as far as other clients do not send or read it so: its own tests ask for these answers. Each request here is
 * written by hand after what that client sends.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { type ApiRig, startRig } from './api-kit.ts';

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';
/** As `requests` writes it. */
const BOUNDARY = '9d61bc5ab5cd4d2c8c1f0a5f2c3b7c11';
/** The caller of the client wrote this header, and so it does not name the boundary. */
const BARE = 'multipart/form-data';

type Json = Record<string, unknown>;

async function send(rig: ApiRig, method: string, path: string, type?: string, body?: string): Promise<{ status: number; body: Json }> {
  const response = await rig.fetch(path, {
    method,
    ...(body !== undefined && { body: new TextEncoder().encode(body) }),
    headers: type === undefined ? {} : { 'content-type': type },
  });
  return { status: response.status, body: (await response.json()) as Json };
}

function part(name: string, value: string, filename?: string): string {
  const file = filename === undefined ? '' : `; filename="${filename}"`;
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
}

const multipart = (...parts: readonly string[]): string => `${parts.join('')}--${BOUNDARY}--\r\n`;

test('a form that calls itself multipart and names no boundary is read as what it is', async (t) => {
  await using rig = await startRig();

  await t.test('parts, by their first line', async () => {
    const sent = multipart(part('from', 'a@example.org'), part('to', 'b@example.net'), part('subject', 'x'), part('text', 'y'));
    assert.equal((await send(rig, 'POST', '/v3/example.org/messages', BARE, sent)).status, 200);
  });

  await t.test('or names and values', async () => {
    const { status, body } = await send(rig, 'POST', '/v1/keys', BARE, 'kind=web&role=basic&expiration=3600&description=a+new+key');
    assert.deepEqual([status, body['message'], (body['key'] as Json)['description']], [200, 'great success', 'a new key']);
  });

  await t.test('and nothing else', async () => {
    for (const other of ['x', '{"a":1}', '--', `--${BOUNDARY}`, '-=x'])
      assert.equal((await send(rig, 'POST', '/v1/keys', BARE, other)).status, 400, other);
    const named = `${BARE}; charset=utf-8`;
    assert.equal((await send(rig, 'POST', '/v1/keys', named, 'role=basic')).status, 400);
  });
});

test('of a key that comes as a file, and as a field with what Python prints of the file, the file counts', async () => {
  await using rig = await startRig();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const printed = `('pem', ('server.key', b'${pem.replaceAll('\n', '\\n')}'))`;
  const fields = [part('signing_domain', 'example.org'), part('selector', 'smtp'), part('bits', '2048'), part('pem', printed)];
  const { status, body } = await send(
    rig,
    'POST',
    '/v1/dkim/keys',
    `${BARE}; boundary=${BOUNDARY}`,
    multipart(...fields, part('pem', pem, 'server.key')),
  );
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(Object.keys(body).toSorted(), ['dns_record', 'selector', 'signing_domain']);
  const text = await send(rig, 'POST', '/v1/dkim/keys', FORM, 'signing_domain=example.org&selector=s2&pem=lorem+ipsum');
  assert.equal(text.status, 400);
  assert.match(String(text.body['message']), /failed to import domain key: failed to parse PEM/);
});

test('lists are imported from the only file, whatever it is called', async () => {
  await using rig = await startRig();
  for (const [list, name] of [
    ['unsubscribes', 'unsubscribe_csv'],
    ['complaints', 'complaints_csv'],
    ['whitelists', 'whitelist_csv'],
  ] as const) {
    const body = multipart(part(name, 'address\r\na@example.net\r\n', name));
    assert.equal((await send(rig, 'POST', `/v3/example.org/${list}/import`, `${BARE}; boundary=${BOUNDARY}`, body)).status, 202, list);
  }
});

test("a domain's addresses are under v4 too", async () => {
  await using rig = await startRig({}, { egress: [{ name: 'a', pool: 'default', address: '192.0.2.1', ehlo: 'a.example.org' }] });
  const url = '/v4/domains/example.org/ips';
  assert.deepEqual((await send(rig, 'POST', url, FORM, 'ip=192.0.2.1')).body, { message: 'success' });
  assert.deepEqual((await send(rig, 'GET', url)).body, { items: ['192.0.2.1'], total_count: 1, assignable_to_pools: ['192.0.2.1'] });
  assert.equal((await send(rig, 'GET', `${url}/192.0.2.1`)).body['ip'], '192.0.2.1');
  assert.deepEqual((await send(rig, 'DELETE', `${url}/192.0.2.1`)).body, { message: 'success' });
});

test('a limit of 0 is the usual one for people', async () => {
  await using rig = await startRig();
  await rig.store.access.createUser({
    accountId: rig.tenant.accountId,
    email: 'ann@example.org',
    name: 'Ann',
    role: 'admin',
    createdMs: 0,
    isDisabled: false,
    isMaster: false,
  });
  const { body } = await send(rig, 'GET', '/v5/users?role=admin&limit=0&skip=0');
  assert.equal((body['users'] as Json[])[0]?.['email'], 'ann@example.org');
});

test('below analytics a path that is nothing is told by an error', async () => {
  await using rig = await startRig();
  for (const [method, path] of [
    ['POST', '/v1/analytics/tag'],
    ['DELETE', '/v1/analytics/tag'],
    ['GET', '/v1/analytics/tags'],
    ['POST', '/v1//analytics/metric'],
  ] as const)
    assert.deepEqual(await send(rig, method, path, JSON_TYPE, method === 'GET' ? undefined : '{}'), {
      status: 404,
      body: { error: 'not found' },
    });
  assert.deepEqual((await send(rig, 'GET', '/v1/none')).body, { message: 'Not found' });
});

test('everything that can be used can be asked for', async () => {
  await using rig = await startRig();
  const metrics = ['accessibility_count', 'accessibility_failed_count', 'image_validation_count', 'image_validation_failed_count'];
  const { status, body } = await send(
    rig,
    'POST',
    '/v1/analytics/usage/metrics',
    JSON_TYPE,
    JSON.stringify({ metrics, include_aggregates: true }),
  );
  assert.equal(status, 200);
  assert.deepEqual((body['aggregates'] as Json)['metrics'], Object.fromEntries(metrics.map((name) => [name, 0])));
});

test('bounce classification takes durations as Go prints them, and says what it cannot sort by or does not keep', async () => {
  await using rig = await startRig();
  const ask = async (query: Json): Promise<[number, unknown]> => {
    const { status, body } = await send(rig, 'POST', '/v2/bounce-classification/metrics', JSON_TYPE, JSON.stringify(query));
    return [status, body['message']];
  };
  const pagination = { sort: 'entity-name:asc', limit: 10 };
  const dimensions = ['entity-name', 'domain.name'];
  assert.deepEqual(await ask({ duration: '24h0m0s', resolution: 'day', dimensions, pagination }), [200, undefined]);
  assert.deepEqual(await ask({ metrics: ['critical_bounce_count'], pagination }), [
    400,
    'sort should be either one of metrics or dimensions',
  ]);
  assert.deepEqual(await ask({ metrics: ['critical_bounce_count'], pagination: { sort: 'critical_bounce_count:desc' } }), [200, undefined]);
  // The days of the week are wrong.
  const old = { start: 'Wed, 12 Nov 2000 23:00:00 UTC', end: 'Thu, 13 Nov 2000 23:00:00 UTC' };
  assert.deepEqual(await ask({ ...old, dimensions, pagination }), [400, "'end' is out of permitted log retention"]);
});

test('events list files of the HTML before those that are attached, as the message has them', async () => {
  await using rig = await startRig();
  const parts = [part('from', 'a@example.org'), part('to', 'b@example.net'), part('subject', 'x'), part('html', '<img src="cid:pic">')];
  const files = [part('attachment', 'a', 'one.txt'), part('attachment', 'b', 'two.txt'), part('inline', 'c', 'pic')];
  const sent = await send(rig, 'POST', '/v3/example.org/messages', `${BARE}; boundary=${BOUNDARY}`, multipart(...parts, ...files));
  assert.equal(sent.status, 200);
  const { body } = await send(rig, 'GET', '/v3/example.org/events?event=accepted');
  const { attachments } = (body['items'] as { message: { attachments: { filename: string }[] } }[])[0]?.message ?? {};
  assert.deepEqual(
    attachments?.map(({ filename }) => filename),
    ['pic', 'one.txt', 'two.txt'],
  );
});
