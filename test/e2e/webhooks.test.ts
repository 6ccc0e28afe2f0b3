/** Webhooks of the running program: who is told of what, once, signed, in order, whatever happens to us or to the receiver in between. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import { type HttpReceiver, type Received, startHttpReceiver } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';

const SETTINGS = {
  'webhooks.allow_networks': '127.0.0.0/8',
  'webhooks.retry': '300ms',
  'webhooks.timeout': '2s',
};
const home = await Installation.make({ after }, SETTINGS, { zone: { 'hooks.test': { A: ['127.0.0.1'] } } });
const there = await startHttpReceiver();
after(() => there.close());
let server = await home.start();

interface Signature {
  readonly timestamp: string;
  readonly token: string;
  readonly signature: string;
}

interface Body {
  readonly signature: Signature;
  readonly 'parent-signature'?: Signature;
  readonly 'event-data': Record<string, unknown> & { readonly event: string; readonly id: string };
}

const bodyOf = ({ body }: Received): Body => JSON.parse(body.toString()) as Body;
const eventOf = (received: Received): Body['event-data'] => bodyOf(received)['event-data'];
const url = (path: string, receiver: HttpReceiver = there): string => `http://hooks.test:${receiver.port}${path}`;

function verifies(key: string, { timestamp, token, signature }: Signature): boolean {
  return (
    createHmac('sha256', key)
      .update(timestamp + token)
      .digest('hex') === signature
  );
}

async function keyOf(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const { body } = await server.mustCall('GET', '/v5/accounts/http_signing_key', undefined, headers);
  return String(body['http_signing_key']);
}

/** The domain's webhooks are these, and no others. */
async function hook(urls: Readonly<Record<string, string | readonly string[]>>): Promise<void> {
  const { body } = await server.mustCall('GET', `/v3/domains/${DOMAIN}/webhooks`);
  for (const type of Object.keys(body['webhooks'] as object)) await server.mustCall('DELETE', `/v3/domains/${DOMAIN}/webhooks/${type}`);
  for (const [id, list] of Object.entries(urls)) await server.mustCall('POST', `/v3/domains/${DOMAIN}/webhooks`, { id, url: list });
}

function told(messageId: string, receiver: HttpReceiver = there): Received[] {
  return receiver.received.filter((each) => {
    const { message } = eventOf(each) as unknown as { message?: { headers?: { 'message-id'?: string } } };
    return message?.headers?.['message-id'] === messageId;
  });
}

const kindsOf = (received: readonly Received[]): string[] => received.map((each) => `${each.path} ${eventOf(each).event}`);

test('each event goes once to each URL of its type, as the events API shows it, with a signature that verifies', async () => {
  await hook({
    accepted: url('/a'),
    delivered: [url('/d1'), url('/d2')],
    temporary_fail: url('/t'),
    permanent_fail: url('/p'),
  });
  await server.mustCall('POST', '/v1/webhooks', { url: url('/d1'), event_types: 'delivered' });
  await server.mustCall('POST', '/v1/webhooks', { url: url('/account'), event_types: ['delivered', 'permanent_fail'] });
  const good = await server.send('good@x.test', { 'v:order': '17', 'o:tag': 'welcome' });
  const bad = await server.send('550-at-rcpt@x.test');
  await until(() => told(good).length >= 4 && told(bad).length >= 3, 'all are told');
  assert.deepEqual(kindsOf(told(good)).sort(), ['/a accepted', '/account delivered', '/d1 delivered', '/d2 delivered']);
  assert.deepEqual(kindsOf(told(bad)).sort(), ['/a accepted', '/account failed', '/p failed']);
  const key = await keyOf();
  const tokens = new Set<string>();
  for (const received of there.received) {
    const { signature } = bodyOf(received);
    assert.ok(verifies(key, signature));
    assert.match(signature.token, /^[0-9a-f]{50}$/);
    assert.equal(typeof signature.timestamp, 'string');
    assert.ok(Math.abs(Number(signature.timestamp) - Date.now() / 1000) < 60);
    tokens.add(signature.token);
    assert.equal(received.headers['content-type'], 'application/json');
    assert.equal(received.headers['x-postrider-attempt'], '1');
  }
  assert.equal(tokens.size, there.received.length);
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=delivered`);
  const [shown] = body['items'] as { storage: unknown }[];
  const { storage: _shown, ...event } = shown as Record<string, unknown>;
  const { storage: _storage, ...data } = eventOf(told(good).find(({ path }) => path === '/d1') as Received) as Record<string, unknown>;
  assert.deepEqual(data, event);
});

test('what is put off is told as a temporary failure, and events of one recipient arrive in their order', async () => {
  await hook({ accepted: url('/order'), delivered: url('/order'), temporary_fail: url('/order') });
  there.received.length = 0;
  let left = 1;
  there.answerWith((received, response) => void response.writeHead(received.path === '/order' && left-- > 0 ? 500 : 200).end());
  const messageId = await server.send('451-at-rcpt-once@x.test', {});
  await until(() => told(messageId).some((each) => eventOf(each).event === 'delivered' || eventOf(each).event === 'failed'), 'the end');
  const kinds = told(messageId).map((each) => `${eventOf(each).event} ${String(each.headers['x-postrider-attempt'])}`);
  assert.deepEqual(kinds.slice(0, 2), ['accepted 1', 'accepted 2'], 'nothing passed the one that was refused');
  there.answerWith((_received, response) => void response.end());
});
