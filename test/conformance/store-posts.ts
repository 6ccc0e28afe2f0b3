/** The log of webhooks: every attempt is written with the settlement of its entry, is found again, goes when its time is over, and can be made again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutboxItem } from '#store/outbox-store.ts';
import { POST_ERROR_MAX, POST_RESPONSE_MAX, type PostFilter, type PostRow } from '#store/post-store.ts';
import type { Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import {
  accept,
  claimEntries,
  DAY_MS,
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

const EVENTS_MS = 30 * DAY_MS;

export function postsConformance(open: Open): void {
  describe('the log of webhooks', () => {
    const store = suiteStore(open);
    logging(store);
    replaying(store);
    owning(store);
  });
  describe('the log of webhooks in time', () => aging(open));
}

/** An attempt that failed for good at `T0`, unless the change says otherwise. */
function post(item: OutboxItem, change: Partial<PostRow> = {}): PostRow {
  const { accountId, domainId, event, message, recipient, endpoint, target, payload, attempts } = item;
  return {
    entry: item.kind,
    accountId,
    domainId,
    event: event?.id ?? 0,
    message: message?.id ?? 0,
    recipient: recipient?.id ?? 0,
    kind: event?.kind ?? 'stored',
    url: target,
    endpoint,
    payload,
    atMs: T0,
    number: attempts + 1,
    result: 'failed',
    status: 500,
    tookMs: 12,
    error: 'HTTP 500',
    response: 'oh no',
    ...change,
  };
}

function filter(from: Tenant, change: Partial<PostFilter> = {}): PostFilter {
  return { accountId: from.accountId, beginMs: T0 - HOUR_MS, endMs: T0 + HOUR_MS, ...change };
}

/** Each accepts a message, and settles what is told of it with a post so changed. */
async function posted(
  store: Store,
  from: Tenant,
  changes: readonly (Partial<PostRow> & { readonly target?: string })[],
): Promise<OutboxItem[]> {
  const items: OutboxItem[] = [];
  for (const { target, ...change } of changes) {
    const name = endpointName();
    await accept(store, mail(from, { outbox: [entry(name, target === undefined ? {} : { target })] }));
    const [item] = await claimEntries(store, name);
    assert.ok(item);
    assert.equal(await store.outbox.settle({ item, post: post(item, change) }), true);
    items.push(item);
  }
  return items;
}

function logging(store: () => Store): void {
  it('has every attempt as it was, the newest first', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const accepted = await accept(store(), mail(from, { outbox: [entry(name, { payload: '{"v":2}' })] }));
    const [first] = await claimEntries(store(), name, T0);
    assert.ok(first?.event);
    const deferred = post(first, { result: 'deferred' });
    assert.equal(await store().outbox.settle({ item: first, dueAtMs: T0 + 1000, post: deferred }), true);
    const [second] = await claimEntries(store(), name, T0 + 1000);
    assert.ok(second);
    const { status: _status, ...unanswered } = post(second, { atMs: T0 + 1000, error: 'timed out', response: '', tookMs: 9000 });
    await store().outbox.settle({ item: second, post: unanswered });
    const logged = await store().outbox.listPosts(filter(from), undefined, 10);
    const shown = ({ endpoint: _endpoint, payload: _payload, ...rest }: PostRow) => rest;
    assert.deepEqual(
      logged.map(({ id: _id, ...rest }) => rest),
      [shown(unanswered), shown(deferred)],
    );
    assert.partialDeepStrictEqual(logged[0], {
      event: first.event.id,
      message: accepted.id,
      recipient: accepted.firstRecipient,
      kind: 'accepted',
      number: 2,
    });
  });

  it('has nothing of a settlement that is refused', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await accept(store(), mail(from, { outbox: [entry(name)] }));
    const [item] = await claimEntries(store(), name);
    assert.ok(item);
    assert.equal(await store().outbox.settle({ item: { ...item, epoch: 9 }, post: post(item) }), false);
    assert.deepEqual(await store().outbox.listPosts(filter(from), undefined, 10), []);
  });

  it('cuts long texts', async () => {
    const from = await tenant(store());
    await posted(store(), from, [{ error: 'e'.repeat(5000), response: `${'r'.repeat(POST_RESPONSE_MAX - 1)}😀` }]);
    const [logged] = await store().outbox.listPosts(filter(from), undefined, 10);
    assert.deepEqual([logged?.error.length, logged?.response.length], [POST_ERROR_MAX, POST_RESPONSE_MAX]);
    assert.equal(logged?.response.at(-1), '\ufffd');
  });

  it('tells how each server fares, since when, and what waits for it', async () => {
    const from = await tenant(store());
    const [steady, ill] = [`https://a-${endpointName()}`, `https://b-${endpointName()}`];
    for (const [name, atMs, result] of [
      [ill, T0, 'failed'],
      [ill, T0 + 1, 'done'],
      [ill, T0 + 2, 'failed'],
      [steady, T0 + 3, 'done'],
      [ill, T0 + 4, 'failed'],
    ] as const) {
      await accept(store(), mail(from, { outbox: [entry(name)] }));
      const [item] = await claimEntries(store(), name);
      assert.ok(item);
      await store().outbox.settle({ item, post: post(item, { atMs, result, ...(result === 'done' && { status: 200, error: '' }) }) });
    }
    await accept(store(), mail(from, { outbox: [entry(ill)] }));
    const [waiting] = await claimEntries(store(), ill);
    assert.ok(waiting);
    await store().outbox.settle({ item: waiting, dueAtMs: T0 + HOUR_MS });
    await store().outbox.park(waiting.endpointId, T0 + 2 * HOUR_MS);
    assert.deepEqual(await store().outbox.postEndpoints(from.accountId, T0, 10), [
      { endpoint: steady, waiting: 0, last: { atMs: T0 + 3, result: 'done', status: 200, error: '' }, sinceMs: T0 + 3 },
      {
        endpoint: ill,
        waiting: 1,
        nextMs: T0 + 2 * HOUR_MS,
        pausedUntilMs: T0 + 2 * HOUR_MS,
        last: { atMs: T0 + 4, result: 'failed', status: 500, error: 'HTTP 500' },
        sinceMs: T0 + 2,
      },
    ]);
    assert.deepEqual(await store().outbox.postEndpoints((await tenant(store())).accountId, T0, 10), []);
  });

  it('is asked by domain, URL, result, one attempt and time, and never for another account’s', async () => {
    const from = await tenant(store());
    const second = await tenant(store(), { accountId: from.accountId });
    const stranger = await tenant(store());
    const url = 'https://hooks.example/in?key=1';
    await posted(store(), from, [
      { result: 'done', status: 200, target: url },
      { atMs: T0 - HOUR_MS, error: 'a' },
      { atMs: T0 + HOUR_MS, error: 'b' },
    ]);
    await posted(store(), second, [{ error: 'c', atMs: T0 + 1 }]);
    await posted(store(), stranger, [{ error: 'd' }]);
    const listed = async (change: Partial<PostFilter>) =>
      (await store().outbox.listPosts(filter(from, change), undefined, 10)).map(({ result, error }) =>
        result === 'done' ? 'done' : error,
      );
    assert.deepEqual(await listed({}), ['b', 'c', 'done', 'a']);
    assert.deepEqual(await listed({ domainId: second.domainId }), ['c']);
    assert.deepEqual(await listed({ domainId: stranger.domainId }), []);
    assert.deepEqual(await listed({ url }), ['done']);
    assert.deepEqual(await listed({ result: 'failed' }), ['b', 'c', 'a']);
    assert.deepEqual(await listed({ beginMs: T0 - HOUR_MS + 1, endMs: T0 + HOUR_MS - 1 }), ['c', 'done']);
    assert.deepEqual(await listed({ kind: 'delivered' }), []);
    assert.deepEqual(await listed({ kind: 'accepted' }), ['b', 'c', 'done', 'a']);
    const [newest] = await store().outbox.listPosts(filter(from), undefined, 1);
    assert.deepEqual(await listed({ message: newest?.message }), ['b']);
    assert.deepEqual(await listed({ id: newest?.id }), ['b']);
    assert.deepEqual(await store().outbox.listPosts(filter(stranger, { id: newest?.id }), undefined, 10), []);
  });

  it('is read page after page, also where attempts have one time', async () => {
    const from = await tenant(store());
    await posted(store(), from, [
      { error: '1' },
      { error: '2' },
      { error: '3', atMs: T0 - 1 },
      { error: '4' },
      { error: '5', atMs: T0 + 1 },
    ]);
    const seen: string[] = [];
    let after: { atMs: number; id: number } | undefined;
    for (;;) {
      const page = await store().outbox.listPosts(filter(from), after, 2);
      if (page.length === 0) break;
      seen.push(...page.map(({ error }) => error));
      after = page.at(-1);
    }
    assert.deepEqual(seen, ['5', '4', '2', '1', '3']);
  });
}

function replaying(store: () => Store): void {
  const nowMs = T0 + 2 * HOUR_MS;

  it('tells the same event to the same URL again, once for all of its attempts', async () => {
    const from = await tenant(store());
    const name = endpointName();
    await accept(store(), mail(from, { outbox: [entry(name, { payload: '{"v":2}' })] }));
    const [first] = await claimEntries(store(), name, T0);
    await store().outbox.settle({ item: first as OutboxItem, dueAtMs: T0, post: post(first as OutboxItem, { result: 'deferred' }) });
    const [second] = await claimEntries(store(), name, T0);
    await store().outbox.settle({ item: second as OutboxItem, post: post(second as OutboxItem) });
    assert.deepEqual(await store().outbox.replayPosts(filter(from), nowMs, 10), { entries: 1 });
    const [again, ...others] = await claimEntries(store(), name, nowMs);
    assert.deepEqual(others, []);
    const { id: _id, endpointId: _endpoint, createdMs, attempts, epoch: _epoch, ...item } = again as OutboxItem;
    const {
      id: _firstId,
      endpointId: _firstEndpoint,
      createdMs: _created,
      attempts: _attempts,
      epoch: _firstEpoch,
      ...before
    } = first as OutboxItem;
    assert.deepEqual([item, createdMs, attempts], [before, nowMs, 0]);
  });

  it('posts again as what it was: a forward is no webhook, though one stands for its URL', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const outbox = [
      { ...entry(name, { kind: 'forward', payload: '{"rule":"r"}' }), recipient: 0 },
      { ...entry(name), recipient: 0 },
    ];
    await store().mail.receive({ message: mail(from), events: [], outbox, forwards: [] });
    const [forwarded] = await claimEntries(store(), name);
    assert.equal(forwarded?.kind, 'forward');
    await store().outbox.settle({ item: forwarded, post: post(forwarded) });
    assert.deepEqual(
      (await store().outbox.listPosts(filter(from), undefined, 10)).map((logged) => logged.entry),
      ['forward'],
    );
    assert.deepEqual(await store().outbox.replayPosts(filter(from), nowMs, 10), { entries: 1 });
    assert.deepEqual(await store().outbox.replayPosts(filter(from), nowMs, 10), { entries: 0 });
    const [webhook] = await claimEntries(store(), name, nowMs);
    assert.equal(webhook?.kind, 'event');
    await store().outbox.settle({ item: webhook });
    const [again] = await claimEntries(store(), name, nowMs);
    assert.deepEqual(
      [again?.kind, again?.payload, again?.event, again?.recipient?.id],
      ['forward', '{"rule":"r"}', forwarded.event, forwarded.recipient?.id],
    );
  });

  it('makes one attempt again, or all that failed', async () => {
    const from = await tenant(store());
    const items = await posted(store(), from, [{}, { result: 'done', status: 200 }, {}]);
    const [newest] = await store().outbox.listPosts(filter(from), undefined, 1);
    assert.deepEqual(await store().outbox.replayPosts(filter(from, { id: newest?.id }), nowMs, 10), { entries: 1 });
    const again = async (place: number): Promise<number> => (await claimEntries(store(), items[place]?.endpoint as string, nowMs)).length;
    assert.deepEqual([await again(0), await again(1), await again(2)], [0, 0, 1]);
    // The one that stands is left alone.
    assert.deepEqual(await store().outbox.replayPosts(filter(from, { result: 'failed' }), nowMs, 10), { entries: 1 });
    assert.deepEqual([await again(0), await again(1)], [1, 0]);
    assert.deepEqual(await store().outbox.replayPosts(filter(from), nowMs, 10), { entries: 1 });
  });

  it('goes in steps through what is much', async () => {
    const from = await tenant(store());
    await posted(store(), from, [{}, {}, {}, {}, {}]);
    let after: Awaited<ReturnType<Store['outbox']['replayPosts']>>['after'];
    const steps: number[] = [];
    do {
      const replayed = await store().outbox.replayPosts(filter(from), nowMs, 2, after);
      steps.push(replayed.entries);
      ({ after } = replayed);
    } while (after !== undefined);
    assert.deepEqual(steps, [2, 2, 1]);
  });

  it('puts what is told again behind what is still to be told', async () => {
    const from = await tenant(store());
    const name = endpointName();
    const accepted = await accept(store(), mail(from, { isLeased: true, outbox: [entry(name)] }));
    await store().mail.settle(settlement(from, accepted, { outbox: [entry(name)] }));
    const [first] = await claimEntries(store(), name);
    await store().outbox.settle({ item: first as OutboxItem, post: post(first as OutboxItem) });
    assert.deepEqual(await store().outbox.replayPosts(filter(from), nowMs, 10), { entries: 1 });
    const told: unknown[] = [];
    for (let n = 0; n < 2; n++) {
      const [item, ...others] = await claimEntries(store(), name, nowMs);
      assert.deepEqual(others, []);
      told.push(item?.event?.kind);
      await store().outbox.settle({ item: item as OutboxItem });
    }
    assert.deepEqual(told, ['delivered', 'accepted']);
  });
}

function owning(store: () => Store): void {
  const nowMs = T0 + 2 * HOUR_MS;
  const count = async (from: Tenant): Promise<number> => (await store().outbox.listPosts(filter(from), undefined, 10)).length;
  const names = async (from: Tenant): Promise<string[]> =>
    (await store().outbox.postEndpoints(from.accountId, T0, 10)).map(({ endpoint }) => endpoint);

  it('is of the account whose webhook it is, also where the event is a subaccount’s', async () => {
    const [above, from] = [await tenant(store()), await tenant(store())];
    const name = endpointName();
    const own = entry(name, { target: `${name}/own` });
    const theirs = entry(name, { target: `${name}/above`, ownerId: above.accountId });
    const accepted = await accept(store(), mail(from, { outbox: [own, theirs] }));
    assert.deepEqual([await names(from), await names(above)], [[name], [name]], 'each waits in turns of its own');
    const items = await claimEntries(store(), name);
    assert.equal(new Set(items.map(({ endpointId }) => endpointId)).size, 2);
    for (const item of items) {
      const isOwn = item.target === own.target;
      assert.equal(item.accountId, isOwn ? from.accountId : above.accountId);
      assert.partialDeepStrictEqual(item, {
        domainId: from.domainId,
        message: { id: accepted.id, accountId: from.accountId },
        recipient: { id: accepted.firstRecipient },
        event: { kind: 'accepted', accountId: from.accountId, message: accepted.id },
      });
      await store().outbox.settle({ item, post: post(item) });
    }
    for (const [account, url] of [
      [from, own.target],
      [above, theirs.target],
    ] as const) {
      const posts = await store().outbox.listPosts(filter(account), undefined, 10);
      assert.deepEqual(
        posts.map(({ url: told, domainId, message }) => [told, domainId, message]),
        [[url, from.domainId, accepted.id]],
      );
    }
  });

  it('is told again by that account alone', async () => {
    const [above, from] = [await tenant(store()), await tenant(store())];
    const name = endpointName();
    await accept(store(), mail(from, { outbox: [entry(name, { ownerId: above.accountId })] }));
    const [first] = await claimEntries(store(), name);
    await store().outbox.settle({ item: first as OutboxItem, post: post(first as OutboxItem) });
    assert.deepEqual([await count(from), await count(above)], [0, 1]);
    assert.deepEqual(await store().outbox.replayPosts(filter(from), nowMs, 10), { entries: 0 });
    assert.deepEqual(await store().outbox.replayPosts(filter(above), nowMs, 10), { entries: 1 });
    const [again, ...others] = await claimEntries(store(), name, nowMs);
    assert.deepEqual(others, []);
    assert.deepEqual([again?.accountId, again?.event?.accountId, again?.event?.id], [above.accountId, from.accountId, first?.event?.id]);
  });

  it('is its owner’s whatever brought the entry, in order behind those that are its owner’s too', async () => {
    const [above, from] = [await tenant(store()), await tenant(store())];
    const name = endpointName();
    const told = entry(name, { ownerId: above.accountId });
    const accepted = await accept(store(), mail(from, { isLeased: true, outbox: [told] }));
    assert.equal(await store().mail.settle(settlement(from, accepted, { outbox: [told] })), true);
    const event = {
      atUs: (T0 + 2000) * 1000,
      accountId: from.accountId,
      domainId: from.domainId,
      message: accepted.id,
      recipient: accepted.firstRecipient,
      detail: {},
    };
    await store().mail.record({ event: { ...event, kind: 'opened' }, counters: [], outbox: [told] });
    const forward = endpointName();
    const other = await accept(store(), mail(from, { isLeased: true }));
    await store().mail.settle(settlement(from, other, { outbox: [entry(forward, { kind: 'forward' })] }));
    const [forwarded] = await claimEntries(store(), forward);
    await store().outbox.settle({ item: forwarded as OutboxItem, event: { ...event, kind: 'deferred' }, outbox: [told] });
    const kinds: unknown[] = [];
    for (;;) {
      const [item, ...others] = await claimEntries(store(), name);
      if (item === undefined) break;
      assert.deepEqual([item.accountId, item.event?.accountId, others.length], [above.accountId, from.accountId, 0]);
      kinds.push(item.event?.kind);
      await store().outbox.settle({ item, post: post(item) });
    }
    assert.deepEqual(kinds, ['accepted', 'delivered', 'opened', 'deferred']);
    assert.deepEqual([await count(from), await count(above)], [0, 4]);
  });

  it('goes into an account’s log with mail that came in, too', async () => {
    const [above, from] = [await tenant(store()), await tenant(store())];
    const name = endpointName();
    const outbox = [{ ...entry(name, { ownerId: above.accountId }), recipient: 0 }];
    await store().mail.receive({ message: mail(from), events: [], outbox, forwards: [] });
    const [item] = await claimEntries(store(), name);
    assert.deepEqual([item?.accountId, item?.message?.accountId], [above.accountId, from.accountId]);
  });
}

function aging(open: Open): void {
  it('goes when its time is over, and is not told again when its event is gone', async () => {
    const { store } = await open();
    const from = await tenant(store);
    const days = [0, 2, 40];
    for (const day of days) {
      const name = endpointName();
      await accept(store, mail(from, { createdMs: T0 + day * DAY_MS, outbox: [entry(name)] }));
      const [item] = await claimEntries(store, name, T0 + 50 * DAY_MS);
      await store.outbox.settle({ item: item as OutboxItem, post: post(item as OutboxItem, { atMs: T0 + day * DAY_MS }) });
    }
    const all = filter(from, { endMs: T0 + 100 * DAY_MS });
    const left = async (nowMs: number, postsMs: number): Promise<number[]> => {
      while ((await store.mail.expire(nowMs, 100, EVENTS_MS, postsMs)) > 0);
      const posts = await store.outbox.listPosts(all, undefined, 10);
      return posts.map(({ atMs }) => (atMs - T0) / DAY_MS);
    };
    assert.deepEqual(await left(T0 + 3 * DAY_MS, 3 * DAY_MS), [40, 2, 0]);
    assert.deepEqual(await left(T0 + 4 * DAY_MS, 3 * DAY_MS), [40, 2]);
    // Events of the first days are gone by then.
    assert.deepEqual(await left(T0 + 41 * DAY_MS, 60 * DAY_MS), [40, 2]);
    assert.deepEqual(await store.outbox.replayPosts(all, T0 + 41 * DAY_MS, 10), { entries: 1 });
    await store.close();
  });
}
