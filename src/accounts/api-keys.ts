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
import type { AccountStore, ApiKey } from '#store/store.ts';

const CACHE_MAX = 10_000;
const CACHE_MS = 1500;
const SECRET_MAX = 256;

export interface NewKey {
  readonly accountId: number;
  /** Set: a sending key of this domain. */
  readonly domainId?: number;
  readonly role?: ApiKey['role'];
  readonly description?: string;
  readonly expiresAtMs?: number;
  /** A secret of the operator's choice; default: a new one. */
  readonly secret?: string;
}

export interface ApiKeys {
  /** undefined: no such key, revoked, expired, or its account is disabled. */
  authenticateKey(secret: string): Promise<Principal | undefined>;
  /** The secret is in the answer and nowhere else. */
  createKey(key: NewKey): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  listKeys(accountId: number): Promise<ApiKey[]>;
  revokeKey(accountId: number, id: string): Promise<boolean>;
}

interface Found {
  readonly principal: Principal | undefined;
  readonly expiresAtMs: number;
}

export function createApiKeys(store: AccountStore, clock: Clock): ApiKeys {
  const found = new BoundedCache<string, Found>({
    max: CACHE_MAX,
    ttlMs: CACHE_MS,
  });
  const looking = new InFlight<string, Found>();

  async function look(secretHash: string): Promise<Found> {
    const key = await store.keyBySecretHash(secretHash);
    const account = key === undefined ? undefined : await store.accountById(key.accountId);
    if (key === undefined || account === undefined || account.isDisabled)
      return { principal: undefined, expiresAtMs: Number.POSITIVE_INFINITY };
    return { principal: principalOf(key), expiresAtMs: key.expiresAtMs ?? Number.POSITIVE_INFINITY };
  }

  return {
    async authenticateKey(secret) {
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
      return entry.expiresAtMs > clock.nowMs() ? entry.principal : undefined;
    },
    async createKey({ accountId, domainId, role, description = '', expiresAtMs, secret = makeSecret() }) {
      const key: ApiKey = {
        id: `${randomHex(4)}-${randomHex(4)}`,
        accountId,
        kind: domainId === undefined ? 'account' : 'domain',
        role: role ?? (domainId === undefined ? 'admin' : 'sending'),
        ...(domainId === undefined ? {} : { domainId }),
        description,
        createdMs: clock.nowMs(),
        ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
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
  };
}

function principalOf(key: ApiKey): Principal {
  return {
    accountId: key.accountId,
    kind: key.kind === 'account' ? 'account-key' : 'domain-key',
    role: key.role,
    ...(key.domainId === undefined ? {} : { domainId: key.domainId }),
    keyId: key.id,
  };
}

/** The shape that clients of hosted services know: 32, 8 and 8 hexadecimal digits. */
function makeSecret(): string {
  return `${randomHex(16)}-${randomHex(4)}-${randomHex(4)}`;
}

function hashOf(secret: string): string {
  return hash('sha256', secret);
}
