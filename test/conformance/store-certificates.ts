/** Certificates: the row of each host, accounts at authorities, and answers to their questions. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Certificate, CertificateOutcome } from '#store/certificate-store.ts';
import type { Store } from '#store/store.ts';
import { HOUR_MS, type Open, T0, unique } from './tenant.ts';

const obtained = (change: Partial<CertificateOutcome> = {}): CertificateOutcome => ({
  chain: '-----BEGIN CERTIFICATE-----\nü\n',
  sealedKey: Buffer.from([0, 1, 255]),
  notBeforeMs: T0,
  notAfterMs: T0 + 90 * HOUR_MS,
  dueMs: T0 + 60 * HOUR_MS,
  triedMs: T0,
  failures: 0,
  error: '',
  ...change,
});

export function certificatesConformance(open: Open): void {
  describe('certificates', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    /** The drivers give octets in classes of their own. */
    const standing = async (name: string): Promise<Certificate | undefined> => {
      const found = await store.certificates.certificateOf(name);
      return found && { ...found, sealedKey: Buffer.from(found.sealedKey) };
    };
    /** Nothing else is due then. */
    const settleAll = async (nowMs: number): Promise<void> => {
      for (;;) {
        const one = await store.certificates.claimCertificate(nowMs, nowMs + 1);
        if (one === undefined) return;
        await store.certificates.settleCertificate(one.name, one.epoch, undefined);
      }
    };

    it('keeps one for each host, which belongs to who asked last and never leaves the installation', async () => {
      const { certificates } = store;
      const [theirs, own] = [unique('email') + '.example', unique('mail') + '.example'];
      assert.equal(await certificates.certificateOf(theirs), undefined);
      assert.equal(await certificates.wantCertificate(theirs, 7, T0), true);
      assert.equal(await certificates.wantCertificate(theirs, 7, T0 + 5), false);
      assert.deepEqual(await standing(theirs), {
        ...obtained({ chain: '', sealedKey: Buffer.alloc(0), notBeforeMs: 0, notAfterMs: 0, dueMs: T0, triedMs: 0 }),
        name: theirs,
        domainId: 7,
        heldUntilMs: 0,
        epoch: 0,
        createdMs: T0,
      });
      assert.equal(await certificates.wantCertificate(theirs, 8, T0 + 5), false);
      assert.equal((await certificates.certificateOf(theirs))?.domainId, 8);
      assert.equal(await certificates.wantCertificate(own, 0, T0), true);
      assert.equal(await certificates.wantCertificate(own, 8, T0), false);
      assert.equal((await certificates.certificateOf(own))?.domainId, 0);
      await settleAll(T0);
    });

    it('gives what is due to one at a time, and to another when nothing was heard of it', async () => {
      const { certificates } = store;
      const name = unique('due') + '.example';
      await certificates.wantCertificate(name, 7, T0);
      const claims = await Promise.all([1, 2, 3].map(() => certificates.claimCertificate(T0, T0 + 100)));
      assert.deepEqual(
        claims.filter((each) => each !== undefined).map((each) => [each.name, each.epoch, each.heldUntilMs]),
        [[name, 1, T0 + 100]],
      );
      assert.equal(await certificates.claimCertificate(T0 + 99, T0 + 200), undefined);
      assert.equal((await certificates.claimCertificate(T0 + 100, T0 + 200))?.epoch, 2);
      assert.equal(await certificates.settleCertificate(name, 1, obtained()), false, 'it was given to another');
      assert.equal(await certificates.settleCertificate(name, 2, obtained()), true);
      const {
        name: _name,
        domainId: _domain,
        heldUntilMs,
        epoch: _epoch,
        createdMs: _created,
        ...rest
      } = (await standing(name)) ?? assert.fail('it is gone');
      assert.deepEqual([rest, heldUntilMs], [obtained(), 0]);
      assert.equal(await certificates.claimCertificate(T0 + 200, T0 + 300), undefined);
    });

    it('is due sooner when that is asked for, never later, and goes when it is wanted no more', async () => {
      const { certificates } = store;
      const name = unique('soon') + '.example';
      assert.equal(await certificates.hastenCertificate(name, T0), false);
      await certificates.wantCertificate(name, 7, T0 + 1000);
      assert.equal(await certificates.hastenCertificate(name, T0 + 2000), true);
      assert.equal(await certificates.hastenCertificate(name, T0 + 500), true);
      const claimed = await certificates.claimCertificate(T0 + 500, T0 + 600);
      assert.equal(claimed?.name, name);
      assert.equal(await certificates.settleCertificate(name, claimed.epoch, undefined), true);
      assert.equal(await certificates.certificateOf(name), undefined);
    });

    it('keeps one account key for each authority', async () => {
      const { certificates } = store;
      const directory = `https://${unique('ca')}.example/directory`;
      assert.equal(await certificates.acmeKey(directory), undefined);
      const stand = await Promise.all([1, 2].map((n) => certificates.putAcmeKey(directory, Buffer.from([n]))));
      assert.deepEqual(stand[0], stand[1]);
      assert.deepEqual(await certificates.acmeKey(directory), stand[0]);
      assert.equal(await certificates.acmeKey(`${directory}/other`), undefined);
    });

    it('paces orders of all who order at one authority, and stops them for as long as it wishes', async () => {
      const { certificates } = store;
      const directory = `https://${unique('ca')}.example/directory`;
      const take = (nowMs: number): Promise<boolean> => certificates.takeOrder(directory, nowMs, 10, 2);
      const taken = await Promise.all([1, 2, 3, 4, 5].map(() => take(T0)));
      assert.equal(taken.filter(Boolean).length, 3, 'one, and two ahead');
      assert.equal(await take(T0 + 9), false);
      assert.equal(await take(T0 + 10), true);
      await certificates.pauseOrders(directory, T0 + 1000);
      assert.equal(await take(T0 + 979), false);
      assert.equal(await certificates.takeOrder(`${directory}/other`, T0, 10, 2), true);
      assert.equal(await certificates.acmeKey(directory), undefined, 'orders make no key');
      await certificates.putAcmeKey(directory, Buffer.from([9]));
      assert.deepEqual([...((await certificates.acmeKey(directory)) ?? [])], [9]);
      assert.equal(await take(T0 + 979), false);
      assert.equal(await take(T0 + 1000), true);
    });

    it('answers what an authority asks until it is withdrawn or its time is over', async () => {
      const { certificates } = store;
      const [token, other] = [unique('token'), unique('token')];
      await certificates.putChallenge(token, 'a.b', T0, T0 + 10);
      assert.equal(await certificates.challengeAnswer(token), 'a.b');
      await certificates.putChallenge(token, 'a.c', T0, T0 + 20);
      assert.equal(await certificates.challengeAnswer(token), 'a.c');
      await certificates.putChallenge(other, 'x', T0 + 20, T0 + 99);
      assert.equal(await certificates.challengeAnswer(token), undefined);
      await certificates.deleteChallenge(other);
      assert.equal(await certificates.challengeAnswer(other), undefined);
    });
  });
}
