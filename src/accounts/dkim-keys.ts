/**
 * DKIM keys of domains: made here, kept sealed with the instance's secret, parsed once.
 *
 * States of a key: `signing` (in use); `published` (in DNS, or to be, without being used: coming when it is younger than the keys that sign,
 * going when it is older); `retired` (never used again).
 * A rotation has two steps, so that at every moment each signature on its way has its record in DNS: `rotate` makes the coming keys; `promote`, once
 * their records were seen, lets them sign and leaves the former ones going. A later rotation retires what was going.
 */
import { createPrivateKey, generateKeyPair } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
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

export interface DkimKeys {
  /** The keys that sign for a domain, RSA first. Cached for a few seconds; a key is decrypted and parsed once. */
  signingKeys(domainId: number): Promise<readonly SigningKey[]>;
  /** The first keys of a domain. */
  makeFirst(domain: Domain): Promise<void>;
  /** Makes the coming keys, unless there are some; resolves to them. */
  rotate(domain: Domain): Promise<DkimKey[]>;
  /** Lets the coming keys sign. False when there are none. */
  promote(domainId: number): Promise<boolean>;
  /** All that belong into DNS. */
  published(domainId: number): Promise<DkimKey[]>;
  /** Made by `rotate`, not signing yet. */
  coming(domainId: number): Promise<DkimKey[]>;
}

export function createDkimKeys(store: AccountStore, secret: InstanceSecret, options: DkimOptions, clock: Clock): DkimKeys {
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

  async function make(domain: Domain, state: DkimKey['state']): Promise<DkimKey[]> {
    const taken = new Set((await store.listDkimKeys(domain.id)).map((key) => key.selector));
    const base = freeSelector(taken, clock.nowMs());
    const made = [await makeKey(domain, base, 'rsa', state)];
    if (options.ed25519) made.push(await makeKey(domain, `${base}e`, 'ed25519', state));
    cache.delete(domain.id);
    return made;
  }

  async function makeKey(domain: Domain, selector: string, algorithm: 'rsa' | 'ed25519', state: DkimKey['state']): Promise<DkimKey> {
    const { publicKey, privateKey } =
      algorithm === 'rsa' ? await generate('rsa', { modulusLength: options.bits }) : await generate('ed25519');
    const sealed = secret.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), sealContext(domain.id, selector));
    return store.createDkimKey({
      domainId: domain.id,
      selector,
      algorithm,
      // Copied out of the pool: it goes to another thread.
      privateKey: new Uint8Array(sealed),
      publicKey: publicValue(publicKey, algorithm),
      state,
      createdMs: clock.nowMs(),
    });
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
      const [domain, rows] = await Promise.all([store.domainById(domainId), store.listDkimKeys(domainId)]);
      const name = domain?.name ?? '';
      const keys = rows
        .filter((row) => row.state === 'signing')
        .map((row) => ({ selector: row.selector, domain: name, algorithm: row.algorithm, key: keyObject(row) }))
        .sort((a, b) => Number(b.algorithm === 'rsa') - Number(a.algorithm === 'rsa'));
      cache.set(domainId, keys, clock.monotonicMs());
      return keys;
    },
    async makeFirst(domain) {
      await make(domain, 'signing');
    },
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
      for (const key of next) await store.setDkimKeyState(key.id, 'signing');
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

/** p= of the record: SubjectPublicKeyInfo for RSA (RFC 6376 §3.6.1), the 32 bytes alone for Ed25519 (RFC 8463 §4). */
function publicValue(key: KeyObject, algorithm: 'rsa' | 'ed25519'): string {
  const der = key.export({ format: 'der', type: 'spki' });
  return (algorithm === 'rsa' ? der : der.subarray(-32)).toString('base64');
}
