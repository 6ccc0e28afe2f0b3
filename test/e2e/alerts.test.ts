/** Alerts on the running program: a threshold that is reached is posted, signed, to a URL and mailed to an address. (Tries again: api-alerts.test.ts.) */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make(
  { after },
  { 'webhooks.allow_networks': '127.0.0.0/8' },
  { zone: { 'hooks.test': { A: ['127.0.0.1'] } } },
);
const there = await startHttpReceiver();
after(() => there.close());
const server = await home.start();

const url = (path: string): string => `http://hooks.test:${there.port}${path}`;

async function askJson(method: string, path: string, body?: object): Promise<[number, Record<string, unknown>]> {
  const response = await fetch(server.url + path, {
    method,
    headers: { ...server.authorization(), 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return [response.status, text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)];
}

async function keyNow(): Promise<string> {
  const [, settings] = await askJson('GET', '/v1/alerts/settings');
  return (settings['webhooks'] as { signing_key: string }).signing_key;
}

test('a test of a URL is posted at once with the signature of its whole body, and says what went wrong', async () => {
  assert.deepEqual(await askJson('POST', '/v1/alerts/webhooks/test', { event_type: 'send_alert', url: url('/test') }), [
    200,
    { message: 'success' },
  ]);
  const [received] = there.at('/test');
  assert.ok(received);
  assert.equal(
    received.headers['x-sign'],
    createHmac('sha256', await keyNow())
      .update(received.body)
      .digest('hex'),
  );
  assert.equal((JSON.parse(received.body.toString()) as { event_type: string }).event_type, 'send_alert');
  there.answerWith((_received, response) => void response.writeHead(500).end());
  const [status, refused] = await askJson('POST', '/v1/alerts/webhooks/test', { event_type: 'send_alert', url: url('/broken') });
  assert.deepEqual([status, refused], [400, { message: 'the test was not told: it was answered with 500' }]);
  there.answerWith((_received, response) => void response.end());
  const [, elsewhere] = await askJson('POST', '/v1/alerts/webhooks/test', { event_type: 'send_alert', url: 'http://10.0.0.1/' });
  assert.match(String(elsewhere['message']), /not told/);
});

test('an alert that is reached is posted, signed with the key that stands, and mailed from a domain of the account', async () => {
  const former = await keyNow();
  const [, { signing_key: key }] = await askJson('PUT', '/v1/alerts/settings/webhooks/signing_key');
  assert.notEqual(key, former);
  for (const [channel, settings] of [
    ['webhook', { url: url('/told') }],
    ['email', { emails: ['ops@x.test'] }],
  ] as const)
    assert.equal((await askJson('POST', '/v1/alerts/settings/events', { event_type: 'send_alert', channel, settings }))[0], 200);
  const alert = { name: 'many', metric: 'accepted_count', comparator: '>=', limit: '1', dimension: 'domain', period: '1d' };
  await server.send('someone@x.test', { text: 'counted' });
  assert.equal((await askJson('POST', '/v1/thresholds/alerts/send', { ...alert, alert_channels: ['webhook', 'email'] }))[0], 200);
  const first = await until(() => there.at('/told')[0], 'it is posted');
  assert.equal(first.headers['x-sign'], createHmac('sha256', String(key)).update(first.body).digest('hex'));
  const told = JSON.parse(first.body.toString()) as {
    readonly id: string;
    readonly event_type: string;
    readonly data: Record<string, unknown>;
  };
  assert.equal(told.event_type, 'send_alert');
  assert.partialDeepStrictEqual(told.data, { name: 'many', metric: 'accepted_count', dimension: 'domain', dimension_value: DOMAIN });
  const mail = await until(
    () => home.sink.transactions.find(({ recipients }) => recipients.some(({ address }) => address === 'ops@x.test')),
    'it is mailed',
  );
  const text = mail.bytes.toString();
  assert.match(text, new RegExp(`^From: alerts@${DOMAIN}\\r$`, 'm'));
  assert.match(text, /^Auto-Submitted: auto-generated\r$/m);
  assert.match(text, /^dimension_value: /m);
});
