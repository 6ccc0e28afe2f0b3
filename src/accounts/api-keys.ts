/**
 * API keys. A key is 128 random bits and more, shown once; the store has its SHA-256, so a copy of the database opens nothing, and a key is
 * found by one indexed read that says nothing about others by its timing. Answers are cached for a moment: a revoked key ends within
 * two seconds, on open connections too, because every request asks again.
 */
import { hash } from 'node:crypto';
import { BoundedCache } from '#base/bounded-cache.ts';
import { InFlight } from '#base/in-flight.ts';
import type { Clock } from '#base/clock.ts';
import { randomHex } from '#base/random.ts';
import type { Principal } from '#model/principal.ts';
import { AppError } from '#model/errors.ts';
import type { AccessStore } from '#store/access-store.ts';
import { type AccountStore, type ApiKey, StoreError } from '#store/store.ts';
import type { Standing, Standings } from './standing.ts';

const CACHE_MAX = 10_000;
const CACHE_MS = 1500;
const SECRET_MAX = 256;
/** Of one account, with those of its domains. */
const KEYS_MAX = 5000;
/** When a key was used last is noted no more often. */
const USE_NOTED_MS = 60_000;

export interface NewKey {
  readonly accountId: number;
  /** Set: a sending key of this domain. */
  readonly domainId?: number;
  /** Default: domain for a key of a domain, else account. */
  readonly kind?: 'account' | 'web' | 'public';
  readonly role?: ApiKey['role'];
  readonly description?: string;
  readonly expiresAtMs?: number;
  readonly userName?: string;
  readonly requestor?: string;
  readonly userId?: number;
  /** A secret of the operator's choice; default: a new one. */
  readonly secret?: string;
}

export interface ApiKeys {
  /** undefined: no such key, revoked, expired, its account or user is disabled, or the account may not be used from this address. */
  authenticateKey(secret: string, address?: string): Promise<Principal | undefined>;
  /** The secret is in the answer and nowhere else. Throws AppError 'too-many-keys'. */
  createKey(key: NewKey): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  listKeys(accountId: number): Promise<ApiKey[]>;
  revokeKey(accountId: number, id: string): Promise<boolean>;
  /** Takes the place of the account's former public key. */
  renewPublicKey(accountId: number): Promise<string>;
}

interface Found {
  readonly principal: Principal | undefined;
  readonly expiresAtMs: number;
  readonly allows: Standing['allows'];
}

const NOBODY: Found = { principal: undefined, expiresAtMs: Number.POSITIVE_INFINITY, allows: () => false };

export function createApiKeys(store: AccountStore, access: AccessStore, standings: Standings, clock: Clock): ApiKeys {
  const found = new BoundedCache<string, Found>({
    max: CACHE_MAX,
    ttlMs: CACHE_MS,
  });
  const looking = new InFlight<string, Found>();

  async function look(secretHash: string): Promise<Found> {
    const key = await store.keyBySecretHash(secretHash);
    if (key === undefined) return NOBODY;
    const [standing, user] = await Promise.all([
      standings.readStanding(key.accountId),
      key.userId === undefined ? undefined : access.userById(key.userId),
    ]);
    if (standing?.isOpen !== true) return NOBODY;
    if (key.userId !== undefined && user?.isDisabled !== false) return NOBODY;
    const expiresAtMs = key.expiresAtMs ?? Number.POSITIVE_INFINITY;
    if (expiresAtMs > clock.nowMs()) noteUse(key);
    return { principal: principalOf(key), expiresAtMs, allows: standing.allows };
  }

  /** Beside the request, which does not depend on it: a store that cannot be written now is told at the next use. */
  function noteUse(key: ApiKey): void {
    const nowMs = clock.nowMs();
    if (nowMs - (key.lastUsedMs ?? 0) < USE_NOTED_MS) return;
    access.touchKey(key.id, nowMs).catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
    });
  }

  return {
    async authenticateKey(secret, address) {
      if (secret.length === 0 || secret.length > SECRET_MAX) return undefined;
      const secretHash = hashOf(secret);
      let entry = found.get(secretHash, clock.monotonicMs());
      if (entry === undefined) {
        entry = await looking.once(secretHash, async () => {
          const seen = await look(secretHash);
          found.set(secretHash, seen, clock.monotonicMs());
          return seen;
        });
      }
      if (entry.expiresAtMs <= clock.nowMs()) return undefined;
      return address === undefined || entry.allows(address) ? entry.principal : undefined;
    },
    async createKey({
      accountId,
      domainId,
      kind,
      role,
      description = '',
      expiresAtMs,
      userName,
      requestor,
      userId,
      secret = makeSecret(),
    }) {
      if ((await store.listKeys(accountId)).length >= KEYS_MAX) throw new AppError('too-many-keys');
      const key: ApiKey = {
        id: makeId(),
        accountId,
        kind: domainId === undefined ? (kind ?? 'account') : 'domain',
        role: role ?? (domainId === undefined ? 'admin' : 'sending'),
        ...(domainId === undefined ? {} : { domainId }),
        description,
        createdMs: clock.nowMs(),
        ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
        ...(userName === undefined ? {} : { userName }),
        ...(requestor === undefined ? {} : { requestor }),
        ...(userId === undefined ? {} : { userId }),
      };
      const secretHash = hashOf(secret);
      await store.createKey({ ...key, secretHash });
      found.delete(secretHash);
      return { key, secret };
    },
    listKeys: (accountId) => store.listKeys(accountId),
    async revokeKey(accountId, id) {
      const wasThere = await store.deleteKey(accountId, id);
      found.clear();
      return wasThere;
    },
    async renewPublicKey(accountId) {
      await access.deleteKeysOfKind(accountId, 'public');
      const secret = `pubkey-${randomHex(16)}`;
      const rest = { accountId, kind: 'public', role: 'basic', description: '', createdMs: clock.nowMs() } as const;
      await store.createKey({ id: makeId(), ...rest, secretHash: hashOf(secret) });
      found.clear();
      return secret;
    },
  };
}

const KINDS = { account: 'account-key', web: 'account-key', domain: 'domain-key', public: 'public-key' } as const;

function principalOf(key: ApiKey): Principal {
  return {
    accountId: key.accountId,
    kind: KINDS[key.kind],
    role: key.role,
    ...(key.domainId === undefined ? {} : { domainId: key.domainId }),
    keyId: key.id,
    ...(key.userId === undefined ? {} : { userId: key.userId }),
  };
}

function makeId(): string {
  return `${randomHex(4)}-${randomHex(4)}`;
}

/** The shape that clients of hosted services know: 32, 8 and 8 hexadecimal digits. */
function makeSecret(): string {
  return `${randomHex(16)}-${randomHex(4)}-${randomHex(4)}`;
}

function hashOf(secret: string): string {
  return hash('sha256', secret);
}
