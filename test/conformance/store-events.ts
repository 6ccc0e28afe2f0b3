/** Reading what happened: events by domain in order and in pages, messages by their ids and addresses, tenants apart, and the sandbox's captured mail. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { EventFilter, EventPosition, EventView, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { accept, deferral, HOUR_MS, mail, type Open, settlement, type Tenant, tenant, T0, unique } from './tenant.ts';

export function eventsConformance(open: Open): void {
  describe('events', () => {
    const store = suiteStore(open);
    listing(store);
    filtering(store);
    rare(store);
    tagged(store);
    messages(store);
  });
  describe('captured mail', () => captured(open));
}

const filterOf = ({ accountId, domainId }: Tenant, change: Partial<EventFilter> = {}): EventFilter => ({ accountId, domainId, ...change });
const recipientsOf = (views: readonly EventView[]): (string | undefined)[] => views.map(({ recipient }) => recipient?.address);
const positionOf = ({ event }: EventView): EventPosition => ({ atUs: event.atUs, id: event.id });

function listing(store: () => Store): void {
  it('lists in order of time and then of id, either way, whatever the order of writing', async () => {
    const from = await tenant(store());
    for (const [name, minute] of [
      ['c', 3],
      ['a', 1],
      ['b1', 2],
      ['b2', 2],
    ] as const) {
      await accept(store(), mail(from, { to: [`${name}@x.example`], createdMs: T0 + minute * 60_000 }));
    }
    const up = await store().events.list(filterOf(from), 'ascending', undefined, 10);
    assert.deepEqual(
      recipientsOf(up),
      ['a', 'b1', 'b2', 'c'].map((name) => `${name}@x.example`),
    );
    const down = await store().events.list(filterOf(from), 'descending', undefined, 10);
    assert.deepEqual(recipientsOf(down), recipientsOf(up).toReversed());
  });

  it('goes on strictly after a position, so that pages join without a gap or a repeat, and can be asked for again', async () => {
    const from = await tenant(store());
    await accept(store(), mail(from, { to: Array.from({ length: 10 }, (_, n) => `user${n}@x.example`) }));
    for (const order of ['ascending', 'descending'] as const) {
      const whole = await store().events.list(filterOf(from), order, undefined, 100);
      const pages: EventView[] = [];
      let after: EventPosition | undefined;
      for (;;) {
        const page = await store().events.list(filterOf(from), order, after, 3);
        assert.deepEqual(await store().events.list(filterOf(from), order, after, 3), page, 'the same page again');
        if (page.length === 0) break;
        pages.push(...page);
        after = positionOf(page.at(-1) as EventView);
      }
      assert.deepEqual(pages, whole);
      assert.equal(whole.length, 10);
    }
  });

  it('shows on the last page what came in meanwhile', async () => {
    const from = await tenant(store());
    await accept(store(), mail(from));
    const [first] = await store().events.list(filterOf(from), 'ascending', undefined, 10);
    const after = positionOf(first as EventView);
    assert.deepEqual(await store().events.list(filterOf(from), 'ascending', after, 10), []);
    await accept(store(), mail(from, { to: ['late@x.example'], createdMs: T0 + 1 }));
    assert.deepEqual(recipientsOf(await store().events.list(filterOf(from), 'ascending', after, 10)), ['late@x.example']);
  });

  it('shows each event with its message and recipient as they are now', async () => {
    const from = await tenant(store());
    const message = mail(from, { isLeased: true });
    const accepted = await accept(store(), message);
    await store().mail.settle(settlement(from, accepted));
    const [, delivered] = await store().events.list(filterOf(from), 'ascending', undefined, 10);
    assert.partialDeepStrictEqual(delivered, {
      event: { kind: 'delivered', detail: { code: 250, text: '2.0.0 ok' }, message: accepted.id, recipient: accepted.firstRecipient },
      message: { messageId: message.messageId, domain: from.domain, info: message.info },
      recipient: { id: accepted.firstRecipient, state: 'done', ending: 'delivered' },
    });
  });

  it('keeps an event that concerns no recipient', async () => {
    const from = await tenant(store());
    const { id } = await accept(store(), mail(from));
    const atUs = (T0 + 1) * 1000 + 7;
    await store().mail.appendEvent({ kind: 'stored', atUs, ...from, message: id, recipient: 0, detail: { text: 'kept' } });
    const [, stored] = await store().events.list(filterOf(from), 'ascending', undefined, 10);
    assert.partialDeepStrictEqual(stored, {
      event: { kind: 'stored', atUs, recipient: 0, detail: { text: 'kept' } },
      recipient: undefined,
    });
    assert.equal(stored?.message?.id, id);
  });
}

function filtering(store: () => Store): void {
  it('begins and ends where it is told, both inclusive, in the direction of the walk', async () => {
    const from = await tenant(store());
    for (const n of [1, 2, 3, 4]) await accept(store(), mail(from, { to: [`${n}@x.example`], createdMs: T0 + n }));
    const between = { beginUs: (T0 + 2) * 1000, endUs: (T0 + 3) * 1000 };
    assert.deepEqual(recipientsOf(await store().events.list(filterOf(from, between), 'ascending', undefined, 10)), [
      '2@x.example',
      '3@x.example',
    ]);
    const down = { beginUs: between.endUs, endUs: between.beginUs };
    assert.deepEqual(recipientsOf(await store().events.list(filterOf(from, down), 'descending', undefined, 10)), [
      '3@x.example',
      '2@x.example',
    ]);
  });

  it('finds by kind, recipient and message id, and by all of them at once', async () => {
    const from = await tenant(store());
    const message = mail(from, { to: ['Ann@x.example', 'bob@x.example'], isLeased: true });
    const accepted = await accept(store(), message);
    await accept(store(), mail(from, { to: ['ann@x.example'] }));
    await store().mail.settle(settlement(from, accepted));
    await store().mail.settle(settlement(from, accepted, { recipient: accepted.firstRecipient + 1, ...deferral(T0 + HOUR_MS) }));
    const found = async (change: Partial<EventFilter>): Promise<string[]> =>
      (await store().events.list(filterOf(from, change), 'ascending', undefined, 10)).map(
        ({ event, recipient }) => `${event.kind} ${recipient?.address}`,
      );
    assert.deepEqual(await found({ kinds: ['delivered', 'deferred'] }), ['delivered Ann@x.example', 'deferred bob@x.example']);
    assert.deepEqual(await found({ kinds: [] }), []);
    assert.deepEqual(await found({ recipient: 'ANN@x.example' }), [
      'accepted Ann@x.example',
      'accepted ann@x.example',
      'delivered Ann@x.example',
    ]);
    assert.equal((await found({ messageId: message.messageId })).length, 4);
    assert.deepEqual(await found({ messageId: message.messageId, recipient: 'bob@x.example', kinds: ['deferred'] }), [
      'deferred bob@x.example',
    ]);
    assert.deepEqual(await found({ messageId: 'nothing@such' }), []);
  });

  it('shows one tenant nothing of another: by account, by domain, or by the ids of both (P10)', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const message = mail(mine, { to: ['secret@x.example'] });
    const { id } = await accept(store(), message);
    const list = (filter: EventFilter): Promise<EventView[]> => store().events.list(filter, 'ascending', undefined, 10);
    assert.deepEqual(await list(filterOf(theirs)), []);
    assert.deepEqual(await list({ accountId: theirs.accountId, domainId: mine.domainId }), []);
    assert.deepEqual(await list({ accountId: mine.accountId, domainId: theirs.domainId }), []);
    assert.deepEqual(await list(filterOf(theirs, { messageId: message.messageId, recipient: 'secret@x.example' })), []);
    assert.equal(await store().events.messageById(theirs.accountId, id), undefined);
    assert.equal(await store().events.messageByMessageId(theirs.accountId, message.messageId), undefined);
    assert.deepEqual(await store().events.recipientsByAddress(theirs.accountId, 'secret@x.example', 10), []);
    assert.deepEqual(await store().events.latestMessages(theirs.accountId, 10), []);
    assert.equal((await store().events.messageById(mine.accountId, id))?.message.id, id);
  });
}

function rare(store: () => Store): void {
  it('finds kinds that are few among many, in order and in pages, whichever domains of the account they belong to (P10)', async () => {
    const from = await tenant(store());
    const beside = await tenant(store(), { accountId: from.accountId });
    const stranger = await tenant(store());
    for (const [one, minute] of [
      [from, 1],
      [beside, 2],
      [stranger, 3],
      [from, 4],
    ] as const) {
      const accepted = await accept(store(), mail(one, { to: [`m${minute}@x.example`], createdMs: T0 + minute * 60_000 }));
      for (const [kind, seconds] of [
        ['complained', 20],
        ['opened', 10],
      ] as const) {
        const atUs = (T0 + minute * 60_000 + seconds * 1000) * 1000;
        const { accountId, domainId } = one;
        await store().mail.appendEvent({
          kind,
          atUs,
          accountId,
          domainId,
          message: accepted.id,
          recipient: accepted.firstRecipient,
          detail: {},
        });
      }
    }
    const told = (views: readonly EventView[]): string[] =>
      views.map(({ event, recipient }) => `${recipient?.address.slice(0, 2)} ${event.kind}`);
    const both = filterOf(from, { domainIds: [from.domainId, beside.domainId, stranger.domainId], kinds: ['opened', 'complained'] });
    const up = await store().events.list(both, 'ascending', undefined, 10);
    assert.deepEqual(told(up), ['m1 opened', 'm1 complained', 'm2 opened', 'm2 complained', 'm4 opened', 'm4 complained']);
    const rest = await store().events.list(both, 'ascending', positionOf(up[1] as EventView), 3);
    assert.deepEqual(rest, up.slice(2, 5));
    const down = await store().events.list({ ...both, kinds: ['opened'] }, 'descending', undefined, 2);
    assert.deepEqual(told(down), ['m4 opened', 'm2 opened']);
    const one = await store().events.list(filterOf(from, { kinds: ['complained'] }), 'descending', undefined, 10);
    assert.deepEqual(told(one), ['m4 complained', 'm1 complained']);
    const all = await store().events.list({ ...both, kinds: undefined }, 'descending', undefined, 4);
    assert.deepEqual(told(all), ['m4 complained', 'm4 opened', 'm4 accepted', 'm2 complained']);
    const narrow = await store().events.list({ ...both, recipient: 'm2@x.example' }, 'ascending', undefined, 10);
    assert.deepEqual(told(narrow), ['m2 opened', 'm2 complained']);
    assert.deepEqual(await store().events.list({ ...both, domainIds: [] }, 'ascending', undefined, 10), []);
  });
}

function tagged(store: () => Store): void {
  it('finds the events of messages with a tag, of all kinds and times', async () => {
    const from = await tenant(store());
    const stranger = await tenant(store());
    const info = (...tags: string[]) => ({ ...mail(from).info, options: { tags, variables: {}, testMode: false } });
    const count = (tag: string) => ({ accountId: from.accountId, domainId: from.domainId, kind: 'delivered', provider: '', tag }) as const;
    const letter = await accept(store(), mail(from, { to: ['a@x.example'], isLeased: true, info: info('News', 'b') }));
    await accept(store(), mail(from, { to: ['b@x.example'], info: info('other') }));
    await accept(store(), mail(stranger, { to: ['c@x.example'], info: info('news') }));
    const settled = { counters: ['', 'News', 'b'].map(count) };
    assert.equal(await store().mail.settle(settlement(from, letter, settled)), true);
    const { accountId, domainId } = from;
    const opened = { kind: 'opened', accountId, domainId, message: letter.id, recipient: letter.firstRecipient, detail: {} } as const;
    await store().mail.appendEvent({ ...opened, atUs: (T0 + HOUR_MS) * 1000 });
    const kinds = async (
      change: Partial<EventFilter>,
      order: 'ascending' | 'descending' = 'ascending',
      after?: EventPosition,
      limit = 10,
    ) => (await store().events.list(filterOf(from, change), order, after, limit)).map(({ event }) => event.kind);
    assert.deepEqual(await kinds({ tag: 'NEWS' }), ['accepted', 'delivered', 'opened']);
    assert.deepEqual(await kinds({ tag: 'b' }, 'descending', undefined, 2), ['opened', 'delivered']);
    const [first] = await store().events.list(filterOf(from, { tag: 'b' }), 'ascending', undefined, 1);
    assert.deepEqual(await kinds({ tag: 'b' }, 'ascending', positionOf(first as EventView)), ['delivered', 'opened']);
    assert.deepEqual(await kinds({ tag: 'b', kinds: ['opened', 'clicked'] }), ['opened']);
    assert.deepEqual(await kinds({ tag: 'b', beginUs: (T0 + 1000) * 1000, endUs: (T0 + 1000) * 1000 }), ['delivered']);
    assert.deepEqual(await kinds({ tag: 'b', recipient: 'a@x.example', kinds: ['delivered'] }), ['delivered']);
    assert.deepEqual(await kinds({ tag: 'other', recipient: 'a@x.example' }), []);
    assert.deepEqual(await kinds({ tag: 'none' }), []);
    assert.deepEqual(await kinds({ tag: 'news', domainId: stranger.domainId }), []);
    assert.deepEqual(await kinds({ tag: 'news', domainIds: [from.domainId, stranger.domainId] }), ['accepted', 'delivered', 'opened']);
  });
}

function messages(store: () => Store): void {
  it('finds a message by its id and by its Message-ID, with recipients and events in order', async () => {
    const from = await tenant(store());
    const message = mail(from, { to: ['a@x.example', 'b@x.example'], isLeased: true });
    const accepted = await accept(store(), message);
    await store().mail.settle(settlement(from, accepted));
    const view = await store().events.messageById(from.accountId, accepted.id);
    assert.deepEqual(await store().events.messageByMessageId(from.accountId, message.messageId), view);
    assert.deepEqual(
      view?.recipients.map(({ address }) => address),
      ['a@x.example', 'b@x.example'],
    );
    assert.deepEqual(
      view?.events.map(({ kind }) => kind),
      ['accepted', 'accepted', 'delivered'],
    );
    assert.equal((await store().events.messageById(from.accountId, accepted.id, 1))?.recipients.length, 1);
    assert.equal((await store().events.messageById(undefined, accepted.id))?.message.id, accepted.id, 'the operator sees every account');
  });

  it('takes the newest of an account’s messages with one Message-ID', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const messageId = `${unique('twice')}@x.example`;
    await accept(store(), mail(mine, { messageId }));
    const second = await accept(store(), mail(mine, { messageId }));
    await accept(store(), mail(theirs, { messageId }));
    assert.equal((await store().events.messageByMessageId(mine.accountId, messageId))?.message.id, second.id);
  });

  it('lists the newest messages of an account, and of all', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const first = await accept(store(), mail(mine));
    const second = await accept(store(), mail(mine));
    const third = await accept(store(), mail(theirs));
    const ids = async (account: number | undefined, limit: number): Promise<number[]> =>
      (await store().events.latestMessages(account, limit)).map(({ message }) => message.id);
    assert.deepEqual(await ids(mine.accountId, 10), [second.id, first.id]);
    assert.deepEqual(await ids(undefined, 2), [third.id, second.id]);
  });

  it('finds an address whatever its case, newest first, each with its latest event', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const address = `${unique('Looked.For')}@x.example`;
    const first = await accept(store(), mail(mine, { to: [address], isLeased: true }));
    await accept(store(), mail(theirs, { to: [address] }));
    await accept(store(), mail(mine, { to: [address.toUpperCase(), 'other@x.example'] }));
    await store().mail.settle(settlement(mine, first));
    const found = async (account: number | undefined, limit = 10): Promise<string[]> =>
      (await store().events.recipientsByAddress(account, address.toLowerCase(), limit)).map(
        ({ event, recipient }) => `${event.kind} ${recipient?.address}`,
      );
    assert.deepEqual(await found(mine.accountId), [`accepted ${address.toUpperCase()}`, `delivered ${address}`]);
    assert.equal((await found(undefined)).length, 3);
    assert.equal((await found(undefined, 2)).length, 2);
  });
}

function captured(open: Open): void {
  let store: Store;
  before(async () => {
    ({ store } = await open());
  });
  after(() => store.close());

  const capture = (subject: string, keepMax = 100): Promise<number> =>
    store.sandbox.capture(
      {
        atMs: T0,
        sender: 'app@x.example',
        recipients: ['a@y.example', 'b@y.example'],
        sizeBytes: 3,
        subject,
        from: 'App <app@x.example>',
        bytes: Uint8Array.of(1, 0, 255),
      },
      keepMax,
    );

  it('keeps what was captured, octet for octet', async () => {
    const id = await capture('one');
    const kept = await store.sandbox.get(id);
    assert.partialDeepStrictEqual(kept, { id, atMs: T0, subject: 'one', recipients: ['a@y.example', 'b@y.example'], sizeBytes: 3 });
    assert.deepEqual([...(kept?.bytes ?? [])], [1, 0, 255]);
  });

  it('keeps only the newest, and lists them in pages, newest first', async () => {
    const ids: number[] = [];
    for (const subject of ['a', 'b', 'c', 'd', 'e']) ids.push(await capture(subject, 3));
    const page = await store.sandbox.list(2);
    assert.deepEqual(
      page.map(({ subject }) => subject),
      ['e', 'd'],
    );
    assert.deepEqual(
      (await store.sandbox.list(10, page[1]?.id)).map(({ subject }) => subject),
      ['c'],
    );
    assert.equal(await store.sandbox.get(ids[0] as number), undefined);
  });

  it('forgets all of it, and gives no id twice', async () => {
    const last = await capture('last');
    assert.ok((await store.sandbox.clear()) > 0);
    assert.deepEqual(await store.sandbox.list(10), []);
    assert.ok((await capture('after')) > last);
  });
}
