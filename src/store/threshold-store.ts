/**
 * Thresholds of an account over what was counted: limits, which stop mail while they are reached, and alerts, which only tell. Each time that one is reached is a hit,
 * which lasts as long as it is found to be so. Every threshold is looked at by one node at a time.
 */

export type ThresholdKind = 'limit' | 'alert';
export type ThresholdComparator = '>' | '>=' | '<' | '<=' | '==' | '!=';

export interface ThresholdFilter {
  readonly dimension: string;
  readonly comparator: string;
  readonly values: readonly string[];
}

export interface Threshold {
  readonly id: string;
  readonly accountId: number;
  readonly kind: ThresholdKind;
  /** Unique among those of its kind in the account. */
  readonly name: string;
  readonly description: string;
  readonly metric: string;
  readonly comparator: ThresholdComparator;
  /** A decimal number, as it was given. */
  readonly limit: string;
  readonly dimension: string;
  /** "1h", "7d". */
  readonly period: string;
  readonly filters: readonly ThresholdFilter[];
  readonly channels: readonly string[];
  readonly createdMs: number;
  readonly updatedMs: number;
  /** 0: never. */
  readonly checkedMs: number;
}

export type ThresholdChange = Omit<Threshold, 'id' | 'accountId' | 'kind' | 'name' | 'createdMs' | 'checkedMs'>;

export interface ThresholdHit {
  readonly id: string;
  readonly accountId: number;
  readonly thresholdId: string;
  readonly kind: ThresholdKind;
  readonly name: string;
  readonly metric: string;
  readonly comparator: ThresholdComparator;
  readonly limit: string;
  readonly dimension: string;
  /** The domain, tag, … that reached it; the account's id where it is the account. */
  readonly dimensionValue: string;
  readonly latestValue: number;
  readonly createdMs: number;
  readonly updatedMs: number;
  /** It holds until then, unless it is found again. */
  readonly expiresMs: number;
}

export interface ThresholdStore {
  /** False: the name is taken, or the account has `max` of the kind. */
  createThreshold(threshold: Threshold, max: number): Promise<boolean>;
  listThresholds(accountId: number, kind: ThresholdKind): Promise<Threshold[]>;
  changeThreshold(accountId: number, kind: ThresholdKind, name: string, change: ThresholdChange): Promise<boolean>;
  /** With the hits that still hold: what was stopped is free. */
  deleteThreshold(accountId: number, kind: ThresholdKind, name: string): Promise<boolean>;
  /** Those that nobody has looked at since then, the longest ago first; they are marked as looked at now. */
  claimThresholds(checkedBeforeMs: number, nowMs: number, limit: number): Promise<Threshold[]>;
  /** Prolongs the hit of the same threshold and value that holds, or is a new one. The newest `keep` of an account stay. True: it is new. */
  recordHit(hit: ThresholdHit, keep: number): Promise<boolean>;
  /** Newest first. */
  listHits(accountId: number, limit: number): Promise<ThresholdHit[]>;
  /** Of limits, that hold now. */
  activeHits(accountId: number, nowMs: number): Promise<ThresholdHit[]>;
}
