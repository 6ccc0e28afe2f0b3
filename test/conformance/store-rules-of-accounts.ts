/** Webhooks, routes and thresholds: each account has its own, and changes them without losing what another caller changed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ForwardRule } from '#store/forward-store.ts';
import type { Route } from '#store/route-store.ts';
import type { Store } from '#store/store.ts';
import type { Threshold, ThresholdHit } from '#store/threshold-store.ts';
import { ACCOUNT_WEBHOOKS } from '#store/webhook-store.ts';
import type { Webhook } from '#store/webhook-store.ts';
import { suiteStore } from './suite-store.ts';
import { HOUR_MS, type Open, tenant, T0, unique } from './tenant.ts';

export function rulesConformance(open: Open): void {
  describe('rules of accounts', () => {
    const store = suiteStore(open);
    webhooks(store);
    routes(store);
    forwards(store);
    thresholds(store);
    hits(store);
  });
}

function webhooks(store: () => Store): void {
  const hook: Webhook = { id: 'ab', url: 'https://hooks.example/ü', events: ['clicked'], description: 'd', createdMs: T0 };

  it('keeps a set of webhooks for each domain and for the account', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const { webhooks: kept } = store();
    assert.deepEqual(await kept.webhooksOf(mine.accountId, mine.domainId), { revision: 0, webhooks: [] });
    assert.equal(await kept.putWebhooks(mine.accountId, mine.domainId, 0, [hook]), true);
    assert.equal(await kept.putWebhooks(mine.accountId, ACCOUNT_WEBHOOKS, 0, []), true);
    assert.deepEqual(await kept.webhooksOf(mine.accountId, mine.domainId), { revision: 1, webhooks: [hook] });
    assert.deepEqual((await kept.webhooksOf(mine.accountId, ACCOUNT_WEBHOOKS)).webhooks, []);
    assert.deepEqual((await kept.webhooksOf(theirs.accountId, mine.domainId)).webhooks, []);
  });

  it('refuses a set that was made from one that is no longer there', async () => {
    const { accountId, domainId } = await tenant(store());
    const put = (revision: number, id: string) => store().webhooks.putWebhooks(accountId, domainId, revision, [{ ...hook, id }]);
    assert.deepEqual((await Promise.all([put(0, 'a'), put(0, 'b')])).sort(), [false, true]);
    assert.equal(await put(0, 'c'), false);
    assert.deepEqual((await Promise.all([put(1, 'd'), put(1, 'e')])).sort(), [false, true]);
    assert.equal((await store().webhooks.webhooksOf(accountId, domainId)).revision, 2);
  });
}

function forwards(store: () => Store): void {
  const rule = (accountId: number, domainId: number, change: Partial<ForwardRule> = {}): ForwardRule => ({
    id: unique('rule'),
    accountId,
    domainId,
    match: '*@in.example',
    urls: ['https://a.example/ü'],
    recipients: [],
    createdMs: T0,
    updatedMs: T0,
    ...change,
  });

  it('keeps plain rules for a domain, the earlier made first, with and without a place that is told', async () => {
    const { accountId, domainId } = await tenant(store());
    const { forwards: kept } = store();
    const later = rule(accountId, domainId, { createdMs: T0 + 1, store: '', urls: [] });
    const first = rule(accountId, domainId, { recipients: ['x@y.example'] });
    const other = rule(accountId, domainId + 1_000_000, { createdMs: T0 + 2, store: 'https://b.example' });
    for (const each of [later, first, other]) assert.equal(await kept.createForward(each, 2), true);
    assert.equal(await kept.createForward(rule(accountId, domainId), 2), false);
    assert.deepEqual(await kept.listForwards(accountId, domainId, 0, 10), [first, later]);
    assert.deepEqual(await kept.listForwards(accountId, undefined, 1, 1), [later]);
    assert.deepEqual([await kept.countForwards(accountId, domainId), await kept.countForwards(accountId, undefined)], [2, 3]);
    assert.deepEqual(await kept.forwardOf(accountId, other.id), other);
  });

  it('changes and deletes a plain rule for its account alone', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const { forwards: kept } = store();
    const made = rule(mine.accountId, mine.domainId);
    await kept.createForward(made, 10);
    const changed = { ...made, match: 'a*', urls: [], recipients: ['c@d.example'], store: 'https://n.example', updatedMs: T0 + 5 };
    assert.equal(await kept.changeForward(theirs.accountId, changed), false);
    assert.equal(await kept.changeForward(mine.accountId, changed), true);
    assert.equal(await kept.forwardOf(theirs.accountId, made.id), undefined);
    assert.deepEqual(await kept.forwardOf(mine.accountId, made.id), changed);
    assert.equal(await kept.deleteForward(theirs.accountId, made.id), false);
    assert.equal(await kept.deleteForward(mine.accountId, made.id), true);
    assert.deepEqual(await kept.listForwards(mine.accountId, mine.domainId, 0, 10), []);
  });
}

function routes(store: () => Store): void {
  const route = (accountId: number, change: Partial<Route> = {}): Route => ({
    id: unique('route'),
    accountId,
    priority: 0,
    description: '',
    expression: 'catch_all()',
    actions: ['stop()'],
    createdMs: T0,
    ...change,
  });

  it('lists routes by priority, then by age, a page at a time', async () => {
    const { accountId } = await tenant(store());
    const all = [
      route(accountId, { priority: 5 }),
      route(accountId, { createdMs: T0 + 1 }),
      route(accountId, { priority: 2 }),
      route(accountId),
    ];
    for (const each of all) assert.equal(await store().routes.createRoute(each, 4), true);
    assert.equal(await store().routes.createRoute(route(accountId), 4), false);
    const ids = [all[3], all[1], all[2], all[0]].map((each) => each?.id);
    assert.deepEqual(
      (await store().routes.listRoutes(accountId, 0, 10)).map(({ id }) => id),
      ids,
    );
    assert.deepEqual(
      (await store().routes.listRoutes(accountId, 1, 2)).map(({ id }) => id),
      ids.slice(1, 3),
    );
    assert.equal(await store().routes.countRoutes(accountId), 4);
  });

  it('changes, finds and deletes a route of its own account only', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const made = route(mine.accountId, { description: 'old' });
    await store().routes.createRoute(made, 10);
    assert.equal(await store().routes.changeRoute(theirs.accountId, made.id, { priority: 9 }), undefined);
    assert.equal(await store().routes.routeOf(theirs.accountId, made.id), undefined);
    assert.equal(await store().routes.deleteRoute(theirs.accountId, made.id), false);
    const changed = { ...made, priority: 3, actions: ['store()', 'stop()'] };
    assert.deepEqual(await store().routes.changeRoute(mine.accountId, made.id, { priority: 3, actions: changed.actions }), changed);
    assert.deepEqual(await store().routes.routeOf(mine.accountId, made.id), changed);
    assert.equal(await store().routes.deleteRoute(mine.accountId, made.id), true);
    assert.equal(await store().routes.countRoutes(mine.accountId), 0);
  });
}

function thresholdOf(accountId: number, change: Partial<Threshold> = {}): Threshold {
  return {
    id: unique('threshold'),
    accountId,
    kind: 'limit',
    name: unique('name'),
    description: '',
    metric: 'delivered_count',
    comparator: '>=',
    limit: '0.50',
    dimension: 'domain',
    period: '1d',
    filters: [{ dimension: 'domain', comparator: '=', values: ['a.example'] }],
    channels: [],
    createdMs: T0,
    updatedMs: T0,
    checkedMs: 0,
    ...change,
  };
}

function thresholds(store: () => Store): void {
  it('keeps thresholds of one name for each kind, as many as it was told', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const limit = thresholdOf(mine.accountId, { name: 'a' });
    assert.equal(await store().thresholds.createThreshold(limit, 2), true);
    assert.equal(await store().thresholds.createThreshold({ ...limit, id: unique('threshold') }, 2), false);
    assert.equal(await store().thresholds.createThreshold({ ...limit, id: unique('threshold'), kind: 'alert' }, 2), true);
    assert.equal(await store().thresholds.createThreshold(thresholdOf(mine.accountId, { name: 'b' }), 2), true);
    assert.equal(await store().thresholds.createThreshold(thresholdOf(mine.accountId), 2), false);
    assert.deepEqual((await store().thresholds.listThresholds(mine.accountId, 'limit'))[0], limit);
    assert.deepEqual(await store().thresholds.listThresholds(theirs.accountId, 'limit'), []);
  });

  it('changes one as a whole, which is then looked at anew', async () => {
    const { accountId } = await tenant(store());
    const made = thresholdOf(accountId, { checkedMs: T0 });
    await store().thresholds.createThreshold(made, 9);
    const change = {
      ...made,
      limit: '7',
      comparator: '<' as const,
      filters: [],
      channels: ['email'],
      description: 'new',
      updatedMs: T0 + 1,
    };
    assert.equal(await store().thresholds.changeThreshold(accountId, 'limit', made.name, change), true);
    assert.equal(await store().thresholds.changeThreshold(accountId, 'alert', made.name, change), false);
    assert.deepEqual(await store().thresholds.listThresholds(accountId, 'limit'), [{ ...change, checkedMs: 0 }]);
    assert.equal(await store().thresholds.deleteThreshold(accountId, 'limit', made.name), true);
    assert.equal(await store().thresholds.deleteThreshold(accountId, 'limit', made.name), false);
  });

  it('gives each away once to who looks at what was not looked at for a while', async () => {
    const { accountId } = await tenant(store());
    // Before everything that other tests made: they are the ones that were looked at the longest ago.
    const ids = [1, 2, 3].map((n) => thresholdOf(accountId, { checkedMs: n - 10 }));
    for (const each of ids) await store().thresholds.createThreshold(each, 9);
    const claims = await Promise.all([1, 2].map(() => store().thresholds.claimThresholds(-5, T0, 2)));
    assert.deepEqual(
      claims
        .flat()
        .map(({ id }) => id)
        .sort(),
      ids.map(({ id }) => id).sort(),
    );
    assert.deepEqual(await store().thresholds.claimThresholds(-5, T0, 2), []);
    assert.equal((await store().thresholds.listThresholds(accountId, 'limit'))[0]?.checkedMs, T0);
  });
}

function hits(store: () => Store): void {
  const hitOf = (threshold: Threshold, change: Partial<ThresholdHit> = {}): ThresholdHit => ({
    id: unique('hit'),
    accountId: threshold.accountId,
    thresholdId: threshold.id,
    kind: threshold.kind,
    name: threshold.name,
    metric: threshold.metric,
    comparator: threshold.comparator,
    limit: threshold.limit,
    dimension: threshold.dimension,
    dimensionValue: 'a.example',
    latestValue: 0.75,
    createdMs: T0,
    updatedMs: T0,
    expiresMs: T0 + HOUR_MS,
    ...change,
  });

  it('prolongs a hit that holds, and makes a new one of one that is over', async () => {
    const { accountId } = await tenant(store());
    const threshold = thresholdOf(accountId);
    await store().thresholds.createThreshold(threshold, 9);
    const first = hitOf(threshold);
    assert.equal(await store().thresholds.recordHit(first, 10), true);
    const at = T0 + HOUR_MS / 2;
    const again = hitOf(threshold, { latestValue: 2, createdMs: at, updatedMs: at, expiresMs: at + HOUR_MS });
    assert.equal(await store().thresholds.recordHit(again, 10), false);
    assert.deepEqual(await store().thresholds.listHits(accountId, 10), [
      { ...first, latestValue: 2, updatedMs: at, expiresMs: at + HOUR_MS },
    ]);
    assert.equal(await store().thresholds.recordHit(hitOf(threshold, { dimensionValue: 'b.example', createdMs: at }), 10), true);
    const later = T0 + 3 * HOUR_MS;
    assert.equal(await store().thresholds.recordHit(hitOf(threshold, { createdMs: later, expiresMs: later + 1 }), 10), true);
    assert.equal((await store().thresholds.listHits(accountId, 10)).length, 3);
    assert.equal((await store().thresholds.listHits(accountId, 10))[0]?.createdMs, later);
  });

  it('tells which limits hold now, and frees what a deleted one held', async () => {
    const { accountId } = await tenant(store());
    const [limit, alert] = [thresholdOf(accountId), thresholdOf(accountId, { kind: 'alert' })];
    for (const each of [limit, alert]) {
      await store().thresholds.createThreshold(each, 9);
      await store().thresholds.recordHit(hitOf(each), 10);
    }
    const active = async (nowMs: number): Promise<string[]> =>
      (await store().thresholds.activeHits(accountId, nowMs)).map(({ thresholdId }) => thresholdId);
    assert.deepEqual(await active(T0), [limit.id]);
    assert.deepEqual(await active(T0 + HOUR_MS), []);
    await store().thresholds.deleteThreshold(accountId, 'limit', limit.name);
    assert.deepEqual(await active(T0), []);
    assert.equal((await store().thresholds.listHits(accountId, 10)).length, 2);
  });

  it('keeps the newest hits of an account', async () => {
    const { accountId } = await tenant(store());
    const threshold = thresholdOf(accountId);
    for (let n = 0; n < 5; n++) {
      await store().thresholds.recordHit(hitOf(threshold, { dimensionValue: `d${n}`, createdMs: T0 + n, expiresMs: T0 + HOUR_MS }), 3);
    }
    const kept = (await store().thresholds.listHits(accountId, 10)).map(({ dimensionValue }) => dimensionValue);
    assert.deepEqual(kept, ['d4', 'd3', 'd2']);
  });
}
