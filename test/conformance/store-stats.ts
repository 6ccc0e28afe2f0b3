/** Sums of what was counted, by the hour and by the day and by what they are told apart by; tags, which begin with the first message that has them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countReason } from '#model/count-reason.ts';
import type { CountQuery, CountSum } from '#store/stats-store.ts';
import type { CounterKey, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { accept, DAY_MS, HOUR_MS, mail, type Open, settlement, type Tenant, tenant, T0 } from './tenant.ts';

const HOUR = T0 / HOUR_MS;
const DAY = Math.floor(T0 / DAY_MS);

export function statsConformance(open: Open): void {
  describe('what was counted', () => {
    const store = suiteStore(open);
    sums(store);
    tags(store);
    age(store);
  });
}

function accepted(from: Tenant, change: Partial<CounterKey & { readonly count: number }> = {}): CounterKey & { readonly count: number } {
  return { accountId: from.accountId, domainId: from.domainId, kind: 'accepted', provider: '', tag: '', count: 1, ...change };
}

async function sumsOf(store: Store, from: Tenant, change: Partial<CountQuery>): Promise<CountSum[]> {
  const rows = await store.stats.sums({
    accountId: from.accountId,
    step: 'day',
    from: DAY - 1,
    until: DAY + 3,
    by: [],
    rowsMax: 100,
    ...change,
  });
  return rows.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function sums(store: () => Store): void {
  it('adds up by hour or by day, of the hours and days that are asked for', async () => {
    const from = await tenant(store());
    for (const atMs of [T0, T0 + 1, T0 + HOUR_MS, T0 + DAY_MS]) {
      await accept(store(), mail(from, { createdMs: atMs, counters: [accepted(from, { receiver: 'x.example' })] }));
    }
    assert.deepEqual(await sumsOf(store(), from, { by: ['time'] }), [
      { time: DAY, kind: 'accepted', n: 3 },
      { time: DAY + 1, kind: 'accepted', n: 1 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { by: ['time'], step: 'hour', from: HOUR, until: HOUR + 2 }), [
      { time: HOUR, kind: 'accepted', n: 2 },
      { time: HOUR + 1, kind: 'accepted', n: 1 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { from: DAY + 1 }), [{ kind: 'accepted', n: 1 }]);
  });

  it('tells apart by domain, tag, provider, receiving domain, source and reason, and counts a message of two tags once without them', async () => {
    const from = await tenant(store());
    const other = await tenant(store(), { accountId: from.accountId });
    const message = await accept(
      store(),
      mail(from, {
        isLeased: true,
        counters: ['', 'News', 'b'].map((tag) => accepted(from, { tag, receiver: 'gmail.com', provider: 'Gmail' })),
      }),
    );
    await accept(store(), mail(other, { counters: [accepted(other, { receiver: 'x.example', count: 5 })] }));
    const failed = {
      accountId: from.accountId,
      domainId: from.domainId,
      kind: 'failed',
      provider: 'Gmail',
      receiver: 'gmail.com',
      source: 'ip1',
      tag: '',
      reason: countReason('failed', { reason: 'bounce', bounceClass: 'invalid-recipient' }, 1),
    } as const;
    assert.equal(
      await store().mail.settle(
        settlement(from, message, {
          ending: 'failed',
          event: { kind: 'failed', detail: {} },
          counters: [failed, { ...failed, tag: 'NEWS' }],
        }),
      ),
      true,
    );

    assert.deepEqual(await sumsOf(store(), from, {}), [
      { kind: 'accepted', n: 6 },
      { kind: 'failed', n: 1 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { by: ['domain'], kinds: ['accepted'] }), [
      { domain: from.domainId, kind: 'accepted', n: 1 },
      { domain: other.domainId, kind: 'accepted', n: 5 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { by: ['tag'], domainIds: [from.domainId] }), [
      { tag: 'b', kind: 'accepted', n: 1 },
      { tag: 'news', kind: 'accepted', n: 1 },
      { tag: 'news', kind: 'failed', n: 1 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { by: ['receiver'], kinds: ['accepted'] }), [
      { receiver: 'gmail.com', kind: 'accepted', n: 1 },
      { receiver: 'x.example', kind: 'accepted', n: 5 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { by: ['source', 'reason', 'provider'], kinds: ['failed'] }), [
      { source: 'ip1', reason: 'bounce/invalid-recipient/1', provider: 'Gmail', kind: 'failed', n: 1 },
    ]);
    assert.deepEqual(await sumsOf(store(), from, { domainIds: [] }), []);
  });

  it('takes only what the conditions let through', async () => {
    const from = await tenant(store());
    for (const [receiver, tag] of [
      ['one.example', 'a_1'],
      ['two.example', 'ax1'],
      ['one.test', 'b'],
    ] as const) {
      await accept(store(), mail(from, { counters: ['', tag].map((name) => accepted(from, { tag: name, receiver })) }));
    }
    const receivers = async (is: 'in' | 'not-in' | 'contains' | 'not-contains', ...values: string[]): Promise<unknown[]> =>
      (await sumsOf(store(), from, { by: ['receiver'], where: [{ dimension: 'receiver', is, values }] })).map(({ receiver }) => receiver);
    assert.deepEqual(await receivers('in', 'one.example', 'one.test'), ['one.example', 'one.test']);
    assert.deepEqual(await receivers('not-in', 'one.example'), ['one.test', 'two.example']);
    assert.deepEqual(await receivers('contains', 'EXAMPLE'), ['one.example', 'two.example']);
    assert.deepEqual(await receivers('not-contains', 'example'), ['one.test']);
    assert.deepEqual(await receivers('contains', '%'), []);
    assert.deepEqual(await receivers('in', "' OR 1=1 --"), []);
    const byTag = await sumsOf(store(), from, { by: ['tag'], where: [{ dimension: 'tag', is: 'contains', values: ['A_'] }] });
    assert.deepEqual(byTag, [{ tag: 'a_1', kind: 'accepted', n: 1 }]);
  });

  it('shows an account its own alone (P10), and tells when there is more than was wanted', async () => {
    const [from, other] = [await tenant(store()), await tenant(store())];
    for (const one of [from, other]) {
      await accept(store(), mail(one, { counters: ['', 'a', 'b', 'c'].map((tag) => accepted(one, { tag, receiver: 'x.example' })) }));
    }
    assert.deepEqual(await sumsOf(store(), from, {}), [{ kind: 'accepted', n: 1 }]);
    assert.deepEqual(await sumsOf(store(), from, { domainIds: [other.domainId] }), []);
    assert.equal((await sumsOf(store(), from, { by: ['tag'], rowsMax: 1 })).length, 2);
  });
}

function tags(store: () => Store): void {
  const tagged = (from: Tenant, atMs: number, ...names: string[]) =>
    accept(store(), mail(from, { createdMs: atMs, counters: ['', ...names].map((tag) => accepted(from, { tag })) }));

  it('begins with the first message that has it, under the name that was seen first, and is seen again by the hour', async () => {
    const from = await tenant(store());
    await tagged(from, T0 + 5000, 'News');
    await tagged(from, T0 + 7000, 'NEWS');
    const [tag] = await store().stats.tags(from.accountId, from.domainId, { limit: 10 });
    assert.deepEqual(tag, { domainId: from.domainId, name: 'News', description: '', firstMs: T0 + 5000, lastMs: T0 });
    await tagged(from, T0 + 2 * HOUR_MS + 5, 'news');
    const [later] = await store().stats.tags(from.accountId, from.domainId, { limit: 10 });
    assert.deepEqual(later, { ...tag, lastMs: T0 + 2 * HOUR_MS });
  });

  it('lists forward, backward and by prefix, of one domain or of all', async () => {
    const from = await tenant(store());
    const other = await tenant(store(), { accountId: from.accountId });
    await tagged(from, T0, 'a', 'B', 'b_2', 'c');
    await tagged(other, T0, 'b');
    const names = async (page: object): Promise<string[]> =>
      (await store().stats.tags(from.accountId, from.domainId, { limit: 10, ...page })).map(({ name }) => name);
    assert.deepEqual(await names({}), ['a', 'B', 'b_2', 'c']);
    assert.deepEqual(await names({ after: 'b', limit: 1 }), ['b_2']);
    assert.deepEqual(await names({ before: 'b_2', limit: 1 }), ['B']);
    assert.deepEqual(await names({ prefix: 'B' }), ['B', 'b_2']);
    assert.deepEqual(await names({ prefix: 'b%' }), []);
    assert.deepEqual(
      (await store().stats.accountTags(from.accountId, 'b', 10)).map(({ name, domainId }) => [name, domainId]),
      [
        ['B', from.domainId],
        ['b', other.domainId],
        ['b_2', from.domainId],
      ],
    );
    assert.equal((await store().stats.accountTags(from.accountId, '', 10)).length, 5);
    assert.equal(await store().stats.countTags(from.accountId), 4);
    assert.equal(await store().stats.countTags(from.accountId, other.domainId), 1);
  });

  it('is described and deleted with its counters, by its own account alone (P10)', async () => {
    const [from, other] = [await tenant(store()), await tenant(store())];
    await tagged(from, T0, 'x', 'y');
    assert.equal(await store().stats.describeTag(other.accountId, undefined, 'x', 'd'), false);
    assert.equal(await store().stats.deleteTag(other.accountId, from.domainId, 'x'), false);
    assert.equal(await store().stats.describeTag(from.accountId, from.domainId, 'X', 'the first'), true);
    const described = await store().stats.accountTags(from.accountId, 'x', 10);
    assert.deepEqual(
      described.map(({ description }) => description),
      ['the first'],
    );
    assert.equal(await store().stats.deleteTag(from.accountId, undefined, 'X'), true);
    assert.equal(await store().stats.countTags(from.accountId), 1);
    assert.deepEqual(await sumsOf(store(), from, { by: ['tag'] }), [{ tag: 'y', kind: 'accepted', n: 1 }]);
    assert.deepEqual(await sumsOf(store(), from, {}), [{ kind: 'accepted', n: 1 }]);
  });

  it('begins anew with the next message that has it, within the same hour too', async () => {
    const from = await tenant(store());
    await tagged(from, T0, 'again');
    assert.equal(await store().stats.deleteTag(from.accountId, from.domainId, 'again'), true);
    await tagged(from, T0 + 1000, 'again');
    assert.deepEqual(
      (await store().stats.tags(from.accountId, from.domainId, { limit: 10 })).map(({ name, firstMs }) => [name, firstMs]),
      [['again', T0 + 1000]],
    );
    assert.deepEqual(await sumsOf(store(), from, { by: ['tag'] }), [{ tag: 'again', kind: 'accepted', n: 1 }]);
  });
}

function age(store: () => Store): void {
  it('forgets hours after two months and days after a year', async () => {
    const from = await tenant(store());
    await accept(store(), mail(from, { counters: [accepted(from, { receiver: 'x.example' }), accepted(from, { tag: 'old' })] }));
    const expireAt = async (nowMs: number): Promise<void> => {
      while ((await store().mail.expire(nowMs, 100, 30 * DAY_MS)) >= 100);
    };
    const hours = { step: 'hour', from: HOUR, until: HOUR + 1 } as const;
    await expireAt(T0 + 61 * DAY_MS);
    assert.equal((await sumsOf(store(), from, hours)).length, 1);
    await expireAt(T0 + 64 * DAY_MS);
    assert.deepEqual(await sumsOf(store(), from, hours), []);
    assert.equal((await sumsOf(store(), from, {})).length, 1);
    await expireAt(T0 + 370 * DAY_MS);
    assert.deepEqual(await sumsOf(store(), from, {}), []);
    assert.deepEqual(await sumsOf(store(), from, { by: ['receiver'] }), []);
    assert.equal(await store().stats.countTags(from.accountId), 0);
  });
}
