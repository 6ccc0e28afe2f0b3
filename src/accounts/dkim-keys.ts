/**
 * DKIM keys of domains: made here, kept sealed with the instance's secret, parsed once.
 *
 * States of a key: `signing` (in use); `published` (in DNS, or to be, without being used: coming when it is younger than the keys that sign,
 * going when it is older); `retired` (never used again).
 * A rotation has two steps, so that at every moment each signature on its way has its record in DNS: `rotate` makes the coming keys; `promote`, once
 * their records were seen, lets them sign and leaves the former ones going. A later rotation retires what was going.
 * Keys that the owner adds are `inactive` until the owner lets them sign (chosen-keys.ts); of several of one algorithm the one that was told last signs.
 */
import { createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { dkimPublicValue } from '#mail/dkim.ts';
import { AppError } from '#model/errors.ts';
import type { DomainStore } from '#store/domain-store.ts';
import type { AccountStore, DkimKey, Domain } from '#store/store.ts';
import type { InstanceSecret } from './instance-secret.ts';

const generate = promisify(generateKeyPair);
const CACHE_MAX = 10_000;
const CACHE_MS = 5000;

export interface SigningKey {
  readonly selector: string;
  readonly domain: string;
  readonly algorithm: 'rsa' | 'ed25519';
  readonly key: KeyObject;
}

export interface DkimOptions {
  readonly bits: number;
  readonly ed25519: boolean;
}

/** What its owner wants of a domain's first RSA key. */
export interface FirstKey {
  readonly selector?: string;
  readonly bits?: number;
}

export interface DkimKeys {
  /** The keys that sign for a domain, RSA first. Cached for a few seconds; a key is decrypted and parsed once. */
  signingKeys(domainId: number): Promise<readonly SigningKey[]>;
  /** The first keys of a domain. */
  makeFirst(domain: Domain, wishes?: FirstKey): Promise<void>;
  /** Whose keys sign for the domain: its own, or where it says so those of the nearest domain above it that the account has. */
  authorityOf(domain: Domain): Promise<Domain>;
  /** Makes one of the owner's own, or seals the one that is given; it does not sign yet. */
  add(domain: Domain, selector: string, key: { readonly bits: number } | { readonly given: KeyObject }): Promise<DkimKey>;
  /** The private key of a row. */
  open(row: DkimKey): KeyObject;
  /** Something about the keys was changed beside this. */
  forget(domainId: number): void;
  /** Makes the coming keys, unless there are some; resolves to them. */
  rotate(domain: Domain): Promise<DkimKey[]>;
  /** Lets the coming keys sign. False when there are none. */
  promote(domainId: number): Promise<boolean>;
  /** All that belong into DNS. */
  published(domainId: number): Promise<DkimKey[]>;
  /** Made by `rotate`, not signing yet. */
  coming(domainId: number): Promise<DkimKey[]>;
}

export function createDkimKeys(
  store: AccountStore,
  domains: Pick<DomainStore, 'setDkimKey'>,
  secret: InstanceSecret,
  options: DkimOptions,
  clock: Clock,
): DkimKeys {
  const cache = new BoundedCache<number, readonly SigningKey[]>({ max: CACHE_MAX, ttlMs: CACHE_MS });
  const parsed = new BoundedCache<number, KeyObject>({ max: CACHE_MAX });

  function keyObject(row: DkimKey): KeyObject {
    const known = parsed.get(row.id, 0);
    if (known !== undefined) return known;
    const der = secret.unseal(row.privateKey, sealContext(row.domainId, row.selector));
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    parsed.set(row.id, key, 0);
    return key;
  }

  async function make(domain: Domain, state: DkimKey['state'], wishes: FirstKey = {}): Promise<DkimKey[]> {
    const taken = new Set((await store.listDkimKeys(domain.id)).map((key) => key.selector));
    const base = wishes.selector ?? freeSelector(taken, clock.nowMs());
    const made = [await makeKey(domain, base, 'rsa', state, wishes.bits)];
    if (options.ed25519) made.push(await makeKey(domain, `${base}e`, 'ed25519', state));
    cache.delete(domain.id);
    return made;
  }

  async function makeKey(
    domain: Domain,
    selector: string,
    algorithm: 'rsa' | 'ed25519',
    state: DkimKey['state'],
    bits = options.bits,
  ): Promise<DkimKey> {
    const { privateKey } = algorithm === 'rsa' ? await generate('rsa', { modulusLength: bits }) : await generate('ed25519');
    return keep(domain, selector, algorithm, state, privateKey);
  }

  async function keep(
    domain: Domain,
    selector: string,
    algorithm: 'rsa' | 'ed25519',
    state: DkimKey['state'],
    privateKey: KeyObject,
  ): Promise<DkimKey> {
    const sealed = secret.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), sealContext(domain.id, selector));
    return store.createDkimKey({
      domainId: domain.id,
      selector,
      algorithm,
      // Copied out of the pool: it goes to another thread.
      privateKey: new Uint8Array(sealed),
      publicKey: dkimPublicValue(createPublicKey(privateKey)),
      state,
      createdMs: clock.nowMs(),
    });
  }

  async function authorityOf(domain: Domain): Promise<Domain> {
    if (domain.settings?.dkimAuthority !== 'parent') return domain;
    for (let at = domain.name.indexOf('.'); at !== -1; at = domain.name.indexOf('.', at + 1)) {
      const above = await store.domainByName(domain.name.slice(at + 1));
      if (above?.accountId === domain.accountId) return above;
    }
    return domain;
  }

  async function coming(domainId: number): Promise<DkimKey[]> {
    const keys = await store.listDkimKeys(domainId);
    const youngest = Math.max(0, ...keys.filter((key) => key.state === 'signing').map((key) => key.id));
    return keys.filter((key) => key.state === 'published' && key.id > youngest);
  }

  return {
    coming,
    async signingKeys(domainId) {
      const known = cache.get(domainId, clock.monotonicMs());
      if (known !== undefined) return known;
      const domain = await store.domainById(domainId);
      const authority = domain === undefined ? undefined : await authorityOf(domain);
      const rows = await store.listDkimKeys(authority?.id ?? domainId);
      const name = authority?.name ?? '';
      const keys = rows
        .filter((row) => row.state === 'signing')
        .sort((a, b) => (b.activeMs ?? 0) - (a.activeMs ?? 0))
        .map((row) => ({ selector: row.selector, domain: name, algorithm: row.algorithm, key: keyObject(row) }))
        .sort((a, b) => Number(b.algorithm === 'rsa') - Number(a.algorithm === 'rsa'));
      cache.set(domainId, keys, clock.monotonicMs());
      return keys;
    },
    async makeFirst(domain, wishes) {
      await make(domain, 'signing', wishes);
    },
    authorityOf,
    add: (domain, selector, key) =>
      'given' in key ? keep(domain, selector, 'rsa', 'inactive', key.given) : makeKey(domain, selector, 'rsa', 'inactive', key.bits),
    open: keyObject,
    forget: (domainId) => cache.delete(domainId),
    async rotate(domain) {
      const waiting = await coming(domain.id);
      if (waiting.length > 0) return waiting;
      for (const key of await store.listDkimKeys(domain.id)) if (key.state === 'published') await store.setDkimKeyState(key.id, 'retired');
      return make(domain, 'published');
    },
    async promote(domainId) {
      const next = await coming(domainId);
      if (next.length === 0) return false;
      const former = (await store.listDkimKeys(domainId)).filter((key) => key.state === 'signing');
      // The new ones first: a crash between leaves two signatures, not none.
      for (const key of next) await domains.setDkimKey(key.id, 'signing', clock.nowMs());
      for (const key of former) await store.setDkimKeyState(key.id, 'published');
      cache.delete(domainId);
      return true;
    },
    async published(domainId) {
      return (await store.listDkimKeys(domainId)).filter((key) => key.state !== 'retired');
    },
  };
}

function sealContext(domainId: number, selector: string): string {
  return `dkim:${domainId}:${selector}`;
}

/** "pr20260115"; a second one on the same day is "pr20260115-2". Dated, so that no record of a former installation is mistaken for it. */
function freeSelector(taken: ReadonlySet<string>, nowMs: number): string {
  const base = `pr${new Date(nowMs).toISOString().slice(0, 10).replaceAll('-', '')}`;
  for (let n = 1; n <= 100; n++) {
    const selector = n === 1 ? base : `${base}-${n}`;
    if (!taken.has(selector) && !taken.has(`${selector}e`)) return selector;
  }
  throw new AppError('rate-limited', { what: 'DKIM rotation', seconds: 86_400 });
}
