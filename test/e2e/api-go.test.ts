/**
 * What Mailgun's SDK for Go needs beyond what all others do. It decodes into fixed types, so that one value of another kind fails the whole call, and it sends what Go's types
 * are when nothing was set: the time of the year 1, `null` for a map. Requests are written by hand after what it sends.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { type ApiRig, ask, askWith, type Json, startRig } from './api-kit.ts';

const UNSET = 'Mon, 01 Jan 0001 00:00:00 +0000';
const HOUR_MS = 3_600_000;
/** What it parses an id of these types with. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

async function isRecent(rig: ApiRig, path: string): Promise<boolean> {
  const [status, { created_at: at }] = await ask(rig, 'GET', path);
  assert.equal(status, 200, path);
  return Math.abs(Date.now() - Date.parse(String(at).replace('UTC', 'GMT'))) < HOUR_MS;
}

test('a bounce or an unsubscribe of many at once, without a time, is of now', async () => {
  await using rig = await startRig();
  const bounces = [
    { created_at: UNSET, code: '', address: 'a@example.net', error: '' },
    { created_at: 'Thu, 13 Oct 2011 18:02:00 +0000', code: '550', address: 'b@example.net', error: 'gone' },
  ];
  assert.equal((await askWith(rig, 'POST', '/v3/example.org/bounces', bounces))[0], 200);
  assert.equal(await isRecent(rig, '/v3/example.org/bounces/a%40example.net'), true);
  const [, dated] = await ask(rig, 'GET', '/v3/example.org/bounces/b%40example.net');
  assert.deepEqual(dated, { address: 'b@example.net', code: '550', error: 'gone', created_at: 'Thu, 13 Oct 2011 18:02:00 UTC' });
  const unsubscribes = [
    { created_at: UNSET, address: 'a@example.net' },
    { created_at: UNSET, tags: ['news'], address: 'b@example.net' },
  ];
  assert.equal((await askWith(rig, 'POST', '/v3/example.org/unsubscribes', unsubscribes))[0], 200);
  assert.equal(await isRecent(rig, '/v3/example.org/unsubscribes/b%40example.net'), true);
});

test('metrics without a start, an end or both are of the last days, as for those who leave them out', async () => {
  await using rig = await startRig({}, { clock: new HeldClock(Date.now()) });
  const page = { sort: '', skip: 0, limit: 10, total: 0 };
  const metrics = async (body: Json): Promise<[from: number, to: number]> => {
    const [status, { start, end }] = await askWith(rig, 'POST', '/v1/analytics/metrics', { filter: {}, pagination: page, ...body });
    assert.equal(status, 200);
    return [Date.parse(String(start)), Date.parse(String(end))];
  };
  const [from, to] = await metrics({ start: UNSET, end: UNSET });
  assert.deepEqual([from, to], await metrics({}));
  assert.equal(to - from, 7 * 24 * HOUR_MS);
  const now = new Date().toUTCString().replace('GMT', '+0000');
  const [since, until] = await metrics({ start: UNSET, end: now, duration: '30d' });
  assert.equal(until - since, 30 * 24 * HOUR_MS);
});

test('a member of a list whose variables were not set has none', async () => {
  await using rig = await startRig();
  await ask(rig, 'POST', '/v3/lists', { address: 'news@example.org' });
  const members = '/v3/lists/news%40example.org/members';
  const given = { upsert: 'yes', address: 'joe@example.net', name: '', subscribed: 'yes' };
  const [status, { member }] = await ask(rig, 'POST', members, { ...given, vars: 'null' });
  assert.deepEqual([status, member], [200, { address: 'joe@example.net', name: '', subscribed: true, vars: {} }]);
  const [, changed] = await ask(rig, 'PUT', `${members}/joe%40example.net`, { vars: '{"n":1}' });
  assert.deepEqual((changed['member'] as Json)['vars'], { n: 1 });
  // What is not given stays.
  const [, kept] = await ask(rig, 'PUT', `${members}/joe%40example.net`, { name: 'Joe', vars: 'null' });
  assert.deepEqual((kept['member'] as Json)['vars'], { n: 1 });
});

test('alerts have ids that are UUIDs, and are also found under the paths that it asks', async () => {
  await using rig = await startRig();
  const settings = '/v1/alerts/settings';
  assert.deepEqual(await ask(rig, 'GET', '/v1/alerts'), await ask(rig, 'GET', '/v1/alerts/events'));
  const alert = { channel: 'email', event_type: 'ip_listed', settings: { emails: ['a@example.net', 'b@example.net'] } };
  const [status, made] = await askWith(rig, 'POST', settings, alert);
  assert.equal(status, 200);
  assert.match(String(made['id']), UUID);
  assert.deepEqual((await ask(rig, 'GET', settings))[1]['events'], [{ ...alert, id: made['id'], disabled_at: null }]);
  assert.equal((await rig.fetch(`${settings}/${String(made['id'])}`, { method: 'DELETE' })).status, 204);
  assert.deepEqual((await ask(rig, 'GET', settings))[1]['events'], []);
});
