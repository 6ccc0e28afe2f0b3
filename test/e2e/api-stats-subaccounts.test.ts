/** Statistics, logs and tags of an account together with its subaccounts (`include_subaccounts`). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filled, happen, HOUR_MS, NOON, post, type Row, SPAN } from './stats-kit.ts';

test('what a subaccount did is told when it is asked for, and to nobody else', async (t) => {
  const { rig, stranger } = await filled(t);
  const { accountId } = rig.tenant;
  const shop = await rig.accounts.createSubaccount(accountId, 'shop');
  assert.ok(shop);
  const domain = await rig.accounts.addDomain(shop.id, 'shop.example');
  assert.ok(domain);
  const { secret: key } = await rig.accounts.createKey({ accountId: shop.id, role: 'admin' });
  const below = { accountId: shop.id, key, domain };
  await happen(rig, below, { tags: ['news'], ending: 'delivered' });
  await happen(rig, below, {
    to: 'gone@x.example',
    atMs: NOON + HOUR_MS,
    ending: 'failed',
    detail: { code: 550, text: 'No such user', reason: 'bounce', bounceClass: 'invalid-recipient' },
  });
  const whole = { ...SPAN, include_subaccounts: true };
  const rows = async (path: string, body: object, of?: string): Promise<readonly Row[]> => {
    const { status, json } = await post(rig, path, body, of);
    assert.equal(status, 200, JSON.stringify(json));
    return json['items'] as unknown as readonly Row[];
  };

  await t.test('metrics', async () => {
    const counted = async (body: object, of?: string): Promise<unknown> =>
      (await rows('/v1/analytics/metrics', { dimensions: ['subaccount'], metrics: ['accepted_count'], ...body }, of)).map((row) => [
        (row['dimensions'] as { value: string }[])[0]?.value,
        (row['metrics'] as { accepted_count: number }).accepted_count,
      ]);
    assert.deepEqual(await counted(SPAN), [[String(accountId), 7]]);
    assert.deepEqual(await counted(whole), [
      [String(accountId), 7],
      [String(shop.id), 2],
    ]);
    assert.deepEqual(await counted(whole, key), [[String(shop.id), 2]]);
    assert.deepEqual(await counted(whole, stranger.key), [[String(stranger.accountId), 1]]);
    const only = { AND: [{ attribute: 'subaccount', comparator: '=', values: [{ label: 'x', value: String(shop.id) }] }] };
    assert.deepEqual(await counted({ ...whole, filter: only }), [[String(shop.id), 2]]);
    const { json } = await post(rig, '/v1/analytics/metrics', { ...whole, metrics: ['accepted_count'], include_aggregates: true });
    assert.deepEqual(json['aggregates'], { metrics: { accepted_count: 9 } });
  });

  await t.test('logs, by time over all of them, page by page', async () => {
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const { json } = await post(rig, '/v1/analytics/logs', {
        ...whole,
        events: ['accepted'],
        pagination: { sort: 'timestamp:asc', limit: 2, ...(token !== undefined && { token }) },
      });
      const items = json['items'] as unknown as { '@timestamp': string; account: { id: string } }[];
      seen.push(...items.map((item) => `${item['@timestamp']} ${item.account.id}`));
      token = (json['pagination'] as { next?: string }).next;
    } while (token !== undefined);
    assert.equal(seen.length, 9);
    assert.deepEqual(
      seen.map((item) => item.slice(0, 24)),
      seen.map((item) => item.slice(0, 24)).toSorted(),
    );
    assert.equal(seen.filter((item) => item.endsWith(` ${shop.id}`)).length, 2);
    assert.equal((await rows('/v1/analytics/logs', { ...SPAN, events: ['accepted'] })).length, 7);
  });

  await t.test('tags, each with its account', async () => {
    const tags = (
      await rows('/v1/analytics/tags', { include_subaccounts: true, include_metrics: true, tag: 'news', pagination: { limit: 9 } })
    ).map((row) => [row['account_id'], row['parent_account_id'], (row['metrics'] as { delivered_count?: number }).delivered_count]);
    assert.deepEqual(tags.toSorted(), [
      [String(accountId), String(accountId), 3],
      [String(shop.id), String(accountId), 1],
    ]);
    assert.equal((await rows('/v1/analytics/tags', { tag: 'news' })).length, 1);
  });

  await t.test('failures by what they mean', async () => {
    const failures = await rows('/v2/bounce-classification/metrics', {
      ...whole,
      dimensions: ['account.name', 'category'],
      metrics: ['classified_failures_count'],
    });
    const shops = failures.filter((row) => row['account.name'] === 'shop');
    assert.deepEqual(
      shops.map((row) => [row['category'], (row['metrics'] as { classified_failures_count: number }).classified_failures_count]),
      [['invalid-recipient', 1]],
    );
  });
});
