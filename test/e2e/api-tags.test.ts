/** Tags over HTTP, in the analytics API and its older forms; and the SDK's methods for them and for statistics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { startRig } from './api-kit.ts';
import { filled, got, happen, HOUR_MS, type Json, NOON, post } from './stats-kit.ts';

test('tags', async (t) => {
  const { rig, stranger } = await filled(t);

  await t.test('of a domain are listed in pages, found, described and deleted, without regard to case', async () => {
    const first = await got(rig, '/v3/example.org/tags?limit=1');
    assert.deepEqual(
      first['items'].map((item) => item['tag']),
      ['b'],
    );
    assert.match(first['items'][0]?.['first-seen'] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const second = await got(rig, first['paging'].next.slice(rig.url.length));
    assert.equal(second['items'][0]?.tag, 'News');
    assert.deepEqual((await got(rig, second['paging'].next.slice(rig.url.length)))['items'], []);
    assert.equal((await got(rig, second['paging'].previous.slice(rig.url.length)))['items'][0]?.tag, 'b');
    assert.equal((await got(rig, first['paging'].last.slice(rig.url.length)))['items'][0]?.tag, 'News');
    assert.deepEqual((await got(rig, '/v3/example.org/tags?prefix=NE'))['items'].length, 1);

    const put = (path: string) => rig.fetch(path, { method: 'PUT', body: new URLSearchParams({ description: 'Letters' }) });
    assert.deepEqual(await (await put('/v3/example.org/tags/news')).json(), { message: 'Tag updated' });
    assert.equal((await got(rig, '/v3/example.org/tag?tag=NEWS'))['description'], 'Letters');
    assert.equal((await put('/v3/example.org/tags/unknown')).status, 200);
    assert.equal((await rig.fetch('/v3/example.org/tags/unknown')).status, 404);
    assert.equal((await rig.fetch('/v3/example.org/tags/secret', { method: 'DELETE' })).status, 404);
    assert.equal((await rig.fetch('/v3/example.org/tag', {})).status, 400);
  });

  await t.test('have totals by time and by provider', async () => {
    const day = `start=${NOON / 1000}&end=${NOON / 1000}`;
    for (const path of ['/v3/example.org/tags/news/stats?', '/v3/example.org/tag/stats?tag=news&']) {
      const answer = await got(rig, `${path}event=accepted&event=delivered&${day}`);
      assert.deepEqual([answer['tag'], answer['stats'].length, answer['stats'][0]?.delivered.total], ['News', 1, 2]);
    }
    const providers = await got(rig, '/v3/example.org/tags/news/stats/aggregates/providers');
    const some = Object.entries(providers.provider).flatMap(([name, counts]) =>
      Object.values(counts).some((count) => count > 0) ? [name] : [],
    );
    assert.deepEqual(some, ['gmail.com', 'x.example']);
    // Asked for without looking whether it is there.
    assert.equal(providers.provider['aol.com']?.['opened'], 0);
    assert.equal((await got(rig, '/v3/example.org/tags/news/stats/aggregates/countries')).country['ad']?.['opened'], 0);
    assert.equal((await got(rig, '/v3/example.org/tags/news/stats/aggregates/devices')).device['tablet']?.['opened'], 0);
    const same = await got(rig, '/v3/example.org/tag/stats/aggregates?tag=news&type=provider');
    assert.deepEqual(same, providers);
    const narrow = await got(rig, `/v3/example.org/tag/stats?tag=news&provider=x.example&event=delivered&${day}`);
    assert.equal(narrow['stats'][0]?.delivered.total, 1);
    assert.equal((await got(rig, '/v3/domains/example.org/limits/tag'))['count'], 2);
    const { items: countries }: { readonly items: readonly unknown[] } = await got(rig, '/v3/domains/example.org/tag/countries');
    assert.ok(countries.includes('de'));
    assert.deepEqual((await got(rig, '/v3/domains/example.org/tag/devices'))['items'], ['desktop', 'mobile', 'tablet', 'unknown']);
    for (const facet of ['devices', 'providers']) assert.ok((await got(rig, `/v3/domains/example.org/tag/${facet}`))['items'].length > 3);
  });

  await t.test('of the account take those of all domains together', async () => {
    const { json } = await post(rig, '/v1/analytics/tags', {
      include_metrics: true,
      pagination: { sort: 'tag:desc', limit: 1, include_total: true },
    });
    assert.deepEqual(json['pagination'], { sort: 'tag:desc', limit: 1, total: 2, include_total: true });
    const [item] = json['items'];
    assert.ok(item !== undefined);
    assert.equal(item.tag, 'News');
    assert.equal(item.metrics['accepted_count'], 3);
    assert.match(item.first_seen, / \+0000$/);
    assert.equal(item['account_name'], 'main');
    const found = async (tag: string): Promise<unknown[]> =>
      (await post(rig, '/v1/analytics/tags', { tag })).json['items'].map((one) => one['tag']);
    assert.deepEqual([await found('NE'), await found('news'), await found('new%')], [['News'], ['News'], []]);
    const limits = await got(rig, '/v1/analytics/tags/limits');
    assert.deepEqual(limits, { limit: 100_000, count: 2, limit_reached: false });
  });

  await t.test('are asked for leniently, as Ruby does, and deleted with JSON under the name of a form, as mailgun.js does', async () => {
    const ruby = new URLSearchParams({ include_subaccounts: 'true', pagination: '{sort: "lastseen:desc", limit: 10}' });
    const answer = await rig.fetch('/v1/analytics/tags', { method: 'POST', body: ruby });
    assert.equal(answer.status, 200);
    const { pagination, items } = (await answer.json()) as Json;
    assert.deepEqual([pagination, items.length], [{ sort: 'lastseen:desc', limit: 10 }, 2]);

    const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
    const destroy = (name: string) =>
      rig.fetch('/v1/analytics/tags', {
        method: 'DELETE',
        body: JSON.stringify({ tag: name }),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
    assert.deepEqual(await (await destroy('b')).json(), { message: 'Tag deleted' });
    const missing = await destroy('b');
    assert.deepEqual([missing.status, await missing.json()], [404, { message: 'Tag not found' }]);
    assert.equal((await client.tags.update('news', 'Letters')).message, 'Tag updated');
    const listed = await client.tags.list({ tag: 'news' } as Parameters<typeof client.tags.list>[0]);
    assert.deepEqual(
      listed.items.map(({ tag, description }) => [tag, description]),
      [['News', 'Letters']],
    );
    assert.equal((await client.tags.limits()).limit, 100_000);
    const [tag] = (await client.domains.domainTags.list('example.org')).items;
    assert.equal(tag?.tag, 'News');
    assert.ok(tag?.['first-seen'] instanceof Date);
    assert.equal((await client.domains.domainTags.statistic('example.org', 'news', { event: 'accepted' })).tag, 'News');
    assert.deepEqual(await got(rig, '/v1/analytics/tags/limits', stranger.key), { limit: 100_000, count: 1, limit_reached: false });
  });

  await t.test('work with mailgun.js: stats, metrics, logs and events', async () => {
    const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
    const day = { start: new Date(NOON - HOUR_MS).toUTCString(), end: new Date(NOON + 2 * HOUR_MS).toUTCString() };
    const stats = await client.stats.getDomain('example.org', { event: ['delivered'], ...day });
    assert.equal(stats.stats[0]?.delivered.total, 2);
    assert.equal((await client.stats.getAccount({ event: ['delivered'], ...day })).stats[0]?.delivered.total, 3);
    const metrics = await client.metrics.getAccount({
      ...day,
      resolution: 'day',
      dimensions: ['time'],
      metrics: ['delivered_count'],
    } as Parameters<typeof client.metrics.getAccount>[0]);
    assert.equal(metrics.items[0]?.metrics.delivered_count, 3);
    const logs = await client.logs.list({ start: new Date(day.start), end: new Date(day.end), events: ['failed'] } as unknown as Parameters<
      typeof client.logs.list
    >[0]);
    assert.equal(logs.items.length, 3);
    assert.equal((await client.tags.destroy('news')).message, 'Tag deleted');
  });
});

test('tags of one hour stand in the order of the times that are shown', async (t) => {
  const rig = await startRig();
  t.after(() => rig[Symbol.asyncDispose]());
  for (const [tag, minute] of [
    ['early', 1],
    ['late', 30],
  ] as const)
    await happen(rig, rig.tenant, { tags: [tag], atMs: NOON + minute * 60_000 });
  for (const sort of ['lastseen:desc', 'last_seen:asc']) {
    const { json } = await post(rig, '/v1/analytics/tags', { pagination: { sort } });
    const names = json['items'].map(({ tag }: { readonly tag?: unknown }) => tag);
    assert.deepEqual(names, sort.endsWith('desc') ? ['late', 'early'] : ['early', 'late']);
  }
});
