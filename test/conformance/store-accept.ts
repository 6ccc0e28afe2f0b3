/** Accepting (S0 → S1 and S0 → S2): all or nothing, suppressions flagged, idempotent when asked, counted in the same commit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EVENT_KINDS } from '#model/event.ts';
import type { AcceptMessage, Store } from '#store/store.ts';
import { suiteOpened } from './suite-store.ts';
import {
  accept,
  addresses,
  bucketsOf,
  claim,
  DAY_MS,
  HOUR_MS,
  mail,
  type Open,
  type Opened,
  settlement,
  tenant,
  T0,
  unique,
  unwritable,
} from './tenant.ts';

export function acceptConformance(open: Open): void {
  describe('accepting', () => {
    const opened = suiteOpened(open);
    whatIsKept(() => opened().store);
    allOrNothing(() => opened().store);
    suppressed(() => opened().store);
    idempotency(() => opened().store);
    counters(opened);
  });
}

function whatIsKept(store: () => Store): void {
  it('keeps the message, its content and every recipient with what belongs to it', async () => {
    const from = await tenant(store());
    const message = mail(from, {
      to: [
        { address: 'Ann@one.example', name: 'Ann', variables: { n: 1 }, notify: ['FAILURE', 'DELAY'], orcpt: 'rfc822;ann@x' },
        'bob@two.example',
      ],
      dueAtMs: T0 + HOUR_MS,
      wait: 'scheduled',
      priority: 2,
      content: Uint8Array.of(0, 13, 10, 255),
    });
    const { id, contentId, firstRecipient } = await accept(store(), message);
    const view = await store().events.messageById(from.accountId, id);
    const { content: _, recipients: __, dueAtMs, wait, ...rest } = message;
    assert.deepEqual(view?.message, { ...rest, id, contentId });
    const common = { message: id, state: 'queued', dueAtMs, wait, attempts: 0, epoch: 0, possibleDuplicate: false } as const;
    const [ann, bob] = view?.recipients ?? [];
    assert.partialDeepStrictEqual(ann, { ...common, id: firstRecipient, address: 'Ann@one.example', domain: 'one.example' });
    assert.partialDeepStrictEqual(ann, { name: 'Ann', variables: { n: 1 }, notify: ['FAILURE', 'DELAY'], orcpt: 'rfc822;ann@x' });
    assert.partialDeepStrictEqual(bob, { ...common, id: firstRecipient + 1, address: 'bob@two.example', domain: 'two.example' });
    assert.deepEqual([bob?.name, bob?.variables, bob?.notify, bob?.orcpt], [undefined, undefined, undefined, undefined]);
    assert.deepEqual([...((await store().mail.content(contentId)) ?? [])], [0, 13, 10, 255]);
  });

  it('keeps the octets of a content that is a view on a larger buffer', async () => {
    const from = await tenant(store());
    const pool = Buffer.from('before|the content|after');
    const { contentId } = await accept(store(), mail(from, { content: pool.subarray(7, 18) }));
    assert.equal(Buffer.from((await store().mail.content(contentId)) ?? []).toString(), 'the content');
    assert.equal(pool.toString(), 'before|the content|after');
  });

  it('keeps a content of many megabytes octet by octet', async () => {
    const content = Uint8Array.from({ length: 3 * 1024 * 1024 + 7 }, (_, n) => (n * n) % 251);
    const { contentId } = await accept(store(), mail(await tenant(store()), { content }));
    assert.ok(Buffer.from(content).equals((await store().mail.content(contentId)) as Uint8Array));
  });

  it('leaves the content usable by the caller', async () => {
    const content = new Uint8Array(20_000).fill(7);
    await accept(store(), mail(await tenant(store()), { content }));
    assert.equal(content.byteLength, 20_000);
    assert.equal(content[19_999], 7);
  });

  it('writes an accepted event for every recipient', async () => {
    const from = await tenant(store());
    const { id, firstRecipient } = await accept(store(), mail(from, { to: ['a@x.example', 'b@x.example', 'c@y.example'] }));
    const view = await store().events.messageById(from.accountId, id);
    assert.deepEqual(
      view?.events.map(({ kind, atUs, recipient }) => [kind, atUs, recipient]),
      [0, 1, 2].map((position) => ['accepted', T0 * 1000, firstRecipient + position]),
    );
  });

  it('queues for a claim what is not leased, and leases the rest under epoch 1 (S0 → S1, S0 → S2)', async () => {
    const from = await tenant(store());
    const to = `${unique('mixed')}.example`;
    const { id } = await accept(
      store(),
      mail(from, {
        to: [
          { address: `leased@${to}`, isLeased: true },
          { address: `queued@${to}`, isLeased: false },
        ],
      }),
    );
    const view = await store().events.messageById(from.accountId, id);
    assert.deepEqual(
      view?.recipients.map(({ state, epoch }) => [state, epoch]),
      [
        ['leased', 1],
        ['queued', 0],
      ],
    );
    assert.deepEqual(addresses(await claim(store(), to)), [`queued@${to}`]);
  });

  it('shows no claim what was leased whole', async () => {
    const from = await tenant(store());
    const to = `${unique('leased')}.example`;
    await accept(store(), mail(from, { to: [`a@${to}`, `b@${to}`], isLeased: true }));
    assert.deepEqual(await bucketsOf(store(), to, T0 + DAY_MS), []);
  });

  it('gives contents ids that are never given again, though the newest content went', async () => {
    const from = await tenant(store());
    const first = await accept(store(), mail(from, { isLeased: true }));
    await store().mail.settle(settlement(from, first));
    assert.equal(await store().mail.deleteContent(from.accountId, first.id), true);
    const second = await accept(store(), mail(from));
    assert.ok(second.contentId > first.contentId, 'a cache that is keyed by the content’s id would send the wrong mail');
  });

  it('keeps a recipient to its own times, where they are not its message’s', async () => {
    const from = await tenant(store());
    const to = `${unique('zones')}.example`;
    const later = { address: `later@${to}`, dueAtMs: T0 + HOUR_MS, expiresAtMs: T0 + 2 * HOUR_MS, timeZone: 'Asia/Tokyo' };
    const latest = { address: `latest@${to}`, dueAtMs: T0 + 3 * HOUR_MS, expiresAtMs: T0 + 4 * HOUR_MS };
    const { id } = await accept(store(), mail(from, { to: [latest, `now@${to}`, later], expiresAtMs: T0 + 4 * HOUR_MS }));
    const view = await store().events.messageById(from.accountId, id);
    assert.deepEqual(
      view?.recipients.map(({ dueAtMs, wait, expiresAtMs, timeZone }) => [dueAtMs, wait, expiresAtMs, timeZone]),
      [
        [latest.dueAtMs, 'scheduled', latest.expiresAtMs, undefined],
        [T0, 'due', undefined, undefined],
        [later.dueAtMs, 'scheduled', later.expiresAtMs, 'Asia/Tokyo'],
      ],
    );
    assert.deepEqual(addresses(await claim(store(), to, T0)), [`now@${to}`]);
    assert.deepEqual(await bucketsOf(store(), to, T0 + HOUR_MS - 1), []);
    assert.deepEqual(addresses(await claim(store(), to, T0 + HOUR_MS)), [later.address]);
    assert.deepEqual(await claim(store(), to, T0 + 3 * HOUR_MS - 1), []);
  });

  it('gives a recipient up when its own time is over', async () => {
    const from = await tenant(store());
    const to = `${unique('early')}.example`;
    const early = { address: `early@${to}`, dueAtMs: T0 + HOUR_MS, expiresAtMs: T0 + 2 * HOUR_MS };
    await accept(store(), mail(from, { to: [early, `other@${to}`], expiresAtMs: T0 + 40 * HOUR_MS }));
    const mine = (claimed: string[]): string[] => claimed.filter((address) => address.endsWith(to));
    assert.deepEqual(mine(addresses(await store().mail.claimExpired(T0 + 2 * HOUR_MS - 1, 10_000))), []);
    assert.deepEqual(mine(addresses(await store().mail.claimExpired(T0 + 2 * HOUR_MS, 10_000))), [early.address]);
  });
}

function allOrNothing(store: () => Store): void {
  it('keeps nothing of a message when a part of it cannot be written, and the others of its batch whole (P2)', async () => {
    const from = await tenant(store());
    const to = `${unique('broken')}.example`;
    const broken = unwritable(mail(from, { to: [`first@${to}`] }));
    const good = [mail(from, { to: [`before@${to}`] }), mail(from, { to: [`after@${to}`] })];
    const results = await Promise.allSettled([good[0], broken, good[1]].map((message) => store().mail.accept(message as AcceptMessage)));
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(await store().events.messageByMessageId(from.accountId, broken.messageId), undefined);
    assert.deepEqual(addresses(await claim(store(), to)).sort(), [`after@${to}`, `before@${to}`]);
    const events = await store().events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 10);
    assert.equal(events.length, 2);
  });

  it('accepts a thousand recipients with one content', async () => {
    const from = await tenant(store());
    const to = `${unique('many')}.example`;
    const all = Array.from({ length: 1000 }, (_, n) => `user${n}@${to}`);
    const { id, firstRecipient } = await accept(store(), mail(from, { to: all }));
    const view = await store().events.messageById(from.accountId, id, 2000);
    assert.deepEqual(
      view?.recipients.map((recipient) => [recipient.id, recipient.address]),
      all.map((address, n) => [firstRecipient + n, address]),
    );
  });
}

function suppressed(store: () => Store): void {
  it('says which recipients are suppressed for the domain, and queues them all the same', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const to = `${unique('suppressed')}.example`;
    const rest = { code: 550, error: 'gone', createdMs: T0 };
    await store().accounts.putSuppression(mine.domainId, { kind: 'bounce', address: `gone@${to}`, ...rest });
    await store().accounts.putSuppression(mine.domainId, { kind: 'unsubscribe', address: `left@${to}`, ...rest });
    await store().accounts.putSuppression(theirs.domainId, { kind: 'complaint', address: `fine@${to}`, ...rest });
    const result = await accept(store(), mail(mine, { to: [`fine@${to}`, `GONE@${to}`, `left@${to}`] }));
    assert.deepEqual(result.suppressed, [
      [1, 'bounce'],
      [2, 'unsubscribe'],
    ]);
    const claimed = (await claim(store(), to)).flatMap(({ recipients }) => recipients);
    assert.deepEqual(
      claimed.map((recipient) => recipient.suppressed),
      [undefined, 'bounce', 'unsubscribe'],
    );
  });
}

function idempotency(store: () => Store): void {
  const asked = (key: string, fingerprint = 'same') => ({ idempotency: { key, fingerprint, untilMs: T0 + DAY_MS } });

  it('answers a repeat with the first message, and queues nothing (P12)', async () => {
    const from = await tenant(store());
    const message = mail(from, { ...asked('key'), to: ['a@x.example', 'b@x.example'] });
    const first = await accept(store(), message);
    const again = await store().mail.accept({ ...message, messageId: 'another@id', createdMs: T0 + 1 });
    assert.deepEqual(again, { kind: 'repeat', id: first.id, messageId: message.messageId, recipientCount: 2 });
    assert.equal(await store().events.messageByMessageId(from.accountId, 'another@id'), undefined);
  });

  it('refuses a key that was used with another request', async () => {
    const from = await tenant(store());
    await accept(store(), mail(from, asked('key', 'one')));
    assert.deepEqual(await store().mail.accept(mail(from, asked('key', 'two'))), { kind: 'conflict' });
  });

  it('accepts one of many that come at once under one key', async () => {
    const from = await tenant(store());
    const results = await Promise.all(Array.from({ length: 20 }, () => store().mail.accept(mail(from, asked('key')))));
    const kinds = results.map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'accepted').length, 1);
    assert.equal(kinds.filter((kind) => kind === 'repeat').length, 19);
    const events = await store().events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 100);
    assert.equal(events.length, 1);
  });

  it('lets two accounts use the same key', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    await accept(store(), mail(mine, asked('key', 'one')));
    await accept(store(), mail(theirs, asked('key', 'two')));
  });

  it('forgets a key when its time is over, whether or not it was cleared away', async () => {
    const from = await tenant(store());
    await accept(store(), mail(from, asked('key', 'one')));
    const later = { createdMs: T0 + DAY_MS, idempotency: { key: 'key', fingerprint: 'two', untilMs: T0 + 2 * DAY_MS } };
    await accept(store(), mail(from, later));
    assert.deepEqual(await store().mail.accept(mail(from, { ...later, createdMs: T0 + DAY_MS + 1, ...asked('key', 'one') })), {
      kind: 'conflict',
    });
  });

  it('keeps the key only with the message: a message that failed may come again', async () => {
    const from = await tenant(store());
    const broken = unwritable(mail(from, asked('key')));
    await assert.rejects(store().mail.accept(broken));
    await accept(store(), mail(from, asked('key')));
  });
}

function counters(opened: () => Opened): void {
  it('counts what was accepted by hour and tag, in the same commit (P7)', async () => {
    const { store } = opened();
    const from = await tenant(store);
    const count = (tag: string, n: number) => ({ ...from, kind: 'accepted' as const, provider: '', tag, count: n });
    await Promise.all([
      accept(store, mail(from, { counters: [count('', 2), count('news', 2)] })),
      accept(store, mail(from, { counters: [count('', 1)] })),
      accept(store, mail(from, { counters: [count('', 5)], createdMs: T0 + HOUR_MS })),
    ]);
    const hour = T0 / HOUR_MS;
    const kind = EVENT_KINDS.accepted;
    assert.deepEqual(await opened().counters(from.domainId), [
      { kind, hour, tag: '', n: 3 },
      { kind, hour, tag: 'news', n: 2 },
      { kind, hour: hour + 1, tag: '', n: 5 },
    ]);
  });

  it('does not count a message that could not be written', async () => {
    const { store } = opened();
    const from = await tenant(store);
    const counted = { counters: [{ ...from, kind: 'accepted' as const, provider: '', tag: '', count: 1 }] };
    const broken = unwritable(mail(from, counted));
    await Promise.allSettled([store.mail.accept(mail(from, counted)), store.mail.accept(broken), store.mail.accept(mail(from, counted))]);
    assert.deepEqual(
      (await opened().counters(from.domainId)).map(({ n }) => n),
      [2],
    );
  });
}
