/** Webhooks of the running program: who is told of what, once, signed, in order, whatever happens to us or to the receiver in between. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { type HttpReceiver, type Received, startHttpReceiver } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';

const SETTINGS = {
  'webhooks.allow_networks': '127.0.0.0/8',
  'webhooks.retry': '300ms',
  // Longer than a busy machine keeps this process, which answers, from its work; and what a killed program had claimed is due again only after it.
  'webhooks.timeout': '8s',
  'dns.timeout': '30s',
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

/** The webhooks are these of the domain, and no others. */
async function hook(urls: Readonly<Record<string, string | readonly string[]>>): Promise<void> {
  await server.call('DELETE', '/v1/webhooks?all=true');
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

test('a receiver that fails in any way is told again, signed afresh, until it answers', async () => {
  await hook({ delivered: url('/fails') });
  const ways: Record<string, (response: Parameters<Parameters<HttpReceiver['answerWith']>[0]>[1]) => void> = {
    500: (response) => void response.writeHead(500).end('out of order'),
    'a reset': (response) => void response.socket?.resetAndDestroy(),
    'an end without an answer': (response) => void response.socket?.end(),
    'a redirect that drops the body': (response) => void response.writeHead(302, { location: '/elsewhere' }).end(),
  };
  for (const [name, fail] of Object.entries(ways)) {
    there.received.length = 0;
    let left = 1;
    there.answerWith((_received, response) => (left-- > 0 ? fail(response) : void response.end()));
    const messageId = await server.send('fails@x.test');
    await until(() => told(messageId).length === 2, `told again after ${name}`);
    const [first, second] = told(messageId) as [Received, Received];
    assert.equal(eventOf(first).id, eventOf(second).id, name);
    assert.notEqual(bodyOf(first).signature.token, bodyOf(second).signature.token, name);
    assert.equal(first.headers['x-postrider-delivery'], second.headers['x-postrider-delivery']);
    assert.equal(first.headers['x-postrider-attempt'], '1');
    // A kept connection that was cut says nothing about the receiver: the attempt goes on, on a new one.
    assert.match(String(second.headers['x-postrider-attempt']), /^[12]$/, name);
  }
  there.answerWith((_received, response) => void response.end());
});

test('a receiver that hangs is told again when its time is over', async () => {
  await server.stop();
  server = await home.start({ 'webhooks.timeout': '1s' });
  await hook({ delivered: url('/hangs') });
  there.received.length = 0;
  let left = 1;
  there.answerWith((_received, response) => (left-- > 0 ? undefined : void response.end()));
  const messageId = await server.send('hangs@x.test');
  await until(() => told(messageId).length >= 2, 'told again');
  const [first, second] = told(messageId) as [Received, Received];
  assert.equal(eventOf(first).id, eventOf(second).id);
  assert.notEqual(bodyOf(first).signature.token, bodyOf(second).signature.token);
  assert.equal(first.headers['x-postrider-delivery'], second.headers['x-postrider-delivery']);
  assert.deepEqual(
    [first, second].map(({ headers }) => headers['x-postrider-attempt']),
    ['1', '2'],
  );
  there.answerWith((_received, response) => void response.end());
  await server.stop();
  server = await home.start();
});

test('406 ends it, and so does an endless answer with 200; the timeline tells of what never arrived', async () => {
  await hook({ delivered: [url('/no-more?key=secret'), url('/endless')] });
  there.received.length = 0;
  there.answerWith(({ path }, response) => {
    if (path.startsWith('/no-more')) return void response.writeHead(406).end();
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', more);
    response.on('error', () => undefined);
    more();
  });
  const messageId = await server.send('enough@x.test');
  const [fact, ...others] = await until(async () => {
    const [only] = await server.recipients(messageId);
    const facts = only?.entries.filter(({ event }) => event === 'untold').map(({ text }) => text) ?? [];
    return facts.length > 0 && told(messageId).length === 2 && facts;
  }, 'it is told');
  assert.equal(fact, `the webhook ${url('/no-more')}?… was not told of "delivered", given up after one post: HTTP 406`);
  assert.deepEqual(others, []);
  there.answerWith((_received, response) => void response.end());
});

test('nothing is told to an address that is not allowed, by its name, its number or a redirect', async (t) => {
  const outside = await startHttpReceiver({ address: '127.0.0.2' });
  t.after(() => outside.close());
  outside.answerWith((_received, response) => void response.writeHead(307, { location: url('/inside') }).end());
  await server.stop();
  server = await home.start({ 'webhooks.allow_networks': '127.0.0.2' });
  await hook({ delivered: [url('/inside'), `http://127.0.0.2:${outside.port}/out`, `http://2130706433:${there.port}/inside`] });
  const connections = there.connectionCount();
  const messageId = await server.send('inside@x.test');
  const facts = await until(async () => {
    const [only] = await server.recipients(messageId);
    const untold = only?.entries.filter(({ event }) => event === 'untold') ?? [];
    return untold.length === 3 && untold.map(({ text }) => String(text));
  }, 'all three are given up');
  assert.ok(
    facts.every((text) => /nothing is posted to loopback addresses/.test(text)),
    facts.join('\n'),
  );
  assert.equal(outside.received.length, 1);
  assert.equal(there.connectionCount(), connections);
});

test('a name that is pointed elsewhere leads to no address that is not allowed', async (t) => {
  const outside = await startHttpReceiver({ address: '127.0.0.2', port: there.port });
  t.after(() => outside.close());
  const zone = home.zone.zone as Record<string, { A: string[]; ttl: number }>;
  zone['rebinding.test'] = { A: ['127.0.0.2'], ttl: 0 };
  await hook({ delivered: `http://rebinding.test:${there.port}/` });
  await server.send('first@x.test');
  await until(() => outside.received.length === 1, 'it is told where it may be');
  const connections = there.connectionCount();
  zone['rebinding.test'] = { A: ['127.0.0.1'], ttl: 0 };
  // What DNS said before is believed for a moment.
  const untold = await until(async () => {
    const before = outside.received.length;
    const messageId = await server.send('then@x.test');
    const outcome = await until(async () => {
      const [only] = await server.recipients(messageId);
      const fact = only?.entries.find(({ event }) => event === 'untold');
      return fact?.text ?? (outside.received.length > before && '');
    }, 'it is told, or not');
    return outcome !== '' && outcome;
  }, 'the new address is refused');
  assert.match(untold, /nothing is posted to loopback addresses/);
  assert.equal(there.connectionCount(), connections);
  await server.stop();
  server = await home.start();
});

test('a slow receiver holds up no other', async (t) => {
  const slow = await startHttpReceiver();
  t.after(() => slow.close());
  slow.answerWith(() => undefined);
  await hook({ delivered: [url('/quick'), url('/slow', slow)] });
  there.received.length = 0;
  const to = Array.from({ length: 60 }, (_, n) => `many${n}@x.test`);
  await server.sendBatch(to);
  await until(() => slow.received.length > 0 && there.at('/quick').length === to.length, 'the quick one has them all');
  assert.ok(slow.open.peak <= 20, `${slow.open.peak} at once`);
});

test('an event of a subaccount goes to the account above too, signed with both keys', async () => {
  await hook({});
  const { body } = await server.mustCall('POST', '/v5/accounts/subaccounts', { name: 'sub' });
  const { id } = body['subaccount'] as { id: string };
  const asSub = { 'x-mailgun-on-behalf-of': String(id) };
  await server.mustCall('POST', '/v4/domains', { name: 'sub.test' }, asSub);
  await server.mustCall('POST', '/v1/webhooks', { url: url('/sub'), event_types: 'delivered' }, asSub);
  await server.mustCall('POST', '/v1/webhooks', { url: url('/above'), event_types: 'delivered' });
  there.received.length = 0;
  await server.mustCall('POST', '/v3/sub.test/messages', { from: 'a@sub.test', to: 'you@x.test', subject: 's', text: 't' }, asSub);
  await until(() => there.received.length >= 2, 'both accounts are told');
  assert.deepEqual(there.received.map(({ path }) => path).sort(), ['/above', '/sub']);
  const [own, parent] = [await keyOf(asSub), await keyOf()];
  assert.notEqual(own, parent);
  for (const received of there.received) {
    const body = bodyOf(received);
    assert.ok(verifies(own, body.signature));
    assert.ok(verifies(parent, body['parent-signature'] as Signature));
  }
});

test('a URL is tried with an event that never happened', async () => {
  there.received.length = 0;
  there.answerWith((_received, response) => void response.writeHead(202).end());
  const path = (type: string): string => `/v3/domains/${DOMAIN}/webhooks/${type}/test`;
  const types = ['accepted', 'delivered', 'opened', 'clicked', 'unsubscribed', 'complained', 'temporary_fail', 'permanent_fail'];
  for (const type of types) {
    const { body } = await server.mustCall('PUT', path(type), { url: url(`/try-${type}`) });
    assert.deepEqual(body, { code: 202, message: 'HTTP 202' });
  }
  assert.deepEqual(
    there.received.map((each) => eventOf(each).event),
    ['accepted', 'delivered', 'opened', 'clicked', 'unsubscribed', 'complained', 'failed', 'failed'],
  );
  const key = await keyOf();
  assert.ok(there.received.every((each) => verifies(key, bodyOf(each).signature)));
  const nowhere = await server.mustCall('PUT', path('opened'), { url: 'http://10.0.0.1/' });
  assert.equal(nowhere.body['code'], 0);
  assert.match(String(nowhere.body['message']), /nothing is posted to private addresses/);
  assert.equal((await server.call('PUT', path('opened'), { url: 'ftp://x.test/' })).status, 400);
  assert.equal((await server.call('PUT', path('unknown'), { url: url('/') })).status, 404);
  there.answerWith((_received, response) => void response.end());
});

test('a kill while it is told leads to the same event under the same number once more, and loses none', async () => {
  await hook({ accepted: url('/killed'), delivered: url('/killed') });
  there.received.length = 0;
  there.answerWith((received, response) => {
    if (received.headers['x-postrider-attempt'] !== '1') response.end();
  });
  const messageId = await server.send('killed@x.test');
  await until(() => told(messageId).length === 1, 'it is being told');
  await server.kill();
  server = await home.start();
  await until(
    () => told(messageId).some((each) => eventOf(each).event === 'accepted' && each.headers['x-postrider-attempt'] === '2'),
    'it is told again',
  );
  there.answerWith((_received, response) => void response.end());
  await until(() => told(messageId).some((each) => eventOf(each).event === 'delivered'), 'and what came after it');
});
