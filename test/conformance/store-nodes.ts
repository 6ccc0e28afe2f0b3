/**
 * Nodes: who runs, what an operator wants of them, and what becomes of the leases of one that is not heard of any more. What needs two nodes at once is tried
 * where a store can have them.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NodeFacts, NodeRow, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { accept, addresses, claim, mail, type Open, type Opened, settlement, tenant, T0, unique, until } from './tenant.ts';

const DAY_MS = 86_400_000;

export function nodesConformance(open: Open): void {
  describe('a node', () => {
    const store = suiteStore(open);
    oneNode(store);
  });
  describe('a node that ends', () => nodesThatEnd(open));
  describe('two nodes', () => twoNodes(open));
}

async function rowOf(store: Store, id: number): Promise<NodeRow> {
  const row = (await store.nodes.list()).find((node) => node.id === id);
  assert.ok(row, `node ${id} is not listed`);
  return row;
}

function oneNode(store: () => Store): void {
  it('is listed as running from its start', async () => {
    assert.ok(store().nodes.id > 0);
    const { state, leased, services } = await rowOf(store(), store().nodes.id);
    assert.deepEqual({ state, leased, services }, { state: 'running', leased: 0, services: ['accept', 'deliver', 'webhooks', 'web'] });
  });

  it('is seen with each beat, by the store’s clock, which the beat tells', async () => {
    const first = await store().nodes.beat('running');
    const second = await store().nodes.beat('running');
    assert.ok(Math.abs(first.nowMs - Date.now()) < 60_000);
    assert.ok(second.nowMs >= first.nowMs);
    const { seenMs, silentMs } = await rowOf(store(), store().nodes.id);
    assert.equal(seenMs, second.nowMs);
    assert.ok(silentMs >= 0 && silentMs < 60_000);
    assert.equal(second.wasLost, false);
  });

  it('tells its state with its beat', async () => {
    for (const state of ['draining', 'drained', 'running'] as const) {
      await store().nodes.beat(state);
      assert.equal((await rowOf(store(), store().nodes.id)).state, state);
    }
  });

  it('learns with its beat what an operator wants of it', async () => {
    const { nodes } = store();
    assert.equal((await nodes.beat('running')).wanted, 'run');
    assert.equal(await nodes.want(nodes.id, 'drain'), true);
    assert.equal((await nodes.beat('running')).wanted, 'drain');
    assert.equal(await nodes.want(nodes.id, 'run'), true);
    assert.equal((await nodes.beat('draining')).wanted, 'run');
  });

  it('is asked for nothing when there is none of that id', async () => {
    assert.equal(await store().nodes.want(987_654, 'drain'), false);
  });

  it('is told with the recipients it has leased', async () => {
    const before = (await rowOf(store(), store().nodes.id)).leased;
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { to: ['a@x.example', 'b@x.example'], isLeased: true }));
    await accept(store(), mail(from));
    assert.equal((await rowOf(store(), store().nodes.id)).leased, before + 2);
    await store().mail.settle(settlement(from, accepted));
    assert.equal((await rowOf(store(), store().nodes.id)).leased, before + 1);
  });

  it('never takes over from itself', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    assert.equal(await store().nodes.takeOver(0), 0);
    assert.equal(await store().mail.settle(settlement(from, accepted)), true);
    assert.equal((await store().nodes.beat('running')).wasLost, false);
  });
}

function nodesThatEnd(open: Open): void {
  it('is told as stopped for a day; the next start is another node', async (t) => {
    let opened = await open();
    t.after(() => opened.store.close());
    const former = opened.store.nodes.id;
    opened = await opened.reopen(Date.now());
    const { nodes } = opened.store;
    assert.notEqual(nodes.id, former);
    assert.deepEqual(
      (await nodes.list()).map(({ id, state }) => [id, state]),
      [
        [nodes.id, 'running'],
        [former, 'stopped'],
      ],
    );
    assert.equal(await nodes.want(former, 'drain'), false, 'it does not run');
  });
}

/** Long enough that a beat is not late by the machine's load alone. */
const LEASE_MS = 300;

function twoNodes(open: Open): void {
  const facts = (name: string): NodeFacts => ({ name, version: '1.2.3', services: ['accept', 'deliver'], sources: ['one', 'two'] });

  const pair = async (t: { after(end: () => Promise<void>): void; skip(why: string): void }): Promise<[Opened, Opened] | undefined> => {
    const one = await open();
    t.after(() => one.store.close());
    if (one.another === undefined) {
      t.skip('this store has one server at a time');
      return undefined;
    }
    const two = await one.another(facts('two'));
    t.after(() => two.store.close());
    return [one, two];
  };

  it('see each other, with what each says of itself', async (t) => {
    const [one, two] = (await pair(t)) ?? [];
    if (one === undefined || two === undefined) return;
    assert.notEqual(one.store.nodes.id, two.store.nodes.id);
    assert.partialDeepStrictEqual(await rowOf(one.store, two.store.nodes.id), { ...facts('two'), state: 'running' });
    assert.equal(await one.store.nodes.want(two.store.nodes.id, 'drain'), true);
    assert.equal((await two.store.nodes.beat('running')).wanted, 'drain');
    assert.equal((await one.store.nodes.beat('running')).wanted, 'run');
  });

  it('put the leases of one that is silent for a lease back, due at once and marked; what it held is fenced off', async (t) => {
    const [one, two] = (await pair(t)) ?? [];
    if (one === undefined || two === undefined) return;
    const from = await tenant(one.store);
    const to = `${unique('orphan')}.example`;
    const orphan = await accept(two.store, mail(from, { to: [`a@${to}`], isLeased: true }));
    const waiting = await accept(two.store, mail(from, { to: [`b@${to}`], dueAtMs: T0 + DAY_MS * 10_000, wait: 'scheduled' }));
    const lost = two.store.nodes.id;
    let moved = 0;
    await until(async () => {
      await one.store.nodes.beat('running');
      return (moved += await one.store.nodes.takeOver(LEASE_MS)) > 0;
    }, 'the silent node is declared lost');
    assert.equal(moved, 1);
    assert.equal((await rowOf(one.store, lost)).state, 'lost');
    const [recipient] = (await one.store.events.messageById(from.accountId, orphan.id))?.recipients ?? [];
    assert.partialDeepStrictEqual(recipient, { state: 'queued', wait: 'recovered', possibleDuplicate: true });
    const kinds = (await one.store.events.messageById(from.accountId, orphan.id))?.events.map(({ kind }) => kind);
    assert.deepEqual(kinds, ['accepted', 'recovered']);
    const [untouched] = (await one.store.events.messageById(from.accountId, waiting.id))?.recipients ?? [];
    assert.partialDeepStrictEqual(untouched, { state: 'queued', wait: 'scheduled', possibleDuplicate: false });
    const claimed = await claim(one.store, to, Date.now());
    assert.deepEqual(addresses(claimed), [`a@${to}`]);
    assert.equal(await two.store.mail.settle(settlement(from, orphan)), false, 'refused: its lease was taken');
    const epoch = claimed[0]?.recipients[0]?.epoch as number;
    assert.equal(await one.store.mail.settle(settlement(from, orphan, { epoch })), true);
  });

  it('learn that they were lost with their next beat, once, and go on as another node', async (t) => {
    const [one, two] = (await pair(t)) ?? [];
    if (one === undefined || two === undefined) return;
    const lost = two.store.nodes.id;
    await until(async () => {
      await one.store.nodes.beat('running');
      await one.store.nodes.takeOver(LEASE_MS);
      return (await rowOf(one.store, lost)).state === 'lost';
    }, 'the silent node is declared lost');
    assert.equal((await two.store.nodes.beat('running')).wasLost, true);
    assert.notEqual(two.store.nodes.id, lost);
    assert.equal((await two.store.nodes.beat('running')).wasLost, false);
    assert.equal((await rowOf(one.store, two.store.nodes.id)).state, 'running');
    const from = await tenant(two.store);
    const accepted = await accept(two.store, mail(from, { isLeased: true }));
    assert.equal(await two.store.mail.settle(settlement(from, accepted)), true);
  });

  it('leave a node alone that beats', async (t) => {
    const [one, two] = (await pair(t)) ?? [];
    if (one === undefined || two === undefined) return;
    const from = await tenant(one.store);
    const accepted = await accept(two.store, mail(from, { isLeased: true }));
    await two.store.nodes.beat('running');
    assert.equal(await one.store.nodes.takeOver(60_000), 0);
    assert.equal(await two.store.mail.settle(settlement(from, accepted)), true);
  });
}
