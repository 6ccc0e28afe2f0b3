/** Subaccounts, people, networks, signing keys, and what keys and logins have beside their secret. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApiKey, Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { type Open, T0, tenant, unique } from './tenant.ts';

export function accessConformance(open: Open): void {
  describe('who may come in', () => {
    const store = suiteStore(open);
    subaccounts(store);
    keysAndLogins(store);
    people(store);
    lists(store);
  });
}

const account = async (store: Store): Promise<number> => (await store.accounts.createAccount(unique('account '), T0)).id;

function subaccounts(store: () => Store): void {
  it('makes subaccounts up to as many as are allowed, and counts closed ones no more', async () => {
    const parent = await account(store());
    const one = await store().access.createSubaccount(parent, 'one', T0, 2);
    assert.deepEqual(one, {
      id: one?.id,
      parentId: parent,
      name: 'one',
      createdMs: T0,
      updatedMs: T0,
      isDisabled: false,
      status: 'open',
      reason: '',
      features: {},
      settings: {},
    });
    const two = await store().access.createSubaccount(parent, 'two', T0, 2);
    assert.equal(await store().access.createSubaccount(parent, 'three', T0, 2), undefined);
    await store().access.changeAccount(two?.id as number, { status: 'closed' }, T0 + 1);
    assert.ok(await store().access.createSubaccount(parent, 'three', T0, 2));
    assert.deepEqual(
      (await store().access.listSubaccounts(parent)).map(({ name, status }) => [name, status]),
      [
        ['one', 'open'],
        ['two', 'closed'],
        ['three', 'open'],
      ],
    );
  });

  it('changes what is named of an account, and leaves the rest', async () => {
    const id = await account(store());
    await store().access.changeAccount(id, { features: { sending: false, validations: true }, settings: { a: 1, b: 'x' } }, T0 + 1);
    await store().access.changeAccount(id, { features: { sending: true }, settings: { a: 2 } }, T0 + 2);
    const changed = await store().access.changeAccount(id, { status: 'disabled', reason: 'unpaid' }, T0 + 3);
    assert.deepEqual(changed, await store().access.accountFacts(id));
    assert.deepEqual(
      [changed?.status, changed?.isDisabled, changed?.reason, changed?.features, changed?.settings, changed?.updatedMs],
      ['disabled', true, 'unpaid', { sending: true, validations: true }, { a: 2, b: 'x' }, T0 + 3],
    );
    assert.equal((await store().accounts.accountById(id))?.isDisabled, true);
    assert.equal((await store().access.changeAccount(id, { status: 'open' }, T0 + 4))?.isDisabled, false);
    assert.equal(await store().access.changeAccount(999_999, { name: 'x' }, T0), undefined);
  });

  it('keeps one signing key, which the first to come sets and a new one replaces', async () => {
    const id = await account(store());
    assert.equal(await store().access.signingKey(id), undefined);
    const [first, second] = [await store().access.putSigningKey(id, 'one', false), await store().access.putSigningKey(id, 'two', false)];
    assert.deepEqual([first, second], ['one', 'one']);
    assert.equal(await store().access.putSigningKey(id, 'three', true), 'three');
    assert.equal(await store().access.signingKey(id), 'three');
  });
}

function keysAndLogins(store: () => Store): void {
  it('keeps whose a key is, and when it was used last', async () => {
    const accountId = await account(store());
    const key: ApiKey = {
      id: unique('key-'),
      accountId,
      kind: 'web',
      role: 'basic',
      description: '',
      createdMs: T0,
      userName: 'Ann',
      requestor: 'key-0',
      userId: 7,
    };
    await store().accounts.createKey({ ...key, secretHash: `hash of ${key.id}` });
    await store().access.touchKey(key.id, T0 + 9);
    await store().access.touchKey(key.id, T0 + 5);
    assert.deepEqual(await store().accounts.listKeys(accountId), [{ ...key, lastUsedMs: T0 + 9 }]);
  });

  it('deletes the keys of one kind of one account', async () => {
    const [mine, theirs] = [await account(store()), await account(store())];
    for (const [accountId, kind] of [
      [mine, 'public'],
      [mine, 'account'],
      [theirs, 'public'],
    ] as const) {
      const id = unique('key-');
      await store().accounts.createKey({ id, accountId, kind, role: 'basic', description: '', createdMs: T0, secretHash: id });
    }
    assert.equal(await store().access.deleteKeysOfKind(mine, 'public'), 1);
    assert.deepEqual(
      (await store().accounts.listKeys(mine)).map(({ kind }) => kind),
      ['account'],
    );
    assert.equal((await store().accounts.listKeys(theirs)).length, 1);
  });

  it("disables a login of its domain, and deletes a domain's logins but for the system's", async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const put = (at: typeof mine, name: string, isSystem = false): Promise<void> =>
      store().accounts.putCredential({
        login: `${name}@${at.domain}`,
        domainId: at.domainId,
        accountId: at.accountId,
        passwordHash: 'x',
        createdMs: T0,
        isSystem,
      });
    await put(mine, 'a');
    await put(mine, 'b', true);
    await put(theirs, 'a');
    assert.equal(await store().access.setCredentialDisabled(theirs.domainId, `a@${mine.domain}`, true), false);
    assert.equal(await store().access.setCredentialDisabled(mine.domainId, `a@${mine.domain}`, true), true);
    assert.equal((await store().accounts.credentialByLogin(`a@${mine.domain}`))?.isDisabled, true);
    await store().access.setCredentialDisabled(mine.domainId, `a@${mine.domain}`, false);
    assert.equal((await store().accounts.credentialByLogin(`a@${mine.domain}`))?.isDisabled, undefined);
    assert.equal(await store().access.deleteCredentials(mine.domainId), 1);
    assert.deepEqual(
      (await store().accounts.listCredentials(mine.domainId)).map(({ login, isSystem }) => [login, isSystem]),
      [[`b@${mine.domain}`, true]],
    );
    assert.equal((await store().accounts.listCredentials(theirs.domainId)).length, 1);
  });
}

function people(store: () => Store): void {
  it('keeps the people of an account, each email once', async () => {
    const [mine, theirs] = [await account(store()), await account(store())];
    const ann = {
      accountId: mine,
      email: 'ann@example.org',
      name: 'Ann',
      role: 'admin',
      isDisabled: false,
      isMaster: true,
      createdMs: T0,
    } as const;
    const made = await store().access.createUser(ann);
    assert.deepEqual(made, { ...ann, id: made?.id });
    assert.equal(await store().access.createUser(ann), undefined);
    assert.ok(await store().access.createUser({ ...ann, accountId: theirs }));
    assert.deepEqual(await store().access.listUsers(mine), [made]);
    assert.equal(await store().access.setUserDisabled(theirs, made?.id as number, true), false);
    assert.equal(await store().access.setUserDisabled(mine, made?.id as number, true), true);
    assert.equal((await store().access.userById(made?.id as number))?.isDisabled, true);
  });
}

function lists(store: () => Store): void {
  it('keeps the networks of an account up to as many as are allowed, and changes their descriptions', async () => {
    const id = await account(store());
    const network = (name: string, description = ''): { network: string; description: string; createdMs: number } => ({
      network: name,
      description,
      createdMs: T0,
    });
    assert.equal(await store().access.putNetwork(id, network('192.0.2.0/24'), 2), true);
    assert.equal(await store().access.putNetwork(id, network('2001:db8::1'), 2), true);
    assert.equal(await store().access.putNetwork(id, network('198.51.100.1'), 2), false);
    assert.equal(await store().access.putNetwork(id, network('192.0.2.0/24', 'office'), 2), true);
    assert.deepEqual(await store().access.networksOf(id), [network('192.0.2.0/24', 'office'), network('2001:db8::1')]);
    assert.deepEqual(await store().access.networksOf(id + 1), []);
    assert.equal(await store().access.deleteNetwork(id, '2001:db8::1'), true);
    assert.equal(await store().access.deleteNetwork(id, '2001:db8::1'), false);
  });

  it('keeps to whom sandbox domains may send, up to as many as are allowed', async () => {
    const id = await account(store());
    const recipient = (email: string): { email: string; createdMs: number } => ({ email, createdMs: T0 });
    assert.equal(await store().access.putAuthRecipient(id, recipient('a@x.example'), 1), true);
    assert.equal(await store().access.putAuthRecipient(id, recipient('a@x.example'), 1), true);
    assert.equal(await store().access.putAuthRecipient(id, recipient('b@x.example'), 1), false);
    assert.deepEqual(await store().access.authRecipients(id), [recipient('a@x.example')]);
    assert.equal(await store().access.deleteAuthRecipient(id, 'a@x.example'), true);
    assert.equal(await store().access.deleteAuthRecipient(id, 'a@x.example'), false);
  });
}
