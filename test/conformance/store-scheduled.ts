/** Scheduled mail: listed by its time, moved so that it is looked at then, and taken back; never what somebody has begun with. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ScheduledChoice } from '#store/scheduled-store.ts';
import type { Bucket, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import {
  accept,
  type Accepted,
  addresses,
  bucketsOf,
  claim,
  deferral,
  HOUR_MS,
  mail,
  type MailChange,
  type Open,
  settlement,
  T0,
  tenant,
  type Tenant,
  unique,
} from './tenant.ts';

export function scheduledConformance(open: Open): void {
  describe('scheduled mail', () => {
    const store = suiteStore(open);
    listing(store);
    moving(store);
    withdrawing(store);
  });
  describe('scheduled mail and two nodes', () => contended(open));
}

function later(from: Tenant, hours: number, change: MailChange = {}): ReturnType<typeof mail> {
  return mail(from, { dueAtMs: T0 + hours * HOUR_MS, wait: 'scheduled', ...change });
}

function choice(from: Tenant, { id }: Accepted, recipient?: number): ScheduledChoice {
  return { accountId: from.accountId, domainId: from.domainId, message: id, ...(recipient !== undefined && { recipient }) };
}

async function listed(store: Store, from: Tenant): Promise<(readonly [address: string, hours: number])[]> {
  const found = await store.mail.listScheduled([from.domainId], undefined, 100);
  return found.map(({ recipient }) => [recipient.address, (recipient.dueAtMs - T0) / HOUR_MS] as const);
}

async function kindsOf(store: Store, from: Tenant, { id }: Accepted): Promise<string[]> {
  return (await store.events.messageById(from.accountId, id))?.events.map(({ kind }) => kind) ?? [];
}

function listing(store: () => Store): void {
  it('is listed by its time over the domains that were asked for, page by page', async () => {
    const [from, other] = [await tenant(store()), await tenant(store())];
    const third = await tenant(store(), { accountId: from.accountId });
    for (const hours of [3, 1]) await accept(store(), later(from, hours, { to: [`h${hours}@a.example`, `again${hours}@a.example`] }));
    await accept(store(), later(third, 2, { to: ['h2@a.example'] }));
    await accept(store(), later(other, 1, { to: ['other@a.example'] }));
    await accept(store(), mail(from, { to: ['now@a.example'] }));
    const domains = [from.domainId, third.domainId];
    const seen: string[] = [];
    let position: { dueAtMs: number; id: number } | undefined;
    for (;;) {
      const page = await store().mail.listScheduled(domains, position, 2);
      for (const { message, recipient } of page) {
        seen.push(recipient.address);
        assert.equal(message.domainId, recipient.address === 'h2@a.example' ? third.domainId : from.domainId);
        position = recipient;
      }
      if (page.length < 2) break;
    }
    assert.deepEqual(seen, ['h1@a.example', 'again1@a.example', 'h2@a.example', 'h3@a.example', 'again3@a.example']);
    assert.deepEqual(await listed(store(), third), [['h2@a.example', 2]]);
    assert.deepEqual(await store().mail.listScheduled([], undefined, 10), []);
  });

  it('is not listed any more when it was begun with, also when it is tried again later', async () => {
    const from = await tenant(store());
    const to = `${unique('begun')}.example`;
    const accepted = await accept(store(), later(from, 1, { to: [`a@${to}`] }));
    await claim(store(), to, T0 + HOUR_MS);
    assert.deepEqual(await listed(store(), from), []);
    assert.equal(await store().mail.settle(settlement(from, accepted, { epoch: 1, ...deferral(T0 + 2 * HOUR_MS) })), true);
    assert.deepEqual(await listed(store(), from), []);
    assert.equal(await store().mail.moveScheduled(choice(from, accepted), T0 + 3 * HOUR_MS, T0), 0);
  });
}

function moving(store: () => Store): void {
  it('is due sooner when it is moved forward, and its bucket is looked at then', async () => {
    const from = await tenant(store());
    const to = `${unique('sooner')}.example`;
    const accepted = await accept(store(), later(from, 5, { to: [`a@${to}`] }));
    assert.equal(await store().mail.moveScheduled(choice(from, accepted), T0 + 2 * HOUR_MS, T0 + 1000), 1);
    assert.deepEqual(await bucketsOf(store(), to, T0 + 2 * HOUR_MS - 1), []);
    assert.deepEqual(addresses(await claim(store(), to, T0 + 2 * HOUR_MS)), [`a@${to}`]);
    assert.deepEqual(await kindsOf(store(), from, accepted), ['accepted', 'rescheduled']);
    const view = await store().events.messageById(from.accountId, accepted.id);
    assert.deepEqual(view?.events[1]?.detail.moved, { fromMs: T0 + 5 * HOUR_MS, toMs: T0 + 2 * HOUR_MS });
    assert.equal(view?.events[1]?.atUs, (T0 + 1000) * 1000);
  });

  it('is not claimed at its former time when it is moved back, and is given up as much later', async () => {
    const from = await tenant(store());
    const to = `${unique('back')}.example`;
    const change = { to: [{ address: `a@${to}`, name: 'Ann', timeZone: 'Asia/Tokyo' }], expiresAtMs: T0 + 3 * HOUR_MS };
    const accepted = await accept(store(), later(from, 1, change));
    assert.equal(await store().mail.moveScheduled(choice(from, accepted), T0 + 4 * HOUR_MS, T0), 1);
    assert.deepEqual(await claim(store(), to, T0 + HOUR_MS), []);
    assert.deepEqual(await bucketsOf(store(), to, T0 + 4 * HOUR_MS - 1), [], 'the look that found nothing is not repeated');
    assert.deepEqual(await store().mail.claimExpired(T0 + 3 * HOUR_MS, 10), []);
    const [claimed] = await claim(store(), to, T0 + 4 * HOUR_MS);
    assert.partialDeepStrictEqual(claimed?.recipients[0], { name: 'Ann', expiresAtMs: T0 + 6 * HOUR_MS });
    assert.equal(claimed?.recipients[0]?.timeZone, undefined);
  });

  it('is moved for one recipient of several, at the wish of its tenant alone', async () => {
    const [from, stranger] = [await tenant(store()), await tenant(store())];
    const accepted = await accept(store(), later(from, 1, { to: ['a@one.example', 'b@one.example'] }));
    const second = accepted.firstRecipient + 1;
    assert.equal(await store().mail.moveScheduled(choice(stranger, accepted), T0, T0), 0);
    assert.equal(await store().mail.cancelScheduled(choice(stranger, accepted), T0), 0);
    assert.equal(await store().mail.moveScheduled(choice(from, accepted, second), T0 + 2 * HOUR_MS, T0), 1);
    assert.deepEqual(await listed(store(), from), [
      ['a@one.example', 1],
      ['b@one.example', 2],
    ]);
  });
}

function withdrawing(store: () => Store): void {
  it('is taken back for one recipient or for all, and not what is being retried', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), later(from, 1, { to: ['a@two.example', 'b@two.example', 'c@two.example'] }));
    assert.equal(await store().mail.cancelScheduled(choice(from, accepted, accepted.firstRecipient), T0), 1);
    assert.deepEqual(await listed(store(), from), [
      ['b@two.example', 1],
      ['c@two.example', 1],
    ]);
    assert.equal(await store().mail.cancelScheduled(choice(from, accepted), T0), 2);
    assert.equal(await store().mail.cancelScheduled(choice(from, accepted), T0), 0);
    assert.deepEqual((await kindsOf(store(), from, accepted)).slice(3), ['cancelled', 'cancelled', 'cancelled']);
    const retried = await accept(store(), mail(from, { isLeased: true }));
    await store().mail.settle(settlement(from, retried, deferral(T0 + HOUR_MS)));
    assert.equal(await store().mail.cancelScheduled(choice(from, retried), T0), 0);
  });
}

function contended(open: Open): void {
  it('is moved or claimed, never both', async (t) => {
    const { store: one, another } = await open();
    const two = (await another?.({ name: 'other', version: '1', services: ['accept', 'deliver'], sources: [] }))?.store;
    t.after(async () => {
      await two?.close();
      await one.close();
    });
    const claimer = two ?? one;
    const from = await tenant(one);
    const to = `${unique('contended')}.example`;
    const all = Array.from({ length: 200 }, (_, n) => `user${n}@${to}`);
    const accepted = await accept(one, later(from, 1, { to: all }));
    const [{ id: bucket }] = (await bucketsOf(one, to, T0 + HOUR_MS)) as [Bucket];
    const taken: string[] = [];
    const claims = async (): Promise<void> => {
      for (;;) {
        const claimed = addresses(await claimer.mail.claim([{ bucket, room: 3 }], T0 + HOUR_MS));
        if (claimed.length === 0) return;
        taken.push(...claimed);
      }
    };
    const [moved] = await Promise.all([one.mail.moveScheduled(choice(from, accepted), T0 + 9 * HOUR_MS, T0 + HOUR_MS), claims()]);
    assert.equal(taken.length + moved, 200);
    assert.equal((await kindsOf(one, from, accepted)).filter((kind) => kind === 'rescheduled').length, moved);
    assert.equal((await claim(one, to, T0 + 9 * HOUR_MS, 300)).flatMap(({ recipients }) => recipients).length, moved);
  });
}
