/**
 * Sender domains: adding them with their keys, finding them (cached for a moment), and verifying them against DNS. A domain belongs to one
 * account in the whole installation; names have one spelling (lower case, A-labels).
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import { InFlight } from '#base/in-flight.ts';
import type { Clock } from '#base/clock.ts';
import { normalizeDomain } from '#mail/domain.ts';
import { AppError } from '#model/errors.ts';
import type { AccountStore, DkimKey, Domain } from '#store/store.ts';
import type { DkimKeys } from './dkim-keys.ts';
import { checkRecord, recordsOf } from './dns-records.ts';
import type { DnsRecord, RecordCheck, Sending } from './dns-records.ts';

const CACHE_MAX = 20_000;
const CACHE_MS = 2000;
const NAME_MAX = 255;

/** The TXT values under a name, strings joined; [] when there is none; undefined when DNS gives no answer. Has a deadline of its own. */
export type LookUpTxt = (name: string) => Promise<readonly string[] | undefined>;

export interface Verification {
  readonly domain: Domain;
  readonly checks: readonly RecordCheck[];
  /** Keys of a rotation were seen in DNS and sign from now on. */
  readonly isRotated: boolean;
}

export interface Domains {
  /** By its name in any spelling, whoever owns it. */
  domainFor(name: string): Promise<Domain | undefined>;
  /** Cached like `domainFor`. */
  domainById(id: number): Promise<Domain | undefined>;
  /** Adds it with its DKIM keys; undefined: the name is taken. Throws AppError 'bad-parameter' for what is no domain name. */
  addDomain(accountId: number, name: string, type?: Domain['type']): Promise<Domain | undefined>;
  listDomains(accountId?: number): Promise<Domain[]>;
  setDomainState(id: number, state: Domain['state']): Promise<void>;
  dnsRecords(domain: Domain): Promise<DnsRecord[]>;
  /** Looks the records up; a domain whose signing key is there becomes active. An answer that does not come changes nothing (P5). */
  verifyDomain(domain: Domain, lookUpTxt: LookUpTxt): Promise<Verification>;
  rotateDkim(domain: Domain): Promise<DkimKey[]>;
}

export interface DomainOptions {
  readonly retentionMs: number;
  readonly sending: Sending;
}

export function createDomains(store: AccountStore, keys: DkimKeys, options: DomainOptions, clock: Clock): Domains {
  const cache = new BoundedCache<string, Domain | 'none'>({ max: CACHE_MAX, ttlMs: CACHE_MS });
  const byId = new BoundedCache<number, Domain>({ max: CACHE_MAX, ttlMs: CACHE_MS });
  const looking = new InFlight<string, Domain | undefined>();
  const forget = (): void => {
    cache.clear();
    byId.clear();
  };

  async function records(domain: Domain): Promise<DnsRecord[]> {
    let published = await keys.published(domain.id);
    if (published.length === 0) {
      // A crash came between the domain and its keys.
      await keys.makeFirst(domain);
      published = await keys.published(domain.id);
    }
    return recordsOf(domain, published, options.sending);
  }

  return {
    async domainFor(given) {
      if (given.length > NAME_MAX) return undefined;
      const cached = cache.get(given, clock.monotonicMs());
      if (cached !== undefined) return cached === 'none' ? undefined : cached;
      return looking.once(given, async () => {
        const name = normalizeDomain(given);
        const domain = name === undefined ? undefined : await store.domainByName(name);
        cache.set(given, domain ?? 'none', clock.monotonicMs());
        return domain;
      });
    },
    async domainById(id) {
      const cached = byId.get(id, clock.monotonicMs());
      if (cached !== undefined) return cached;
      const domain = await store.domainById(id);
      if (domain !== undefined) byId.set(id, domain, clock.monotonicMs());
      return domain;
    },
    async addDomain(accountId, given, type = 'custom') {
      const name = domainName(given);
      const domain = await store.createDomain({
        accountId,
        name,
        type,
        state: type === 'sandbox' ? 'active' : 'unverified',
        createdMs: clock.nowMs(),
        retentionMs: options.retentionMs,
        requireTls: false,
        skipVerification: false,
      });
      if (domain === undefined) return undefined;
      await keys.makeFirst(domain);
      forget();
      return domain;
    },
    listDomains: (accountId) => store.listDomains(accountId),
    async setDomainState(id, state) {
      await store.setDomainState(id, state);
      forget();
    },
    dnsRecords: records,
    async verifyDomain(domain, lookUpTxt) {
      const checks = await Promise.all((await records(domain)).map(async (record) => checkRecord(record, await lookUpTxt(record.name))));
      const required = checks.filter((check) => check.record.isRequired);
      const isProven = required.length > 0 && required.every((check) => check.state === 'ok');
      const isRotated = await promoteIfSeen(domain, checks);
      if (isProven && domain.state === 'unverified') {
        await store.setDomainState(domain.id, 'active');
        forget();
        return { domain: { ...domain, state: 'active' }, checks, isRotated };
      }
      return { domain, checks, isRotated };
    },
    rotateDkim: (domain) => keys.rotate(domain),
  };

  /** All coming keys or none: a message is signed with a matching pair. */
  async function promoteIfSeen(domain: Domain, checks: readonly RecordCheck[]): Promise<boolean> {
    const coming = await keys.coming(domain.id);
    const isSeen = (key: DkimKey): boolean =>
      checks.some((check) => check.state === 'ok' && check.record.name === `${key.selector}._domainkey.${domain.name}`);
    return coming.length > 0 && coming.every(isSeen) && keys.promote(domain.id);
  }
}

/** A name that mail can be sent from: at least two labels. */
function domainName(given: string): string {
  const name = normalizeDomain(given.trim().replace(/\.$/, ''));
  if (name === undefined || !name.includes('.')) {
    throw new AppError('bad-parameter', { reason: `"${given.slice(0, 100)}" is not a domain name; one looks like "mail.example.org"` });
  }
  return name;
}
