/** The outbox: entries come with the settlement that they tell of, are leased for a bounded time, and go when they are done with. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { OutboxEntry, OutboxItem } from '#store/outbox-store.ts';
import type { Store } from '#store/store.ts';
import { accept, HOUR_MS, mail, type Open, settlement, type Tenant, tenant, T0, unique } from './tenant.ts';

const LEASE_MS = 60_000;

export function outboxConformance(open: Open): void {
  describe('the outbox', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    entering(() => store);
    leasing(() => store);
    giving(() => store);
    endpoints(() => store);
  });
  describe('the outbox after a start', () => afterStart(open));
}

function entry(endpoint: string, change: Partial<OutboxEntry> = {}): OutboxEntry {
  return { kind: 'archive', endpoint, target: `${endpoint}/in?token=1`, payload: '{"n":1}', ...change };
}

/** A delivered recipient for each entry; the entries are due at `atMs`. */
async function delivered(store: Store, from: Tenant, entries: readonly OutboxEntry[], atMs = T0): Promise<void> {
  for (const each of entries) {
    const accepted = await accept(store, mail(from, { isLeased: true }));
    assert.equal(await store.mail.settle(settlement(from, accepted, { atMs, outbox: [each] })), true);
  }
}

async function endpointsNamed(store: Store, name: string, nowMs = T0): Promise<{ id: number; accountId: number; dueAtMs: number }[]> {
  const all = await store.outbox.dueEndpoints(nowMs, 10_000);
  return all.filter(({ endpoint }) => endpoint === name).map(({ id, accountId, dueAtMs }) => ({ id, accountId, dueAtMs }));
}

async function claimEntries(store: Store, name: string, nowMs = T0, room = 100, leaseMs = LEASE_MS): Promise<OutboxItem[]> {
  const due = await endpointsNamed(store, name, nowMs);
  return store.outbox.claim(
    due.map(({ id }) => ({ endpoint: id, room })),
    nowMs,
    nowMs + leaseMs,
  );
}

const endpointName = (): string => `https://${unique('hook')}.example:443`;

function entering(store: () => Store): void {
  it('holds what a settlement brings, with the message and the recipient that it tells of', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const message = mail(from, { isLeased: true, to: ['first@there.example', 'second@there.example'] });
    const accepted = await accept(store(), message);
    const given = entry(name);
    await store().mail.settle(settlement(from, accepted, { recipient: accepted.firstRecipient + 1, outbox: [given] }));
    const [item, ...others] = await claimEntries(store(), name, T0 + 1000);
    assert.deepEqual(others, []);
    assert.partialDeepStrictEqual(item, {
      ...given,
      accountId: from.accountId,
      domainId: from.domainId,
      createdMs: T0 + 1000,
      attempts: 0,
      message: { id: accepted.id, contentId: accepted.contentId, info: message.info },
      recipient: { id: accepted.firstRecipient + 1, address: 'second@there.example', ending: 'delivered' },
    });
  });

  it('holds nothing of a settlement that is refused', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    assert.equal(await store().mail.settle(settlement(from, accepted, { epoch: 7, outbox: [entry(name)] })), false);
    assert.deepEqual(await endpointsNamed(store(), name, T0 + HOUR_MS), []);
  });

  it('holds several entries of one settlement', async () => {
    const from = await tenant(store());
    const [one, other] = [endpointName(), endpointName()];
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const third = entry(one, { target: `${one}/elsewhere`, payload: '2' });
    await store().mail.settle(settlement(from, accepted, { atMs: T0, outbox: [entry(one), entry(other), third] }));
    assert.deepEqual((await claimEntries(store(), one)).map(({ payload }) => payload).sort(), ['2', '{"n":1}']);
    assert.equal((await claimEntries(store(), other)).length, 1);
  });
}

function leasing(store: () => Store): void {
  it('gives each entry away once, though claims come at once', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(
      store(),
      from,
      Array.from({ length: 20 }, () => entry(name)),
    );
    const [endpoint] = await endpointsNamed(store(), name);
    const claims = await Promise.all(
      [1, 2, 3, 4].map(() => store().outbox.claim([{ endpoint: endpoint?.id as number, room: 8 }], T0, T0 + LEASE_MS)),
    );
    const ids = claims.flat().map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(claims.every((items) => items.length <= 8));
    const rest = await claimEntries(store(), name);
    assert.equal(ids.length + rest.length, 20);
  });

  it('gives the earliest away first, and what is not due not at all', async () => {
    const from = await tenant(store());
    const name = endpointName();
    for (const minutes of [2, 3, 1, -1]) await delivered(store(), from, [entry(name, { payload: String(minutes) })], T0 - minutes * 60_000);
    const two = await claimEntries(store(), name, T0, 2);
    assert.deepEqual(two.map(({ payload }) => payload).sort(), ['2', '3']);
    assert.deepEqual(
      (await claimEntries(store(), name, T0)).map(({ payload }) => payload),
      ['1'],
    );
    assert.deepEqual(await claimEntries(store(), name, T0), []);
  });

  it('makes an entry due again when its lease is over, counts the attempt, and refuses who held it before', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name)]);
    const [first] = await claimEntries(store(), name, T0);
    assert.deepEqual(await claimEntries(store(), name, T0 + LEASE_MS - 1), []);
    const [second] = await claimEntries(store(), name, T0 + LEASE_MS);
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(second.id, first.id);
    assert.equal(second.attempts, 1);
    assert.ok(second.epoch > first.epoch);
    assert.equal(await store().outbox.settle({ item: first }), false);
    assert.equal(await store().outbox.settle({ item: first, dueAtMs: T0 }), false);
    assert.equal(await store().outbox.settle({ item: second }), true);
    assert.deepEqual(await claimEntries(store(), name, T0 + HOUR_MS), []);
  });

  it('tells others of the event of a settlement, in the same commit, or not at all', async () => {
    const from = await tenant(store());
    const [name, hook] = [endpointName(), endpointName()];
    await delivered(store(), from, [entry(name, { kind: 'forward' })]);
    const [item] = await claimEntries(store(), name);
    assert.ok(item?.message !== undefined && item.recipient !== undefined);
    const event = {
      kind: 'deferred',
      atUs: T0 * 1000,
      accountId: from.accountId,
      domainId: from.domainId,
      message: item.message.id,
      recipient: item.recipient.id,
      detail: { text: 'HTTP 500' },
    } as const;
    const outbox = [entry(hook, { kind: 'event', payload: '' })];
    assert.equal(await store().outbox.settle({ item: { ...item, epoch: item.epoch + 1 }, dueAtMs: T0, event, outbox }), false);
    assert.deepEqual(await claimEntries(store(), hook), []);
    assert.equal(await store().outbox.settle({ item, dueAtMs: T0, event, outbox }), true);
    const [told] = await claimEntries(store(), hook);
    assert.deepEqual(
      [told?.kind, told?.event?.kind, told?.event?.detail, told?.recipient?.id],
      ['event', 'deferred', event.detail, item.recipient.id],
    );
    assert.equal((await claimEntries(store(), name)).length, 1, 'what is told stands beside it');
  });

  it('lets an entry go once it is done with, and writes the event in the same commit', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name)]);
    const [item] = await claimEntries(store(), name);
    assert.ok(item?.message !== undefined && item.recipient !== undefined);
    const event = {
      kind: 'archived' as const,
      atUs: (T0 + 2000) * 1000,
      accountId: from.accountId,
      domainId: from.domainId,
      message: item.message.id,
      recipient: item.recipient.id,
      detail: { text: 'told' },
    };
    const before = await store().outbox.depth();
    assert.equal(await store().outbox.settle({ item, event }), true);
    assert.equal(await store().outbox.depth(), before - 1);
    assert.equal(await store().outbox.settle({ item, event }), false);
    const view = await store().events.messageById(from.accountId, item.message.id);
    assert.deepEqual(
      view?.events.filter(({ kind }) => kind === 'archived').map(({ detail, recipient }) => [detail, recipient]),
      [[{ text: 'told' }, item.recipient.id]],
    );
  });

  it('tries an entry again when it was told to', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name)]);
    const [item] = await claimEntries(store(), name);
    assert.ok(item);
    assert.equal(await store().outbox.settle({ item, dueAtMs: T0 + 5000 }), true);
    assert.deepEqual(await claimEntries(store(), name, T0 + 4999), []);
    const [again] = await claimEntries(store(), name, T0 + 5000);
    assert.equal(again?.attempts, 1);
  });
}

function giving(store: () => Store): void {
  it('does not count an attempt that was not made', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name)]);
    const [item] = await claimEntries(store(), name);
    assert.ok(item);
    assert.equal(await store().outbox.settle({ item, dueAtMs: T0 + 1, isUntried: true }), true);
    assert.equal((await claimEntries(store(), name, T0 + 1))[0]?.attempts, 0);
  });

  it('gives away what is too old, of a parked endpoint and before it is due too, but nothing that is leased', async () => {
    const from = await tenant(store());
    const [parked, later, leased] = [endpointName(), endpointName(), endpointName()];
    const oldMs = T0 - 1000 * HOUR_MS;
    for (const name of [parked, later, leased]) await delivered(store(), from, [entry(name, { payload: name })], oldMs);
    await delivered(store(), from, [entry(parked, { payload: 'young' })], oldMs + 1);
    const [endpoint] = await endpointsNamed(store(), parked, oldMs);
    await store().outbox.park(endpoint?.id as number, T0 + HOUR_MS);
    const [put] = await claimEntries(store(), later, oldMs);
    await store().outbox.settle({ item: put as OutboxItem, dueAtMs: T0 + HOUR_MS });
    await claimEntries(store(), leased, T0);
    const old = await store().outbox.claimOld(oldMs, 100, T0, T0 + LEASE_MS);
    assert.deepEqual(old.map(({ payload, endpoint: name }) => [payload, name]).sort(), [parked, later].map((name) => [name, name]).sort());
    assert.deepEqual(await store().outbox.claimOld(oldMs, 100, T0, T0 + LEASE_MS), []);
    for (const item of old) assert.equal(await store().outbox.settle({ item }), true);
  });
}

function endpoints(store: () => Store): void {
  it('keeps accounts apart that post to one server', async () => {
    const [one, other] = [await tenant(store()), await tenant(store())];
    const name = endpointName();
    await delivered(store(), one, [entry(name), entry(name)]);
    await delivered(store(), other, [entry(name)]);
    const due = await endpointsNamed(store(), name);
    assert.deepEqual(
      due.map(({ accountId }) => accountId).sort((a, b) => a - b),
      [one.accountId, other.accountId],
    );
    const own = due.find(({ accountId }) => accountId === other.accountId);
    const items = await store().outbox.claim([{ endpoint: own?.id as number, room: 10 }], T0, T0 + LEASE_MS);
    assert.deepEqual(
      items.map(({ accountId }) => accountId),
      [other.accountId],
    );
  });

  it('passes an endpoint by while it is parked', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name)]);
    const [endpoint] = await endpointsNamed(store(), name);
    await store().outbox.park(endpoint?.id as number, T0 + 30_000);
    await delivered(store(), from, [entry(name)]);
    assert.deepEqual(await endpointsNamed(store(), name, T0 + 29_999), []);
    assert.equal((await claimEntries(store(), name, T0 + 30_000)).length, 2);
  });

  it('leaves an endpoint parked that was parked since it was seen due', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name), entry(name)]);
    const [endpoint] = await endpointsNamed(store(), name);
    const id = endpoint?.id as number;
    await store().outbox.park(id, T0 + 30_000);
    // As another node that had seen it before.
    assert.equal((await store().outbox.claim([{ endpoint: id, room: 1 }], T0, T0 + LEASE_MS)).length, 1);
    assert.deepEqual(await endpointsNamed(store(), name, T0 + 29_999), []);
    assert.equal((await claimEntries(store(), name, T0 + 30_000)).length, 1);
    // Over, it holds up nothing.
    await delivered(store(), from, [entry(name)], T0 + 30_001);
    assert.equal((await claimEntries(store(), name, T0 + 30_001)).length, 1);
  });

  it('leaves an endpoint parked as long as whoever wanted it longest', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name), entry(name)]);
    const [endpoint] = await endpointsNamed(store(), name);
    const id = endpoint?.id as number;
    await store().outbox.park(id, T0 + 60_000);
    // As another node, which had its first failure there.
    await store().outbox.park(id, T0 + 5000);
    // What a claim leaves, and what comes new, looks at the pause again.
    assert.equal((await store().outbox.claim([{ endpoint: id, room: 1 }], T0, T0 + LEASE_MS)).length, 1);
    await delivered(store(), from, [entry(name)], T0 + 6000);
    assert.deepEqual(await endpointsNamed(store(), name, T0 + 59_999), []);
    assert.equal((await claimEntries(store(), name, T0 + 60_000)).length, 3);
  });

  it('forgets an endpoint that has nothing left, and knows it again', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await delivered(store(), from, [entry(name)]);
    const [item] = await claimEntries(store(), name);
    assert.ok(item);
    await store().outbox.settle({ item });
    // The look at the end of the lease finds nothing.
    assert.deepEqual(await claimEntries(store(), name, T0 + LEASE_MS), []);
    assert.deepEqual(await endpointsNamed(store(), name, T0 + 10 * HOUR_MS), []);
    await delivered(store(), from, [entry(name)]);
    assert.equal((await claimEntries(store(), name)).length, 1);
  });

  it('knows when the next endpoint is to be looked at', async () => {
    const from = await tenant(store());
    const early = T0 - 5000 * HOUR_MS;
    const name = endpointName();
    await delivered(store(), from, [entry(name)], early);
    assert.equal(await store().outbox.nextDueAtMs(), early);
    const [item] = await claimEntries(store(), name, early);
    assert.ok(item);
    assert.equal(await store().outbox.nextDueAtMs(), early + LEASE_MS);
    await store().outbox.settle({ item });
    assert.deepEqual(await claimEntries(store(), name, early + LEASE_MS), []);
    assert.ok(((await store().outbox.nextDueAtMs()) ?? Infinity) > early + LEASE_MS);
  });
}

function afterStart(open: Open): void {
  it('keeps its entries; what was leased is due again when its lease is over at the latest', async () => {
    let opened = await open();
    const from = await tenant(opened.store);
    const name = endpointName();
    await delivered(opened.store, from, [entry(name, { payload: 'leased' }), entry(name, { payload: 'waiting' })]);
    const [held] = await claimEntries(opened.store, name, T0, 1);
    opened = await opened.reopen(T0 + 1000);
    const items = await claimEntries(opened.store, name, T0 + LEASE_MS);
    assert.deepEqual(items.map(({ payload }) => payload).sort(), ['leased', 'waiting']);
    assert.equal(await opened.store.outbox.settle({ item: held as OutboxItem }), false);
    await opened.store.close();
  });

  it('follows a clock that is set back', async () => {
    const { store } = await open();
    const from = await tenant(store);
    const name = endpointName();
    await delivered(store, from, [entry(name)], T0 + 10_000);
    await store.mail.clockSetBack(HOUR_MS, T0 - HOUR_MS);
    assert.equal((await claimEntries(store, name, T0 + 10_000 - HOUR_MS)).length, 1);
    await store.close();
  });
}
