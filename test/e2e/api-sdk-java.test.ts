/** What the SDK for Java needs: how it writes what it sends (forms of parts with a type each, dates with the names of zones), and what it reads into its classes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askWith as ask, type Json, startRig } from './api-kit.ts';

const AT = '/v3/example.org';

/** Its forms: each value is a part that says what it is, and a list is the same name again. */
function parts(fields: Readonly<Record<string, string | readonly string[]>>): { body: string; headers: Record<string, string> } {
  const boundary = '19ab4f0c2d1';
  const all = Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, one] as const));
  const written = all.map(
    ([name, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n${value}\r\n`,
  );
  return {
    body: `${written.join('')}--${boundary}--\r\n`,
    headers: { 'content-type': `multipart/form-data; charset=UTF-8; boundary=${boundary}` },
  };
}

test('a page of events is found by all that stands behind /events/ in the URL of the page before, written as one part of a path', async () => {
  await using rig = await startRig();
  const form = parts({ from: 'a@example.org', to: ['b@example.net', 'c@example.net'], subject: 'Hi', text: 'Hi' });
  assert.equal((await rig.fetch(`${AT}/messages`, { method: 'POST', ...form })).status, 200);
  const [, first] = await ask(rig, 'GET', `${AT}/events?limit=1`);
  const behind = (first['paging'] as Record<string, string>)['next']?.split('/events/')[1] as string;
  const [status, second] = await ask(rig, 'GET', `${AT}/events/${encodeURIComponent(behind)}`);
  assert.equal(status, 200);
  const recipients = [first, second].flatMap((page) => (page['items'] as Json[]).map((item) => item['recipient']));
  assert.deepEqual(recipients.sort(), ['b@example.net', 'c@example.net']);
});

test('a date of an entry may name its zone as Java does, and is UTC where nobody says what the name means', async () => {
  await using rig = await startRig();
  const dates: readonly (readonly [string, string])[] = [
    ['Wed, 04 Jul 2018 05:06:07 UTC', 'Wed, 04 Jul 2018 05:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 Z', 'Wed, 04 Jul 2018 05:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 PDT', 'Wed, 04 Jul 2018 12:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 +02:00', 'Wed, 04 Jul 2018 03:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 CEST', 'Wed, 04 Jul 2018 05:06:07 UTC'],
    ['Wed, 4 Jul 2018 05:06:07 +0900', 'Tue, 03 Jul 2018 20:06:07 UTC'],
  ];
  await ask(
    rig,
    'POST',
    `${AT}/complaints`,
    dates.map(([created_at], n) => ({ address: `ann${n}@example.net`, created_at })),
  );
  for (const [n, [given, shown]] of dates.entries())
    assert.equal((await ask(rig, 'GET', `${AT}/complaints/ann${n}@example.net`))[1]['created_at'], shown, given);
  // Its lists of bounces name the field as its class does.
  await ask(rig, 'POST', `${AT}/bounces`, [{ address: 'ann@example.net', createdAt: 'Wed, 4 Jul 2018 05:06:07 GMT' }]);
  assert.equal((await ask(rig, 'GET', `${AT}/bounces/ann@example.net`))[1]['created_at'], 'Wed, 04 Jul 2018 05:06:07 UTC');
});

test('several SMTP logins are made at once: as many as are named, or none when one of them cannot be', async () => {
  await using rig = await startRig();
  const path = '/v3/domains/example.org/credentials';
  const create = async (fields: Readonly<Record<string, string | readonly string[]>>): Promise<[number, Json]> => {
    const response = await rig.fetch(path, { method: 'POST', ...parts(fields) });
    return [response.status, (await response.json()) as Json];
  };
  assert.deepEqual(await create({ login: ['ann', 'bob'], password: ['secret-1', 'secret-2'], system: 'false' }), [
    200,
    { message: 'Created 2 credentials pair(s)' },
  ]);
  const [, made] = await create({ mailbox: ['carl', 'dora@example.org'] });
  assert.equal(made['message'], 'Created 2 credentials pair(s)');
  assert.deepEqual(Object.keys(made['credentials'] as object), ['carl@example.org', 'dora@example.org']);
  assert.equal((await create({ login: ['eve', 'fred'], password: ['secret-1'] }))[0], 400);
  assert.equal((await create({ login: Array.from({ length: 21 }, (_, n) => `l${n}`) }))[0], 400);
  for (const logins of [
    ['bob', 'no login'],
    ['bob', 'gina', 'Bob@example.org'],
  ])
    assert.equal((await create({ login: logins }))[0], 400, logins.join());
  assert.equal((await create({ login: ['bob', 'gina'], password: ['secret-3', 'two\r\nlines'] }))[0], 400);
  const { items } = (await ask(rig, 'GET', path))[1] as { items: Json[] };
  assert.deepEqual(
    items.map(({ login }) => login).sort(),
    ['ann', 'bob', 'carl', 'dora'].map((name) => `${name}@example.org`),
  );
  const bob = { login: 'bob@example.org', password: 'secret-2', address: '192.0.2.1' };
  assert.equal((await rig.accounts.authenticateLogin(bob)).kind, 'ok');
});

test('a template is shown with a version by its tag', async () => {
  await using rig = await startRig();
  for (const path of [`${AT}/templates`, '/v4/templates']) {
    const welcome = parts({ name: 'welcome', template: 'Hey, {{name}}!', tag: 'v1' });
    assert.equal((await rig.fetch(path, { method: 'POST', ...welcome })).status, 200);
    const [, { template }] = await ask(rig, 'GET', `${path}/welcome?version_name=V1`);
    assert.partialDeepStrictEqual(template, { name: 'welcome', version: { tag: 'v1', template: 'Hey, {{name}}!' } });
    assert.deepEqual(await ask(rig, 'GET', `${path}/welcome?version_name=v2`), [404, { message: 'template version not found' }]);
  }
});

test('a rotation shows each record by its type, its name and its value', async () => {
  await using rig = await startRig();
  const [, { domain }] = await ask(rig, 'PUT', '/v1/dkim_management/domains/example.org/rotation', {
    rotation_enabled: 'true',
    rotation_interval: '5d',
  });
  const [record] = (domain as { records: Json[] }).records;
  assert.deepEqual([record?.['type'], record?.['comment']], ['TXT', '']);
  assert.match(String(record?.['identifier']), /\._domainkey\.example\.org$/);
  assert.match(String(record?.['value']), /^v=DKIM1;/);
});

test('an alert that was changed is answered with a message, too', async () => {
  await using rig = await startRig();
  const [event_type] = (await ask(rig, 'GET', '/v1/alerts/events'))[1]['events'] as string[];
  const path = '/v1/alerts/settings/events';
  const [, { id }] = await ask(rig, 'POST', path, { event_type, channel: 'webhook', settings: { url: 'https://example.net/a' } });
  const [, changed] = await ask(rig, 'PUT', `${path}/${id}`, { event_type, channel: 'email', settings: { emails: ['ops@example.net'] } });
  assert.partialDeepStrictEqual(changed, { id, message: 'Alert updated', channel: 'email' });
});

test('an alert on sending may watch each of the metrics that the SDK names', async () => {
  await using rig = await startRig();
  for (const metric of ['hard_bounce_rate', 'temporary_fail_rate', 'delivered_rate', 'complained_rate']) {
    const alert = { name: metric, metric, comparator: '>', limit: '0.05', dimension: 'domain', period: '1h', alert_channels: ['email'] };
    assert.equal((await ask(rig, 'POST', '/v1/thresholds/alerts/send', alert))[0], 200, metric);
  }
});
