/** The order of the outbox: what one server is told of one recipient comes one after the other; and what an entry tells is claimed with it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutboxItem } from '#store/outbox-store.ts';
import type { Settlement, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import {
  accept,
  type Accepted,
  claimEntries,
  deferral,
  endpointName,
  entry,
  HOUR_MS,
  mail,
  type Open,
  settlement,
  type Tenant,
  tenant,
  T0,
} from './tenant.ts';

const LEASE_MS = 60_000;

export function outboxOrderConformance(open: Open): void {
  describe('the order of the outbox', () => {
    const store = suiteStore(open);
    events(store);
    waiting(store);
    ends(store);
  });
  describe('the order of the outbox, with two nodes at once', () => twoNodes(open));
}

/** Each is told when it is accepted, delivered and opened. */
async function told(store: Store, from: Tenant, name: string, count = 1): Promise<Accepted[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const accepted = await accept(store, mail(from, { isLeased: true, outbox: [entry(name)] }));
      await store.mail.settle(settlement(from, accepted, { outbox: [entry(name)] }));
      await opened(store, from, accepted, name);
      return accepted;
    }),
  );
}

async function opened(store: Store, from: Tenant, accepted: Accepted, name: string): Promise<void> {
  const { accountId, domainId } = from;
  const event = {
    kind: 'opened' as const,
    atUs: (T0 + 2000) * 1000,
    accountId,
    domainId,
    message: accepted.id,
    recipient: accepted.firstRecipient,
    detail: {},
  };
  await store.mail.record({ event, counters: [], outbox: [entry(name)] });
}

const kinds = (items: readonly OutboxItem[]): (string | undefined)[] => items.map(({ event }) => event?.kind);

async function claimOne(store: Store, name: string, nowMs = T0 + HOUR_MS): Promise<OutboxItem> {
  const [item, ...others] = await claimEntries(store, name, nowMs);
  assert.ok(item);
  assert.deepEqual(others, []);
  return item;
}

/** When the endpoint is looked at next. */
async function lookMs(store: Store, name: string): Promise<number | undefined> {
  const all = await store.outbox.dueEndpoints(Number.MAX_SAFE_INTEGER, 10_000);
  return all.find(({ endpoint }) => endpoint === name)?.dueAtMs;
}

function events(store: () => Store): void {
  it('gives each recipient its acceptance to tell', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const to = ['first@there.example', 'second@there.example'];
    const accepted = await accept(store(), mail(from, { to, outbox: [entry(name), entry(name, { target: `${name}/other` })] }));
    const items = await claimEntries(store(), name);
    assert.deepEqual(
      items.map(({ event, recipient, target, createdMs }) => [event?.kind, event?.recipient, recipient?.address, target, createdMs]).sort(),
      to
        .flatMap((address, place) =>
          [`${name}/in`, `${name}/other`].map((target) => ['accepted', accepted.firstRecipient + place, address, target, T0]),
        )
        .sort(),
    );
  });

  it('puts nothing in for a message that repeats its key', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const message = mail(from, { outbox: [entry(name)], idempotency: { key: 'k', fingerprint: 'f', untilMs: T0 + HOUR_MS } });
    await accept(store(), message);
    assert.equal((await store().mail.accept(message)).kind, 'repeat');
    await store().outbox.settle({ item: await claimOne(store(), name) });
    assert.deepEqual(await claimEntries(store(), name), []);
  });

  it('gives a settlement its own event to tell', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const change: Partial<Settlement> = { ...deferral(T0 + HOUR_MS), outbox: [entry(name)] };
    await store().mail.settle(settlement(from, accepted, change));
    const { event } = await claimOne(store(), name);
    assert.deepEqual([event?.kind, event?.detail.code, event?.message], ['deferred', 451, accepted.id]);
  });

  it('tells of the message that a settlement accepts', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const message = mail(from, { outbox: [entry(name)] });
    await store().mail.settle(settlement(from, accepted, { notification: { action: 'delivered', message } }));
    const { event, message: told } = await claimOne(store(), name);
    assert.deepEqual([event?.kind, told?.messageId], ['accepted', message.messageId]);
  });
}

function waiting(store: () => Store): void {
  it('tells one recipient one thing after the other, in the order in which they happened', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await told(store(), from, name);
    const seen: (string | undefined)[] = [];
    for (let n = 0; n < 3; n++) {
      const item = await claimOne(store(), name);
      seen.push(item.event?.kind);
      assert.deepEqual(await claimEntries(store(), name), []);
      assert.equal(await store().outbox.settle({ item }), true);
    }
    assert.deepEqual(seen, ['accepted', 'delivered', 'opened']);
    assert.deepEqual(await claimEntries(store(), name), []);
  });

  it('holds up no other recipient, target or server', async () => {
    const from = await tenant(store());
    const [name, other] = [endpointName(), endpointName()];
    const accepted = await accept(store(), mail(from, { isLeased: true, outbox: [entry(name)] }));
    const outbox = [entry(name), entry(name, { target: `${name}/else` }), entry(other)];
    await store().mail.settle(settlement(from, accepted, { outbox }));
    await accept(store(), mail(from, { outbox: [entry(name)] }));
    assert.deepEqual(kinds(await claimEntries(store(), name)).sort(), ['accepted', 'accepted', 'delivered']);
    assert.deepEqual(kinds(await claimEntries(store(), other)), ['delivered']);
  });

  it('lets the later ones wait with the first when that is put off, and does not look in between', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await told(store(), from, name);
    const first = await claimOne(store(), name, T0);
    await store().outbox.settle({ item: first, dueAtMs: T0 + 2 * HOUR_MS });
    assert.deepEqual(await claimEntries(store(), name, T0 + HOUR_MS), []);
    // The look found that nothing is due before.
    assert.equal(await lookMs(store(), name), T0 + 2 * HOUR_MS);
    const again = await claimOne(store(), name, T0 + 2 * HOUR_MS);
    assert.equal(again.id, first.id);
    assert.equal(await lookMs(store(), name), T0 + 2 * HOUR_MS + LEASE_MS);
    await store().outbox.settle({ item: again });
    assert.equal((await claimOne(store(), name)).event?.kind, 'delivered');
  });

  it('puts what comes meanwhile behind what stands', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const [accepted] = await told(store(), from, name);
    const first = await claimOne(store(), name);
    await opened(store(), from, accepted as Accepted, name);
    await store().outbox.settle({ item: first });
    const seen: (string | undefined)[] = [];
    for (let n = 0; n < 3; n++) {
      const item = await claimOne(store(), name);
      seen.push(item.event?.kind);
      await store().outbox.settle({ item });
    }
    assert.deepEqual(seen, ['delivered', 'opened', 'opened']);
  });

  it('does not put what is of no message into an order', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const { accountId, domainId } = from;
    const event = { kind: 'complained' as const, atUs: T0 * 1000, accountId, domainId, message: 0, recipient: 0, detail: {} };
    for (const _ of [1, 2]) await store().mail.record({ event, counters: [], outbox: [entry(name)] });
    assert.equal((await claimEntries(store(), name)).length, 2);
  });
}

function ends(store: () => Store): void {
  it('gives up one after the other what is too old', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await told(store(), from, name);
    const old = async (): Promise<OutboxItem[]> =>
      (await store().outbox.claimOld(T0 + HOUR_MS, 1000, T0 + HOUR_MS, T0 + HOUR_MS + LEASE_MS)).filter(
        ({ endpoint }) => endpoint === name,
      );
    for (const kind of ['accepted', 'delivered', 'opened']) {
      const items = await old();
      assert.deepEqual(kinds(items), [kind]);
      await store().outbox.settle({ item: items[0] as OutboxItem });
    }
    assert.deepEqual(await old(), []);
  });

  it('settles many at once, each with its own answer', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await told(store(), from, name, 40);
    const items = await claimEntries(store(), name);
    assert.deepEqual(new Set(kinds(items)), new Set(['accepted']));
    const answers = await Promise.all(
      items.map((item, n) => {
        const epoch = n % 4 === 0 ? item.epoch + 1 : item.epoch;
        return store().outbox.settle({ item: { ...item, epoch }, ...(n % 4 === 1 && { dueAtMs: T0 + 2 * HOUR_MS }) });
      }),
    );
    assert.deepEqual(
      answers,
      items.map((_, n) => n % 4 !== 0),
    );
    const next = await claimEntries(store(), name);
    assert.deepEqual([next.length, new Set(kinds(next))], [20, new Set(['delivered'])]);
  });

  it('leaves nothing of a settlement whose event cannot be written, and the others stand', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await told(store(), from, name, 2);
    const [one, other] = await claimEntries(store(), name);
    assert.ok(one && other);
    const event = {
      kind: 'archived' as const,
      atUs: T0 * 1000,
      accountId: undefined as unknown as number,
      domainId: 1,
      message: 0,
      recipient: 0,
      detail: {},
    };
    const results = await Promise.allSettled([store().outbox.settle({ item: one, event }), store().outbox.settle({ item: other })]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
    assert.deepEqual(kinds(await claimEntries(store(), name)), ['delivered']);
    assert.equal(await store().outbox.settle({ item: one }), true);
  });
}

function twoNodes(open: Open): void {
  it('is kept while both claim, settle and put in', async (t) => {
    const one = await open();
    const two = await one.another?.({ name: 'two', version: '1', services: ['accept', 'deliver', 'webhooks'], sources: [] });
    if (two === undefined) {
      await one.store.close();
      return t.skip('this store has one server at a time');
    }
    const from = await tenant(one.store);
    const name = endpointName();
    const count = 40;
    const seen = new Map<number, number[]>();
    const standing = new Set<string>();
    const settled = new Set<number>();
    const work = async (store: Store): Promise<void> => {
      let nowMs = T0 + HOUR_MS;
      while (settled.size < 3 * count) {
        const items = await claimEntries(store, name, nowMs++);
        await Promise.all(
          items.map(async (item) => {
            const order = `${item.message?.id}`;
            assert.ok(!standing.has(order), 'two of one order were leased at once');
            standing.add(order);
            const list = seen.get(item.message?.id as number) ?? [];
            seen.set(item.message?.id as number, [...list, item.id]);
            await store.outbox.depth();
            standing.delete(order);
            assert.equal(await store.outbox.settle({ item }), true);
            settled.add(item.id);
          }),
        );
      }
    };
    await Promise.all([work(one.store), work(two.store), told(one.store, from, name, count / 2), told(two.store, from, name, count / 2)]);
    assert.equal(seen.size, count);
    for (const ids of seen.values()) assert.deepEqual([ids.length, ids], [3, ids.toSorted((a, b) => a - b)]);
    assert.deepEqual(await claimEntries(one.store, name, T0 + 10 * HOUR_MS), []);
    assert.equal(await one.store.outbox.depth(), 0);
    await two.store.close();
    await one.store.close();
  });
}
