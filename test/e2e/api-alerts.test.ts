/** Who is told of what concerns an account: over the API, and what raises it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellMoved, tellReached, tellRecords } from '#app/alerts.ts';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { lookAtThresholds } from '#thresholds/watch.ts';
import { type Alerts, startAlerts } from '#webhooks/alerts.ts';
import { until } from '../kit/until.ts';
import { askWith as ask, type Json, startRig } from './api-kit.ts';

const SETTINGS = '/v1/alerts/settings';
const EVENTS = `${SETTINGS}/events`;
const HOOK = { event_type: 'send_alert', channel: 'webhook', settings: { url: 'https://hooks.example/a' } };

test('alerts are set up, changed and deleted by the account that they are of', async () => {
  const clock = new HeldClock(Date.now());
  await using rig = await startRig({}, { clock });
  const other = await rig.addTenant('other', 'other.example');
  const [, types] = await ask(rig, 'GET', '/v1/alerts/events');
  assert.ok((types['events'] as string[]).includes('send_alert'));
  const [status, made] = await ask(rig, 'POST', EVENTS, HOOK);
  assert.deepEqual([status, made], [200, { id: made['id'], ...HOOK, disabled_at: null }]);
  const mail = { event_type: 'domain_dns_broken', channel: 'email', settings: { emails: ['a@x.example', 'b@x.example'] } };
  // They are listed by their age.
  clock.advance(1);
  const [, second] = await ask(rig, 'POST', EVENTS, mail);
  const [, all] = await ask(rig, 'GET', SETTINGS);
  assert.deepEqual(all['events'], [made, second]);
  const { signing_key: key } = all['webhooks'] as { signing_key: string };
  assert.match(key, /^[0-9a-f]{32}$/);
  const [, renewed] = await ask(rig, 'PUT', `${SETTINGS}/webhooks/signing_key`);
  assert.notEqual(renewed['signing_key'], key);
  const change = { ...HOOK, settings: { url: 'https://hooks.example/b' } };
  assert.deepEqual((await ask(rig, 'PUT', `${EVENTS}/${String(made['id'])}`, change))[1], { message: 'Alert updated', ...made, ...change });
  assert.equal((await ask(rig, 'PUT', `${EVENTS}/${String(made['id'])}`, change, other.key))[0], 404);
  assert.equal((await rig.fetch(`${EVENTS}/${String(made['id'])}`, { method: 'DELETE', key: other.key })).status, 404);
  assert.deepEqual((await ask(rig, 'GET', SETTINGS, undefined, other.key))[1]['events'], []);
  const gone = await rig.fetch(`${EVENTS}/${String(made['id'])}`, { method: 'DELETE' });
  assert.deepEqual([gone.status, await gone.text()], [204, '']);
  assert.equal((await rig.fetch(`${EVENTS}/${String(made['id'])}`, { method: 'DELETE' })).status, 404);
});

test('what is no alert is refused with a sentence', async () => {
  await using rig = await startRig();
  for (const [wrong, word] of [
    [{}, /event_type/],
    [{ ...HOOK, event_type: 'nothing' }, /event_type/],
    [{ ...HOOK, channel: 'pigeon' }, /channel/],
    [{ ...HOOK, channel: 'slack' }, /Slack/],
    [{ ...HOOK, settings: { url: 'ftp://x' } }, /url/],
    [{ ...HOOK, settings: 'x' }, /settings/],
    [{ ...HOOK, channel: 'email', settings: { emails: [] } }, /emails/],
    [{ ...HOOK, channel: 'email', settings: { emails: ['a@x.example', 'b'] } }, /emails/],
  ] as const) {
    const [status, { message }] = await ask(rig, 'POST', EVENTS, wrong);
    assert.equal(status, 400);
    assert.match(String(message), word);
  }
  // Named by code that was written for others; it never happens.
  assert.equal((await ask(rig, 'POST', EVENTS, { ...HOOK, event_type: 'ip_listed' }))[0], 200);
});

test('a threshold, a record and a pool each tell who wanted it, once for what happened once', async () => {
  await using rig = await startRig();
  const { accountId, domain } = rig.tenant;
  const raised: { type: string; data: Json; channels: readonly string[] | undefined }[] = [];
  const alerts: Pick<Alerts, 'raise'> = {
    raise: async (_account, type, data, channels) => void raised.push({ type, data: { ...data }, channels }),
  };
  const limit = { name: 'many', metric: 'accepted_count', comparator: '>=', limit: '2', dimension: 'domain', period: '1d' };
  await ask(rig, 'POST', '/v1/thresholds/limits', limit);
  await ask(rig, 'POST', '/v1/thresholds/alerts/send', { ...limit, name: 'told', alert_channels: ['email'] });
  const clock = new HeldClock(Date.now());
  const measure = async () => [{ dimensionValue: 'example.org', value: 3 }];
  for (let looks = 0; looks < 2; looks++) {
    await lookAtThresholds({ store: rig.store.thresholds, measure, reached: tellReached(alerts), clock, log: silentLog });
    clock.advance(61_000);
  }
  // Made in one millisecond, they are looked at in either order.
  const told = raised.map(({ type, data, channels }) => [type, data['name'], channels]);
  assert.deepEqual(
    told.toSorted(([a], [b]) => String(a).localeCompare(String(b))),
    [
      ['send_alert', 'told', ['email']],
      ['send_limit', 'many', []],
    ],
  );
  raised.length = 0;
  const record = { name: 'example.org', type: 'TXT', purpose: 'spf' };
  await tellRecords(alerts)(domain, [{ record, trouble: 'missing' }], []);
  await tellRecords(alerts)(domain, [], [{ record }]);
  await tellMoved(alerts)({
    id: 'm',
    ownerId: accountId,
    accountId,
    domainId: domain.id,
    domainName: domain.name,
    from: 'new',
    to: 'poor',
    reason: 'bounce rate',
    initiatedBy: 'health check',
    processed: 9,
    bounceRate: 0.5,
    complaintRate: 0,
    atMs: 0,
  });
  assert.deepEqual(
    raised.map(({ type, data }) => [type, data['domain']]),
    [
      ['domain_dns_broken', 'example.org'],
      ['domain_dns_mended', 'example.org'],
      ['dynamic_pool_changed', 'example.org'],
    ],
  );
  assert.deepEqual(raised[0]?.data['records'], [{ ...record, trouble: 'missing' }]);
});

test('what was not told is tried again later, and given up after some hours', async (t) => {
  await using rig = await startRig();
  const { accountId } = rig.tenant;
  await ask(rig, 'POST', EVENTS, { ...HOOK, settings: { url: 'http://hooks.example/x' } });
  await ask(rig, 'POST', EVENTS, { ...HOOK, channel: 'email', settings: { emails: ['a@x.example'] } });
  const clock = new HeldClock(Date.now());
  const posts: { readonly body: string }[] = [];
  const mails: string[] = [];
  const start = (): Alerts =>
    startAlerts({
      store: rig.store.alerts,
      keyOf: async () => 'key',
      poster: {
        post: async ({ body }) => {
          posts.push({ body: Buffer.concat(body).toString() });
          return { kind: 'answered', status: 500, address: '192.0.2.1', text: 'answered 500' };
        },
        close: () => undefined,
      },
      sendMail: async ({ to }) => {
        mails.push(to);
        return true;
      },
      clock,
      log: silentLog,
      mayPost: () => true,
    });
  let alerts = start();
  t.after(() => alerts.stop());
  await alerts.raise(accountId, 'send_alert', { n: 1 });
  await until(() => posts.length === 1 && mails.length === 1, 'both are tried');
  await alerts.raise(accountId, 'send_alert', { n: 2 }, ['email']);
  await alerts.raise(accountId, 'send_limit', { n: 3 });
  await until(() => mails.length === 2, 'the second is for addresses alone, the third for nobody');
  for (let tries = 2; tries <= 7; tries++) {
    await alerts.stop();
    clock.advance(4 * 3_600_000);
    alerts = start();
    await until(() => posts.length === tries, `it is tried for the ${tries}. time`);
  }
  await until(
    async () => (await rig.store.alerts.claimAlertPosts(clock.nowMs() + 1e9, clock.nowMs() + 1e9, 9)).length === 0,
    'it is given up',
  );
  assert.equal(new Set(posts.map(({ body }) => (JSON.parse(body) as { id: string }).id)).size, 1);
  assert.deepEqual(mails, ['a@x.example', 'a@x.example']);
});
