import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { secretBox } from '#accounts/instance-secret.ts';
import type { OpenedStore } from '#store/open.ts';
import type { Certificate } from '#store/certificate-store.ts';
import { type AcmeServer, startAcmeServer } from '../kit/acme-server.ts';
import { openTestStore } from '../kit/stores.ts';
import { until } from '../kit/until.ts';
import { createAcmeHttp } from '#certificates/acme-http.ts';
import { type Keeper, type KeeperOptions, startKeeper } from '#certificates/keeper.ts';
import { ServedCertificates } from '#certificates/served.ts';

const NAME = 'email.shop.example';
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const vault = secretBox(Buffer.alloc(32, 5));

interface Rig {
  readonly ca: AcmeServer;
  readonly store: OpenedStore;
  readonly clock: HeldClock;
  readonly keeper: Keeper;
  /** As it stands when nobody is at it, and `isSo` holds. */
  settled(isSo: (certificate: Certificate) => boolean, name?: string): Promise<Certificate>;
  another(change?: Partial<KeeperOptions>): Keeper;
}

async function rig(t: TestContext, change: Partial<KeeperOptions> = {}): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-certificates-'));
  const store = await openTestStore(directory, { mode: 'server' });
  const ca = await startAcmeServer();
  const clock = new HeldClock(Date.now());
  // The HTTP door in small: any node answers from the store.
  const door = createServer((request, response) => {
    const token = request.url?.replace('/.well-known/acme-challenge/', '') ?? '';
    void store.certificates.challengeAnswer(token).then((answer) => {
      response.statusCode = answer === undefined ? 404 : 200;
      response.end(answer);
    });
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  ca.challengePort = (door.address() as AddressInfo).port;
  const keepers: Keeper[] = [];
  const another = (more: Partial<KeeperOptions> = {}): Keeper => {
    const keeper = startKeeper({
      store: store.certificates,
      vault,
      http: createAcmeHttp({ userAgent: 'test' }),
      directory: ca.directory,
      email: 'ops@ours.example',
      names: [],
      isOwned: async () => true,
      leadsElsewhere: async () => undefined,
      obtained: () => undefined,
      clock,
      log: silentLog,
      lookMs: 20,
      ...change,
      ...more,
    });
    keepers.push(keeper);
    return keeper;
  };
  t.after(async () => {
    for (const each of keepers) await each.stop();
    door.closeAllConnections();
    door.close();
    await ca[Symbol.asyncDispose]();
    await store.close();
    rmSync(directory, { recursive: true });
  });
  return {
    ca,
    store,
    clock,
    keeper: another(),
    another,
    settled: (isSo, name = NAME) =>
      until(async () => {
        const found = await store.certificates.certificateOf(name);
        return found !== undefined && found.heldUntilMs === 0 && isSo(found) && found;
      }, 'the certificate is so'),
  };
}

const isObtained = ({ chain }: Certificate): boolean => chain !== '';
const hasFailed = ({ failures }: Certificate): boolean => failures > 0;

test('a host that leads here gets a certificate that a client of the authority trusts, and its keys are nowhere in clear', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const { chain, sealedKey, notAfterMs, notBeforeMs, dueMs, error } = await settled(isObtained);
  const leaf = new X509Certificate(chain);
  assert.equal(leaf.checkHost(NAME), NAME);
  assert.ok(leaf.verify(new X509Certificate(ca.root).publicKey));
  assert.equal(error, '');
  assert.equal(dueMs, notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3, 'renewed after two thirds of its life');
  const key = vault.unseal(sealedKey, `certificate key of ${NAME}`);
  const { d = '' } = createPrivateKey({ key, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
  const accountKey = Buffer.from((await store.certificates.acmeKey(ca.directory)) ?? '');
  for (const kept of [Buffer.from(sealedKey), accountKey]) assert.throws(() => vault.unseal(kept, 'another purpose'));
  assert.equal(Buffer.from(d, 'base64url').length, 32);
  assert.ok(key.includes(Buffer.from(d, 'base64url')));
  assert.ok(!Buffer.from(sealedKey).includes(Buffer.from(d, 'base64url')));
  const context = await new ServedCertificates({ store: store.certificates, vault, clock, log: silentLog }).contextFor(NAME.toUpperCase());
  assert.notEqual(context, undefined);
  const token = /proof of \S+: ([\w-]+)\./.exec(ca.log.join('\n'))?.[1] ?? assert.fail('nothing was proven');
  assert.equal(await store.certificates.challengeAnswer(token), undefined, 'the answer is withdrawn');
});

test('a nonce that the authority calls bad is replaced, and a proof that takes its time is waited for', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  ca.mischief.badNonces = 3;
  ca.mischief.slowProofs = 2;
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  await settled(isObtained);
  assert.equal(ca.log.filter((line) => line.includes('nonce')).length, 3);
});

test('a host that leads elsewhere is never ordered, and is looked at again later, until it is forgotten', async (t) => {
  let elsewhere: string | undefined = 'it leads to other.example';
  const { ca, store, clock, settled } = await rig(t, { leadsElsewhere: async () => elsewhere });
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const found = await settled(hasFailed);
  assert.equal(found.error, elsewhere);
  assert.equal(found.dueMs, clock.nowMs() + 5 * MINUTE_MS);
  clock.advance(31 * DAY_MS);
  await until(async () => (await store.certificates.certificateOf(NAME)) === undefined, 'it is forgotten');
  assert.deepEqual(ca.log, []);
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  await settled(hasFailed);
  elsewhere = undefined;
  clock.advance(5 * MINUTE_MS);
  await settled(isObtained);
});

test('a proof that fails is told with the words of the authority, and tried again later each time', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  const good = ca.challengePort;
  ca.challengePort = 1;
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const first = await settled(hasFailed);
  assert.match(first.error, /^the proof over HTTP was not accepted \(invalid\): found .*ECONNREFUSED/);
  assert.equal(first.dueMs - clock.nowMs(), 5 * MINUTE_MS);
  clock.advance(5 * MINUTE_MS);
  const second = await settled(({ failures }) => failures === 2);
  assert.equal(second.dueMs - clock.nowMs(), 15 * MINUTE_MS);
  ca.challengePort = good;
  clock.advance(15 * MINUTE_MS);
  const { failures, error } = await settled(isObtained);
  assert.deepEqual([failures, error], [0, '']);
});

test('an authority that wants to be left alone is left alone as long as it says; other names wait a little only', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  ca.mischief.rateLimited = 7200;
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const { dueMs, error } = await settled(hasFailed);
  assert.match(error, /429: too many certificates/);
  assert.equal(dueMs, clock.nowMs() + 7_200_000);
  delete ca.mischief.rateLimited;
  const other = 'email.other.example';
  await store.certificates.wantCertificate(other, 8, clock.nowMs());
  await settled(({ dueMs: due }) => due > clock.nowMs(), other);
  assert.equal(ca.orders.length, 0);
  clock.advance(10 * MINUTE_MS);
  await settled(isObtained, other);
  assert.deepEqual(ca.orders, [[other]]);
});

test('an authority that is down is asked again later', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  ca.mischief.isDown = true;
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  assert.match((await settled(hasFailed)).error, /^the authority gave no answer/);
  ca.mischief.isDown = false;
  clock.advance(5 * MINUTE_MS);
  await settled(isObtained);
});

test('a certificate for another name is not taken', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  ca.mischief.wrongName = 'email.bank.example';
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const { chain, error } = await settled(hasFailed);
  assert.deepEqual([chain, error], ['', 'the certificate is for another name or key']);
});

test('a certificate is renewed with a new key before it expires, and the former one serves when that fails', async (t) => {
  const { ca, store, clock, settled } = await rig(t);
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const first = await settled(isObtained);
  const served = new ServedCertificates({ store: store.certificates, vault, clock, log: silentLog });
  ca.mischief.isDown = true;
  clock.advance(first.dueMs - clock.nowMs());
  const failed = await settled(hasFailed);
  assert.equal(failed.chain, first.chain);
  const before = await served.contextFor(NAME);
  assert.notEqual(before, undefined);
  ca.mischief.isDown = false;
  // The authority's own clock stands: what it issues now begins later than the first.
  ca.mischief.ageMs = 0;
  clock.advance(5 * MINUTE_MS);
  const renewed = await settled(({ chain }) => chain !== first.chain);
  assert.notDeepEqual(renewed.sealedKey, first.sealedKey);
  assert.equal(ca.accounts, 1, 'by the account of before');
  const after = await until(async () => {
    const now = await served.contextFor(NAME);
    return now !== before && now;
  }, 'the new one is served');
  assert.notEqual(after, undefined);
  clock.advance(renewed.notAfterMs - clock.nowMs());
  ca.mischief.isDown = true;
  assert.equal(await served.contextFor(NAME), undefined, 'an expired one is not');
});

test('of two nodes one obtains it, and what a stop broke off is done by the next at once', async (t) => {
  const { ca, store, clock, keeper, another, settled } = await rig(t);
  const second = another();
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  await settled(isObtained);
  assert.deepEqual(ca.orders, [[NAME]]);
  assert.equal(ca.accounts, 1);
  // The second one could take over what the first has just let go, before it is stopped itself.
  await second.stop();
  const other = 'email.other.example';
  ca.mischief.slowProofs = 1_000_000;
  await store.certificates.wantCertificate(other, 8, clock.nowMs());
  await until(() => ca.orders.length === 2, 'it is ordered');
  await keeper.stop();
  ca.mischief.slowProofs = 0;
  another();
  assert.equal((await settled(isObtained, other)).epoch, 2);
});

test("the installation's own names are obtained without being asked for, and what nobody owns any more goes", async (t) => {
  let isOwned = true;
  const { store, clock, settled } = await rig(t, {
    names: ['mail.ours.example'],
    isOwned: async ({ domainId }) => domainId === 0 || isOwned,
  });
  await settled(isObtained, 'mail.ours.example');
  await store.certificates.wantCertificate(NAME, 7, clock.nowMs());
  const { dueMs } = await settled(isObtained);
  isOwned = false;
  clock.advance(dueMs - clock.nowMs());
  await until(async () => (await store.certificates.certificateOf(NAME)) === undefined, 'it goes');
});
