/** Facts that come back: each is one commit with everything that belongs to it, and counts once where it says so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EventRow } from '#model/event.ts';
import type { Fact } from '#store/fact-store.ts';
import type { OutboxItem } from '#store/outbox-store.ts';
import type { Store, Suppression } from '#store/store.ts';
import { suiteOpened } from './suite-store.ts';
import {
  accept,
  type Accepted,
  claimEntries,
  counted,
  counter,
  endpointName,
  entry,
  HOUR_MS,
  mail,
  type Open,
  type Opened,
  settlement,
  type Tenant,
  tenant,
  T0,
} from './tenant.ts';

export function factsConformance(open: Open): void {
  describe('facts that come back', () => {
    const opened = suiteOpened(open);
    recording(opened);
    counting(opened);
    failing(opened);
  });
  describe('facts that came back, after a start', () => afterStart(open));
  describe('facts of two nodes at once', () => twoNodes(open));
}

/** An open of the message's first recipient, one minute after it was accepted, unless the change says otherwise. */
function fact(
  from: Tenant,
  accepted: Accepted | undefined,
  change: Partial<Omit<Fact, 'event'>> & { readonly event?: Partial<EventRow> } = {},
): Fact {
  const { event, ...rest } = change;
  return {
    counters: [],
    ...rest,
    event: {
      kind: 'opened',
      atUs: (T0 + 60_000) * 1000,
      accountId: from.accountId,
      domainId: from.domainId,
      message: accepted?.id ?? 0,
      recipient: accepted?.firstRecipient ?? 0,
      detail: {},
      ...event,
    },
  };
}

async function delivered(store: Store, from: Tenant, to?: readonly string[]): Promise<Accepted> {
  const accepted = await accept(store, mail(from, { isLeased: true, ...(to !== undefined && { to }) }));
  for (const place of (to ?? [0]).keys()) {
    await store.mail.settle(settlement(from, accepted, { recipient: accepted.firstRecipient + place, counters: [] }));
  }
  return accepted;
}

async function eventsOf(store: Store, from: Tenant, message: number, kind: EventRow['kind']): Promise<EventRow[]> {
  const view = await store.events.messageById(from.accountId, message);
  return (view?.events ?? []).filter((event) => event.kind === kind);
}

const complaint = (address: string): Suppression => ({ kind: 'complaint', address, code: 0, error: 'abuse', createdMs: T0 });
const bounce = (address: string): Suppression => ({ kind: 'bounce', address, code: 550, error: 'late', createdMs: T0 });

function recording(opened: () => Opened): void {
  const store = (): Store => opened().store;

  it('takes a member off a mailing list with the fact, and only with it', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from);
    const made = { name: '', description: '', accessLevel: 'readonly', replyPreference: 'list', createdMs: T0 } as const;
    const list = await store().lists.createList({ ...made, accountId: from.accountId, address: `news@${from.domain}` });
    assert.ok(list);
    const address = 'reader@x.example';
    const member = { address, name: 'Reader', vars: { n: 1 }, isSubscribed: true };
    await store().lists.putMembers(list.id, [member, { ...member, address: 'other@x.example' }], false);
    const leaving = fact(from, accepted, {
      event: { kind: 'unsubscribed', detail: { list: list.address } },
      once: 'unsubscribed',
      leaves: { list: list.id, address },
    });
    assert.equal(await store().mail.record(leaving), 'recorded');
    assert.deepEqual(await store().lists.memberOf(list.id, address), { ...member, isSubscribed: false });
    assert.equal((await store().lists.memberOf(list.id, 'other@x.example'))?.isSubscribed, true);
    assert.equal(await store().lists.setSubscribed(list.id, address, true), true);
    assert.equal(await store().mail.record(leaving), 'repeated');
    assert.deepEqual(await store().lists.memberOf(list.id, address), member);
    assert.equal(await store().lists.setSubscribed(list.id, 'nobody@x.example', false), false);
    assert.equal((await store().lists.listByAddress(from.accountId, list.address))?.membersCount, 2);
  });

  it('writes a fact with its counters, its suppression and what others are told, under the tags of its message', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from);
    const name = endpointName();
    const given = fact(from, accepted, {
      event: { kind: 'complained', detail: { feedback: 'abuse' } },
      suppression: complaint('someone@there.example'),
      counters: [counter(from, 'complained'), counter(from, 'complained', 'receipts')],
      outbox: [entry(name)],
    });
    assert.equal(await store().mail.record(given), 'recorded');
    const [event, ...others] = await eventsOf(store(), from, accepted.id, 'complained');
    assert.deepEqual(others, []);
    assert.deepEqual(event, { ...given.event, id: event?.id });
    const tagged = await store().events.list(
      { accountId: from.accountId, domainId: from.domainId, tag: 'Receipts', kinds: ['complained'] },
      'ascending',
      undefined,
      10,
    );
    assert.deepEqual(
      tagged.map((view) => view.event.id),
      [event?.id],
    );
    assert.equal(await counted(opened(), from, 'complained'), 1);
    assert.equal((await store().accounts.suppressionOf(from.domainId, 'complaint', 'someone@there.example'))?.error, 'abuse');
    const [item] = await claimEntries(store(), name);
    assert.deepEqual(item?.event, event);
    assert.partialDeepStrictEqual(item, {
      ...entry(name),
      createdMs: T0 + 60_000,
      message: { id: accepted.id },
      recipient: { id: accepted.firstRecipient },
    });
  });

  it('suppresses no late bounce of an address that the allowlist has', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from);
    await store().suppressions.putAllowed(from.domainId, [
      { type: 'address', value: 'kept@there.example', reason: '', createdMs: T0 },
      { type: 'domain', value: 'kept.example', reason: '', createdMs: T0 },
    ]);
    for (const address of ['Kept@there.example', 'any@kept.example', 'other@there.example']) {
      await store().mail.record(fact(from, accepted, { event: { kind: 'failed' }, suppression: bounce(address) }));
    }
    await store().mail.record(fact(from, accepted, { event: { kind: 'complained' }, suppression: complaint('kept@there.example') }));
    const stands = (kind: Suppression['kind'], address: string) => store().accounts.suppressionOf(from.domainId, kind, address);
    assert.equal(await stands('bounce', 'kept@there.example'), undefined);
    assert.equal(await stands('bounce', 'any@kept.example'), undefined);
    assert.ok(await stands('bounce', 'other@there.example'));
    assert.ok(await stands('complaint', 'kept@there.example'));
  });

  it('adds the tags of unsubscribes up', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from);
    for (const tag of ['news', 'offers']) {
      const suppression: Suppression = {
        kind: 'unsubscribe',
        address: 'one@there.example',
        code: 0,
        error: '',
        createdMs: T0,
        tags: [tag],
      };
      await store().mail.record(fact(from, accepted, { event: { kind: 'unsubscribed', detail: { list: tag } }, suppression }));
    }
    assert.deepEqual((await store().accounts.suppressionOf(from.domainId, 'unsubscribe', 'one@there.example'))?.tags, ['news', 'offers']);
  });

  it('takes a fact of which neither message nor recipient is known', async () => {
    const from = await tenant(store());
    for (const _ of [1, 2])
      assert.equal(await store().mail.record(fact(from, undefined, { once: 'complained', event: { kind: 'complained' } })), 'recorded');
    const listed = await store().events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 10);
    assert.deepEqual(
      listed.map(({ event, message }) => [event.kind, message]),
      [
        ['complained', undefined],
        ['complained', undefined],
      ],
    );
  });

  it('finds the recipient of a token with its message', async () => {
    const from = await tenant(store());
    const accepted = await accept(store(), mail(from, { to: ['first@there.example', 'second@there.example'] }));
    const found = await store().events.recipientById(accepted.firstRecipient + 1);
    assert.partialDeepStrictEqual(found, {
      message: { id: accepted.id, accountId: from.accountId, domain: from.domain, contentId: accepted.contentId },
      recipient: { id: accepted.firstRecipient + 1, message: accepted.id, address: 'second@there.example', state: 'queued' },
    });
    assert.equal(await store().events.recipientById(accepted.firstRecipient + 1_000_000), undefined);
  });
}

function counting(opened: () => Opened): void {
  const store = (): Store => opened().store;

  it('counts once what has the same key, and changes nothing when it comes again', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from);
    const name = endpointName();
    const given = fact(from, accepted, {
      once: 'complained',
      event: { kind: 'complained' },
      counters: [counter(from, 'complained')],
      outbox: [entry(name)],
    });
    assert.equal(await store().mail.record(given), 'recorded');
    const again = { ...given, suppression: complaint('again@there.example') };
    assert.equal(await store().mail.record(again), 'repeated');
    assert.equal((await eventsOf(store(), from, accepted.id, 'complained')).length, 1);
    assert.equal(await counted(opened(), from, 'complained'), 1);
    assert.equal(await store().accounts.suppressionOf(from.domainId, 'complaint', 'again@there.example'), undefined);
    const [item] = await claimEntries(store(), name);
    await store().outbox.settle({ item: item as OutboxItem });
    assert.deepEqual(await claimEntries(store(), name), []);
  });

  it('counts apart what has another key or is of another recipient', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from, ['first@there.example', 'second@there.example']);
    const second = { recipient: accepted.firstRecipient + 1 };
    const answers = [
      await store().mail.record(fact(from, accepted, { once: 'unsubscribed:a' })),
      await store().mail.record(fact(from, accepted, { once: 'unsubscribed:b' })),
      await store().mail.record(fact(from, accepted, { once: 'unsubscribed:a', event: second })),
      await store().mail.record(fact(from, accepted, { once: 'unsubscribed:a', event: { recipient: 0 } })),
    ];
    assert.deepEqual(answers, ['recorded', 'recorded', 'recorded', 'recorded']);
    assert.equal(await store().mail.record(fact(from, accepted, { once: 'unsubscribed:a', event: { recipient: 0 } })), 'repeated');
  });

  it('knows the first of its kind of each recipient, and counts it apart', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from, ['first@there.example', 'second@there.example']);
    const seen = (change: Partial<EventRow> = {}): Fact =>
      fact(from, accepted, {
        event: change,
        counters: [counter(from, change.kind ?? 'opened')],
        firstCounters: [counter(from, 'stored')],
      });
    for (const change of [{}, {}, { recipient: accepted.firstRecipient + 1 }, { kind: 'clicked' as const }, {}])
      await store().mail.record(seen(change));
    const events = [...(await eventsOf(store(), from, accepted.id, 'opened')), ...(await eventsOf(store(), from, accepted.id, 'clicked'))];
    assert.deepEqual(
      events.toSorted((a, b) => a.id - b.id).map(({ detail }) => detail.isFirst === true),
      [true, false, true, true, false],
    );
    assert.deepEqual([await counted(opened(), from, 'opened'), await counted(opened(), from, 'stored')], [4, 3]);
  });

  it('knows the first with each mark, beside the first of the kind', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from, ['first@there.example', 'second@there.example']);
    const by = (mark: string, change: Partial<EventRow> = {}): Fact =>
      fact(from, accepted, {
        event: change,
        firstCounters: [counter(from, 'stored')],
        firstOf: { mark, counters: [counter(from, mark === 'person' ? 'clicked' : 'complained')] },
      });
    const second = { recipient: accepted.firstRecipient + 1 };
    for (const each of [by('apple'), by('apple'), by('person'), by('person'), by('person', second), by('person', { kind: 'clicked' })])
      await store().mail.record(each);
    assert.deepEqual(
      [await counted(opened(), from, 'stored'), await counted(opened(), from, 'clicked'), await counted(opened(), from, 'complained')],
      [3, 3, 1],
    );
  });

  it('takes one of many that come at once', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from);
    const once = fact(from, accepted, { once: 'complained', counters: [counter(from, 'complained')], firstCounters: [] });
    const answers = await Promise.all(Array.from({ length: 20 }, () => store().mail.record({ ...once })));
    assert.equal(answers.filter((answer) => answer === 'recorded').length, 1);
    assert.equal(await counted(opened(), from, 'complained'), 1);
    await Promise.all(
      Array.from({ length: 20 }, () =>
        store().mail.record(fact(from, accepted, { event: { kind: 'clicked' }, counters: [], firstCounters: [] })),
      ),
    );
    const clicks = await eventsOf(store(), from, accepted.id, 'clicked');
    assert.deepEqual([clicks.length, clicks.filter(({ detail }) => detail.isFirst).length], [20, 1]);
  });
}

function failing(opened: () => Opened): void {
  const store = (): Store => opened().store;

  it('leaves nothing of a fact of which a part cannot be written, and the others stand', async () => {
    const from = await tenant(store());
    const accepted = await delivered(store(), from, ['first@there.example', 'second@there.example']);
    const name = endpointName();
    const broken = fact(from, accepted, {
      once: 'complained',
      counters: [counter(from, 'complained')],
      suppression: complaint('broken@there.example'),
      outbox: [entry(name), entry(name, { target: undefined as unknown as string })],
    });
    const whole = fact(from, accepted, { event: { recipient: accepted.firstRecipient + 1, kind: 'clicked' } });
    const [failed, recorded] = await Promise.allSettled([store().mail.record(broken), store().mail.record(whole)]);
    assert.deepEqual([failed.status, recorded.status], ['rejected', 'fulfilled']);
    assert.deepEqual(await eventsOf(store(), from, accepted.id, 'opened'), []);
    assert.equal((await eventsOf(store(), from, accepted.id, 'clicked')).length, 1);
    assert.equal(await counted(opened(), from, 'complained'), 0);
    assert.equal(await store().accounts.suppressionOf(from.domainId, 'complaint', 'broken@there.example'), undefined);
    assert.deepEqual(await claimEntries(store(), name), []);
    assert.equal(await store().mail.record({ ...broken, outbox: [] }), 'recorded');
  });
}

function afterStart(open: Open): void {
  it('are there, and what counted once still does', async () => {
    let opened = await open();
    const from = await tenant(opened.store);
    const accepted = await delivered(opened.store, from);
    await opened.store.mail.record(fact(from, accepted, { once: 'complained', firstCounters: [] }));
    opened = await opened.reopen(T0 + HOUR_MS);
    assert.equal(await opened.store.mail.record(fact(from, accepted, { once: 'complained' })), 'repeated');
    await opened.store.mail.record(fact(from, accepted, { firstCounters: [] }));
    const opens = await eventsOf(opened.store, from, accepted.id, 'opened');
    assert.deepEqual(
      opens.map(({ detail }) => detail.isFirst === true),
      [true, false],
    );
    await opened.store.close();
  });
}

function twoNodes(open: Open): void {
  it('count once, and one of them is the first', async (t) => {
    const one = await open();
    const two = await one.another?.({ name: 'two', version: '1', services: ['accept', 'deliver'], sources: [] });
    if (two === undefined) {
      await one.store.close();
      return t.skip('this store has one server at a time');
    }
    const from = await tenant(one.store);
    const sent = await Promise.all(Array.from({ length: 30 }, () => delivered(one.store, from)));
    const seen = (accepted: Accepted): Fact[] => [
      fact(from, accepted, { once: 'complained', event: { kind: 'complained' } }),
      fact(from, accepted, { firstCounters: [] }),
    ];
    const answers = await Promise.all(
      sent.flatMap((accepted) =>
        [one, two].flatMap(({ store }) => seen(accepted).map(async (each) => [each.event.kind, await store.mail.record(each)] as const)),
      ),
    );
    assert.equal(answers.filter(([kind, answer]) => kind === 'complained' && answer === 'recorded').length, 30);
    for (const accepted of sent) {
      const opens = await eventsOf(one.store, from, accepted.id, 'opened');
      assert.deepEqual(opens.map(({ detail }) => detail.isFirst === true).sort(), [false, true]);
    }
    await two.store.close();
    await one.store.close();
  });
}
