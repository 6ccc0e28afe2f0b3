/** The pages behind links and pixels, by themselves: what they answer when nothing can be written down, and to whom. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createLinkTokens } from '#tracking/link-tokens.ts';
import { TrackingRecorder, type TrackedVisit } from '#tracking/recorder.ts';
import { startRig } from './api-kit.ts';

const tokens = createLinkTokens(Buffer.alloc(32, 'k'));
const mine = tokens.of({ recipient: 7, sentMs: Date.now() });

/** `note`: what becomes of visits. Default: they are remembered. */
async function pages(t: TestContext, config: Parameters<typeof startRig>[0] = {}, note?: (visit: TrackedVisit) => void) {
  const visits: TrackedVisit[] = [];
  const tracking = {
    ...tokens,
    note: note ?? ((visit: TrackedVisit) => void visits.push(visit)),
    counts: { recorded: 1, dropped: 2, lost: 3 },
  };
  const rig = await startRig(config, { tracking });
  t.after(() => rig[Symbol.asyncDispose]());
  const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(rig.url + path, { redirect: 'manual', ...init });
  return { rig, visits, get };
}

test('a link leads on although the store never answers', async (t) => {
  const never = new Promise<never>(() => undefined);
  const recorder = new TrackingRecorder({
    events: { recipientById: () => never },
    record: () => never,
    clock: systemClock,
    log: silentLog,
    humanAfterMs: 0,
  });
  const { get } = await pages(t, {}, (visit) => recorder.note(visit));
  for (let i = 0; i < 100; i++) {
    const response = await get(`/c/${mine.link('https://shop.example/')}`);
    assert.deepEqual([response.status, response.headers.get('location')], [302, 'https://shop.example/']);
  }
});

test('a target is sent as a browser would ask for it, and nothing in it ends the header', async (t) => {
  const { get } = await pages(t);
  for (const [target, location] of [
    ['https://bücher.example/über uns', 'https://xn--bcher-kva.example/%C3%BCber%20uns'],
    ['HTTPS://Shop.Example/A?b=ü#c d', 'https://shop.example/A?b=%C3%BC#c%20d'],
    ['https://shop.example/\r\nSet-Cookie: x=1', 'https://shop.example/Set-Cookie:%20x=1'],
    ['https://shop.example/"><script>', 'https://shop.example/%22%3E%3Cscript%3E'],
  ] as const) {
    const response = await get(`/c/${mine.link(target)}`);
    assert.equal(response.headers.get('location'), location);
    assert.equal(response.headers.get('set-cookie'), null);
  }
});

test('even what we signed leads to http and https only', async (t) => {
  const { get } = await pages(t);
  for (const target of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', '//evil.example', ''])
    assert.equal((await get(`/c/${mine.link(target)}`)).status, 404, target);
});

test('HEAD and prefetching are answered, and said to be what they are', async (t) => {
  const { get, visits } = await pages(t);
  const link = `/c/${mine.link('https://shop.example/')}`;
  assert.equal((await get(link, { method: 'HEAD' })).status, 302);
  for (const header of ['sec-purpose', 'purpose', 'x-moz']) await get(link, { headers: { [header]: 'prefetch' } });
  await get(link);
  assert.deepEqual(
    visits.map(({ method, isPrefetch }) => `${method} ${isPrefetch}`),
    ['HEAD false', 'GET true', 'GET true', 'GET true', 'GET false'],
  );
});

test('other methods find nothing', async (t) => {
  const { get, visits } = await pages(t);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    assert.equal((await get(`/c/${mine.link('https://a.example/')}`, { method })).status, 404);
  assert.equal(visits.length, 0);
});

test('a balancer that is named is believed about who visits', async (t) => {
  const { get, visits } = await pages(t, { proxyFrom: ['127.0.0.0/8'] });
  await get(`/o/${mine.pixel()}`, { headers: { 'x-forwarded-for': '203.0.113.9' } });
  assert.equal(visits[0]?.ip, '203.0.113.9');
});

test('pages are not indexed, framed, cached or told where somebody came from', async (t) => {
  const { get } = await pages(t);
  for (const path of [`/c/${mine.link('https://a.example/')}`, `/o/${mine.pixel()}`, '/c/wrong', '/o/wrong']) {
    const { headers } = await get(path);
    assert.match(headers.get('cache-control') ?? '', /no-store/);
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.match(headers.get('x-robots-tag') ?? '', /noindex/);
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
  }
});

test('what was recorded and lost is in the figures of the server', async (t) => {
  const { get } = await pages(t, { metricsNetworks: ['127.0.0.0/8'] });
  const text = await (await get('/metrics')).text();
  for (const line of ['recorded"} 1', 'dropped"} 2', 'lost"} 3'])
    assert.ok(text.includes(`postrider_tracked_visits_total{result="${line}`), line);
});
