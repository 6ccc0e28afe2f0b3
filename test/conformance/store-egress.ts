/** Warm-ups of addresses, and pools whose domains come and go by how their mail fares. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BandMove, EnrolledDomain, WarmUp } from '#store/egress-store.ts';
import type { Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { DAY_MS, type Open, tenant, T0, unique } from './tenant.ts';

export function egressConformance(open: Open): void {
  describe('warm-ups and dynamic pools', () => {
    const store = suiteStore(open);
    warmUps(store);
    pools(store);
  });
}

function warmUps(store: () => Store): void {
  const plan = (address: string): WarmUp => ({
    address,
    plan: [50, 100],
    stage: 1,
    startedMs: T0,
    stageStartedMs: T0,
    updatedMs: T0,
    history: [],
  });

  it('keeps one plan for an address until it ends, and goes on from the stage that stands only', async () => {
    const { egress } = store();
    const mine = plan(unique('192.0.2.1 '));
    assert.equal(await egress.startWarmUp(mine), true);
    assert.equal(await egress.startWarmUp({ ...mine, stage: 2 }), false);
    const next = {
      ...mine,
      stage: 2,
      stageStartedMs: T0 + DAY_MS,
      updatedMs: T0 + DAY_MS,
      history: [{ startedMs: T0, completedMs: T0 + DAY_MS, limit: 50 }],
    };
    const put = await Promise.all([egress.putWarmUp(next, 1), egress.putWarmUp(next, 1)]);
    assert.deepEqual(put.toSorted(), [false, true], 'whichever of them came first');
    assert.deepEqual(
      (await egress.listWarmUps()).filter(({ address }) => address === mine.address),
      [next],
    );
    assert.equal(await egress.endWarmUp(mine.address), true);
    assert.equal(await egress.endWarmUp(mine.address), false);
  });

  it('knows what was given of a ceiling since a time', async () => {
    const name = unique('warm-up');
    const nowMs = T0;
    const ask = (startMs: number, used: number) => ({ name, startMs, spanMs: 1000, ceiling: 100, wanted: used, used });
    for (const startMs of [T0, T0 + 5000]) {
      await store().grants.hold(7, [{ ...ask(startMs, 0), wanted: 9 }], 60_000, nowMs);
      await store().grants.hold(7, [ask(startMs, 4)], 60_000, nowMs);
    }
    assert.equal(await store().egress.givenSince(name, T0), 8);
    assert.equal(await store().egress.givenSince(name, T0 + 1), 4);
    assert.equal(await store().egress.givenSince(unique('nothing'), 0), 0);
  });
}

function enrolledOf(of: { readonly accountId: number; readonly domainId: number }, change: Partial<EnrolledDomain> = {}): EnrolledDomain {
  return {
    ...of,
    ownerId: of.accountId,
    enrolledMs: T0,
    band: 'new',
    isOverridden: false,
    processed: 0,
    bounceRate: 0,
    complaintRate: 0,
    checkedMs: 0,
    ...change,
  };
}

function moveOf(domain: EnrolledDomain, change: Partial<BandMove> = {}): BandMove {
  const { ownerId, accountId, domainId, processed, bounceRate, complaintRate } = domain;
  return {
    id: unique('move'),
    ownerId,
    accountId,
    domainId,
    domainName: 'a.example',
    from: '',
    to: 'new',
    reason: 'enrolled',
    initiatedBy: 'api',
    processed,
    bounceRate,
    complaintRate,
    atMs: T0,
    ...change,
  };
}

function pools(store: () => Store): void {
  it('keeps the addresses of the three bands of an account', async () => {
    const { accountId } = await tenant(store());
    const { egress } = store();
    assert.equal(await egress.dynamicPoolsOf(accountId), undefined);
    const bands = { good: ['192.0.2.1'], poor: ['192.0.2.2'], new: ['2001:db8::1'] };
    await egress.putDynamicPools(accountId, { ...bands, good: [] });
    await egress.putDynamicPools(accountId, bands);
    assert.deepEqual(await egress.dynamicPoolsOf(accountId), bands);
    assert.equal(await egress.deleteDynamicPools(accountId), true);
    assert.equal(await egress.deleteDynamicPools(accountId), false);
  });

  it('enrols a domain once, moves it with what is written of that, and lets it go', async () => {
    const of = await tenant(store());
    const { egress } = store();
    const enrolled = enrolledOf({ accountId: of.accountId, domainId: of.domainId });
    const first = moveOf(enrolled);
    assert.equal(await egress.enrolDomain(enrolled, first), true);
    assert.equal(await egress.enrolDomain(enrolled, moveOf(enrolled)), false);
    assert.deepEqual(await egress.enrolledDomains(of.accountId), [enrolled]);
    const moved = { ...enrolled, band: 'poor' as const, isOverridden: true, processed: 2000, bounceRate: 0.0625, complaintRate: 0.001 };
    const second = moveOf(moved, { from: 'new', to: 'poor', reason: 'bounces', atMs: T0 + 5 });
    assert.equal(await egress.moveDomain(moved, second, 10), true);
    assert.deepEqual(await egress.enrolledDomain(of.domainId), moved);
    assert.deepEqual(await egress.bandMoves({ ownerId: of.accountId }, 0, 10), [second, first]);
    assert.equal(await egress.moveDomain({ ...moved, processed: 3000 }, undefined, 10), true);
    assert.equal(await egress.countBandMoves({ ownerId: of.accountId }), 2);
    const last = moveOf(moved, { from: 'poor', to: '', atMs: T0 + 9 });
    assert.equal(await egress.leaveDynamic(of.domainId, last), true);
    assert.equal(await egress.leaveDynamic(of.domainId, last), false);
    assert.equal(await egress.moveDomain(moved, moveOf(moved), 10), false);
    assert.equal(await egress.enrolledDomain(of.domainId), undefined);
  });

  it('finds moves by domain, band and time, and keeps the newest of an owner', async () => {
    const of = await tenant(store());
    const { egress } = store();
    const enrolled = enrolledOf({ accountId: of.accountId, domainId: of.domainId });
    await egress.enrolDomain(enrolled, moveOf(enrolled, { domainName: 'b.example' }));
    for (const [position, to] of (['good', 'poor', 'good'] as const).entries())
      await egress.moveDomain(enrolled, moveOf(enrolled, { from: 'new', to, atMs: T0 + 1 + position }), 3);
    const ids = async (ask: object) => (await egress.bandMoves({ ownerId: of.accountId, ...ask }, 0, 10)).map(({ atMs }) => atMs - T0);
    assert.deepEqual(await ids({}), [3, 2, 1]);
    assert.deepEqual(await ids({ toBand: 'good' }), [3, 1]);
    assert.deepEqual(await ids({ fromBand: 'new', afterMs: T0 + 1, beforeMs: T0 + 3 }), [2]);
    assert.deepEqual(await ids({ domainName: 'b.example' }), []);
    assert.deepEqual(await ids({ accountId: of.accountId + 1 }), []);
    assert.equal((await egress.bandMoves({ ownerId: of.accountId }, 1, 1))[0]?.atMs, T0 + 2);
    assert.equal(await egress.countBandMoves({ ownerId: of.accountId, toBand: 'poor' }), 1);
  });

  it('gives each domain to one who looks at it', async () => {
    const of = await tenant(store());
    const enrolled = enrolledOf({ accountId: of.accountId, domainId: of.domainId }, { checkedMs: -7 });
    await store().egress.enrolDomain(enrolled, moveOf(enrolled));
    const claims = (await Promise.all([1, 2].map(() => store().egress.claimEnrolled(-5, T0, 10)))).flat();
    assert.deepEqual(
      claims.map(({ domainId, checkedMs }) => [domainId, checkedMs]),
      [[of.domainId, T0]],
    );
  });
}
