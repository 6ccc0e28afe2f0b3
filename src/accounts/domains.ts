/**
 * Sender domains: adding them with their keys, finding them (cached for a moment), and verifying them against DNS. A domain belongs to one
 * account in the whole installation; names have one spelling (lower case, A-labels).
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import { InFlight } from '#base/in-flight.ts';
import type { Clock } from '#base/clock.ts';
import { dkimName } from '#mail/dkim.ts';
import { normalizeDomain } from '#mail/domain.ts';
import { badParameter } from '#model/errors.ts';
import type { DnsAnswer, DomainChange, DomainSettings, DomainStore } from '#store/domain-store.ts';
import type { AccountStore, DkimKey, Domain } from '#store/store.ts';
import type { DkimKeys, FirstKey } from './dkim-keys.ts';
import { answerKey, checkRecord, hostRecordsOf, recordsOf, returnRecordsOf } from './dns-records.ts';
import type { DnsRecord, RecordCheck, Sending } from './dns-records.ts';

const CACHE_MAX = 20_000;
const CACHE_MS = 2000;
const NAME_MAX = 255;

/** The TXT values under a name, strings joined; [] when there is none; undefined when DNS gives no answer. Has a deadline of its own. */
export type LookUpTxt = (name: string) => Promise<readonly string[] | undefined>;

/** The hosts of MX and CNAME records, likewise. */
export interface LookUpHosts {
  mx(name: string): Promise<readonly string[] | undefined>;
  cname(name: string): Promise<readonly string[] | undefined>;
}

/** Every record of a domain, with or without a host that it needs. */
export interface DomainRecords {
  readonly sending: readonly DnsRecord[];
  readonly receiving: readonly DnsRecord[];
}

export interface NewDomain {
  readonly type?: Domain['type'];
  readonly settings?: DomainSettings;
  readonly requireTls?: boolean;
  readonly skipVerification?: boolean;
  readonly key?: FirstKey;
}

export interface Verification {
  readonly domain: Domain;
  readonly checks: readonly RecordCheck[];
  /** Keys of a rotation were seen in DNS and sign from now on. */
  readonly isRotated: boolean;
  /** Records that were right when they were looked up before, and are not now; and the other way round. */
  readonly broken: readonly RecordCheck[];
  readonly mended: readonly RecordCheck[];
}

export interface Domains {
  /** By its name in any spelling, whoever owns it. */
  domainFor(name: string): Promise<Domain | undefined>;
  /** Cached like `domainFor`. */
  domainById(id: number): Promise<Domain | undefined>;
  /** Adds it with its DKIM keys; undefined: the name is taken. Throws AppError 'bad-parameter' for what is no domain name. */
  addDomain(accountId: number, name: string, wishes?: Domain['type'] | NewDomain): Promise<Domain | undefined>;
  /** Resolves to the domain as it is then. */
  changeDomain(domain: Domain, change: Omit<DomainChange, 'retentionMs'>): Promise<Domain>;
  /** It is gone for everybody at once; what it has queued is delivered (DomainStore). False: it was deleted before. */
  deleteDomain(domain: Domain): Promise<boolean>;
  listDomains(accountId?: number): Promise<Domain[]>;
  setDomainState(id: number, state: Domain['state']): Promise<void>;
  /** Those that mail is sent with. */
  dnsRecords(domain: Domain): Promise<DnsRecord[]>;
  /** Those and the ones that name a host. */
  allRecords(domain: Domain): Promise<DomainRecords>;
  /** Looks the records up; a domain whose signing key is there becomes active. An answer that does not come changes nothing (P5). */
  verifyDomain(domain: Domain, lookUpTxt: LookUpTxt, hosts?: LookUpHosts): Promise<Verification>;
  rotateDkim(domain: Domain): Promise<DkimKey[]>;
}

export interface DomainOptions {
  readonly retentionMs: number;
  readonly sending: Sending;
}

export function createDomains(store: AccountStore, domains: DomainStore, keys: DkimKeys, options: DomainOptions, clock: Clock): Domains {
  const cache = new BoundedCache<string, Domain | 'none'>({ max: CACHE_MAX, ttlMs: CACHE_MS });
  const byId = new BoundedCache<number, Domain>({ max: CACHE_MAX, ttlMs: CACHE_MS });
  const looking = new InFlight<string, Domain | undefined>();
  const forget = (): void => {
    cache.clear();
    byId.clear();
  };

  async function records(domain: Domain): Promise<DnsRecord[]> {
    const authority = await keys.authorityOf(domain);
    let published = await keys.published(authority.id);
    if (published.length === 0) {
      // A crash came between the domain and its keys.
      await keys.makeFirst(authority);
      published = await keys.published(authority.id);
    }
    return recordsOf(domain, published, options.sending, authority);
  }

  /** What the records' owner has chosen, and when nothing was chosen what the installation does. */
  function retentionOf({ zeroContent = false, messageTtlSeconds = 0 }: DomainSettings): number {
    if (zeroContent) return 0;
    return messageTtlSeconds > 0 ? messageTtlSeconds * 1000 : options.retentionMs;
  }

  async function check(domain: Domain, lookUpTxt: LookUpTxt, hosts: LookUpHosts | undefined): Promise<readonly RecordCheck[]> {
    const { mx, tracking } = hostRecordsOf(domain, options.sending.hostname);
    const back = returnRecordsOf(domain, options.sending);
    const own = [...(await records(domain)), ...(back === undefined ? [] : [back.spf])];
    const wanted = hosts === undefined ? own : [...own, mx, tracking, ...(back === undefined ? [] : [back.mx])];
    return Promise.all(
      wanted.map(async (record) => {
        if (record.type === 'TXT' || hosts === undefined) return checkRecord(record, await lookUpTxt(record.name));
        return checkRecord(record, await (record.type === 'MX' ? hosts.mx(record.name) : hosts.cname(record.name)));
      }),
    );
  }

  /** An answer that did not come leaves the former one standing (P5). */
  async function keepAnswers(domain: Domain, checks: readonly RecordCheck[]): Promise<Domain> {
    const former = domain.dnsAnswers ?? {};
    const known = checks.filter(({ state }) => state !== 'unknown');
    const dnsAnswers = { ...former, ...Object.fromEntries(known.map((each) => [answerKey(each.record), answerOf(each)] as const)) };
    const nowMs = clock.nowMs();
    await domains.setDnsAnswers(domain.id, dnsAnswers, nowMs);
    return { ...domain, dnsAnswers, checkedMs: nowMs };
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
    async addDomain(accountId, given, wishes = {}) {
      const name = domainName(given);
      if (typeof wishes !== 'string') checkSettings(wishes.settings ?? {});
      const {
        type = 'custom',
        settings = {},
        key,
        requireTls = false,
        skipVerification = false,
      } = typeof wishes === 'string' ? { type: wishes } : wishes;
      const domain = await store.createDomain({
        accountId,
        name,
        type,
        state: type === 'sandbox' ? 'active' : 'unverified',
        createdMs: clock.nowMs(),
        retentionMs: retentionOf(settings),
        requireTls,
        skipVerification,
      });
      if (domain === undefined) return undefined;
      if (Object.keys(settings).length > 0) await domains.changeDomain(domain.id, { settings });
      await keys.makeFirst(domain, key);
      forget();
      return { ...domain, settings };
    },
    listDomains: (accountId) => store.listDomains(accountId),
    async setDomainState(id, state) {
      await store.setDomainState(id, state);
      forget();
    },
    async changeDomain(domain, change) {
      const settings = { ...domain.settings, ...change.settings };
      checkSettings(settings);
      const concernsContent = change.settings?.zeroContent !== undefined || change.settings?.messageTtlSeconds !== undefined;
      await domains.changeDomain(domain.id, { ...change, ...(concernsContent && { retentionMs: retentionOf(settings) }) });
      keys.forget(domain.id);
      forget();
      return (await store.domainById(domain.id)) ?? domain;
    },
    async deleteDomain(domain) {
      const isDeleted = await domains.deleteDomain(domain.id, clock.nowMs());
      forget();
      return isDeleted;
    },
    dnsRecords: records,
    async allRecords(domain) {
      const { mx, tracking } = hostRecordsOf(domain, options.sending.hostname);
      const back = returnRecordsOf(domain, options.sending);
      return {
        sending: [...(await records(domain)), tracking, ...(back === undefined ? [] : [back.spf])],
        receiving: [mx, ...(back === undefined ? [] : [back.mx])],
      };
    },
    async verifyDomain(given, lookUpTxt, hosts) {
      const checks = await check(given, lookUpTxt, hosts);
      const domain = await keepAnswers(given, checks);
      const { broken, mended } = changesOf(given, checks);
      const required = checks.filter((check) => check.record.isRequired);
      const isProven = required.length > 0 && required.every((check) => check.state === 'ok');
      const isRotated = await promoteIfSeen(domain, checks);
      if (isProven && domain.state === 'unverified') {
        await store.setDomainState(domain.id, 'active');
        forget();
        return { domain: { ...domain, state: 'active' }, checks, isRotated, broken, mended };
      }
      return { domain, checks, isRotated, broken, mended };
    },
    rotateDkim: (domain) => keys.rotate(domain),
  };

  /** All coming keys or none: a message is signed with a matching pair. */
  async function promoteIfSeen(domain: Domain, checks: readonly RecordCheck[]): Promise<boolean> {
    const coming = await keys.coming(domain.id);
    const isSeen = (key: DkimKey): boolean =>
      checks.some((check) => check.state === 'ok' && check.record.name === dkimName(key.selector, domain.name));
    return coming.length > 0 && coming.every(isSeen) && keys.promote(domain.id);
  }
}

/** Copies are made again from contents. */
function checkSettings({ zeroContent = false, archiveTo = '' }: DomainSettings): void {
  if (zeroContent && archiveTo !== '') throw badParameter('a domain that keeps no content has no copies to post to archive_to');
}

const FOUND_MAX = 5;
const FOUND_CHARACTERS_MAX = 400;

function answerOf({ state, found }: RecordCheck): DnsAnswer {
  return { state, found: found.slice(0, FOUND_MAX).map((text) => text.slice(0, FOUND_CHARACTERS_MAX)) };
}

function changesOf({ dnsAnswers = {} }: Domain, checks: readonly RecordCheck[]): Pick<Verification, 'broken' | 'mended'> {
  const before = ({ record }: RecordCheck): DnsAnswer['state'] | undefined => dnsAnswers[answerKey(record)]?.state;
  return {
    broken: checks.filter((each) => before(each) === 'ok' && (each.state === 'missing' || each.state === 'different')),
    mended: checks.filter((each) => each.state === 'ok' && (before(each) === 'missing' || before(each) === 'different')),
  };
}

/** A name that mail can be sent from: at least two labels. */
function domainName(given: string): string {
  const name = normalizeDomain(given.trim().replace(/\.$/, ''));
  if (name === undefined || !name.includes('.')) {
    throw badParameter(`"${given.slice(0, 100)}" is not a domain name; one looks like "mail.example.org"`);
  }
  return name;
}
