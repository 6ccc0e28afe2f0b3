/**
 * Grants as the other rooms see them: parts of a ceiling, given to nodes before they are used. Part of the store's contract (store.ts), which says what holds for all of it.
 */

/**
 * A ceiling for the whole cluster is used by way of grants: parts of one window of it that a holder was given before it uses them. A holder is one purse of one process,
 * under a number that it chose by chance and that nobody has after it.
 */
export interface GrantAsk {
  /** Of the ceiling. */
  readonly name: string;
  /** The window that it is for begins here. */
  readonly startMs: number;
  /** What is held of windows that begin less than this before or after it counts against the ceiling too: the window's own length, or more where no stretch of time, wherever it begins, may see more. */
  readonly spanMs: number;
  readonly ceiling: number;
  /** What the holder wants to have been given of this window in all, used parts included: more than it has to get more, less to give back what it does not use. */
  readonly wanted: number;
  /** What it has used of it so far; absent where accepts tell it (`AcceptMessage.uses`). */
  readonly used?: number;
}

export interface GrantAnswer {
  /** What it has been given of this window in all; less than wanted when there is no more. */
  readonly held: number;
  /** What the store knows to be used of that. */
  readonly used: number;
  /** What is left of the ceiling for anybody. */
  readonly free: number;
  /** What others, whose lease lasts, hold and are not known to have used: some of it may be given back soon. */
  readonly idle: number;
  /** Other holders that asked for it in the same span. */
  readonly others: number;
  /** When the oldest part that counts ceases to count. */
  readonly reliefMs: number;
}

/** A part of a grant that an accept uses. */
export interface GrantUse {
  readonly holder: number;
  readonly name: string;
  readonly startMs: number;
  readonly count: number;
}

/** Nobody holds it: an accept that uses it is answered as the repeat that it is, or not at all. */
export const NOT_HELD: GrantUse = { holder: 0, name: 'nothing', startMs: 0, count: 1 };

/** Of one account. undefined: as the settings say. 0: none. */
export interface AccountLimits {
  readonly recipientsPerHour?: number;
  readonly recipientsPerDay?: number;
  /** Of the calendar, UTC. */
  readonly recipientsPerMonth?: number;
  readonly requestsPerSecond?: number;
}

/**
 * Whatever happens, what all holders have been given of a ceiling is never more than the ceiling. A holder that is not heard of for a lease is taken to be gone: what it
 * held of grants whose uses accepts tell is freed but for what was used, and an accept of its own that comes later is refused (`Ungranted`); what it held of
 * others counts as used, for it may have been.
 */
export interface GrantStore {
  /** Answers in the order of the asks; all of them in one transaction. Prolongs what they name by a lease. */
  hold(holder: number, asks: readonly GrantAsk[], leaseMs: number, nowMs: number): Promise<GrantAnswer[]>;
  /** What all holders are known to have used of a window. */
  usedOf(name: string, startMs: number): Promise<number>;
  limitsOf(accountId: number): Promise<AccountLimits>;
  /** Replaces them; false: there is no such account. */
  setLimits(accountId: number, limits: AccountLimits): Promise<boolean>;
}
