import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { ListMember, MailingList } from '#store/list-store.ts';
import { openSqliteStore } from '#store/sqlite/open.ts';
import type { AcceptResult, Store } from '#store/store.ts';
import { messageInfo, newDomain } from '../../test/kit/stored.ts';
import { ListExpander, type ListExpanderOptions } from './expander.ts';

const NOW_MS = 1_772_000_000_000;

interface Rig {
  readonly store: Store;
  readonly list: MailingList;
  readonly message: StoredMessage;
  readonly recipient: StoredRecipient;
  expander(change?: Partial<ListExpanderOptions>): ListExpander;
  /** To whom copies wait, without the list itself. */
  copies(): Promise<string[]>;
}

async function rig(t: TestContext, members: readonly string[]): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-lists-'));
  const store = await openSqliteStore({ path: join(directory, 'postrider.db'), mode: 'server', nowMs: NOW_MS });
  t.after(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });
  const account = await store.accounts.createAccount('a', NOW_MS);
  const domain = await store.accounts.createDomain(
    newDomain({ accountId: account.id, name: 'ours.example', createdMs: NOW_MS, retentionMs: 86_400_000 }),
  );
  const list = await store.lists.createList({
    accountId: account.id,
    address: 'news@ours.example',
    name: '',
    description: '',
    accessLevel: 'readonly',
    replyPreference: 'list',
    createdMs: NOW_MS,
  });
  assert.ok(list !== undefined && domain !== undefined);
  for (let start = 0; start < members.length; start += 1000) {
    await store.lists.putMembers(list.id, members.slice(start, start + 1000).map(member), false);
  }
  const info = messageInfo({
    from: 'app@ours.example',
    to: list.address,
    subject: 's',
    sizeBytes: 20,
    method: 'HTTP',
    origin: { address: '' },
  });
  const sent = await store.mail.accept({
    accountId: account.id,
    domainId: domain.id,
    domain: domain.name,
    messageId: 'm@ours.example',
    sender: 'app@ours.example',
    createdMs: NOW_MS,
    dueAtMs: NOW_MS,
    wait: 'due',
    expiresAtMs: Date.now() + 86_400_000,
    priority: 0,
    info,
    content: new TextEncoder().encode('Subject: s\r\n\r\ntext\r\n'),
    recipients: [{ address: list.address, domain: 'ours.example', isLeased: true }],
  });
  assert.equal(sent.kind, 'accepted');
  const view = await store.events.messageById(account.id, (sent as Extract<AcceptResult, { kind: 'accepted' }>).id);
  const { message, recipients } = view as NonNullable<typeof view>;
  return {
    store,
    list,
    message,
    recipient: recipients[0] as StoredRecipient,
    expander: (change) =>
      new ListExpander({
        lists: store.lists,
        events: store.events,
        clock: systemClock,
        accept: async (page) =>
          (await store.mail.accept({ ...page, recipients: page.recipients.map((each) => ({ ...each, isLeased: false })) })) as AcceptResult,
        content: (id) => store.mail.content(id),
        ...change,
      }),
    async copies() {
      const messages = await store.events.latestMessages(account.id, 100);
      const found = await Promise.all(messages.map(({ message: { id } }) => store.events.messageById(account.id, id, 10_000)));
      return found.flatMap((each) => each?.recipients.map(({ address }) => address) ?? []).filter((address) => address !== list.address);
    },
  };
}

const member = (address: string): ListMember => ({ address, name: '', vars: {}, isSubscribed: true });
const named = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${String(i).padStart(5, '0')}@x.example`);

test('a notification does not go to the members', async (t) => {
  const { expander, message, recipient, copies } = await rig(t, ['a@x.example']);
  const expanded = await expander().expand({ ...message, sender: '' }, recipient, () => true);
  assert.deepEqual(expanded, { kind: 'refused', text: 'A mailing list takes no notifications' });
  assert.deepEqual(await copies(), []);
});

test('every member gets one copy, a page of them in each message', async (t) => {
  const { expander, message, recipient, copies } = await rig(t, named(2300));
  assert.deepEqual(await expander().expand(message, recipient, () => true), { kind: 'expanded', members: 2300 });
  assert.deepEqual((await copies()).sort(), named(2300));
});

test('what was broken off goes on where it stood, whoever was added to the pages that stand or left them', async (t) => {
  const { store, list, expander, message, recipient, copies } = await rig(t, named(2300));
  let pages = 0;
  const first = await expander().expand(message, recipient, () => pages++ < 1);
  assert.equal(first?.kind, 'later');
  assert.equal((await copies()).length, 1000);
  await store.lists.putMembers(list.id, ['a-new-one@x.example', 'm00500-too@x.example'].map(member), false);
  await store.lists.deleteMember(list.id, 'm00999@x.example');
  await store.lists.deleteMember(list.id, 'm02000@x.example');
  assert.deepEqual(await expander().expand(message, recipient, () => true), { kind: 'expanded', members: 2299 });
  assert.deepEqual(
    (await copies()).sort(),
    named(2300).filter((address) => address !== 'm02000@x.example'),
  );
});

test('a recipient that is no list is told to be none, from memory once that is known', async (t) => {
  const { expander, message, recipient } = await rig(t, []);
  const lists = expander();
  assert.equal(await lists.expand(message, { ...recipient, address: 'else@ours.example' }, () => true), undefined);
  assert.equal(
    lists.expand(message, { ...recipient, address: 'a@x.example', domain: 'x.example' }, () => true),
    undefined,
  );
});

test('another account’s list is none', async (t) => {
  const { expander, message, recipient, copies } = await rig(t, named(1));
  assert.equal(await expander().expand({ ...message, accountId: message.accountId + 1 }, recipient, () => true), undefined);
  assert.deepEqual(await copies(), []);
});

test('a quota that is used up puts the rest off until it begins anew', async (t) => {
  const { expander, message, recipient } = await rig(t, named(1));
  const resetMs = NOW_MS + 60_000;
  const full = expander({ accept: () => Promise.reject(new AppError('quota-exceeded', { resetMs })) });
  assert.deepEqual(await full.expand(message, recipient, () => true), { kind: 'later', wait: 'quota', untilMs: resetMs });
});
