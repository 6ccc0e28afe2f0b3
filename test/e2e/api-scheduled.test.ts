/** Scheduled mail over the API: listed by its time, moved and taken back one by one, told in the timeline, and nobody else's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiRig, ask, type Json, startRig } from './api-kit.ts';

const HOUR_S = 3600;

function inHours(hours: number): number {
  return Math.floor(Date.now() / 1000) + hours * HOUR_S;
}

/** Its Message-ID, without brackets. */
async function schedule(rig: ApiRig, to: string, at: number, domain = 'example.org', key?: string): Promise<string> {
  const fields = { from: `ann@${domain}`, to, subject: `to ${to}`, text: 'Hi', 'o:deliverytime': String(at) };
  const [status, body] = await ask(rig, 'POST', `/v3/${domain}/messages`, fields, key);
  assert.equal(status, 200, JSON.stringify(body));
  return String(body['id']).slice(1, -1);
}

async function items(rig: ApiRig, path = '/v1/scheduled', key?: string): Promise<Json[]> {
  const [status, body] = await ask(rig, 'GET', path, undefined, key);
  assert.equal(status, 200, JSON.stringify(body));
  return body['items'] as Json[];
}

test('it is listed by its time, page by page, of all domains or of some', async () => {
  await using rig = await startRig();
  await rig.accounts.addDomain(rig.tenant.accountId, 'second.example');
  const at = inHours(1);
  await schedule(rig, 'c@example.net', at + 3 * HOUR_S);
  const first = await schedule(rig, 'a@example.net', at);
  await schedule(rig, 'b@example.net', at + HOUR_S, 'second.example');
  await ask(rig, 'POST', '/v3/example.org/messages', { from: 'ann@example.org', to: 'now@example.net', text: 'Hi' });
  const all = await items(rig);
  assert.deepEqual(
    all.map(({ recipient }) => recipient),
    ['a@example.net', 'b@example.net', 'c@example.net'],
  );
  assert.partialDeepStrictEqual(all[0], {
    message_id: first,
    domain: 'example.org',
    scheduled_at: new Date(at * 1000).toISOString(),
    from: 'ann@example.org',
    subject: 'to a@example.net',
    tags: [],
  });
  const [, page] = await ask(rig, 'GET', '/v1/scheduled?limit=2&domain=example.org,second.example');
  assert.equal((page['items'] as Json[]).length, 2);
  const next = (page['paging'] as { next: string }).next;
  assert.deepEqual(
    (await items(rig, next.replace(rig.url, ''))).map(({ recipient }) => recipient),
    ['c@example.net'],
  );
  assert.deepEqual(
    (await items(rig, '/v1/scheduled?domain=second.example')).map(({ recipient }) => recipient),
    ['b@example.net'],
  );
});

test('it is moved by its message or for one recipient, with any spelling of the time', async () => {
  await using rig = await startRig();
  const id = await schedule(rig, 'a@example.net, b@example.net', inHours(1));
  const at = inHours(5);
  for (const text of [String(at), new Date(at * 1000).toUTCString(), new Date(at * 1000).toISOString()]) {
    const [status, body] = await ask(rig, 'PUT', `/v1/scheduled/${id}`, { 'o:deliverytime': text });
    assert.deepEqual([status, body], [200, { message: 'Moved', moved: 2, scheduled_at: new Date(at * 1000).toISOString() }], text);
  }
  const [status, body] = await ask(rig, 'PUT', `/v1/scheduled/<${id}>`, {
    'o:deliverytime': String(at - HOUR_S),
    recipient: 'B@Example.net',
  });
  assert.deepEqual([status, body['moved']], [200, 1]);
  assert.deepEqual(
    (await items(rig)).map(({ recipient, scheduled_at: scheduledAt }) => [recipient, Date.parse(String(scheduledAt)) / 1000]),
    [
      ['b@example.net', at - HOUR_S],
      ['a@example.net', at],
    ],
  );
  const [, story] = await ask(rig, 'GET', `/v1/messages/${id}`);
  assert.match(JSON.stringify(story), /moved by the sender from \d{4}-\d\d-\d\d [\d:]+ to /);
});

test('a time that is none, or too far ahead, changes nothing', async () => {
  await using rig = await startRig();
  const id = await schedule(rig, 'a@example.net', inHours(1));
  const before = await items(rig);
  for (const [fields, sentence] of [
    [{ 'o:deliverytime': 'tomorrow' }, /is not a time/],
    [{ 'o:deliverytime': String(inHours(24 * 8)) }, /lies too far ahead/],
    [{}, /o:deliverytime parameter is missing/],
    [{ 'o:deliverytime': String(inHours(2)), recipient: 'nobody' }, /not a valid address/],
  ] as const) {
    const [status, body] = await ask(rig, 'PUT', `/v1/scheduled/${id}`, fields);
    assert.equal(status, 400);
    assert.match(String(body['message']), sentence);
  }
  const [status] = await ask(rig, 'PUT', `/v1/scheduled/${id}`, { 'o:deliverytime': String(inHours(2)), recipient: 'not@there.example' });
  assert.equal(status, 404);
  assert.deepEqual(await items(rig), before);
});

test('it is taken back for one recipient, then for the rest, and then there is nothing left to do', async () => {
  await using rig = await startRig();
  const id = await schedule(rig, 'a@example.net, b@example.net', inHours(1));
  assert.deepEqual(await ask(rig, 'DELETE', `/v1/scheduled/${id}?recipient=a@example.net`), [200, { message: 'Cancelled', cancelled: 1 }]);
  assert.deepEqual(
    (await items(rig, `/v1/scheduled/${id}`)).map(({ recipient }) => recipient),
    ['b@example.net'],
  );
  assert.deepEqual(await ask(rig, 'DELETE', `/v1/scheduled/${id}`), [200, { message: 'Cancelled', cancelled: 1 }]);
  for (const [method, fields] of [
    ['DELETE', undefined],
    ['PUT', { 'o:deliverytime': String(inHours(2)) }],
  ] as const) {
    const [status, body] = await ask(rig, method, `/v1/scheduled/${id}`, fields);
    assert.equal(status, 409);
    assert.match(String(body['message']), /Nothing of it is scheduled any more/);
  }
});

test('what a node is delivering is not moved', async () => {
  await using rig = await startRig();
  const at = inHours(1);
  const id = await schedule(rig, 'a@leased.example', at);
  const due = await rig.store.mail.dueBuckets(at * 1000, 10);
  await rig.store.mail.claim(
    due.map((bucket) => ({ bucket: bucket.id, room: 10 })),
    at * 1000,
  );
  assert.equal((await ask(rig, 'PUT', `/v1/scheduled/${id}`, { 'o:deliverytime': String(inHours(2)) }))[0], 409);
  assert.equal((await ask(rig, 'DELETE', `/v1/scheduled/${id}`))[0], 409);
});

test('what another account has scheduled is not there', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'other.example');
  const id = await schedule(rig, 'a@example.net', inHours(1));
  const second = await rig.accounts.addDomain(rig.tenant.accountId, 'second.example');
  const { secret } = await rig.accounts.createKey({ accountId: rig.tenant.accountId, domainId: second?.id, role: 'sending' });
  assert.deepEqual(await items(rig, '/v1/scheduled', other.key), []);
  assert.equal((await ask(rig, 'GET', '/v1/scheduled?domain=example.org', undefined, other.key))[0], 404);
  // A domain's key sends, and sees nothing.
  for (const [key, expected] of [
    [other.key, 404],
    [secret, 403],
  ] as const) {
    for (const method of ['GET', 'DELETE']) assert.equal((await ask(rig, method, `/v1/scheduled/${id}`, undefined, key))[0], expected);
    assert.equal((await ask(rig, 'PUT', `/v1/scheduled/${id}`, { 'o:deliverytime': '1' }, key))[0], expected);
  }
  assert.equal((await items(rig)).length, 1);
});
