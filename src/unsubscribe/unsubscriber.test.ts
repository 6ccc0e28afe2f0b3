import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createSignedTokens } from '#base/signed-token.ts';
import type { Domain, EventStore, MailStore, Store } from '#store/store.ts';
import { openSqliteStore } from '#store/sqlite/open.ts';
import { messageInfo, newDomain } from '../../test/kit/stored.ts';
import { createUnsubscribeTokens, type Scope } from './tokens.ts';
import { type Subscriber, Unsubscriber } from './unsubscriber.ts';

const NOW_MS = 1_772_000_000_000;
const READER = 'Reader@example.net';
const LIST = 'circle@ours.example';
const tokens = createUnsubscribeTokens(createSignedTokens(Buffer.alloc(32, 4)));

interface Rig {
  readonly store: Store;
  readonly domainId: number;
  readonly recipient: number;
  /** Facts that were recorded anew. */
  readonly recorded: string[];
  readonly unsubscriber: Unsubscriber;
  holder(scope: Scope, change?: { readonly recipient?: number; readonly address?: string }): Promise<Subscriber>;
  off(): Promise<readonly string[] | undefined>;
}

/** A message with two tags, and a list that its reader is on. */
async function rig(t: TestContext): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-unsubscribe-'));
  const store = await openSqliteStore({ path: join(directory, 'postrider.db'), mode: 'server', nowMs: NOW_MS });
  t.after(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });
  const { id: accountId } = await store.accounts.createAccount('a', NOW_MS);
  const domain = await store.accounts.createDomain(
    newDomain({ accountId, name: 'ours.example', createdMs: NOW_MS, retentionMs: 86_400_000 }),
  );
  assert.ok(domain);
  const list = await store.lists.createList({
    accountId,
    address: LIST,
    name: '',
    description: '',
    accessLevel: 'readonly',
    replyPreference: 'list',
    createdMs: NOW_MS,
  });
  const member = { address: READER.toLowerCase(), name: 'Reader', vars: { city: 'Bern' }, isSubscribed: true };
  await store.lists.putMembers(list?.id as number, [member], false);
  const accepted = await store.mail.accept({
    ...messageOf(accountId, domain.id),
    recipients: [{ address: READER, domain: 'example.net', isLeased: false }],
  });
  assert.equal(accepted.kind, 'accepted');
  const recipient = 'firstRecipient' in accepted ? accepted.firstRecipient : 0;
  const recorded: string[] = [];
  const unsubscriber = new Unsubscriber({
    tokens,
    events: store.events,
    store,
    domainById: (id) => store.accounts.domainById(id),
    domainFor: (name) => store.accounts.domainByName(name),
    async record(fact) {
      const result = await store.mail.record(fact);
      if (result === 'recorded') recorded.push(String(fact.event.detail.list));
      return result;
    },
    clientOf: () => ({ name: 'Firefox', os: 'Linux', type: 'browser', device: 'desktop' }),
    clock: new HeldClock(NOW_MS),
    log: silentLog,
  });
  return {
    store,
    domainId: domain.id,
    recipient,
    recorded,
    unsubscriber,
    async holder(scope, change = {}) {
      const found = await unsubscriber.ofPage(tokens.page({ recipient, domainId: domain.id, address: READER, scope, ...change }));
      assert.ok(found);
      return found;
    },
    async off() {
      const found = await store.accounts.suppressionOf(domain.id, 'unsubscribe', READER);
      return found === undefined ? undefined : (found.tags ?? ['*']);
    },
  };
}

function messageOf(accountId: number, domainId: number): Omit<Parameters<MailStore['accept']>[0], 'recipients'> {
  return {
    accountId,
    domainId,
    domain: 'ours.example',
    messageId: 'm@ours.example',
    sender: 'app@ours.example',
    createdMs: NOW_MS,
    dueAtMs: NOW_MS,
    wait: 'due',
    expiresAtMs: NOW_MS + 1000,
    priority: 1,
    info: messageInfo({ sizeBytes: 5, options: { tags: ['News', 'offers'], variables: {}, testMode: false } }),
    content: new Uint8Array(Buffer.from('Hello')),
  };
}

const ALL: Scope = { kind: 'all' };
const NEWS: Scope = { kind: 'tags', tags: ['News'] };
const LISTED: Scope = { kind: 'list', list: LIST };

test('each scope is recorded once, however often it is asked for and taken back, and holds each time', async (t) => {
  const { unsubscriber, holder, off, recorded } = await rig(t);
  for (const round of [1, 2, 3]) {
    const asked: readonly (readonly [Scope, readonly string[]])[] = [
      [NEWS, ['News']],
      [ALL, ['*']],
    ];
    for (const [scope, tags] of asked) {
      const who = await holder(scope);
      await unsubscriber.unsubscribe(who, scope, {});
      await unsubscriber.unsubscribe(who, scope, {});
      assert.deepEqual(await off(), tags, `round ${round}`);
      await unsubscriber.subscribe(who);
      assert.equal(await off(), undefined);
    }
  }
  assert.deepEqual(recorded, ['News', '*']);
});

test('two that ask at the same time are one', async (t) => {
  const { unsubscriber, holder, off, recorded } = await rig(t);
  const who = await holder(ALL);
  await Promise.all([1, 2, 3, 4].map(() => unsubscriber.unsubscribe(who, ALL, { ip: '192.0.2.1', userAgent: 'x'.repeat(5000) })));
  assert.deepEqual([await off(), recorded], [['*'], ['*']]);
});

test('who leaves a list keeps name and values there, and is back with them', async (t) => {
  const { store, unsubscriber, holder, off, recorded } = await rig(t);
  const who = await holder(LISTED);
  const list = await store.lists.listByAddress(who.domain.accountId, LIST);
  const member = async (): Promise<unknown> => store.lists.memberOf(list?.id as number, READER.toLowerCase());
  await unsubscriber.unsubscribe(who, LISTED, {});
  assert.equal((await unsubscriber.stateOf(who)).isOffList, true);
  assert.deepEqual(await member(), { address: READER.toLowerCase(), name: 'Reader', vars: { city: 'Bern' }, isSubscribed: false });
  await unsubscriber.subscribe(who);
  assert.deepEqual(await member(), { address: READER.toLowerCase(), name: 'Reader', vars: { city: 'Bern' }, isSubscribed: true });
  assert.deepEqual([await off(), recorded], [undefined, [LIST]]);
});

test('who is off everything and takes one part of it back gets that part', async (t) => {
  const { unsubscriber, holder, off } = await rig(t);
  await unsubscriber.unsubscribe(await holder(ALL), ALL, {});
  await unsubscriber.choose(await holder(ALL), ['OFFERS'], {});
  assert.deepEqual(await off(), ['News']);
  await unsubscriber.unsubscribe(await holder(ALL), ALL, {});
  await unsubscriber.subscribe(await holder(LISTED));
  assert.equal(await off(), undefined);
});

test('a link works when nothing of its message is kept any more; there is no event then', async (t) => {
  const { store, unsubscriber, holder, off, recorded, recipient } = await rig(t);
  const gone = { recipient: recipient + 1000 };
  for (const scope of [NEWS, ALL, LISTED]) {
    const who = await holder(scope, gone);
    assert.equal(who.known, undefined);
    assert.deepEqual(who.tags, scope.kind === 'tags' ? ['News'] : []);
    await unsubscriber.unsubscribe(who, scope, {});
  }
  assert.deepEqual([await off(), recorded], [['*'], []]);
  const who = await holder(LISTED, gone);
  assert.equal((await unsubscriber.stateOf(who)).isOffList, true);
  assert.equal((await store.lists.listByAddress(who.domain.accountId, LIST))?.membersCount, 1);
});

test('a number that is another recipient’s by now is not taken for the one of the link', async (t) => {
  const { unsubscriber, holder, off, recorded, recipient } = await rig(t);
  const who = await holder(ALL, { address: 'before@example.net' });
  assert.equal(who.known, undefined);
  await unsubscriber.unsubscribe(who, ALL, {});
  assert.deepEqual([await off(), recorded], [undefined, []]);
  assert.equal(await unsubscriber.ofPage(tokens.page({ recipient, domainId: 99, address: READER, scope: ALL })), undefined);
});

test('a mailbox says whose it is only while the message is known', async (t) => {
  const { unsubscriber, recipient } = await rig(t);
  const [all, tags, list] = await Promise.all(
    (['all', 'tags', 'list'] as const).map((scope) => unsubscriber.ofMailbox({ recipient, scope })),
  );
  assert.equal(all?.address, READER);
  assert.deepEqual(tags?.scope, { kind: 'tags', tags: ['News', 'offers'] });
  assert.deepEqual(list?.scope, ALL);
  assert.equal(await unsubscriber.ofMailbox({ recipient: recipient + 1, scope: 'all' }), undefined);
});

test('who unsubscribes from a domain that was deleted and added again gets no mail of the new one, unless it is another account’s', async (t) => {
  const { store, domainId, holder, unsubscriber } = await rig(t);
  const { accountId, name } = (await store.accounts.domainById(domainId)) as Domain;
  const isOff = async (id: number): Promise<boolean> => (await store.accounts.suppressionOf(id, 'unsubscribe', READER)) !== undefined;
  await unsubscriber.unsubscribe(await holder(ALL), ALL, {});

  await store.domains.deleteDomain(domainId, NOW_MS);
  const { id: otherId } = await store.accounts.createAccount('b', NOW_MS);
  const others = await store.accounts.createDomain(newDomain({ accountId: otherId, name, createdMs: NOW_MS }));
  assert.ok(others);
  await unsubscriber.unsubscribe(await holder(ALL), ALL, {});
  assert.equal(await isOff(others.id), false);

  await store.domains.deleteDomain(others.id, NOW_MS);
  const again = await store.accounts.createDomain(newDomain({ accountId, name, createdMs: NOW_MS }));
  assert.ok(again);
  assert.equal((await unsubscriber.stateOf(await holder(ALL))).isOffAll, false);
  await unsubscriber.unsubscribe(await holder(ALL), ALL, {});
  assert.equal(await isOff(again.id), true);
  assert.equal((await unsubscriber.stateOf(await holder(ALL))).isOffAll, true);
});

test('nothing is told as done while the store is away', async (t) => {
  const { unsubscriber, holder, store } = await rig(t);
  const who = await holder(ALL);
  const events: Pick<EventStore, 'recipientById'> = store.events;
  const broken = new Unsubscriber({
    tokens,
    events,
    store,
    domainById: async () => undefined,
    domainFor: async () => undefined,
    record: () => Promise.reject(new Error('away')),
    clientOf: () => ({ name: '', os: '', type: 'unknown', device: 'unknown' }),
    clock: new HeldClock(NOW_MS),
    log: silentLog,
  });
  await assert.rejects(broken.unsubscribe(who, ALL, {}), /away/);
  assert.equal((await unsubscriber.stateOf(who)).isOffAll, false);
});
