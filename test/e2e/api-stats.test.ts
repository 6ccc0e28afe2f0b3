/** Statistics and logs over HTTP: what was counted for mail that was accepted and delivered or failed, as the analytics API and its older forms show it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filled, got, HOUR_MS, type Json, NOON, post, type Row, SPAN } from './stats-kit.ts';

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
    assert.deepEqual(answer['items'][1]?.metrics, {
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
      'hard_bounce_rate',
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
          hard_bounce_rate: '0.2500',
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
      return items.map((item) => [...item['dimensions'].map(({ value }) => value), item['metrics'].accepted_count]);
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
      tags.map((item) => item['dimensions'][0]?.value),
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
      json['items'].map((item) => [item['domain.name'], item['category'], item['criticality'], item['metrics']]),
      [
        ['example.org', 'suppressed', 'non-critical', { classified_failures_count: 1, critical_bounce_count: 0 }],
        ['example.org', 'spam-reputation', 'critical', { classified_failures_count: 1, critical_bounce_count: 1 }],
      ],
    );
    assert.match(json['items'][1]?.explanation ?? '', /reputation/);
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
    assert.ok(before !== undefined);
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
    const last = (answer: Json): Row | undefined => answer['stats'].at(-1);
    assert.equal(last(await got(rig, `/v3/stats/total?event=accepted&${span}`))?.accepted.total, 7);
    assert.equal(last(await got(rig, `/v3/stats/filter?event=accepted&filter=domain:beside.example&${span}`))?.accepted.total, 1);
    const groups = (await got(rig, `/v3/stats/filter?event=accepted&group=tag&${span}`))['stats'];
    assert.deepEqual(
      groups.map((row) => [row['tag'], row['accepted'].total]),
      [
        ['news', 3],
        ['b', 1],
      ],
    );
    const domains = (await got(rig, `/v3/stats/total/domains?event=accepted&resolution=day&timestamp=${NOON / 1000}`))['stats'];
    assert.deepEqual(
      domains.map((row) => [row['domain'], row['accepted'].total]),
      [
        ['example.org', 6],
        ['beside.example', 1],
      ],
    );
  });

  await t.test('are had by provider, and of the oldest kind', async () => {
    const { providers } = await got(rig, '/v3/example.org/aggregates/providers');
    const some = Object.entries(providers).flatMap(([name, counts]) => (counts['accepted'] === 0 ? [] : [name]));
    assert.deepEqual(some, ['gmail.com', 'x.example']);
    assert.deepEqual([providers['gmail.com']?.['delivered'], providers['aol.com']?.['delivered']], [1, 0]);
    const { devices } = await got(rig, '/v3/example.org/aggregates/devices');
    assert.deepEqual(Object.keys(devices), ['desktop', 'mobile', 'tablet', 'unknown']);
    assert.deepEqual(devices['tablet'], { opened: 0, clicked: 0, unique_opened: 0, unique_clicked: 0, unsubscribed: 0, complained: 0 });
    const { countries } = await got(rig, '/v3/example.org/aggregates/countries');
    assert.equal(countries['ad']?.['opened'], 0);
    const old = await got(rig, '/v3/example.org/stats?event=sent&limit=50');
    assert.deepEqual([old['total_count'], old['items'][0]?.['total_count']], [1, 6]);
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
  const told = ({ items }: Json): string[] => items.map((item) => `${item['event']} ${item['domain'].name}`);

  await t.test('show events of all domains in the form of the analytics API', async () => {
    const answer = await logs({ events: ['delivered'], pagination: { sort: 'timestamp:asc' } });
    assert.deepEqual(told(answer), ['delivered example.org', 'delivered beside.example', 'delivered example.org']);
    assert.deepEqual(answer['pagination'], {});
    const [item] = answer['items'];
    assert.ok(item !== undefined);
    assert.equal(item['@timestamp'], new Date(NOON + 1000).toISOString());
    assert.equal(item['user-variables'], '{"n":1}');
    assert.deepEqual(item['account'], { id: String(rig.tenant.accountId) });
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
    const ids = ({ items }: Json): string[] => items.map(({ id }) => id);
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
