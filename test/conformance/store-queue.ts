/** Claims: only what is due, only as much as was asked for, the earliest first; buckets and when they are looked at; depth of the queue. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bucket, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { accept, addresses, bucketsOf, claim, deferral, HOUR_MS, mail, type Open, settlement, tenant, T0, unique } from './tenant.ts';

export function queueConformance(open: Open): void {
  describe('the queue', () => {
    const store = suiteStore(open);
    claiming(store);
    buckets(store);
  });
  describe('the queue as a whole', () => wholeQueue(open));
}

function claiming(store: () => Store): void {
  it('claims only as much as was asked for, the earliest due first', async () => {
    const from = await tenant(store());
    const to = `${unique('order')}.example`;
    for (const minute of [3, 1, 4, 2]) {
      await accept(store(), mail(from, { to: [`minute${minute}@${to}`], dueAtMs: T0 - minute * 60_000 }));
    }
    assert.deepEqual(addresses(await claim(store(), to, T0, 2)).sort(), [`minute3@${to}`, `minute4@${to}`]);
    assert.deepEqual(await claim(store(), to, T0, 0), []);
    assert.deepEqual(addresses(await claim(store(), to, T0, 2)).sort(), [`minute1@${to}`, `minute2@${to}`]);
    assert.deepEqual(await claim(store(), to, T0, 2), []);
  });

  it('claims nothing for a room below zero', async () => {
    const to = `${unique('negative')}.example`;
    await accept(store(), mail(await tenant(store()), { to: [`a@${to}`] }));
    assert.deepEqual(await claim(store(), to, T0, -1), []);
  });

  it('leaves what is not due yet', async () => {
    const from = await tenant(store());
    const to = `${unique('due')}.example`;
    await accept(store(), mail(from, { to: [`now@${to}`] }));
    await accept(store(), mail(from, { to: [`later@${to}`], dueAtMs: T0 + 1 }));
    assert.deepEqual(addresses(await claim(store(), to, T0)), [`now@${to}`]);
    assert.deepEqual(addresses(await claim(store(), to, T0 + 1)), [`later@${to}`]);
  });

  it('gives each recipient away once, though claims come at once', async () => {
    const from = await tenant(store());
    const to = `${unique('once')}.example`;
    await accept(store(), mail(from, { to: Array.from({ length: 50 }, (_, n) => `user${n}@${to}`) }));
    const [bucket] = await bucketsOf(store(), to);
    const claims = await Promise.all([1, 2, 3, 4].map(() => store().mail.claim([{ bucket: (bucket as Bucket).id, room: 20 }], T0)));
    assert.deepEqual(
      claims.map((claimed) => addresses(claimed).length),
      [20, 20, 10, 0],
    );
    assert.equal(new Set(claims.flatMap(addresses)).size, 50);
  });

  it('gives recipients of one message together, with the message', async () => {
    const from = await tenant(store());
    const to = `${unique('together')}.example`;
    const message = mail(from, { to: [`a@${to}`, `b@${to}`] });
    const { id, contentId } = await accept(store(), message);
    const claimed = await claim(store(), to);
    assert.equal(claimed.length, 1);
    assert.partialDeepStrictEqual(claimed[0]?.message, {
      id,
      contentId,
      accountId: from.accountId,
      domain: from.domain,
      sender: message.sender,
      info: message.info,
    });
    assert.deepEqual(addresses(claimed), [`a@${to}`, `b@${to}`]);
  });

  it('flags who was suppressed after the message was accepted', async () => {
    const from = await tenant(store());
    const to = `${unique('meanwhile')}.example`;
    await accept(store(), mail(from, { to: [`a@${to}`] }));
    await store().accounts.putSuppression(from.domainId, { kind: 'complaint', address: `A@${to}`, code: 0, error: '', createdMs: T0 });
    const [claimed] = await claim(store(), to);
    assert.equal(claimed?.recipients[0]?.suppressed, 'complaint');
  });
}

function buckets(store: () => Store): void {
  it('keeps accounts and priorities of one receiving domain apart, the urgent ones first', async () => {
    const [one, two] = [await tenant(store()), await tenant(store())];
    const to = `${unique('shared')}.example`;
    for (const [from, priority] of [
      [one, 2],
      [two, 1],
      [one, 0],
      [two, 0],
      [one, 0],
    ] as const) {
      await accept(store(), mail(from, { to: [`a@${to}`], priority, dueAtMs: T0 - priority }));
    }
    const found = await bucketsOf(store(), to);
    assert.deepEqual(
      found.map(({ priority }) => priority),
      [0, 0, 1, 2],
    );
    assert.deepEqual(
      found.map(({ accountId, priority }) => [accountId, priority]).sort(),
      [
        [one.accountId, 0],
        [one.accountId, 2],
        [two.accountId, 0],
        [two.accountId, 1],
      ].sort(),
    );
  });

  it('shows at most as many buckets as asked for, the earliest', async () => {
    const from = await tenant(store());
    const early = `${unique('early')}.example`;
    await accept(store(), mail(from, { to: [`a@${unique('late')}.example`], dueAtMs: T0 - HOUR_MS }));
    await accept(store(), mail(from, { to: [`a@${early}`], dueAtMs: T0 - 2 * HOUR_MS }));
    assert.deepEqual(
      (await store().mail.dueBuckets(T0, 1)).map(({ domain }) => domain),
      [early],
    );
    await claim(store(), early);
  });

  it('is looked at again when the earliest of what is left is due', async () => {
    const from = await tenant(store());
    const to = `${unique('next')}.example`;
    for (const dueAtMs of [T0, T0 + 2 * HOUR_MS, T0 + HOUR_MS]) await accept(store(), mail(from, { to: [`a@${to}`], dueAtMs }));
    assert.equal((await claim(store(), to)).length, 1);
    assert.deepEqual(await bucketsOf(store(), to, T0 + HOUR_MS - 1), []);
    const [bucket] = await bucketsOf(store(), to, T0 + HOUR_MS);
    assert.equal(bucket?.dueAtMs, T0 + HOUR_MS);
  });

  it('stays due while a claim left some of what is due', async () => {
    const from = await tenant(store());
    const to = `${unique('rest')}.example`;
    await accept(store(), mail(from, { to: [`a@${to}`, `b@${to}`] }));
    await claim(store(), to, T0, 1);
    assert.equal((await bucketsOf(store(), to)).length, 1);
  });

  it('is looked at sooner when something sooner comes in, by acceptance, deferral or release', async () => {
    const from = await tenant(store());
    const to = `${unique('sooner')}.example`;
    const dueAtMs = async (): Promise<number | undefined> => (await bucketsOf(store(), to, T0 + 9 * HOUR_MS))[0]?.dueAtMs;
    await accept(store(), mail(from, { to: [`a@${to}`], dueAtMs: T0 + 9 * HOUR_MS }));
    const one = await accept(store(), mail(from, { to: [`b@${to}`], isLeased: true }));
    const two = await accept(store(), mail(from, { to: [`c@${to}`], isLeased: true }));
    assert.equal(await dueAtMs(), T0 + 9 * HOUR_MS);
    await accept(store(), mail(from, { to: [`d@${to}`], dueAtMs: T0 + 8 * HOUR_MS }));
    assert.equal(await dueAtMs(), T0 + 8 * HOUR_MS);
    await store().mail.settle(settlement(from, one, deferral(T0 + 7 * HOUR_MS)));
    assert.equal(await dueAtMs(), T0 + 7 * HOUR_MS);
    await store().mail.release({ recipient: two.firstRecipient, epoch: 1, dueAtMs: T0 + 6 * HOUR_MS, wait: 'lane-rate' });
    assert.equal(await dueAtMs(), T0 + 6 * HOUR_MS);
  });

  it('is left alone while it is parked, and its recipients say why and until when', async () => {
    const from = await tenant(store());
    const to = `${unique('parked')}.example`;
    const accepted = await accept(store(), mail(from, { to: [`a@${to}`] }));
    const [bucket] = await bucketsOf(store(), to);
    await store().mail.parkBucket((bucket as Bucket).id, T0 + 60_000, 'lane-suspended');
    assert.deepEqual(await bucketsOf(store(), to, T0 + 59_999), []);
    const view = await store().events.messageById(from.accountId, accepted.id);
    assert.partialDeepStrictEqual(view?.recipients[0], { wait: 'lane-suspended', dueAtMs: T0 + 60_000 });
    assert.equal((await bucketsOf(store(), to, T0 + 60_000)).length, 1);
    const claimed = await claim(store(), to, T0 + 60_000);
    assert.deepEqual(addresses(claimed), [`a@${to}`]);
    assert.equal(claimed[0]?.recipients[0]?.parkedFor, 'lane-suspended', 'what it waited for is told with it');
    await accept(store(), mail(from, { to: [`b@${to}`] }));
    assert.equal((await claim(store(), to, T0 + 60_000))[0]?.recipients[0]?.parkedFor, undefined);
  });

  it('stays parked though more comes in for it', async () => {
    const from = await tenant(store());
    const to = `${unique('busy')}.example`;
    await accept(store(), mail(from, { to: [`a@${to}`] }));
    const leased = await accept(store(), mail(from, { to: [`b@${to}`], isLeased: true }));
    const [bucket] = await bucketsOf(store(), to);
    await store().mail.parkBucket((bucket as Bucket).id, T0 + 60_000, 'lane-suspended');
    await accept(store(), mail(from, { to: [`c@${to}`] }));
    await store().mail.release({ recipient: leased.firstRecipient, epoch: 1, dueAtMs: T0, wait: 'due' });
    assert.deepEqual(await bucketsOf(store(), to, T0 + 59_999), []);
    assert.equal(addresses(await claim(store(), to, T0 + 60_000)).length, 3);
  });

  it('cannot be parked when nothing waits in it', async () => {
    const from = await tenant(store());
    const to = `${unique('empty')}.example`;
    await accept(store(), mail(from, { to: [`a@${to}`] }));
    const [bucket] = await bucketsOf(store(), to);
    await claim(store(), to);
    await store().mail.parkBucket((bucket as Bucket).id, T0 + 60_000, 'lane-rate');
    assert.deepEqual(await bucketsOf(store(), to, T0 + HOUR_MS), []);
  });
}

function wholeQueue(open: Open): void {
  it('keeps the length of a wait when the clock is set back, and the hour of what was scheduled', async (t) => {
    const { store } = await open();
    t.after(() => store.close());
    const from = await tenant(store);
    const [retried, scheduled, parked] = ['retried', 'scheduled', 'parked'].map((name) => `${unique(name)}.example`) as [
      string,
      string,
      string,
    ];
    const inAMinute = T0 + 60_000;
    await accept(store, mail(from, { to: [`a@${retried}`], dueAtMs: inAMinute, wait: 'retry' }));
    await accept(store, mail(from, { to: [`a@${scheduled}`], dueAtMs: inAMinute, wait: 'scheduled' }));
    await accept(store, mail(from, { to: [`a@${parked}`] }));
    const [bucket] = await bucketsOf(store, parked);
    await store.mail.parkBucket((bucket as Bucket).id, inAMinute, 'lane-rate');

    await store.mail.clockSetBack(HOUR_MS, T0 - HOUR_MS);
    const due = async (nowMs: number): Promise<string[]> => (await store.mail.dueBuckets(nowMs, 10)).map(({ domain }) => domain).toSorted();
    assert.deepEqual(await due(inAMinute - HOUR_MS - 1), []);
    assert.deepEqual(await due(inAMinute - HOUR_MS), [parked, retried].toSorted());
    assert.deepEqual(addresses(await claim(store, retried, inAMinute - HOUR_MS)), [`a@${retried}`]);
    assert.deepEqual(addresses(await claim(store, parked, inAMinute - HOUR_MS)), [`a@${parked}`]);
    assert.deepEqual(await due(inAMinute - 1), []);
    assert.deepEqual(await due(inAMinute), [scheduled]);
  });

  it('knows when to look next, whatever the priority', async (t) => {
    const { store } = await open();
    t.after(() => store.close());
    const from = await tenant(store);
    assert.equal(await store.mail.nextDueAtMs(), undefined);
    await accept(store, mail(from, { dueAtMs: T0 + 3000, priority: 0 }));
    assert.equal(await store.mail.nextDueAtMs(), T0 + 3000);
    const to = `${unique('bulk')}.example`;
    await accept(store, mail(from, { dueAtMs: T0 + 2000, priority: 2, to: [`a@${to}`] }));
    assert.equal(await store.mail.nextDueAtMs(), T0 + 2000);
    await claim(store, to, T0 + 2000);
    assert.equal(await store.mail.nextDueAtMs(), T0 + 3000);
  });

  it('tells its depth, in all and by receiving domain, the deepest first, and why the next one waits', async (t) => {
    const { store } = await open();
    t.after(() => store.close());
    const [one, two] = [await tenant(store), await tenant(store)];
    await accept(store, mail(one, { to: ['a@deep.example', 'b@deep.example'], createdMs: T0 - HOUR_MS, dueAtMs: T0 }));
    await accept(store, mail(two, { to: ['c@deep.example'], priority: 2, dueAtMs: T0 + 5, wait: 'scheduled' }));
    await accept(store, mail(two, { to: ['d@deep.example', 'e@leased.example'], isLeased: true }));
    const done = await accept(store, mail(one, { to: ['f@done.example'], isLeased: true }));
    await store.mail.settle(settlement(one, done));
    assert.deepEqual(await store.events.queueDepth(), { queued: 3, leased: 2 });
    assert.deepEqual(await store.events.queueByDomain(T0, 10), [
      { domain: 'deep.example', queued: 3, leased: 1, oldestMs: T0 - HOUR_MS, nextDueAtMs: T0, wait: 'due' },
      { domain: 'leased.example', queued: 0, leased: 1, oldestMs: T0, nextDueAtMs: T0, wait: 'due' },
    ]);
    assert.equal((await store.events.queueByDomain(T0, 1)).length, 1);
  });

  it('tells why a parked domain waits and when it is looked at next', async (t) => {
    const { store } = await open();
    t.after(() => store.close());
    await accept(store, mail(await tenant(store), { to: ['a@parked.example'] }));
    const [bucket] = await store.mail.dueBuckets(T0, 1);
    await store.mail.parkBucket((bucket as Bucket).id, T0 + 60_000, 'lane-suspended');
    const [depth] = await store.events.queueByDomain(T0, 10);
    assert.partialDeepStrictEqual(depth, { domain: 'parked.example', wait: 'lane-suspended', nextDueAtMs: T0 + 60_000 });
  });
}
