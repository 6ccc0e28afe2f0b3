/**
 * Domains' settings, DNS checks and deletion, and pools of addresses, as the other rooms see them. Part of the store's contract (store.ts), which says what holds for all of it.
 */
import type { DkimKey, Domain } from './store.ts';

/** What a domain's owner chose. Flat, and without null: what is absent is as by default. */
export interface DomainSettings {
  readonly spamAction?: 'disabled' | 'block' | 'tag';
  readonly wildcard?: boolean;
  readonly encryptIncoming?: boolean;
  readonly automaticSecurity?: boolean;
  /** Name under the domain that links and pixels point to; `webScheme` goes before it. */
  readonly webPrefix?: string;
  readonly webScheme?: 'http' | 'https';
  /** A copy of each delivery is posted there, unless the message says where; '' nowhere. */
  readonly archiveTo?: string;
  /** Name under the domain for bounces; '' none. */
  readonly mailfromHost?: string;
  /** 0: as the installation keeps contents. */
  readonly messageTtlSeconds?: number;
  /** No content is kept once its message is settled. */
  readonly zeroContent?: boolean;
  /** parent: the keys of the nearest domain above it sign, where the account has one. */
  readonly dkimAuthority?: 'self' | 'parent';
  /** 0: its keys are changed by hand only. */
  readonly rotationDays?: number;
  readonly trackOpens?: boolean;
  readonly openAtTop?: boolean;
  readonly trackClicks?: boolean | 'htmlonly';
  /** Parameters that counted links get when they do not have them: "utm_source=news&utm_medium=email"; '' none. */
  readonly utm?: string;
  readonly trackUnsubscribes?: boolean;
  readonly unsubscribeHtml?: string;
  readonly unsubscribeText?: string;
  /** Addresses that its mail leaves from; empty: of its pool, or any. */
  readonly ips?: readonly string[];
  /** Id of a pool of the account; '' none. */
  readonly poolId?: string;
}

/** What DNS answered last about one record of a domain. */
export interface DnsAnswer {
  readonly state: 'ok' | 'missing' | 'different' | 'unknown';
  /** What stood there, shortened. */
  readonly found: readonly string[];
}

/** By "purpose name", as accounts/dns-records.ts writes it. */
export type DnsAnswers = Readonly<Record<string, DnsAnswer>>;

export interface DomainChange {
  /** Joined with what stands. */
  readonly settings?: DomainSettings;
  readonly requireTls?: boolean;
  readonly skipVerification?: boolean;
  readonly retentionMs?: number;
}

export interface IpPool {
  /** Public: 24 hexadecimal digits. */
  readonly id: string;
  readonly accountId: number;
  readonly name: string;
  readonly description: string;
  readonly ips: readonly string[];
  readonly createdMs: number;
}

export interface IpPoolChange {
  readonly name?: string;
  readonly description?: string;
  readonly addIps?: readonly string[];
  readonly removeIps?: readonly string[];
}

export interface DomainStore {
  changeDomain(id: number, change: DomainChange): Promise<void>;
  setDnsAnswers(id: number, answers: DnsAnswers, nowMs: number): Promise<void>;
  /** Domains that were not looked up since `beforeMs`, longest first; they count as looked up now, so that no two nodes do it. */
  claimDnsChecks(beforeMs: number, nowMs: number, limit: number): Promise<Domain[]>;
  /**
   * It is no longer there for anybody, and its name is free; its logins and keys for the API go at once. Mail that it has queued is delivered under its name.
   * False: it is deleted already.
   */
  deleteDomain(id: number, nowMs: number): Promise<boolean>;
  /** Deleted ones of which something is left besides their mail and events. */
  deletedDomains(limit: number): Promise<Domain[]>;
  hasQueued(accountId: number, domainId: number): Promise<boolean>;
  /** Takes up to `limit` rows of each table of a deleted domain. True: nothing is left. */
  purgeDomain(id: number, limit: number): Promise<boolean>;

  setDkimKey(id: number, state: DkimKey['state'], activeMs: number): Promise<void>;
  deleteDkimKey(id: number): Promise<boolean>;

  putPool(pool: IpPool): Promise<void>;
  /** In the order they were made. */
  listPools(accountId: number): Promise<IpPool[]>;
  poolById(id: string): Promise<IpPool | undefined>;
  /** undefined: there is none in the account. */
  changePool(accountId: number, id: string, change: IpPoolChange): Promise<IpPool | undefined>;
  /** It is lent to nobody afterwards. */
  deletePool(accountId: number, id: string): Promise<boolean>;
  /** One at most; undefined: none. */
  lendPool(accountId: number, poolId: string | undefined): Promise<void>;
  poolLentTo(accountId: number): Promise<IpPool | undefined>;
  /** Of whom the pools are: accounts that have one of them. */
  lentPools(ownerId: number): Promise<{ readonly poolId: string; readonly accountId: number }[]>;
}
