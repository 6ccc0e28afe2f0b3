/** The log of webhooks on the running program: every attempt with its request and answer, telling again, and how the servers fare that are told. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make(
  { after },
  { 'webhooks.allow_networks': '127.0.0.0/8', 'webhooks.retry': '200ms', 'webhooks.give_up_after': '5s' },
);
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
    const bad = items.find(({ endpoint }) => endpoint === `http://127.0.0.1:${failing.port}`);
    return bad?.last_status === 500 && items;
  }, 'it has failed');
  const [well, bad] = [there, failing].map(({ port }) => shown.find(({ endpoint }) => endpoint === `http://127.0.0.1:${port}`));
  assert.partialDeepStrictEqual(well, { state: 'well', last_status: 200, waiting: 0 });
  assert.match(bad?.state ?? '', /^(failing|paused)$/);
  assert.equal(bad?.waiting, 1);
  assert.ok(Date.parse(bad?.next_at ?? '') > 0);
  assert.ok(Date.parse(bad?.since ?? '') <= Date.now());
});
