/**
 * Pools whose domains come and go by how their mail fares: a domain that is enrolled sends from the addresses of a band, good, poor or new, and what bounced and was complained
 * about in the last week decides which. The pools are an account's and serve its subaccounts' domains too. A domain is enrolled as long as its settings say so.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import {
  type Band,
  type BandAddresses,
  type BandMove,
  DYNAMIC_POOL,
  type EgressStore,
  type EnrolledDomain,
  type Health,
} from '#store/egress-store.ts';
import type { DomainSettings } from '#store/domain-store.ts';
import type { Domain } from '#store/store.ts';

/** P9: of one owner. */
const MOVES_KEPT = 10_000;

/** Below it nothing can be said; from the second on a domain without trouble is a good one. */
const PROCESSED_MIN = 100;
const PROCESSED_KNOWN = 1000;
/** Parts of one. A domain that was poor has to be clearly better to come back. */
const BOUNCES_POOR = 0.05;
const BOUNCES_MENDED = 0.03;
const COMPLAINTS_POOR = 0.001;
const COMPLAINTS_MENDED = 0.0007;

export interface Verdict {
  readonly band: Band;
  readonly reason: string;
}

/** Pure. `current`: undefined for a domain that is not enrolled. */
export function bandFor({ processed, bounceRate, complaintRate }: Health, current: Band | undefined): Verdict {
  const before = current ?? 'new';
  if (processed < PROCESSED_MIN) return { band: before, reason: 'too little mail in the last week' };
  const wasPoor = before === 'poor';
  if (bounceRate >= (wasPoor ? BOUNCES_MENDED : BOUNCES_POOR)) return { band: 'poor', reason: 'bounce rate' };
  // Of few messages one complaint would be many.
  if (processed >= PROCESSED_KNOWN && complaintRate >= (wasPoor ? COMPLAINTS_MENDED : COMPLAINTS_POOR))
    return { band: 'poor', reason: 'complaint rate' };
  if (processed >= PROCESSED_KNOWN) return { band: 'good', reason: 'low bounce and complaint rates' };
  return { band: before, reason: 'too little mail in the last week' };
}

export interface DynamicPoolsParts {
  readonly egress: EgressStore;
  readonly changeDomain: (domain: Domain, change: { readonly settings: DomainSettings }) => Promise<unknown>;
  readonly domainById: (id: number) => Promise<Domain | undefined>;
  readonly parentOf: (accountId: number) => Promise<number | undefined>;
  /** Of the last week. */
  readonly measure: (domain: Domain) => Promise<Health>;
  /** A domain came to another pool by itself. Never rejects. */
  readonly moved?: (move: BandMove) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export type DynamicPools = ReturnType<typeof createDynamicPools>;

export function createDynamicPools(parts: DynamicPoolsParts) {
  const { egress, clock } = parts;

  const ownerOf = async (accountId: number): Promise<number> => (await parts.parentOf(accountId)) ?? accountId;

  function moveOf(enrolled: EnrolledDomain, name: string, change: Pick<BandMove, 'from' | 'to' | 'reason' | 'initiatedBy'>): BandMove {
    const { ownerId, accountId, domainId, processed, bounceRate, complaintRate } = enrolled;
    const of = { ownerId, accountId, domainId, domainName: name, processed, bounceRate, complaintRate };
    return { id: randomHex(12), ...of, ...change, atMs: clock.nowMs() };
  }

  /** False: it is enrolled already. */
  async function enrol(domain: Domain, initiatedBy: string): Promise<boolean> {
    const { id: domainId, accountId, name } = domain;
    const health = await parts.measure(domain);
    const { band, reason } = bandFor(health, undefined);
    const nowMs = clock.nowMs();
    const ownerId = await ownerOf(accountId);
    const enrolled = { domainId, accountId, ownerId, enrolledMs: nowMs, band, isOverridden: false, checkedMs: nowMs, ...health };
    const isNew = await egress.enrolDomain(enrolled, moveOf(enrolled, name, { from: '', to: band, reason, initiatedBy }));
    if (!isNew && domain.settings?.poolId === DYNAMIC_POOL) return false;
    await parts.changeDomain(domain, { settings: { poolId: DYNAMIC_POOL, ips: [] } });
    return true;
  }

  /** It goes on with what `settings` say. False: it is not enrolled. */
  async function leave(domain: Domain, settings: Pick<DomainSettings, 'ips' | 'poolId'>, initiatedBy: string): Promise<boolean> {
    const enrolled = await enrolledNow(domain);
    if (enrolled === undefined) return false;
    await parts.changeDomain(domain, { settings });
    await forget(enrolled, domain.name, initiatedBy);
    return true;
  }

  async function forget(enrolled: EnrolledDomain, name: string, initiatedBy: string): Promise<void> {
    await egress.leaveDynamic(enrolled.domainId, moveOf(enrolled, name, { from: enrolled.band, to: '', reason: 'removed', initiatedBy }));
  }

  async function enrolledNow(domain: Domain): Promise<EnrolledDomain | undefined> {
    return domain.settings?.poolId === DYNAMIC_POOL ? egress.enrolledDomain(domain.id) : undefined;
  }

  /** undefined: it is not enrolled. Without a band the next look decides, which is made at once. */
  async function override(domain: Domain, band: Band | undefined, initiatedBy: string): Promise<EnrolledDomain | undefined> {
    const enrolled = await enrolledNow(domain);
    if (enrolled === undefined) return undefined;
    if (band === undefined) {
      await judge({ ...enrolled, isOverridden: false }, domain, initiatedBy);
    } else {
      const change = { from: enrolled.band, to: band, reason: 'override', initiatedBy };
      await egress.moveDomain({ ...enrolled, band, isOverridden: true }, moveOf(enrolled, domain.name, change), MOVES_KEPT);
    }
    return egress.enrolledDomain(domain.id);
  }

  /** What is decided by hand stays; what is known of it is renewed all the same. */
  async function judge(enrolled: EnrolledDomain, domain: Domain, initiatedBy: string): Promise<void> {
    const measured = { ...enrolled, ...(await parts.measure(domain)), checkedMs: clock.nowMs() };
    const { band, reason } = enrolled.isOverridden ? { band: enrolled.band, reason: '' } : bandFor(measured, enrolled.band);
    if (band === enrolled.band) return void (await egress.moveDomain(measured, undefined, MOVES_KEPT));
    const moved = { ...measured, band };
    const move = moveOf(moved, domain.name, { from: enrolled.band, to: band, reason, initiatedBy });
    await egress.moveDomain(moved, move, MOVES_KEPT);
    await parts.moved?.(move);
    parts.log.info({ domain: domain.name, from: enrolled.band, to: band, reason }, 'a domain came to another pool of addresses');
  }

  return {
    ownerOf,
    enrol,
    leave,
    override,
    enrolledNow,
    /** Where it would be now. */
    async preview(domain: Domain): Promise<Verdict & { readonly health: Health }> {
      const health = await parts.measure(domain);
      return { ...bandFor(health, (await enrolledNow(domain))?.band), health };
    },
    /** The addresses that mail of the domain leaves from; undefined: it is not enrolled, or there are no pools any more. */
    async addressesOf(domain: Domain): Promise<readonly string[] | undefined> {
      const enrolled = await enrolledNow(domain);
      if (enrolled === undefined) return undefined;
      const pools: BandAddresses | undefined = await egress.dynamicPoolsOf(enrolled.ownerId);
      return pools?.[enrolled.band];
    },
    /** The regular look at one of them. A domain that chose something else, or is gone, is no longer enrolled. */
    async look(enrolled: EnrolledDomain): Promise<void> {
      const domain = await parts.domainById(enrolled.domainId);
      if (domain !== undefined && domain.deletedMs === undefined && domain.settings?.poolId === DYNAMIC_POOL)
        return judge(enrolled, domain, 'health check');
      await forget(enrolled, domain?.name ?? '', 'health check');
    },
  };
}
