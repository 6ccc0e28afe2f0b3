import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { type Log, silentLog } from '#base/log.ts';
import type { Domain } from '#store/store.ts';
import type { OpenedStore } from '#store/open.ts';
import { openTestStore } from '../../test/kit/stores.ts';
import { until } from '../../test/kit/until.ts';
import { createAccounts } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import { startDomainWatch } from './domain-watch.ts';
import { secretBox } from './instance-secret.ts';

const NOW = Date.UTC(2026, 0, 15);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let directory: string;
let store: OpenedStore;
let accounts: Accounts;
const clock = new HeldClock(NOW);
/** TXT records by name; a name that is absent has none. */
const zone = new Map<string, string>();
let isDnsAway = false;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postrider-watch-'));
  store = await openTestStore(directory);
  accounts = createAccounts({
    store: store.accounts,
    access: store.access,
    domains: store.domains,
    secret: secretBox(Buffer.alloc(32, 7)),
    clock,
    dkim: { bits: 1024, ed25519: false },
    retentionMs: 1000,
    sending: { hostname: 'mx.example.net', addresses: [] },
  });
});
after(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

interface Told {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sentence: string;
}

interface Watching extends AsyncDisposable {
  readonly told: readonly Told[];
  /** Its records were looked up at the held clock's present, and what follows from them is done: a claim alone tells only that somebody began. */
  isChecked(domain: Domain): boolean;
}

/** A watch, and what it told in the log. */
function watching(): Watching {
  const told: Told[] = [];
  const endedMs = new Map<number, number>();
  const tell = (facts: unknown, sentence?: string): void => void told.push({ facts: facts as Told['facts'], sentence: sentence ?? '' });
  const log = { ...silentLog, info: tell, warn: tell } as unknown as Log;
  const lookUp = async (name: string): Promise<readonly string[] | undefined> => {
    if (isDnsAway) return undefined;
    const value = zone.get(name);
    return value === undefined ? [] : [value];
  };
  const watch = startDomainWatch({
    domains: store.domains,
    accounts,
    async verify(domain) {
      const startMs = clock.nowMs();
      const verified = await accounts.verifyDomain(domain, lookUp);
      endedMs.set(domain.id, startMs);
      return verified;
    },
    clock,
    log,
    checkMs: HOUR_MS,
    lookMs: 10,
  });
  return { told, isChecked: ({ id }) => endedMs.get(id) === clock.nowMs(), [Symbol.asyncDispose]: () => watch.stop() };
}

async function addDomain(name: string): Promise<Domain> {
  const account = await accounts.createAccount(`account of ${name}`);
  const domain = await accounts.addDomain(account.id, name);
  assert.ok(domain);
  return domain;
}

async function publish(domain: Domain): Promise<void> {
  for (const { name, value } of await accounts.dnsRecords(domain)) zone.set(name, value);
}

const now = async ({ id }: Domain): Promise<Domain> => (await store.accounts.domainById(id)) as Domain;

test('a domain becomes active when its record is there, and a record that goes later is told once, as is its return', async () => {
  const domain = await addDomain('watched.example');
  await publish(domain);
  await using watch = watching();
  await until(() => watch.isChecked(domain), 'its records are looked up');
  assert.equal((await now(domain)).state, 'active');
  const spf = zone.get('watched.example') as string;
  const about = (sentence: RegExp): readonly Told[] => watch.told.filter((each) => sentence.test(each.sentence));
  zone.delete('watched.example');
  clock.advance(2 * HOUR_MS);
  await until(() => about(/broke/).length > 0, 'the loss is told');
  clock.advance(2 * HOUR_MS);
  await until(() => watch.isChecked(domain), 'it is looked up again');
  assert.deepEqual(
    about(/broke/).map(({ facts }) => [facts['domain'], facts['record'], facts['purpose']]),
    [['watched.example', 'watched.example', 'spf']],
  );
  assert.equal((await now(domain)).state, 'active');
  zone.set('watched.example', spf);
  clock.advance(2 * HOUR_MS);
  await until(() => about(/right again/).length === 1, 'the return is told');
});

test('an answer that does not come breaks nothing', async () => {
  const domain = await addDomain('silent.example');
  await publish(domain);
  await using watch = watching();
  await until(() => watch.isChecked(domain), 'its records are looked up');
  assert.equal((await now(domain)).state, 'active');
  const before = (await now(domain)).dnsAnswers;
  isDnsAway = true;
  clock.advance(2 * HOUR_MS);
  await until(() => watch.isChecked(domain), 'it was looked up');
  isDnsAway = false;
  assert.deepEqual((await now(domain)).dnsAnswers, before);
  assert.deepEqual(
    watch.told.filter(({ facts }) => facts['domain'] === 'silent.example' && facts['record'] !== undefined),
    [],
  );
});

test('keys are changed as often as the owner wants, and sign once they are in DNS', async () => {
  const domain = await addDomain('rotating.example');
  await publish(domain);
  await accounts.changeDomain(domain, { settings: { rotationDays: 30 } });
  await using watch = watching();
  await until(() => watch.isChecked(domain), 'its records are looked up');
  assert.equal((await now(domain)).state, 'active');
  clock.advance(29 * DAY_MS);
  await until(() => watch.isChecked(domain), 'it was looked up');
  assert.equal((await accounts.domainKeys(domain)).length, 1);
  clock.advance(2 * DAY_MS);
  await until(() => watch.isChecked(domain), 'it was looked up once more');
  const made = await accounts.domainKeys(domain);
  assert.equal(made.length, 2);
  const [, coming] = made;
  assert.equal(coming?.state, 'published');
  await publish(domain);
  clock.advance(2 * HOUR_MS);
  await until(async () => (await accounts.signingKeys(domain.id))[0]?.selector === coming?.selector, 'the new key signs');
  assert.ok(watch.told.some(({ sentence }) => sentence.includes('new DKIM keys were made')));
});

test('what a deleted domain leaves goes by itself', async () => {
  const domain = await addDomain('leaving.example');
  await store.accounts.putSuppression(domain.id, { kind: 'bounce', address: 'x@example.net', code: 550, error: '', createdMs: NOW });
  await accounts.deleteDomain(domain);
  await using watch = watching();
  await until(() => watch.told.some(({ facts }) => facts['domain'] === 'leaving.example'), 'it is told that nothing is left');
  assert.deepEqual(await store.domains.deletedDomains(100), []);
  assert.deepEqual(await store.accounts.listDkimKeys(domain.id), []);
  assert.equal(await store.accounts.suppressionOf(domain.id, 'bounce', 'x@example.net'), undefined);
});
