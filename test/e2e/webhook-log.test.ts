/** The log of webhooks on the running program: every attempt with its request and answer, telling again, and how the servers fare that are told. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make({ after }, { 'webhooks.allow_networks': '127.0.0.0/8', 'webhooks.retry': '200ms' });
const there = await startHttpReceiver();
after(() => there.close());
const server = await home.start();
const URL_A = `http://127.0.0.1:${there.port}/a?key=secret`;
await server.mustCall('POST', `/v3/domains/${DOMAIN}/webhooks`, { id: 'delivered', url: URL_A });

interface Post {
  readonly id: number;
  readonly at: string;
  readonly event: string;
  readonly url: string;
  readonly attempt: number;
  readonly result: string;
  readonly status?: number;
  readonly error?: string;
  readonly response?: string;
  readonly domain?: string;
}

async function posts(query = ''): Promise<Post[]> {
  const { body } = await server.mustCall('GET', `/v1/webhook_posts${query}`);
  return body['items'] as Post[];
}

const eventIds = (): string[] =>
  there.received.map(({ body }) => (JSON.parse(body.toString()) as { 'event-data': { id: string } })['event-data'].id);

test('each attempt is in the log, newest first, with what was answered', async () => {
  let left = 1;
  there.answerWith((_received, response) => void (left-- > 0 ? response.writeHead(503).end('back\0soon') : response.end('thanks')));
  await server.send('one@x.test');
  const [second, first] = await until(async () => {
    const all = await posts();
    return all.length === 2 && all;
  }, 'both attempts are logged');
  assert.partialDeepStrictEqual(first, {
    for: 'webhook',
    event: 'delivered',
    domain: DOMAIN,
    url: URL_A,
    attempt: 1,
    result: 'deferred',
    status: 503,
    error: 'HTTP 503',
    response: 'back\ufffdsoon',
  });
  assert.partialDeepStrictEqual(second, { attempt: 2, result: 'done', status: 200, response: 'thanks' });
  assert.equal(second?.error, undefined);
  assert.ok(Math.abs(Date.parse(second?.at ?? '') - Date.now()) < 60_000);
  const { body } = await server.mustCall('GET', `/v1/webhook_posts/${second?.id}`);
  const { request } = body as { request: { body: { 'event-data': { event: string; id: string } } } };
  assert.equal(request.body['event-data'].event, 'delivered');
  assert.equal(request.body['event-data'].id, eventIds()[0]);
});

test('the log is walked page by page, and narrowed by domain, URL, result and time', async () => {
  const { body } = await server.mustCall('GET', '/v1/webhook_posts?limit=1');
  const { next } = body['paging'] as { next: string };
  const more = await server.mustCall('GET', new URL(next).pathname + new URL(next).search);
  assert.deepEqual([...(body['items'] as Post[]), ...(more.body['items'] as Post[])], await posts());
  assert.equal((await posts('?result=done')).length, 1);
  assert.equal((await posts(`?domain=${DOMAIN}&url=${encodeURIComponent(URL_A)}`)).length, 2);
  assert.equal((await posts('?url=http%3A%2F%2Felsewhere.test')).length, 0);
  assert.equal((await posts(`?end=${Date.now() / 1000 - 3600}`)).length, 0);
  assert.equal((await server.call('GET', '/v1/webhook_posts?domain=other.test')).status, 404);
  assert.equal((await server.call('GET', '/v1/webhook_posts?result=odd')).status, 400);
});

test('what was told is told again: one post, and all of a time', async () => {
  const [latest] = await posts();
  there.received.length = 0;
  const one = await server.mustCall('POST', `/v1/webhook_posts/${latest?.id}/replay`);
  assert.equal(one.body['count'], 1);
  await until(() => there.received.length === 1, 'it is told again');
  const [id] = eventIds();
  await until(async () => (await posts()).length === 3, 'and that is logged');
  const all = await server.mustCall('POST', '/v1/webhook_posts/replay', { begin: String(Date.now() / 1000 - 3600) });
  assert.equal(all.body['count'], 1, 'once for all attempts');
  await until(() => there.received.length === 2, 'and again');
  assert.deepEqual(eventIds(), [id, id]);
  assert.equal((await server.call('POST', '/v1/webhook_posts/999999/replay')).status, 404);
  assert.equal((await server.call('POST', '/v1/webhook_posts/replay', {})).status, 400);
});

test('what was given up is told again, and nothing else', async () => {
  there.answerWith((_received, response) => void response.writeHead(406).end());
  await server.send('two@x.test');
  await until(async () => (await posts('?result=failed')).length === 1, 'it is given up');
  there.received.length = 0;
  there.answerWith((_received, response) => void response.end());
  const again = await server.mustCall('POST', '/v1/webhook_posts/replay', { failed: 'yes' });
  assert.equal(again.body['count'], 1);
  await until(() => there.received.length === 1, 'it is told again');
});

test('an account and its subaccount have each its own webhooks in the log, and tell those again', async () => {
  // Each server of the two is asked twice.
  there.answerWith(({ headers }, response) => void response.writeHead(headers['x-postrider-attempt'] === '1' ? 503 : 406).end('no more'));
  const made = await server.mustCall('POST', '/v5/accounts/subaccounts', { name: 'sub' });
  const asSub = { 'x-mailgun-on-behalf-of': (made.body['subaccount'] as { id: string }).id };
  const [above, below] = [`http://127.0.0.1:${there.port}/above?key=1`, `http://127.0.0.1:${there.port}/below?key=2`];
  await server.mustCall('POST', '/v4/domains', { name: 'sub.test' }, asSub);
  await server.mustCall('POST', '/v1/webhooks', { url: below, event_types: 'delivered' }, asSub);
  await server.mustCall('POST', '/v1/webhooks', { url: above, event_types: 'delivered' });
  const logOf = async (headers: Readonly<Record<string, string>>): Promise<Post[]> =>
    ((await server.mustCall('GET', '/v1/webhook_posts', undefined, headers)).body['items'] as Post[]).filter(
      (post) => post.domain === 'sub.test',
    );
  const sent = await server.mustCall(
    'POST',
    '/v3/sub.test/messages',
    { from: 'a@sub.test', to: 'sub@x.test', subject: 's', text: 't' },
    asSub,
  );
  const [[ofAbove], [ofBelow]] = await until(async () => {
    const logs = [await logOf({}), await logOf(asSub)] as const;
    return logs.every(([latest]) => latest?.result === 'failed') && logs;
  }, 'both are logged');
  assert.ok(ofAbove !== undefined && ofBelow !== undefined);
  assert.partialDeepStrictEqual(ofAbove, { url: above, event: 'delivered', attempt: 2, status: 406, response: 'no more' });
  assert.partialDeepStrictEqual(ofBelow, { url: below, attempt: 2, status: 406 });
  const everything = await server.mustCall('GET', '/v1/webhook_posts', undefined, asSub);
  assert.deepEqual(
    (everything.body['items'] as Post[]).map(({ url }) => url),
    [below, below],
  );
  assert.ok((await posts()).every(({ url }) => url !== below));

  const messageId = encodeURIComponent(String(sent.body['id']).replace(/^<|>$/g, ''));
  const timeline = await until(async () => {
    const { text } = await server.mustCall('GET', `/v1/messages/${messageId}`, undefined, asSub);
    return text.includes('untold') && text;
  }, 'the timeline tells what was given up');
  assert.ok(timeline.includes('/below') && !timeline.includes('/above'), 'and nothing of the webhook of the account above');

  const shown = await server.mustCall('GET', `/v1/webhook_posts/${ofAbove.id}`);
  const { request } = shown.body as { request: { body: { 'event-data': { event: string; recipient: string } } } };
  assert.partialDeepStrictEqual(request.body['event-data'], { event: 'delivered', recipient: 'sub@x.test' });
  assert.equal((await server.call('GET', `/v1/webhook_posts/${ofAbove.id}`, undefined, asSub)).status, 404);
  assert.equal((await server.call('POST', `/v1/webhook_posts/${ofAbove.id}/replay`, {}, asSub)).status, 404);
  assert.equal((await server.call('GET', `/v1/webhook_posts/${ofBelow.id}`)).status, 404);

  const endpoints = async (headers = {}): Promise<unknown[]> =>
    (await server.mustCall('GET', '/v1/webhook_endpoints', undefined, headers)).body['items'] as unknown[];
  assert.deepEqual([(await endpoints()).length, (await endpoints(asSub)).length], [1, 1]);

  there.received.length = 0;
  there.answerWith((_received, response) => void response.end());
  const again = await server.mustCall('POST', `/v1/webhook_posts/${ofAbove.id}/replay`);
  assert.equal(again.body['count'], 1);
  await until(async () => (await logOf({})).length === 3, 'it is told again, and that is in the same log');
  assert.deepEqual(
    there.received.map(({ path }) => path),
    ['/above?key=1'],
  );
  const body = JSON.parse(there.received[0]?.body.toString() ?? '') as Record<
    string,
    { timestamp: string; token: string; signature: string }
  >;
  for (const [name, headers] of [
    ['signature', asSub],
    ['parent-signature', {}],
  ] as const) {
    const key = await server.mustCall('GET', '/v5/accounts/http_signing_key', undefined, headers);
    const { timestamp, token, signature } = body[name] ?? { timestamp: '', token: '', signature: '' };
    const expected = createHmac('sha256', String(key.body['http_signing_key'])).update(timestamp + token);
    assert.equal(signature, expected.digest('hex'), name);
  }
  assert.equal((await logOf(asSub)).length, 2);
  await server.call('DELETE', '/v1/webhooks?all=true');
});

test('each server is shown with how it fares, since when, and what waits for it', async (t) => {
  const failing = await startHttpReceiver();
  t.after(() => failing.close());
  failing.answerWith((_received, response) => void response.writeHead(500).end());
  await server.mustCall('POST', '/v1/webhooks', { url: `http://127.0.0.1:${failing.port}/`, event_types: 'delivered' });
  await server.send('three@x.test');
  const shown = await until(async () => {
    const { body } = await server.mustCall('GET', '/v1/webhook_endpoints');
    const items = body['items'] as {
      endpoint: string;
      state: string;
      waiting: number;
      last_status?: number;
      since?: string;
      next_at?: string;
    }[];
    const [well, bad] = [there, failing].map(({ port }) => items.find(({ endpoint }) => endpoint === `http://127.0.0.1:${port}`));
    return bad?.last_status === 500 && well?.waiting === 0 && { well, bad };
  }, 'one has failed, and what the other took is written');
  const { well, bad } = shown;
  assert.partialDeepStrictEqual(well, { state: 'well', last_status: 200, waiting: 0 });
  assert.match(bad?.state ?? '', /^(failing|paused)$/);
  assert.equal(bad?.waiting, 1);
  assert.ok(Date.parse(bad?.next_at ?? '') > 0);
  // The clock of a shared store may be a little ahead.
  assert.ok(Math.abs(Date.parse(bad?.since ?? '') - Date.now()) < 60_000);
});

test('without personal data webhooks, what is told again, the log and tests name no person; the account above decides it too', async () => {
  const made = await server.mustCall('POST', '/v5/accounts/subaccounts', { name: 'discreet' });
  const asSub = { 'x-mailgun-on-behalf-of': (made.body['subaccount'] as { id: string }).id };
  const hook = `http://127.0.0.1:${there.port}/discreet`;
  there.answerWith((_received, response) => void response.end());
  await server.mustCall('POST', '/v4/domains', { name: 'discreet.test' }, asSub);
  await server.mustCall('POST', '/v1/webhooks', { url: hook, event_types: 'delivered' }, asSub);
  const told = (): { recipient: string; message: { headers: { subject: string } } }[] =>
    there.received
      .filter(({ path }) => path === '/discreet')
      .map(({ body }) => (JSON.parse(body.toString()) as { 'event-data': ReturnType<typeof told>[number] })['event-data']);
  const namesNobody = (text: string): boolean => text.includes('redacted@x.test') && !/mary|secret/.test(text);

  const mail = { from: 'a@discreet.test', to: 'mary@x.test', subject: 'a secret', text: 't' };
  await server.mustCall('POST', '/v3/discreet.test/messages', mail, asSub);
  await until(() => told().length === 1, 'it is told');
  assert.deepEqual([told()[0]?.recipient, told()[0]?.message.headers.subject], ['mary@x.test', 'a secret']);

  await server.mustCall('PUT', '/v5/accounts/features', { webhooks_redact_pii: '{"enabled":true}' });
  const logged = (count: number): Promise<Post[]> =>
    until(async () => {
      const { body } = await server.mustCall('GET', `/v1/webhook_posts?url=${encodeURIComponent(hook)}`, undefined, asSub);
      return (body['items'] as Post[]).length === count && (body['items'] as Post[]);
    }, 'it is logged');
  const [post] = await logged(1);
  const shown = await server.mustCall('GET', `/v1/webhook_posts/${post?.id}`, undefined, asSub);
  assert.ok(namesNobody(shown.text), shown.text);
  await server.mustCall('POST', `/v1/webhook_posts/${post?.id}/replay`, {}, asSub);
  await until(() => told().length === 2, 'it is told again');
  await server.mustCall('PUT', '/v3/domains/discreet.test/webhooks/delivered/test', { url: hook }, asSub);
  assert.ok(namesNobody(JSON.stringify(told()[1])));
  assert.partialDeepStrictEqual(told()[2], { recipient: 'redacted@example.com', message: { headers: { subject: 'redacted' } } });
  const events = await server.mustCall('GET', '/v3/discreet.test/events?event=delivered', undefined, asSub);
  assert.ok(events.text.includes('mary@x.test'), 'the events stay as they are');

  await server.mustCall('PUT', '/v5/accounts/features', { webhooks_redact_pii: '{"enabled":false}' });
  // What is still being told is not told again.
  await logged(2);
  await server.mustCall('POST', `/v1/webhook_posts/${post?.id}/replay`, {}, asSub);
  await until(() => told().length === 4, 'and again');
  assert.equal(told()[3]?.recipient, 'mary@x.test');
});
