/** The life of a recipient after it was accepted: every arrow between S1 queued, S2 leased and S3 settled, and the fence of epochs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EVENT_KINDS } from '#model/event.ts';
import type { StoredRecipient } from '#model/message.ts';
import type { Store } from '#store/store.ts';
import { suiteOpened } from './suite-store.ts';
import {
  accept,
  type Accepted,
  addresses,
  bucketsOf,
  claim,
  deferral,
  HOUR_MS,
  mail,
  type Open,
  type Opened,
  settlement,
  type Tenant,
  tenant,
  T0,
  unique,
} from './tenant.ts';

export function lifeConformance(open: Open): void {
  describe('the life of a recipient', () => {
    const opened = suiteOpened(open);
    settling(opened);
    requeueing(() => opened().store);
    cancelling(() => opened().store);
  });
  describe('a store that ends with leases', () => leasesThatEnd(open));
}

async function only(store: Store, from: Tenant, accepted: Accepted): Promise<StoredRecipient> {
  const view = await store.events.messageById(from.accountId, accepted.id);
  assert.equal(view?.recipients.length, 1);
  return view.recipients[0] as StoredRecipient;
}

async function kindsOf(store: Store, from: Tenant, accepted: Accepted): Promise<string[]> {
  return ((await store.events.messageById(from.accountId, accepted.id))?.events ?? []).map(({ kind }) => kind);
}

function settling(opened: () => Opened): void {
  const store = (): Store => opened().store;

  it('ends with its event, suppression and counters in one commit (S2 → S3, P7)', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { to: ['gone@x.example'], isLeased: true }));
    const counter = { accountId: from.accountId, domainId: from.domainId, kind: 'failed', provider: 'x', tag: '' } as const;
    const isSettled = await store().mail.settle(
      settlement(from, accepted, {
        ending: 'failed',
        event: { kind: 'failed', detail: { code: 550, text: 'no such user', bounceClass: 'invalid-recipient' } },
        suppression: { kind: 'bounce', address: 'gone@x.example', code: 550, error: 'no such user', createdMs: T0 },
        counters: [counter, { ...counter, tag: 'receipts' }],
      }),
    );
    assert.equal(isSettled, true);
    assert.partialDeepStrictEqual(await only(store(), from, accepted), { state: 'done', ending: 'failed', attempts: 1 });
    const view = await store().events.messageById(from.accountId, accepted.id);
    assert.partialDeepStrictEqual(view?.events[1], {
      kind: 'failed',
      atUs: (T0 + 1000) * 1000,
      recipient: accepted.firstRecipient,
      detail: { code: 550, text: 'no such user', bounceClass: 'invalid-recipient' },
    });
    assert.equal((await store().accounts.suppressionOf(from.domainId, 'bounce', 'gone@x.example'))?.code, 550);
    assert.deepEqual(
      (await opened().counters(from.domainId)).map(({ kind, tag, n }) => [kind, tag, n]),
      [
        [EVENT_KINDS.failed, '', 1],
        [EVENT_KINDS.failed, 'receipts', 1],
      ],
    );
  });

  it('refuses a second settlement, and writes nothing of it', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const settlements = await Promise.all([1, 2, 3].map(() => store().mail.settle(settlement(from, accepted))));
    assert.deepEqual(settlements, [true, false, false]);
    assert.deepEqual(await kindsOf(store(), from, accepted), ['accepted', 'delivered']);
    assert.deepEqual(
      (await opened().counters(from.domainId)).map(({ n }) => n),
      [1],
    );
  });

  it('refuses a settlement and a release under an older epoch (fencing)', async () => {
    const from = await tenant(store());
    const to = `${unique('fenced')}.example`;
    const accepted = await accept(store(), mail(from, { to: [`a@${to}`], isLeased: true }));
    const recipient = accepted.firstRecipient;
    await store().mail.release({ recipient, epoch: 1, dueAtMs: T0, wait: 'lane-connections' });
    const [claimed] = await claim(store(), to);
    assert.equal(claimed?.recipients[0]?.epoch, 2);
    assert.equal(await store().mail.settle(settlement(from, accepted, { epoch: 1 })), false);
    assert.equal(await store().mail.release({ recipient, epoch: 1, dueAtMs: T0, wait: 'due' }), false);
    assert.equal((await only(store(), from, accepted)).state, 'leased');
    assert.equal(await store().mail.settle(settlement(from, accepted, { epoch: 2 })), true);
  });

  it('refuses to settle what is queued', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from));
    assert.equal(await store().mail.settle(settlement(from, accepted, { epoch: 0 })), false);
    assert.equal((await only(store(), from, accepted)).state, 'queued');
  });

  it('accepts a notification in the commit of the settlement that calls for it', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const dsn = mail(from, { sender: '', to: [`app@${from.domain}`] });
    await store().mail.settle(settlement(from, accepted, { notification: { action: 'failed', message: dsn } }));
    const told = await store().events.messageByMessageId(from.accountId, dsn.messageId);
    assert.equal(told?.recipients[0]?.state, 'queued');
    const view = await store().events.messageById(from.accountId, accepted.id);
    assert.deepEqual(view?.events.at(-1)?.detail.dsn, { action: 'failed', message: told?.message.id });
  });

  it('writes no notification for a settlement that is refused', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const dsn = mail(from);
    await store().mail.settle(settlement(from, accepted, { epoch: 9, notification: { action: 'failed', message: dsn } }));
    assert.equal(await store().events.messageByMessageId(from.accountId, dsn.messageId), undefined);
  });
}

function requeueing(store: () => Store): void {
  it('waits for its next attempt after a deferral, and is claimed no sooner (S2 → S1 → S2)', async () => {
    const from = await tenant(store());
    const to = `${unique('deferred')}.example`;
    const accepted = await accept(store(), mail(from, { to: [`a@${to}`], isLeased: true }));
    assert.equal(await store().mail.settle(settlement(from, accepted, deferral(T0 + HOUR_MS))), true);
    const waiting = { state: 'queued', ending: undefined, dueAtMs: T0 + HOUR_MS, wait: 'retry', attempts: 1, epoch: 1 };
    assert.partialDeepStrictEqual(await only(store(), from, accepted), waiting);
    assert.deepEqual(await claim(store(), to, T0 + HOUR_MS - 1), []);
    const [claimed] = await claim(store(), to, T0 + HOUR_MS);
    assert.partialDeepStrictEqual(claimed?.recipients[0], { address: `a@${to}`, state: 'leased', epoch: 2, attempts: 1 });
    assert.deepEqual(await kindsOf(store(), from, accepted), ['accepted', 'deferred']);
  });

  it('goes back with a reason when it is released, without an event and without an attempt (S2 → S1)', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { isLeased: true }));
    const release = { recipient: accepted.firstRecipient, epoch: 1, dueAtMs: T0 + 5000, wait: 'lane-suspended' } as const;
    assert.equal(await store().mail.release(release), true);
    const waiting = { state: 'queued', dueAtMs: T0 + 5000, wait: 'lane-suspended', attempts: 0 };
    assert.partialDeepStrictEqual(await only(store(), from, accepted), waiting);
    assert.equal(await store().mail.release(release), false);
    assert.deepEqual(await kindsOf(store(), from, accepted), ['accepted']);
  });

  it('stays a possible duplicate once it was one (P4)', async () => {
    const from = await tenant(store());
    const to = `${unique('unclear')}.example`;
    const accepted = await accept(store(), mail(from, { to: [`a@${to}`], isLeased: true }));
    await store().mail.settle(settlement(from, accepted, { ...deferral(T0), possibleDuplicate: true }));
    await claim(store(), to);
    await store().mail.settle(settlement(from, accepted, { ...deferral(T0), epoch: 2, attempts: 2 }));
    const [claimed] = await claim(store(), to);
    assert.equal(claimed?.recipients[0]?.possibleDuplicate, true);
  });
}

function cancelling(store: () => Store): void {
  it('ends what is queued of a message with an event, and leaves what is leased (S1 → S3)', async () => {
    const from = await tenant(store());
    const to = [
      { address: 'leased@x.example', isLeased: true },
      { address: 'queued@x.example', isLeased: false },
    ];
    const accepted = await accept(store(), mail(from, { to }));
    assert.equal(await store().mail.cancel(from.accountId, from.domainId, accepted.id, T0 + 7), 1);
    const view = await store().events.messageById(from.accountId, accepted.id);
    assert.deepEqual(
      view?.recipients.map(({ state, ending }) => [state, ending]),
      [
        ['leased', undefined],
        ['done', 'cancelled'],
      ],
    );
    assert.partialDeepStrictEqual(view?.events.at(-1), {
      kind: 'cancelled',
      recipient: accepted.firstRecipient + 1,
      atUs: (T0 + 7) * 1000,
    });
    assert.equal(await store().mail.settle(settlement(from, accepted)), true);
    assert.equal(await store().mail.cancel(from.accountId, from.domainId, accepted.id, T0 + 8), 0);
  });

  it('takes back everything that waits for one domain of one account, and nothing else (P10)', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const sibling = await tenant(store(), { accountId: mine.accountId });
    const to = `${unique('cancelled')}.example`;
    for (const from of [mine, mine, theirs, sibling]) {
      await accept(store(), mail(from, { to: [`a@${to}`, `b@${unique('other')}.example`] }));
    }
    assert.equal(await store().mail.cancel(theirs.accountId, mine.domainId, undefined, T0), 0);
    assert.equal(await store().mail.cancel(mine.accountId, mine.domainId, undefined, T0), 4);
    const left = (await claim(store(), to)).map(({ message }) => message.domainId);
    assert.deepEqual(left.sort(), [theirs.domainId, sibling.domainId].sort());
  });

  it('takes back another account’s message under no id', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const accepted = await accept(store(), mail(mine));
    assert.equal(await store().mail.cancel(theirs.accountId, theirs.domainId, accepted.id, T0), 0);
    assert.equal(await store().mail.cancel(mine.accountId, theirs.domainId, accepted.id, T0), 0);
    assert.equal((await only(store(), mine, accepted)).state, 'queued');
  });

  it('takes back more than one step’s worth, and says how many', async () => {
    const from = await tenant(store());
    const to = Array.from({ length: 2000 }, (_, n) => `user${n}@many.example`);
    await Promise.all([1, 2, 3].map(() => accept(store(), mail(from, { to }))));
    assert.equal(await store().mail.cancel(from.accountId, from.domainId, undefined, T0), 6000);
  });
}

function leasesThatEnd(open: Open): void {
  it('makes what was leased due again, as a possible duplicate, with an event; all else stays (S2 → S1 by the next start)', async (t) => {
    let opened = await open();
    t.after(() => opened.store.close());
    const from = await tenant(opened.store);
    const to = `${unique('recovered')}.example`;
    const address = (name: string): string[] => [`${name}@${to}`];
    const leased = await accept(opened.store, mail(from, { to: address('leased'), isLeased: true }));
    const settled = await accept(opened.store, mail(from, { to: address('settled'), isLeased: true }));
    await opened.store.mail.settle(settlement(from, settled));
    const later = await accept(opened.store, mail(from, { to: address('later'), dueAtMs: T0 + HOUR_MS, wait: 'scheduled' }));

    opened = await opened.reopen(T0 + 60_000);
    const { store } = opened;
    assert.partialDeepStrictEqual(await only(store, from, leased), {
      state: 'queued',
      dueAtMs: T0 + 60_000,
      wait: 'recovered',
      possibleDuplicate: true,
    });
    assert.deepEqual(await kindsOf(store, from, leased), ['accepted', 'recovered']);
    assert.equal((await only(store, from, settled)).state, 'done');
    assert.partialDeepStrictEqual(await only(store, from, later), { wait: 'scheduled', possibleDuplicate: false });
    const claimed = await claim(store, to, T0 + 60_000);
    assert.deepEqual(addresses(claimed), address('leased'));
    assert.equal(await store.mail.settle(settlement(from, leased)), false, 'the epoch of before the end is fenced off');
    const epoch = claimed[0]?.recipients[0]?.epoch as number;
    assert.equal(await store.mail.settle(settlement(from, leased, { epoch })), true);
    assert.deepEqual(await bucketsOf(store, to, T0 + 60_000), []);
  });
}
