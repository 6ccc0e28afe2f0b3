/** Mail that comes in: kept with what tells of it and what is sent on because of it, in one commit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EventRow } from '#model/event.ts';
import type { Received, Reception } from '#store/fact-store.ts';
import type { AcceptMessage, Store } from '#store/store.ts';
import { suiteOpened } from './suite-store.ts';
import {
  addresses,
  bucketsOf,
  claim,
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
  unique,
  unwritable,
} from './tenant.ts';

export function receptionsConformance(open: Open): void {
  describe('mail that comes in', () => {
    const opened = suiteOpened(open);
    receiving(() => opened().store);
    sendingOn(opened);
  });
  describe('mail that came in, after a start', () => afterStart(open));
}

function incoming(
  from: Tenant,
  change: Partial<Reception> & { readonly to?: readonly string[]; readonly message?: AcceptMessage } = {},
): Reception {
  const { to, ...rest } = change;
  return { message: mail(from, { ...(to !== undefined && { to }) }), events: [], outbox: [], forwards: [], ...rest };
}

function stored(from: Tenant): Reception['events'][number]['event'] {
  return {
    kind: 'stored',
    atUs: (T0 + 1) * 1000,
    accountId: from.accountId,
    domainId: from.domainId,
    detail: { inbound: { routes: ['r1'] } },
  };
}

async function receive(store: Store, reception: Reception): Promise<Received> {
  const result = await store.mail.receive(reception);
  assert.equal(result.kind, 'received');
  return result as Received;
}

function receiving(store: () => Store): void {
  it('keeps what came in, with nothing left to deliver', async () => {
    const from = await tenant(store());
    const to = `${unique('in')}.example`;
    const reception = incoming(from, {
      to: [`a@${to}`, `b@${to}`],
      events: [
        { recipient: 1, event: stored(from) },
        { recipient: -1, event: stored(from) },
      ],
    });
    const received = await receive(store(), reception);
    const view = await store().events.messageById(from.accountId, received.id);
    assert.deepEqual(
      view?.recipients.map(({ id, address, state, ending, dueAtMs }) => [id, address, state, ending, dueAtMs]),
      [
        [received.firstRecipient, `a@${to}`, 'done', 'received', T0],
        [received.firstRecipient + 1, `b@${to}`, 'done', 'received', T0],
      ],
    );
    assert.deepEqual(await bucketsOf(store(), to, T0 + HOUR_MS), []);
    assert.equal(new TextDecoder().decode(await store().mail.content(received.contentId)), 'hello');
    const told = (kind: EventRow['kind']) =>
      view?.events.filter((event) => event.kind === kind).map(({ recipient, detail }) => [recipient, detail]);
    assert.deepEqual(told('accepted'), [
      [received.firstRecipient, {}],
      [received.firstRecipient + 1, {}],
    ]);
    assert.deepEqual(told('stored'), [
      [received.firstRecipient + 1, stored(from).detail],
      [0, stored(from).detail],
    ]);
    const tagged = await store().events.list(
      { accountId: from.accountId, domainId: from.domainId, tag: 'receipts', kinds: ['stored'] },
      'ascending',
      undefined,
      10,
    );
    assert.equal(tagged.length, 2);
  });

  it('leases nothing of what came in', async () => {
    const from = await tenant(store());
    const message = mail(from, { isLeased: true });
    const received = await receive(store(), incoming(from, { message }));
    assert.equal(await store().mail.settle(settlement(from, { ...received, kind: 'accepted', suppressed: [] })), false);
    assert.equal((await store().events.recipientById(received.firstRecipient))?.recipient.ending, 'received');
  });

  it('tells others of what was stored, of what was accepted, and what routes want posted', async () => {
    const from = await tenant(store());
    const [events, posts] = [endpointName(), endpointName()];
    const reception = incoming(from, {
      to: ['a@in.example', 'b@in.example'],
      events: [{ recipient: 0, event: stored(from) }],
      outbox: [
        { ...entry(events), recipient: 0 },
        { ...entry(events), recipient: 1 },
        { ...entry(posts, { kind: 'forward' }), recipient: 1 },
        { ...entry(posts, { kind: 'notify', payload: '"whole"' }), recipient: -1 },
      ],
    });
    const received = await receive(store(), reception);
    const told = await claimEntries(store(), events);
    assert.deepEqual(
      told.map(({ event, recipient }) => [event?.kind, event?.recipient, recipient?.id]),
      [
        ['stored', received.firstRecipient, received.firstRecipient],
        ['accepted', received.firstRecipient + 1, received.firstRecipient + 1],
      ],
    );
    const posted = await claimEntries(store(), posts);
    assert.deepEqual(
      posted.map(({ kind, message, recipient }) => [kind, message?.id, recipient?.id]),
      [
        ['forward', received.id, received.firstRecipient + 1],
        ['notify', received.id, undefined],
      ],
    );
  });
}

function sendingOn(opened: () => Opened): void {
  const store = (): Store => opened().store;

  it('accepts what is sent on in the same commit', async () => {
    const from = await tenant(store());
    const [to, held] = [`${unique('on')}.example`, `${unique('on')}.example`];
    const first = mail(from, { to: [`x@${to}`], counters: [{ ...counter(from, 'accepted'), count: 1 }] });
    const second = mail(from, { to: [`y@${held}`], isLeased: true, content: new TextEncoder().encode('sent on') });
    const received = await receive(store(), incoming(from, { forwards: [first, second] }));
    assert.equal(received.forwards.length, 2);
    const ids = [received.id, ...received.forwards.map(({ id }) => id)];
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(addresses(await claim(store(), to)), [`x@${to}`]);
    assert.deepEqual(await bucketsOf(store(), held), []);
    const [, leased] = received.forwards;
    assert.ok(leased);
    assert.equal(new TextDecoder().decode(await store().mail.content(leased.contentId)), 'sent on');
    assert.equal(await store().mail.settle(settlement(from, leased)), true);
    assert.equal(await counted(opened(), from, 'accepted'), 1);
  });

  it('leaves nothing of what came in when what is sent on cannot be written', async () => {
    const from = await tenant(store());
    const to = `${unique('broken')}.example`;
    const name = endpointName();
    const message = mail(from, { to: [`in@${to}`], counters: [{ ...counter(from, 'accepted'), count: 1 }] });
    const reception = incoming(from, {
      message,
      events: [{ recipient: 0, event: stored(from) }],
      outbox: [{ ...entry(name), recipient: 0 }],
      forwards: [unwritable(mail(from, { to: [`out@${to}`] }))],
    });
    await assert.rejects(store().mail.receive(reception));
    for (const address of [`in@${to}`, `out@${to}`])
      assert.deepEqual(await store().events.recipientsByAddress(from.accountId, address, 10), []);
    assert.deepEqual(await bucketsOf(store(), to), []);
    assert.deepEqual(await store().events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 10), []);
    assert.deepEqual(await claimEntries(store(), name), []);
    assert.equal(await counted(opened(), from, 'accepted'), 0);
  });

  it('takes from grants for what came in and what is sent on together, or not at all', async () => {
    const from = await tenant(store());
    const name = unique('quota ');
    await store().grants.hold(7, [{ name, startMs: T0, spanMs: HOUR_MS, ceiling: 10, wanted: 2 }], 60_000, T0);
    const use = (count: number): Partial<AcceptMessage> => ({ uses: [{ holder: 7, name, startMs: T0, count }] });
    const to = `${unique('ungranted')}.example`;
    const reception = (count: number): Reception => ({
      message: mail(from, { to: [`in@${to}`], ...use(1) }),
      events: [],
      outbox: [],
      forwards: [mail(from, { to: [`out@${to}`], ...use(count) })],
    });
    assert.deepEqual(await store().mail.receive(reception(2)), { kind: 'ungranted' });
    assert.equal(await store().grants.usedOf(name, T0), 0);
    assert.deepEqual(await store().events.recipientsByAddress(from.accountId, `in@${to}`, 10), []);
    assert.equal((await store().mail.receive(reception(1))).kind, 'received');
    assert.equal(await store().grants.usedOf(name, T0), 2);
  });

  it('takes many at once, each for itself', async () => {
    const from = await tenant(store());
    const to = `${unique('many')}.example`;
    const results = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        receive(store(), incoming(from, { to: [`in${n}@${to}`], forwards: [mail(from, { to: [`out${n}@${to}`] })] })),
      ),
    );
    assert.equal(new Set(results.flatMap(({ id, forwards }) => [id, ...forwards.map((forward) => forward.id)])).size, 60);
    const claimed = addresses(await claim(store(), to));
    assert.deepEqual(claimed.sort(), Array.from({ length: 30 }, (_, n) => `out${n}@${to}`).sort());
  });
}

function afterStart(open: Open): void {
  it('is there, and what is to be posted of it', async () => {
    let opened = await open();
    const from = await tenant(opened.store);
    const name = endpointName();
    const received = await receive(opened.store, incoming(from, { outbox: [{ ...entry(name, { kind: 'forward' }), recipient: 0 }] }));
    opened = await opened.reopen(T0 + HOUR_MS);
    const found = await opened.store.events.recipientById(received.firstRecipient);
    assert.equal(found?.recipient.ending, 'received');
    assert.deepEqual(await bucketsOf(opened.store, found.recipient.domain, T0 + HOUR_MS), []);
    assert.equal((await claimEntries(opened.store, name))[0]?.message?.contentId, received.contentId);
    await opened.store.close();
  });
}
