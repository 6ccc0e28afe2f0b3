/** What time takes away (S3 → S4): contents after the domain's retention, events after theirs, and nothing that is still to be delivered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Store } from '#store/store.ts';
import {
  accept,
  type Accepted,
  claimEntries,
  DAY_MS,
  deferral,
  endpointName,
  entry,
  HOUR_MS,
  mail,
  type MailChange,
  type Open,
  settlement,
  type Tenant,
  tenant,
  T0,
} from './tenant.ts';

const EVENTS_MS = 30 * DAY_MS;

export function retentionConformance(open: Open): void {
  const withStore = (name: string, body: (store: Store) => Promise<void>): void => {
    it(name, async () => {
      const { store } = await open();
      try {
        await body(store);
      } finally {
        await store.close();
      }
    });
  };
  describe('retention of contents', () => contents(withStore));
  describe('retention of events', () => events(withStore));
}

type WithStore = (name: string, body: (store: Store) => Promise<void>) => void;

async function settled(store: Store, from: Tenant, change: MailChange = {}, settledMs = T0): Promise<Accepted> {
  const accepted = await accept(store, mail(from, { isLeased: true, ...change }));
  assert.equal(await store.mail.settle(settlement(from, accepted, { atMs: settledMs })), true);
  return accepted;
}

/** Expires until nothing more goes; resolves to how much went. */
async function expireAll(store: Store, nowMs: number, limit = 1000): Promise<number> {
  let total = 0;
  for (;;) {
    const gone = await store.mail.expire(nowMs, limit, EVENTS_MS);
    if (gone === 0) return total;
    total += gone;
  }
}

async function hasContent(store: Store, { contentId }: Accepted): Promise<boolean> {
  return (await store.mail.content(contentId)) !== undefined;
}

function contents(withStore: WithStore): void {
  withStore('keeps a content until the domain’s retention has passed since its last recipient was settled', async (store) => {
    const from = await tenant(store, { retentionMs: DAY_MS });
    const accepted = await settled(store, from, {}, T0 + HOUR_MS);
    await expireAll(store, T0 + HOUR_MS + DAY_MS);
    assert.equal(await hasContent(store, accepted), true);
    await expireAll(store, T0 + 2 * HOUR_MS + DAY_MS);
    assert.equal(await hasContent(store, accepted), false);
    const view = await store.events.messageById(from.accountId, accepted.id);
    assert.equal(view?.message.contentId, 0);
    assert.deepEqual(
      view?.events.map(({ kind }) => kind),
      ['accepted', 'delivered'],
      'the events stay',
    );
  });

  for (const kind of ['forward', 'notify'] as const) {
    withStore(`keeps a content that an entry of the outbox needs (${kind}), until it is done with`, async (store) => {
      const from = await tenant(store, { retentionMs: DAY_MS });
      const name = endpointName();
      const outbox = [{ ...entry(name, { kind }), recipient: 0 }];
      const received = await store.mail.receive({ message: mail(from), events: [], outbox, forwards: [] });
      assert.ok(received.kind === 'received');
      await expireAll(store, T0 + 9 * DAY_MS);
      assert.ok(await store.mail.content(received.contentId));
      assert.equal(await store.mail.deleteContent(from.accountId, received.id), false);
      const [item] = await claimEntries(store, name);
      assert.equal(item?.message?.contentId, received.contentId);
      await store.outbox.settle({ item });
      await expireAll(store, T0 + 9 * DAY_MS + HOUR_MS);
      assert.equal(await store.mail.content(received.contentId), undefined);
    });
  }

  withStore('keeps no content for what a webhook is told', async (store) => {
    const from = await tenant(store, { retentionMs: DAY_MS });
    const accepted = await settled(store, from, { outbox: [entry(endpointName())] });
    await expireAll(store, T0 + 2 * DAY_MS);
    assert.equal(await hasContent(store, accepted), false);
  });

  withStore('counts a cancelled recipient as settled when it was cancelled, not when it would have been due', async (store) => {
    const from = await tenant(store, { retentionMs: DAY_MS });
    const accepted = await accept(store, mail(from, { dueAtMs: T0 + 60 * DAY_MS }));
    await store.mail.cancel(from.accountId, from.domainId, accepted.id, T0 + HOUR_MS);
    await expireAll(store, T0 + HOUR_MS + DAY_MS);
    assert.equal(await hasContent(store, accepted), true);
    await expireAll(store, T0 + 2 * HOUR_MS + DAY_MS);
    assert.equal(await hasContent(store, accepted), false);
  });

  withStore('keeps a content while one recipient is queued or leased, however old (P3)', async (store) => {
    const from = await tenant(store, { retentionMs: 0 });
    const queued = await accept(store, mail(from, { to: [{ address: 'a@x.example', isLeased: true }, 'b@x.example'] }));
    const leased = await accept(store, mail(from, { to: ['a@x.example', 'b@x.example'], isLeased: true }));
    for (const accepted of [queued, leased]) await store.mail.settle(settlement(from, accepted));
    await settled(store, from);
    await expireAll(store, T0 + 365 * DAY_MS);
    assert.deepEqual([await hasContent(store, queued), await hasContent(store, leased)], [true, true]);
    assert.equal((await store.events.messageById(from.accountId, queued.id))?.recipients.length, 2);
  });

  withStore('deletes a content whose retention is over though older ones must stay', async (store) => {
    const [short, long] = [await tenant(store, { retentionMs: 0 }), await tenant(store, { retentionMs: 365 * DAY_MS })];
    const kept: Accepted[] = [];
    for (let n = 0; n < 20; n++) kept.push(await settled(store, long));
    const gone = await settled(store, short);
    await settled(store, long);
    for (let step = 0; step < 50 && (await hasContent(store, gone)); step++) await store.mail.expire(T0 + DAY_MS, 1, EVENTS_MS);
    assert.equal(await hasContent(store, gone), false);
    for (const accepted of kept) assert.equal(await hasContent(store, accepted), true);
  });

  withStore('deletes a content though the message before it has a time to come, from a clock that was wrong', async (store) => {
    const from = await tenant(store, { retentionMs: 0 });
    await settled(store, from, { createdMs: T0 + 1000 * DAY_MS }, T0);
    const gone = await settled(store, from);
    await expireAll(store, T0 + DAY_MS);
    assert.equal(await hasContent(store, gone), false);
  });

  withStore('is deleted on request once all is settled, by its own account only', async (store) => {
    const [mine, theirs] = [await tenant(store), await tenant(store)];
    const accepted = await accept(store, mail(mine, { isLeased: true }));
    assert.equal(await store.mail.deleteContent(mine.accountId, accepted.id), false, 'it is still to be delivered');
    await store.mail.settle(settlement(mine, accepted, deferral(T0)));
    assert.equal(await store.mail.deleteContent(mine.accountId, accepted.id), false, 'it waits for another attempt');
    await store.mail.cancel(mine.accountId, mine.domainId, accepted.id, T0);
    assert.equal(await store.mail.deleteContent(theirs.accountId, accepted.id), false, 'it is not theirs');
    assert.equal(await store.mail.deleteContent(mine.accountId, accepted.id), true);
    assert.equal(await store.mail.deleteContent(mine.accountId, accepted.id), false, 'it is gone');
    assert.equal(await hasContent(store, accepted), false);
    assert.equal((await store.events.messageById(mine.accountId, accepted.id))?.message.contentId, 0);
  });
}

function events(withStore: WithStore): void {
  withStore('takes events when their time is over, and the message when nothing is left of it (S4)', async (store) => {
    const from = await tenant(store);
    const accepted = await settled(store, from);
    await settled(store, from, { createdMs: T0 + 40 * DAY_MS, dueAtMs: T0 + 40 * DAY_MS }, T0 + 40 * DAY_MS);
    await expireAll(store, T0 + EVENTS_MS);
    assert.equal((await store.events.messageById(from.accountId, accepted.id))?.events.length, 2);
    await expireAll(store, T0 + 41 * DAY_MS);
    assert.equal(await store.events.messageById(from.accountId, accepted.id), undefined);
    const left = await store.events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 10);
    assert.deepEqual(
      left.map(({ event }) => event.kind),
      ['accepted', 'delivered'],
    );
  });

  withStore('keeps the message and its recipients while one is not settled, though its events are gone', async (store) => {
    const from = await tenant(store, { retentionMs: 0 });
    const waiting = await accept(store, mail(from, { dueAtMs: T0 + 100 * DAY_MS, wait: 'scheduled' }));
    await settled(store, from, { createdMs: T0 + 50 * DAY_MS }, T0 + 50 * DAY_MS);
    await expireAll(store, T0 + 50 * DAY_MS + 1);
    const view = await store.events.messageById(from.accountId, waiting.id);
    assert.deepEqual([view?.recipients[0]?.state, view?.events.length], ['queued', 0]);
    assert.equal(await hasContent(store, waiting), true);
  });

  withStore('remembers what counted once as long as events', async (store) => {
    const from = await tenant(store);
    const accepted = await accept(store, mail(from, { dueAtMs: T0 + 100 * DAY_MS, wait: 'scheduled' }));
    const { accountId, domainId } = from;
    const event = {
      kind: 'complained' as const,
      atUs: T0 * 1000,
      accountId,
      domainId,
      message: accepted.id,
      recipient: accepted.firstRecipient,
    };
    const record = () => store.mail.record({ event: { ...event, detail: {} }, once: 'complained', counters: [] });
    assert.equal(await record(), 'recorded');
    await expireAll(store, T0 + EVENTS_MS);
    assert.equal(await record(), 'repeated');
    await expireAll(store, T0 + EVENTS_MS + 1);
    assert.equal(await record(), 'recorded');
  });

  withStore('gives no id of a message, recipient, content or event a second time', async (store) => {
    const from = await tenant(store, { retentionMs: 0 });
    const newestEvent = async (): Promise<number> =>
      (await store.events.list({ accountId: from.accountId, domainId: from.domainId }, 'descending', undefined, 1))[0]?.event.id as number;
    const before = await settled(store, from);
    const event = await newestEvent();
    await expireAll(store, T0 + 365 * DAY_MS);
    const after = await settled(store, from);
    assert.ok(after.id > before.id && after.firstRecipient > before.firstRecipient && after.contentId > before.contentId);
    assert.ok((await newestEvent()) > event);
  });

  withStore('takes no more than it was told to at once', async (store) => {
    const from = await tenant(store, { retentionMs: 0 });
    const all: Accepted[] = [];
    for (let n = 0; n < 10; n++) all.push(await settled(store, from));
    await store.mail.expire(T0 + DAY_MS, 3, EVENTS_MS);
    const left = await Promise.all(all.map((accepted) => hasContent(store, accepted)));
    assert.equal(left.filter(Boolean).length, 7);
  });

  withStore('clears idempotency keys whose time is over', async (store) => {
    const from = await tenant(store);
    await accept(store, mail(from, { idempotency: { key: 'old', fingerprint: 'f', untilMs: T0 + 1 } }));
    await accept(store, mail(from, { idempotency: { key: 'new', fingerprint: 'f', untilMs: T0 + DAY_MS } }));
    assert.equal(await expireAll(store, T0 + HOUR_MS), 1);
    assert.equal(
      (await store.mail.accept(mail(from, { idempotency: { key: 'new', fingerprint: 'f', untilMs: T0 + DAY_MS } }))).kind,
      'repeat',
    );
  });
}
