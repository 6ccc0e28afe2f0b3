/** Domains' settings, what DNS said of them, their deletion; pools of addresses. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Store } from '#store/store.ts';
import { suiteStore } from './suite-store.ts';
import { accept, mail, type Open, tenant, T0, unique } from './tenant.ts';

export function domainsConformance(open: Open): void {
  describe('domains and pools', () => {
    const store = suiteStore(open);
    settings(store);
    deletion(store);
    pools(store);
  });
}

function settings(store: () => Store): void {
  it('joins new settings with those that stand, and leaves alone what is not given', async () => {
    const { domainId } = await tenant(store());
    const { domains, accounts } = store();
    await domains.changeDomain(domainId, { settings: { trackClicks: 'htmlonly', ips: ['192.0.2.1', '192.0.2.2'], webPrefix: 'go' } });
    await domains.changeDomain(domainId, { settings: { ips: ['192.0.2.3'], trackClicks: false }, requireTls: true });
    const domain = await accounts.domainById(domainId);
    assert.deepEqual(domain?.settings, { trackClicks: false, ips: ['192.0.2.3'], webPrefix: 'go' });
    assert.equal(domain?.requireTls, true);
    assert.equal(domain?.skipVerification, false);
    await domains.changeDomain(domainId, { skipVerification: true, requireTls: false, retentionMs: 0 });
    assert.partialDeepStrictEqual(await accounts.domainById(domainId), { skipVerification: true, requireTls: false, retentionMs: 0 });
  });

  it('gives each domain to one of those who check, the one that was not looked at for longest first', async () => {
    const [one, two] = [await tenant(store()), await tenant(store())];
    const { domains } = store();
    // Other tests have domains that were never looked at.
    while ((await domains.claimDnsChecks(1, 1, 100)).length > 0);
    await domains.setDnsAnswers(two.domainId, { 'TXT a b': { state: 'missing', found: [] } }, T0 - 2);
    await domains.setDnsAnswers(one.domainId, {}, T0 - 1);
    const ours = (list: readonly { readonly id: number }[]): number[] =>
      list.map(({ id }) => id).filter((id) => id === one.domainId || id === two.domainId);
    const claimed = await domains.claimDnsChecks(T0, T0 + 5, 1000);
    assert.deepEqual(ours(claimed).toSorted(), [one.domainId, two.domainId].toSorted());
    assert.deepEqual(claimed.find(({ id }) => id === two.domainId)?.dnsAnswers, { 'TXT a b': { state: 'missing', found: [] } });
    assert.deepEqual(ours(await domains.claimDnsChecks(T0, T0 + 5, 1000)), []);
    assert.equal((await domains.claimDnsChecks(T0 + 6, T0 + 6, 1)).length, 1);
  });

  it('keeps when a key was told to sign, and deletes keys', async () => {
    const { domainId } = await tenant(store());
    const key = { domainId, selector: 's', algorithm: 'rsa', publicKey: 'p', state: 'inactive', createdMs: T0 } as const;
    const made = await store().accounts.createDkimKey({ ...key, privateKey: new Uint8Array([1]) });
    await store().domains.setDkimKey(made.id, 'signing', T0 + 7);
    assert.partialDeepStrictEqual(await store().accounts.listDkimKeys(domainId), [{ state: 'signing', activeMs: T0 + 7 }]);
    assert.equal(await store().domains.deleteDkimKey(made.id), true);
    assert.equal(await store().domains.deleteDkimKey(made.id), false);
    assert.deepEqual(await store().accounts.listDkimKeys(domainId), []);
  });
}

function deletion(store: () => Store): void {
  it('hides a deleted domain and frees its name at once, with its logins and keys', async () => {
    const { accountId, domainId, domain } = await tenant(store());
    const { accounts, domains } = store();
    const login = `app@${domain}`;
    await accounts.putCredential({ login, domainId, accountId, passwordHash: 'x', createdMs: T0 });
    const key = { id: unique('key'), accountId, kind: 'domain', role: 'sending', domainId, description: '', createdMs: T0 } as const;
    await accounts.createKey({ ...key, secretHash: key.id });
    assert.equal(await domains.deleteDomain(domainId, T0 + 1), true);
    assert.equal(await domains.deleteDomain(domainId, T0 + 2), false);
    assert.equal(await accounts.domainByName(domain), undefined);
    assert.deepEqual(await accounts.listDomains(accountId), []);
    assert.equal(await accounts.credentialByLogin(login), undefined);
    assert.equal(await accounts.keyBySecretHash(key.id), undefined);
    assert.partialDeepStrictEqual(await accounts.domainById(domainId), { name: domain, deletedMs: T0 + 1 });
    const again = await tenant(store(), { name: domain });
    assert.notEqual(again.domainId, domainId);
  });

  it('still gives out the mail that a deleted domain has queued, under its name', async () => {
    const who = await tenant(store());
    const accepted = await accept(store(), mail(who));
    await store().domains.deleteDomain(who.domainId, T0);
    assert.equal(await store().domains.hasQueued(who.accountId, who.domainId), true);
    assert.equal((await store().events.messageById(who.accountId, accepted.id))?.message.domain, who.domain);
    await store().mail.cancel(who.accountId, who.domainId, accepted.id, T0);
    assert.equal(await store().domains.hasQueued(who.accountId, who.domainId), false);
  });

  it('takes what a deleted domain leaves in bounded steps, and nothing of others', async () => {
    const [gone, other] = [await tenant(store()), await tenant(store())];
    const { accounts, domains, templates } = store();
    const version = { tag: 'a', source: 'x', engine: 'handlebars', comment: '', headers: {}, isActive: true, createdMs: T0 } as const;
    for (const { domainId } of [gone, other]) {
      for (const name of ['one', 'two', 'three']) await templates.putVersion(domainId, '', { ...version, name });
      await accounts.createDkimKey({
        domainId,
        selector: 's',
        algorithm: 'rsa',
        privateKey: new Uint8Array([1]),
        publicKey: 'p',
        state: 'signing',
        createdMs: T0,
      });
      await accounts.putSuppression(domainId, { kind: 'bounce', address: 'x@example.net', code: 550, error: '', createdMs: T0 });
    }
    await domains.deleteDomain(gone.domainId, T0);
    const isListed = async (): Promise<boolean> => (await domains.deletedDomains(1000)).some(({ id }) => id === gone.domainId);
    assert.equal(await isListed(), true);
    assert.equal(await domains.purgeDomain(gone.domainId, 2), false);
    let steps = 1;
    while (!(await domains.purgeDomain(gone.domainId, 2))) assert.ok(++steps < 10);
    assert.equal(await isListed(), false);
    assert.deepEqual(await accounts.listDkimKeys(gone.domainId), []);
    assert.deepEqual(await templates.listTemplates(gone.domainId), []);
    assert.equal(await accounts.suppressionOf(gone.domainId, 'bounce', 'x@example.net'), undefined);
    assert.equal((await accounts.listDkimKeys(other.domainId)).length, 1);
    assert.equal((await templates.listTemplates(other.domainId)).length, 3);
    assert.ok(await templates.version(other.domainId, 'one'));
    assert.ok(await accounts.suppressionOf(other.domainId, 'bounce', 'x@example.net'));
  });
}

function pools(store: () => Store): void {
  it('keeps pools of an account, changes them for their owner only, and lends them', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const { domains } = store();
    const pool = { id: unique('pool'), accountId: mine.accountId, name: 'a', description: 'b', ips: ['192.0.2.1'], createdMs: T0 };
    await domains.putPool(pool);
    assert.deepEqual(await domains.listPools(mine.accountId), [pool]);
    assert.deepEqual(await domains.listPools(theirs.accountId), []);
    assert.equal(await domains.changePool(theirs.accountId, pool.id, { name: 'stolen' }), undefined);
    const changed = await domains.changePool(mine.accountId, pool.id, { name: 'c', addIps: ['192.0.2.2'], removeIps: ['192.0.2.1'] });
    assert.deepEqual(changed, { ...pool, name: 'c', ips: ['192.0.2.2'] });
    assert.deepEqual(await domains.poolById(pool.id), changed);
    await domains.lendPool(theirs.accountId, pool.id);
    assert.equal((await domains.poolLentTo(theirs.accountId))?.id, pool.id);
    assert.deepEqual(await domains.lentPools(mine.accountId), [{ poolId: pool.id, accountId: theirs.accountId }]);
    assert.equal(await domains.deletePool(theirs.accountId, pool.id), false);
    assert.equal(await domains.deletePool(mine.accountId, pool.id), true);
    assert.equal(await domains.poolLentTo(theirs.accountId), undefined);
    assert.equal(await domains.poolById(pool.id), undefined);
  });
}
