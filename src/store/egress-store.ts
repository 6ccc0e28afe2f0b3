/**
 * Plans by which addresses are warmed up, and pools whose domains come and go by how their mail fares, as the other rooms see them. Part of the store's contract (store.ts),
 * which says what holds for all of it.
 */

/** An address that is being warmed up. It belongs to the installation: all mail that leaves from it counts. */
export interface WarmUp {
  readonly address: string;
  /** Recipients in any 24 hours, stage after stage. */
  readonly plan: readonly number[];
  /** Counted from 1. */
  readonly stage: number;
  readonly startedMs: number;
  readonly stageStartedMs: number;
  readonly updatedMs: number;
  /** Stages that are over. */
  readonly history: readonly { readonly startedMs: number; readonly completedMs: number; readonly limit: number }[];
}

/** good: its mail fares well. poor: too much bounces or is complained about. new: not enough is known yet. */
export type Band = 'good' | 'poor' | 'new';

export const BANDS: readonly Band[] = ['good', 'poor', 'new'];

/** `DomainSettings.poolId` of a domain whose pool is chosen by how its mail fares. */
export const DYNAMIC_POOL = 'dynamic';

export type BandAddresses = Readonly<Record<Band, readonly string[]>>;

/** What a band was decided by. Rates are parts of one. */
export interface Health {
  readonly processed: number;
  readonly bounceRate: number;
  readonly complaintRate: number;
}

export interface EnrolledDomain extends Health {
  readonly domainId: number;
  readonly accountId: number;
  /** Whose pools it uses: its account, or the parent of that. */
  readonly ownerId: number;
  readonly enrolledMs: number;
  readonly band: Band;
  /** The band was chosen by hand, and stays. */
  readonly isOverridden: boolean;
  /** 0: never. */
  readonly checkedMs: number;
}

export interface BandMove extends Health {
  readonly id: string;
  readonly ownerId: number;
  readonly accountId: number;
  readonly domainId: number;
  readonly domainName: string;
  readonly from: Band | '';
  readonly to: Band | '';
  readonly reason: string;
  readonly initiatedBy: string;
  readonly atMs: number;
}

export interface MoveAsk {
  readonly ownerId: number;
  /** Of one account below the owner, or the owner. */
  readonly accountId?: number;
  readonly domainName?: string;
  readonly fromBand?: Band;
  readonly toBand?: Band;
  readonly beforeMs?: number;
  readonly afterMs?: number;
}

export interface EgressStore {
  /** Ordered by address. */
  listWarmUps(): Promise<WarmUp[]>;
  /** False: the address is being warmed up already. */
  startWarmUp(warmUp: WarmUp): Promise<boolean>;
  /** Takes the place of what stands, if that is at this stage still. False: it is not. */
  putWarmUp(warmUp: WarmUp, fromStage: number): Promise<boolean>;
  endWarmUp(address: string): Promise<boolean>;
  /** Of the windows of a ceiling that began since then: what all holders were given and did not give back. */
  givenSince(ceiling: string, sinceMs: number): Promise<number>;

  /** undefined: the account has none. */
  dynamicPoolsOf(ownerId: number): Promise<BandAddresses | undefined>;
  putDynamicPools(ownerId: number, pools: BandAddresses): Promise<void>;
  deleteDynamicPools(ownerId: number): Promise<boolean>;

  /** With a move of it, in one commit. False: it is enrolled already. */
  enrolDomain(domain: EnrolledDomain, move: BandMove): Promise<boolean>;
  /** With the move, in one commit; the newest `keep` moves of the owner stay. False: it is not enrolled. */
  moveDomain(domain: EnrolledDomain, move: BandMove | undefined, keep: number): Promise<boolean>;
  leaveDynamic(domainId: number, move: BandMove): Promise<boolean>;
  enrolledDomain(domainId: number): Promise<EnrolledDomain | undefined>;
  /** In the order of their ids. */
  enrolledDomains(ownerId: number): Promise<EnrolledDomain[]>;
  /** Those that nobody has looked at since then, the longest ago first; they are marked as looked at now. */
  claimEnrolled(checkedBeforeMs: number, nowMs: number, limit: number): Promise<EnrolledDomain[]>;
  /** Newest first. */
  bandMoves(ask: MoveAsk, skip: number, limit: number): Promise<BandMove[]>;
  countBandMoves(ask: MoveAsk): Promise<number>;
}
