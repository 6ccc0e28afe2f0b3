/** Accounts, keys, domains, credentials, DKIM keys, suppressions, settings and templates. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApiKey, Store, Suppression } from '#store/store.ts';
import type { TemplateVersion } from '#store/template-store.ts';
import { suiteStore } from './suite-store.ts';
import { type Open, tenant, T0, unique } from './tenant.ts';

export function accountsConformance(open: Open): void {
  describe('accounts and their small tables', () => {
    const store = suiteStore(open);
    accounts(store);
    domains(store);
    suppressions(store);
    templates(store);
  });
}

function accounts(store: () => Store): void {
  it('finds an account by its id, and lists all in the order they were made', async () => {
    const one = await store().accounts.createAccount('one', T0);
    const two = await store().accounts.createAccount('two', T0 + 1);
    assert.deepEqual(await store().accounts.accountById(two.id), { id: two.id, name: 'two', createdMs: T0 + 1, isDisabled: false });
    const ids = (await store().accounts.listAccounts()).map(({ id }) => id);
    assert.ok(ids.indexOf(one.id) < ids.indexOf(two.id));
    assert.equal(await store().accounts.accountById(999_999), undefined);
  });

  const newKey = (accountId: number, change: Partial<ApiKey> = {}): ApiKey => ({
    id: unique('key-'),
    accountId,
    kind: 'account',
    role: 'admin',
    description: 'for tests',
    createdMs: T0,
    ...change,
  });

  it('finds a key by the hash of its secret, with everything that was kept', async () => {
    const { accountId, domainId } = await tenant(store());
    const key = newKey(accountId, { kind: 'domain', role: 'sending', domainId, expiresAtMs: T0 + 5 });
    await store().accounts.createKey({ ...key, secretHash: `hash of ${key.id}` });
    assert.deepEqual(await store().accounts.keyBySecretHash(`hash of ${key.id}`), key);
    assert.equal(await store().accounts.keyBySecretHash('hash of nothing'), undefined);
  });

  it('lists and deletes keys of one account only', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const key = newKey(mine.accountId);
    await store().accounts.createKey({ ...key, secretHash: unique('hash') });
    assert.deepEqual(await store().accounts.listKeys(theirs.accountId), []);
    assert.equal(await store().accounts.deleteKey(theirs.accountId, key.id), false);
    assert.deepEqual(
      (await store().accounts.listKeys(mine.accountId)).map(({ id }) => id),
      [key.id],
    );
    assert.equal(await store().accounts.deleteKey(mine.accountId, key.id), true);
    assert.equal(await store().accounts.deleteKey(mine.accountId, key.id), false);
    assert.deepEqual(await store().accounts.listKeys(mine.accountId), []);
  });

  it('sets a setting once: who comes later gets the value that stands', async () => {
    const name = unique('setting ');
    assert.equal(await store().accounts.setting(name), undefined);
    const all = await Promise.all(['a', 'b', 'c'].map((value) => store().accounts.settingOnce(name, value)));
    assert.equal(new Set(all).size, 1);
    assert.equal(await store().accounts.setting(name), all[0]);
  });
}

function domains(store: () => Store): void {
  it('gives a domain name to one account only', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const again = { accountId: theirs.accountId, name: mine.domain, type: 'custom', state: 'active' } as const;
    const rest = { createdMs: T0, retentionMs: 1, requireTls: false, skipVerification: false };
    assert.equal(await store().accounts.createDomain({ ...again, ...rest }), undefined);
    assert.equal((await store().accounts.domainByName(mine.domain))?.accountId, mine.accountId);
  });

  it('keeps every property of a domain, and changes its state', async () => {
    const { accountId } = await tenant(store());
    const wanted = {
      accountId,
      name: `${unique('all')}.example`,
      type: 'sandbox',
      state: 'unverified',
      createdMs: T0,
      retentionMs: 7,
      requireTls: true,
      skipVerification: true,
    } as const;
    const created = await store().accounts.createDomain(wanted);
    assert.deepEqual(created, { ...wanted, id: created?.id, settings: {}, dnsAnswers: {}, checkedMs: 0 });
    await store().accounts.setDomainState(created?.id as number, 'disabled');
    assert.deepEqual(await store().accounts.domainById(created?.id as number), { ...created, state: 'disabled' });
  });

  it('lists the domains of one account, or of all', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const names = (list: readonly { name: string }[]): string[] => list.map(({ name }) => name);
    assert.deepEqual(names(await store().accounts.listDomains(mine.accountId)), [mine.domain]);
    const all = names(await store().accounts.listDomains());
    assert.ok(all.includes(mine.domain) && all.includes(theirs.domain));
  });

  it('replaces the password of a login that exists, and deletes it only from its own domain', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const credential = { login: `app@${mine.domain}`, domainId: mine.domainId, accountId: mine.accountId, createdMs: T0 };
    await store().accounts.putCredential({ ...credential, passwordHash: '$argon2id$one' });
    await store().accounts.putCredential({ ...credential, passwordHash: '$argon2id$two' });
    assert.deepEqual(await store().accounts.listCredentials(mine.domainId), [{ ...credential, passwordHash: '$argon2id$two' }]);
    assert.equal((await store().accounts.credentialByLogin(credential.login))?.passwordHash, '$argon2id$two');
    assert.equal(await store().accounts.deleteCredential(theirs.domainId, credential.login), false);
    assert.equal(await store().accounts.deleteCredential(mine.domainId, credential.login), true);
    assert.equal(await store().accounts.credentialByLogin(credential.login), undefined);
  });

  it('does not let a login be taken over by another domain', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const login = `app@${mine.domain}`;
    await store().accounts.putCredential({
      login,
      domainId: mine.domainId,
      accountId: mine.accountId,
      passwordHash: 'mine',
      createdMs: T0,
    });
    await store().accounts.putCredential({
      login,
      domainId: theirs.domainId,
      accountId: theirs.accountId,
      passwordHash: 'theirs',
      createdMs: T0,
    });
    const kept = await store().accounts.credentialByLogin(login);
    assert.deepEqual([kept?.passwordHash, kept?.domainId], ['mine', mine.domainId]);
  });

  it('keeps DKIM keys with their octets and their state', async () => {
    const { domainId } = await tenant(store());
    const key = { domainId, selector: 's1', algorithm: 'ed25519', publicKey: 'base64', state: 'published', createdMs: T0 } as const;
    const privateKey = Uint8Array.of(0, 255, 1, 254);
    const created = await store().accounts.createDkimKey({ ...key, privateKey });
    const other = await store().accounts.createDkimKey({ ...key, selector: 's2', privateKey });
    await store().accounts.setDkimKeyState(created.id, 'signing');
    const kept = await store().accounts.listDkimKeys(domainId);
    assert.deepEqual(
      kept.map(({ id, selector, state }) => [id, selector, state]),
      [
        [created.id, 's1', 'signing'],
        [other.id, 's2', 'published'],
      ],
    );
    assert.deepEqual([...(kept[0]?.privateKey ?? [])], [0, 255, 1, 254]);
  });
}

function suppressions(store: () => Store): void {
  const suppression = (change: Partial<Suppression> = {}): Suppression => ({
    kind: 'bounce',
    address: 'Gone@Example.org',
    code: 550,
    error: 'no such user',
    createdMs: T0,
    ...change,
  });

  it('finds a suppression whatever the case of the address, in its own domain and kind only', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    await store().accounts.putSuppression(mine.domainId, suppression());
    assert.deepEqual(await store().accounts.suppressionOf(mine.domainId, 'bounce', 'gone@example.ORG'), suppression());
    assert.equal(await store().accounts.suppressionOf(mine.domainId, 'complaint', 'gone@example.org'), undefined);
    assert.equal(await store().accounts.suppressionOf(theirs.domainId, 'bounce', 'gone@example.org'), undefined);
  });

  it('renews a suppression with the later reason, and keeps when it began', async () => {
    const { domainId } = await tenant(store());
    await store().accounts.putSuppression(domainId, suppression());
    await store().accounts.putSuppression(domainId, suppression({ code: 551, error: 'moved', createdMs: T0 + 9 }));
    assert.deepEqual(
      await store().accounts.suppressionOf(domainId, 'bounce', 'gone@example.org'),
      suppression({ code: 551, error: 'moved' }),
    );
  });

  it('lists suppressions in pages, and deletes them', async () => {
    const { domainId } = await tenant(store());
    for (const address of ['c@x.example', 'a@x.example', 'b@x.example']) {
      await store().accounts.putSuppression(domainId, suppression({ address }));
    }
    await store().accounts.putSuppression(domainId, suppression({ address: 'd@x.example', kind: 'unsubscribe' }));
    const page = async (after: string): Promise<string[]> =>
      (await store().accounts.listSuppressions(domainId, 'bounce', after, 2)).map(({ address }) => address);
    assert.deepEqual(await page(''), ['a@x.example', 'b@x.example']);
    assert.deepEqual(await page('b@x.example'), ['c@x.example']);
    assert.equal(await store().accounts.deleteSuppression(domainId, 'bounce', 'A@x.example'), true);
    assert.equal(await store().accounts.deleteSuppression(domainId, 'bounce', 'a@x.example'), false);
    assert.deepEqual(await page(''), ['b@x.example', 'c@x.example']);
  });
}

function templates(store: () => Store): void {
  const version = (tag: string, change: Partial<TemplateVersion> = {}): Omit<TemplateVersion, 'templateId'> => ({
    name: 'welcome',
    tag,
    source: `source of ${tag}`,
    engine: 'handlebars',
    comment: '',
    headers: { Subject: 'Hi' },
    isActive: false,
    createdMs: T0,
    ...change,
  });

  it('makes the first version active, and a later one only when it asks', async () => {
    const { domainId } = await tenant(store());
    const active = async (): Promise<string | undefined> => (await store().templates.version(domainId, 'welcome'))?.tag;
    assert.equal(await store().templates.putVersion(domainId, 'greets', version('one')), true);
    assert.equal(await active(), 'one');
    await store().templates.putVersion(domainId, 'greets', version('two'));
    assert.equal(await active(), 'one');
    await store().templates.putVersion(domainId, 'greets', version('three', { isActive: true }));
    assert.equal(await active(), 'three');
    const named = await store().templates.version(domainId, 'welcome', 'two');
    assert.deepEqual([named?.source, named?.headers, named?.isActive], ['source of two', { Subject: 'Hi' }, false]);
  });

  it('refuses a version that exists, and leaves it as it was', async () => {
    const { domainId } = await tenant(store());
    await store().templates.putVersion(domainId, '', version('one'));
    assert.equal(await store().templates.putVersion(domainId, '', version('one', { source: 'another', isActive: true })), false);
    assert.equal((await store().templates.version(domainId, 'welcome', 'one'))?.source, 'source of one');
  });

  it('takes a text with a NUL, which a client may send, for a text', async () => {
    const { domainId } = await tenant(store());
    assert.equal(await store().accounts.domainByName('no\0such.example'), undefined);
    assert.equal(await store().templates.version(domainId, 'no\0such'), undefined);
    await store().templates.putVersion(domainId, 'a\0b', version('one', { source: 'a\0b' }));
    assert.match((await store().templates.version(domainId, 'welcome'))?.source ?? '', /^a.b$/su);
  });

  it('lists and deletes templates of one domain only', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    await store().templates.putVersion(mine.domainId, 'greets', version('one'));
    assert.deepEqual(await store().templates.listTemplates(theirs.domainId), []);
    assert.equal(await store().templates.deleteTemplate(theirs.domainId, 'welcome'), false);
    assert.deepEqual(await store().templates.listTemplates(mine.domainId), [
      { name: 'welcome', description: 'greets', createdMs: T0, createdBy: '' },
    ]);
    assert.equal(await store().templates.deleteTemplate(mine.domainId, 'welcome'), true);
    assert.equal(await store().templates.version(mine.domainId, 'welcome'), undefined);
    assert.equal(await store().templates.version(mine.domainId, 'welcome', 'one'), undefined);
  });
}
