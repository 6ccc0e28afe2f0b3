/**
 * DKIM keys that a domain's owner adds, lets sign, stops and deletes by hand. A domain is never without an RSA key that signs: what would leave it so is refused.
 * The sentences are those that clients of the API know.
 */
import { createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { isLabels } from '#mail/domain.ts';
import { badParameter } from '#model/errors.ts';
import type { DomainStore } from '#store/domain-store.ts';
import type { AccountStore, DkimKey, Domain } from '#store/store.ts';
import type { DkimKeys } from './dkim-keys.ts';

/** Of one domain, besides those that are retired. */
const KEYS_MAX = 20;
const PEM_MAX = 8192;
export const KEY_BITS = [1024, 2048, 3072, 4096] as const;

export interface NewKey {
  readonly selector: string;
  /** Of the key that is made; default 1024 bits are too few, so 2048. */
  readonly bits?: number;
  /** The key itself, as PEM. */
  readonly pem?: string;
}

export interface ChosenKeys {
  /** All that belong into DNS. */
  domainKeys(domain: Domain): Promise<DkimKey[]>;
  /** Throws AppError 'bad-parameter'. */
  addKey(domain: Domain, key: NewKey): Promise<DkimKey>;
  /** Each resolves to undefined when the domain has no such key. */
  activateKey(domain: Domain, selector: string): Promise<DkimKey | undefined>;
  deactivateKey(domain: Domain, selector: string): Promise<DkimKey | undefined>;
  deleteKeyOf(domain: Domain, selector: string): Promise<DkimKey | undefined>;
  /** The key that signs goes on under another name; its record under the former one stays in DNS until the owner deletes it. */
  renameSelector(domain: Domain, selector: string): Promise<void>;
}

export function createChosenKeys(
  store: AccountStore,
  domains: Pick<DomainStore, 'setDkimKey' | 'deleteDkimKey'>,
  keys: DkimKeys,
  clock: Clock,
): ChosenKeys {
  const bySelector = async (domain: Domain, selector: string): Promise<DkimKey | undefined> =>
    (await keys.published(domain.id)).find((key) => key.selector === selector.toLowerCase());

  async function setState(domain: Domain, key: DkimKey, state: DkimKey['state']): Promise<DkimKey> {
    const activeMs = state === 'signing' ? clock.nowMs() : (key.activeMs ?? 0);
    await domains.setDkimKey(key.id, state, activeMs);
    keys.forget(domain.id);
    return { ...key, state, activeMs };
  }

  async function refuseLast(domain: Domain, key: DkimKey, what: string): Promise<void> {
    if (key.state !== 'signing' || key.algorithm !== 'rsa') return;
    const signing = (await keys.published(domain.id)).filter(({ state, algorithm }) => state === 'signing' && algorithm === 'rsa');
    if (signing.length < 2) throw badParameter(`cannot ${what} domain key: must have at least one active domain key`);
  }

  async function add(domain: Domain, selector: string, key: { readonly bits: number } | { readonly given: KeyObject }): Promise<DkimKey> {
    // A retired one keeps its name: its record may still be in DNS.
    const all = await store.listDkimKeys(domain.id);
    if (all.some((known) => known.selector === selector)) throw badParameter('failed to create domain key: duplicate key');
    if (all.filter(({ state }) => state !== 'retired').length >= KEYS_MAX) {
      throw badParameter(`failed to create domain key: a domain has ${KEYS_MAX} keys at most`);
    }
    return keys.add(domain, selector, key);
  }

  return {
    domainKeys: (domain) => keys.published(domain.id),
    addKey: (domain, { selector, bits = 2048, pem }) =>
      add(domain, checkSelector(selector), pem === undefined ? { bits } : { given: readPem(pem) }),
    async activateKey(domain, selector) {
      const key = await bySelector(domain, selector);
      return key === undefined ? undefined : setState(domain, key, 'signing');
    },
    async deactivateKey(domain, selector) {
      const key = await bySelector(domain, selector);
      if (key === undefined) return undefined;
      await refuseLast(domain, key, 'deactivate');
      return setState(domain, key, 'inactive');
    },
    async deleteKeyOf(domain, selector) {
      const key = await bySelector(domain, selector);
      if (key === undefined) return undefined;
      await refuseLast(domain, key, 'delete');
      await domains.deleteDkimKey(key.id);
      keys.forget(domain.id);
      return key;
    },
    async renameSelector(domain, given) {
      const selector = checkSelector(given);
      const rows = await keys.published(domain.id);
      const signing = rows
        .filter(({ state, algorithm }) => state === 'signing' && algorithm === 'rsa')
        .toSorted((a, b) => (b.activeMs ?? 0) - (a.activeMs ?? 0))[0];
      if (signing === undefined) throw badParameter('the domain has no active domain key');
      if (signing.selector === selector) return;
      const next = rows.find((row) => row.selector === selector) ?? (await add(domain, selector, { given: keys.open(signing) }));
      // The new one first: a crash between leaves two that may sign, not none.
      await setState(domain, next, 'signing');
      await setState(domain, signing, 'inactive');
    },
  };
}

export function checkSelector(given: string): string {
  const selector = given.trim().toLowerCase();
  // RFC 6376 §3.1
  if (!isLabels(selector)) throw badParameter('the selector is not valid: it has letters, digits and hyphens, as names in DNS do');
  return selector;
}

function readPem(pem: string): KeyObject {
  if (pem.length > PEM_MAX || !pem.includes('-----BEGIN')) throw badParameter('failed to import domain key: failed to parse PEM');
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw badParameter('failed to import domain key: failed to parse private key: key must be PKCS1 format');
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType !== 'rsa')
    throw badParameter('failed to import domain key: failed to parse private key: key must be PKCS1 format');
  if (bits < KEY_BITS[0] || bits > (KEY_BITS.at(-1) as number))
    throw badParameter('failed to import domain key: an RSA key has 1024 to 4096 bits');
  return key;
}
