/** Statistics, logs and tags over HTTP: what was counted for mail that was accepted and delivered or failed, as the analytics API and its older forms show it. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import Mailgun from 'mailgun.js';
import { countReason } from '#model/count-reason.ts';
import type { EventDetail } from '#model/event.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import { countersOf } from '#queue/settlement.ts';
import { accept, mail, settlement } from '../conformance/tenant.ts';
import { type ApiRig, startRig, type Tenant } from './api-kit.ts';

const HOUR_MS = 3_600_000;
/** Noon of yesterday. */
const NOON = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 12 * HOUR_MS;

interface Fact {
  readonly to?: string;
  readonly tags?: readonly string[];
  readonly atMs?: number;
  /** Absent: it stays queued. */
  readonly ending?: 'delivered' | 'failed' | 'suppressed';
  readonly detail?: EventDetail;
  readonly attempts?: number;
}

/** One message to one recipient, as intake and settlement write it. */
async function happen(
  rig: ApiRig,
  tenant: Tenant,
  { to = 'bob@gmail.com', tags = [], atMs = NOON, ending, detail = {}, attempts = 1 }: Fact,
): Promise<void> {
  const from = { accountId: tenant.accountId, domainId: tenant.domain.id, domain: tenant.domain.name };
  const receiver = to.slice(to.lastIndexOf('@') + 1);
  const fact = { ...from, provider: providerOf(receiver) ?? '', receiver };
  const info = { ...mail(from).info, subject: `To ${to}`, options: { tags, variables: { n: 1 }, testMode: false } };
  const counters = countersOf({ ...fact, kind: 'accepted' }, tags).map((key) => ({ ...key, count: 1 }));
  const accepted = await accept(rig.store, mail(from, { to: [to], isLeased: ending !== undefined, createdMs: atMs, info, counters }));
  if (ending === undefined) return;
  const kind = ending === 'delivered' ? 'delivered' : 'failed';
  const settled = settlement(from, accepted, {
    atMs: atMs + 1000,
    attempts,
    ending,
    event: { kind, detail },
    counters: countersOf({ ...fact, kind, reason: countReason(kind, detail, attempts), source: detail.attempt?.source ?? '' }, tags),
  });
  assert.equal(await rig.store.mail.settle(settled), true);
}

const BOUNCE = { code: 550, text: 'No such user', reason: 'bounce', bounceClass: 'invalid-recipient' } as const satisfies EventDetail;
const SPAM = { code: 554, text: 'Spam', reason: 'espblock', bounceClass: 'spam-reputation' } as const satisfies EventDetail;

/** Two delivered (one at the second attempt), two failed, one suppressed, one waiting; of a domain beside, one delivered; of a stranger, one. */
async function filled(t: TestContext): Promise<{ readonly rig: ApiRig; readonly beside: Tenant; readonly stranger: Tenant }> {
  const rig = await startRig();
  t.after(() => rig[Symbol.asyncDispose]());
  const domain = await rig.accounts.addDomain(rig.tenant.accountId, 'beside.example');
  assert.ok(domain);
  const beside = { ...rig.tenant, domain };
  const stranger = await rig.addTenant('stranger', 'stranger.example');
  await happen(rig, rig.tenant, { tags: ['News', 'b'], ending: 'delivered' });
  await happen(rig, rig.tenant, { to: 'ann@x.example', tags: ['news'], atMs: NOON + HOUR_MS, ending: 'delivered', attempts: 2 });
  await happen(rig, rig.tenant, { ending: 'failed', detail: BOUNCE });
  await happen(rig, rig.tenant, { to: 'c@x.example', ending: 'failed', detail: SPAM });
  await happen(rig, rig.tenant, {
    ending: 'suppressed',
    detail: { code: 605, reason: 'suppress-bounce', bounceClass: 'suppressed' },
    attempts: 0,
  });
  await happen(rig, rig.tenant, {});
  await happen(rig, beside, { tags: ['NEWS'], ending: 'delivered' });
  await happen(rig, stranger, { tags: ['secret'], ending: 'delivered' });
  return { rig, beside, stranger };
}

type Json = Record<string, any>; // eslint-disable-line

const SPAN = { start: new Date(NOON - 2 * HOUR_MS).toUTCString(), end: new Date(NOON + 2 * HOUR_MS).toUTCString() };

async function post(rig: ApiRig, path: string, body: unknown, key?: string): Promise<{ readonly status: number; readonly json: Json }> {
  const response = await rig.fetch(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
    ...(key !== undefined && { key }),
  });
  return { status: response.status, json: (await response.json()) as Json };
}

async function got(rig: ApiRig, path: string, key?: string): Promise<Json> {
  const response = await rig.fetch(path, key === undefined ? {} : { key });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Json;
}

test('metrics', async (t) => {
  const { rig, stranger } = await filled(t);
  const metrics = async (body: object, key?: string): Promise<Json> => {
    const { status, json } = await post(rig, '/v1/analytics/metrics', { ...SPAN, ...body }, key);
    assert.equal(status, 200, JSON.stringify(json));
    return json;
  };

  await t.test('come in the envelope of the API, only those that were asked for, rates as texts of four digits', async () => {
    const names = ['accepted_count', 'delivered_count', 'permanent_failed_count', 'delivered_rate', 'opened_rate'];
    const answer = await metrics({ resolution: 'hour', dimensions: ['time'], metrics: names, include_aggregates: true });
    assert.deepEqual(Object.keys(answer), ['start', 'end', 'resolution', 'duration', 'dimensions', 'pagination', 'items', 'aggregates']);
    assert.match(answer['start'], /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} 10:00:00 \+0000$/);
    assert.deepEqual(answer['pagination'], { sort: '', skip: 0, limit: 1500, total: 2 });
    const time = `${new Date(NOON).toUTCString().slice(0, -3)}+0000`;
    assert.deepEqual(answer['items'][0], {
      dimensions: [{ dimension: 'time', value: time, display_value: time }],
      metrics: { accepted_count: 6, delivered_count: 2, permanent_failed_count: 3, delivered_rate: '0.3333', opened_rate: '0.0000' },
    });
    assert.deepEqual(answer['items'][1].metrics, {
      accepted_count: 1,
      delivered_count: 1,
      permanent_failed_count: 0,
      delivered_rate: '1.0000',
      opened_rate: '0.0000',
    });
    assert.deepEqual(answer['aggregates'].metrics, {
      accepted_count: 7,
      delivered_count: 3,
      permanent_failed_count: 3,
      delivered_rate: '0.4286',
      opened_rate: '0.0000',
    });
  });

  await t.test('tell failures and attempts apart', async () => {
    const names = [
      'hard_bounces_count',
      'permanent_failed_esp_block_count',
      'suppressed_bounces_count',
      'delivered_first_attempt_count',
      'delivered_subsequent_count',
      'sent_count',
    ];
    const { items } = await metrics({ dimensions: ['domain'], metrics: names, pagination: { sort: 'sent_count:desc', limit: 1 } });
    assert.deepEqual(items, [
      {
        dimensions: [{ dimension: 'domain', value: 'example.org', display_value: 'example.org' }],
        metrics: {
          hard_bounces_count: 1,
          permanent_failed_esp_block_count: 1,
          suppressed_bounces_count: 1,
          delivered_first_attempt_count: 1,
          delivered_subsequent_count: 1,
          sent_count: 4,
        },
      },
    ]);
  });

  await t.test('are told apart by every dimension, and by several', async () => {
    const rows = async (dimensions: string[], more: object = {}): Promise<unknown[]> => {
      const { items } = await metrics({ dimensions, metrics: ['accepted_count'], ...more });
      return items.map((item: Json) => [...item['dimensions'].map(({ value }: Json) => value), item['metrics'].accepted_count]);
    };
    assert.deepEqual(await rows(['recipient_domain']), [
      ['gmail.com', 5],
      ['x.example', 2],
    ]);
    assert.deepEqual(await rows(['recipient_provider']), [
      ['', 2],
      ['Gmail', 5],
    ]);
    assert.deepEqual(await rows(['tag', 'domain']), [
      ['b', 'example.org', 1],
      ['news', 'beside.example', 1],
      ['news', 'example.org', 2],
    ]);
    const byDomain = (comparator: string, value: string) => ({
      filter: { AND: [{ attribute: 'domain', comparator, values: [{ label: value, value }] }] },
    });
    assert.deepEqual(await rows(['domain'], byDomain('!=', 'example.org')), [['beside.example', 1]]);
    assert.deepEqual(await rows(['domain'], byDomain('contains', 'ORG')), [['example.org', 6]]);
    for (const dimension of ['ip', 'ip_pool', 'country', 'device', 'bot', 'subaccount'])
      assert.ok((await rows([dimension])).length > 0, dimension);
  });

  await t.test('of another account are not there (P10)', async () => {
    const tags = (await metrics({ dimensions: ['tag'], metrics: ['accepted_count'] }, stranger.key))['items'];
    assert.deepEqual(
      tags.map((item: Json) => item['dimensions'][0].value),
      ['secret'],
    );
    const filter = { AND: [{ attribute: 'domain', comparator: '=', values: [{ value: 'example.org' }] }] };
    assert.deepEqual((await metrics({ filter }, stranger.key))['items'], []);
  });

  await t.test('are refused with a sentence when the question makes no sense', async () => {
    for (const [body, sentence] of [
      [{ resolution: 'week' }, "'resolution' attribute is invalid"],
      [{ filter: { AND: [{ attribute: 'test', comparator: '=', values: [] }] } }, "'test' is not a valid filter predicate attribute"],
      [{ metrics: ['x'] }, "'x' is not a valid metric"],
      [{ dimensions: ['x'] }, "'x' is not a valid dimension"],
      [{ duration: '5y' }, "'duration' attribute is invalid: use a number and h, d or m"],
      [{ start: 'soon' }, "'start' attribute is invalid: use an RFC 2822 date or Unix seconds"],
      [{ metrics: 5 }, "'metrics' is a list of at most 100 texts"],
      [
        { dimensions: ['time', 'recipient_domain'], resolution: 'hour' },
        'receiving domains are counted by the day; use the resolution day or month',
      ],
      [[], 'the body is a JSON object'],
      [{ filter: { AND: [{ attribute: '__proto__', values: [] }] } }, "'__proto__' is not a valid filter predicate attribute"],
    ] as const) {
      const answer = await post(rig, '/v1/analytics/metrics', body);
      assert.deepEqual([answer.status, answer.json], [400, { message: sentence }]);
    }
  });

  await t.test('of usage have the same envelope', async () => {
    const { json } = await post(rig, '/v1/analytics/usage/metrics', {
      ...SPAN,
      metrics: ['processed_count', 'email_preview_count'],
      include_aggregates: true,
    });
    assert.deepEqual(json['aggregates'], { metrics: { processed_count: 6, email_preview_count: 0 } });
  });

  await t.test('of bounces say what failures mean', async () => {
    const { json } = await post(rig, '/v2/bounce-classification/metrics', {
      ...SPAN,
      dimensions: ['domain.name', 'category', 'criticality', 'explanation'],
      metrics: ['classified_failures_count', 'critical_bounce_count'],
      pagination: { sort: 'category:desc', limit: 2 },
    });
    assert.equal(json['pagination'].total, 3);
    assert.deepEqual(
      json['items'].map((item: Json) => [item['domain.name'], item['category'], item['criticality'], item['metrics']]),
      [
        ['example.org', 'suppressed', 'non-critical', { classified_failures_count: 1, critical_bounce_count: 0 }],
        ['example.org', 'spam-reputation', 'critical', { classified_failures_count: 1, critical_bounce_count: 1 }],
      ],
    );
    assert.match(json['items'][1].explanation, /reputation/);
  });
});

test('totals of the older API', async (t) => {
  const { rig, stranger } = await filled(t);
  const span = `start=${NOON / 1000 - 86_400}&end=${encodeURIComponent(new Date(NOON).toUTCString())}`;
  const utc = (ms: number): string => `${new Date(ms).toUTCString().slice(0, -3)}UTC`;
  const midnight = NOON - 12 * HOUR_MS;

  await t.test('have a bucket for every day, both ends included, also where nothing happened', async () => {
    const answer = await got(rig, `/v3/example.org/stats/total?event=accepted&event=delivered&event=failed&event=opened&${span}`);
    assert.deepEqual([answer['start'], answer['end'], answer['resolution']], [utc(midnight - 86_400_000), utc(midnight), 'day']);
    const [before, day] = answer['stats'];
    assert.deepEqual(Object.keys(before), ['time', 'accepted', 'delivered', 'failed', 'opened']);
    assert.equal(before.accepted.total, 0);
    assert.deepEqual(day, {
      time: utc(midnight),
      accepted: { incoming: 0, outgoing: 6, total: 6 },
      delivered: { smtp: 2, http: 0, optimized: 0, total: 2 },
      failed: {
        temporary: { espblock: 0, total: 0 },
        permanent: {
          'suppress-bounce': 1,
          'suppress-unsubscribe': 0,
          'suppress-complaint': 0,
          bounce: 2,
          'delayed-bounce': 0,
          webhook: 0,
          optimized: 0,
          total: 3,
        },
      },
      opened: { total: 0, unique: 0 },
    });
  });

  await t.test('are had of the account, by domain, filtered and grouped', async () => {
    const last = (answer: Json): Json => answer['stats'].at(-1);
    assert.equal(last(await got(rig, `/v3/stats/total?event=accepted&${span}`))['accepted'].total, 7);
    assert.equal(last(await got(rig, `/v3/stats/filter?event=accepted&filter=domain:beside.example&${span}`))['accepted'].total, 1);
    const groups = (await got(rig, `/v3/stats/filter?event=accepted&group=tag&${span}`))['stats'];
    assert.deepEqual(
      groups.map((row: Json) => [row['tag'], row['accepted'].total]),
      [
        ['news', 3],
        ['b', 1],
      ],
    );
    const domains = (await got(rig, `/v3/stats/total/domains?event=accepted&resolution=day&timestamp=${NOON / 1000}`))['stats'];
    assert.deepEqual(
      domains.map((row: Json) => [row['domain'], row['accepted'].total]),
      [
        ['example.org', 6],
        ['beside.example', 1],
      ],
    );
  });

  await t.test('are had by provider, and of the oldest kind', async () => {
    const { providers } = await got(rig, '/v3/example.org/aggregates/providers');
    assert.deepEqual(Object.keys(providers), ['gmail.com', 'x.example']);
    assert.equal(providers['gmail.com'].delivered, 1);
    assert.deepEqual(await got(rig, '/v3/example.org/aggregates/devices'), { devices: {} });
    const old = await got(rig, '/v3/example.org/stats?event=sent&limit=50');
    assert.deepEqual([old['total_count'], old['items'][0].total_count], [1, 6]);
    assert.deepEqual((await got(rig, '/v3/example.org/stats?event=sent&limit=50&skip=10'))['items'], []);
  });

  await t.test('are refused without an event, with one that there is not, and of a domain of another account', async () => {
    for (const [path, status] of [
      ['/v3/example.org/stats/total', 400],
      ['/v3/example.org/stats/total?event=sneezed', 400],
      ['/v3/stats/total?event=accepted&resolution=hour&start=1', 400],
      ['/v3/stats/filter?event=accepted&filter=nonsense', 400],
      ['/v3/stats/filter?event=accepted&group=nonsense', 400],
      ['/v3/stranger.example/stats/total?event=accepted', 404],
      ['/v3/stranger.example/tags', 404],
      ['/v3/stranger.example/aggregates/providers', 404],
    ] as const) {
      assert.equal((await rig.fetch(path)).status, status, path);
    }
    assert.equal((await rig.fetch('/v3/stats/total?event=accepted', { key: stranger.key })).status, 200);
  });
});

test('logs', async (t) => {
  const { rig, stranger } = await filled(t);
  const logs = async (body: object, key?: string): Promise<Json> => {
    const { status, json } = await post(rig, '/v1/analytics/logs', { ...SPAN, ...body }, key);
    assert.equal(status, 200, JSON.stringify(json));
    return json;
  };
  const where = (attribute: string, comparator: string, ...values: string[]) => ({
    filter: { AND: [{ attribute, comparator, values: values.map((value) => ({ label: value, value })) }] },
  });
  const told = ({ items }: Json): string[] => items.map((item: Json) => `${item['event']} ${item['domain'].name}`);

  await t.test('show events of all domains in the form of the analytics API', async () => {
    const answer = await logs({ events: ['delivered'], pagination: { sort: 'timestamp:asc' } });
    assert.deepEqual(told(answer), ['delivered example.org', 'delivered beside.example', 'delivered example.org']);
    assert.deepEqual(answer['pagination'], {});
    const [item] = answer['items'];
    assert.equal(item['@timestamp'], new Date(NOON + 1000).toISOString());
    assert.equal(item['user-variables'], '{"n":1}');
    assert.deepEqual(item.account, { id: String(rig.tenant.accountId) });
    assert.ok(Array.isArray(item.storage.url));
    assert.deepEqual(Object.keys(item.flags).toSorted(), [
      'is-amp',
      'is-authenticated',
      'is-callback',
      'is-delayed-bounce',
      'is-routed',
      'is-system-test',
      'is-test-mode',
    ]);
    assert.match(answer['start'], / -0000$/);
  });

  await t.test('are filtered by attributes', async () => {
    for (const [filter, events] of [
      [where('domain', '=', 'beside.example'), ['delivered beside.example', 'accepted beside.example']],
      [where('severity', '=', 'permanent'), ['failed example.org', 'failed example.org', 'failed example.org']],
      [where('recipient', '=', 'c@x.example'), ['failed example.org', 'accepted example.org']],
      [where('tag', '=', 'B'), ['delivered example.org', 'accepted example.org']],
      [{ events: ['failed'], ...where('delivery_status_code', '>', '550') }, ['failed example.org', 'failed example.org']],
      [{ events: ['failed'], ...where('subject', 'not contains', 'gmail') }, ['failed example.org']],
      [{ events: ['accepted'], ...where('recipient_provider', '!=', 'Gmail') }, ['accepted example.org', 'accepted example.org']],
    ] as const) {
      assert.deepEqual(told(await logs(filter)), events, JSON.stringify(filter));
    }
  });

  await t.test('come in pages that lead on and back', async () => {
    const page = (token?: string) => logs({ pagination: { sort: 'timestamp:asc', limit: 5, ...(token !== undefined && { token }) } });
    const ids = ({ items }: Json): string[] => items.map(({ id }: Json) => id);
    const first = await page();
    const second = await page(first['pagination'].next);
    const third = await page(second['pagination'].next);
    assert.equal(new Set([first, second, third].flatMap(ids)).size, 13);
    assert.equal(third['pagination'].next, undefined);
    assert.deepEqual(ids(await page(third['pagination'].previous)), ids(second));
    const back = await page(second['pagination'].previous);
    assert.deepEqual(ids(back), ids(first));
    assert.equal(back['pagination'].previous, undefined);
    assert.deepEqual(ids(await page(back['pagination'].next)), ids(second));
    assert.deepEqual(ids(await page(third['pagination'].first)), ids(first));
    assert.deepEqual(ids(await page(first['pagination'].last)), [...ids(second), ...ids(third)].slice(-5));
  });

  await t.test('of another account are not there (P10), and nonsense is refused', async () => {
    assert.deepEqual(told(await logs({}, stranger.key)), ['delivered stranger.example', 'accepted stranger.example']);
    for (const body of [
      where('test', '=', 'x'),
      where('subject', '~', 'x'),
      { events: ['sneezed'] },
      { pagination: { token: '???' } },
      { pagination: { sort: 'x' } },
      { filter: 5 },
    ]) {
      assert.equal((await post(rig, '/v1/analytics/logs', body)).status, 400, JSON.stringify(body));
    }
    const unknown = await post(rig, '/v1/analytics/logs', where('test', '=', 'x'));
    assert.deepEqual(unknown.json, { message: "'test' is not a valid filter predicate attribute" });
  });
});

test('tags', async (t) => {
  const { rig, stranger } = await filled(t);

  await t.test('of a domain are listed in pages, found, described and deleted, without regard to case', async () => {
    const first = await got(rig, '/v3/example.org/tags?limit=1');
    assert.deepEqual(
      first['items'].map((item: Json) => item['tag']),
      ['b'],
    );
    assert.match(first['items'][0]['first-seen'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const second = await got(rig, first['paging'].next.slice(rig.url.length));
    assert.equal(second['items'][0].tag, 'News');
    assert.deepEqual((await got(rig, second['paging'].next.slice(rig.url.length)))['items'], []);
    assert.equal((await got(rig, second['paging'].previous.slice(rig.url.length)))['items'][0].tag, 'b');
    assert.equal((await got(rig, first['paging'].last.slice(rig.url.length)))['items'][0].tag, 'News');
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
      assert.deepEqual([answer['tag'], answer['stats'].length, answer['stats'][0].delivered.total], ['News', 1, 2]);
    }
    const providers = await got(rig, '/v3/example.org/tags/news/stats/aggregates/providers');
    assert.deepEqual(Object.keys(providers['provider']), ['gmail.com', 'x.example']);
    const same = await got(rig, '/v3/example.org/tag/stats/aggregates?tag=news&type=provider');
    assert.deepEqual(same, providers);
    const narrow = await got(rig, `/v3/example.org/tag/stats?tag=news&provider=x.example&event=delivered&${day}`);
    assert.equal(narrow['stats'][0].delivered.total, 1);
    assert.equal((await got(rig, '/v3/domains/example.org/limits/tag'))['count'], 2);
    assert.ok((await got(rig, '/v3/domains/example.org/tag/countries'))['items'].includes('de'));
    for (const facet of ['devices', 'providers']) assert.ok((await got(rig, `/v3/domains/example.org/tag/${facet}`))['items'].length > 3);
  });

  await t.test('of the account take those of all domains together', async () => {
    const { json } = await post(rig, '/v1/analytics/tags', {
      include_metrics: true,
      pagination: { sort: 'tag:desc', limit: 1, include_total: true },
    });
    assert.deepEqual(json['pagination'], { sort: 'tag:desc', limit: 1, total: 2, include_total: true });
    const [item] = json['items'];
    assert.equal(item.tag, 'News');
    assert.equal(item.metrics.accepted_count, 3);
    assert.match(item.first_seen, / \+0000$/);
    assert.equal(item.account_name, 'main');
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
