/** Plain rules of a domain for mail that comes in (/v3/forwards): an address with stars, and where its mail goes. Part of the store's contract (store.ts). */

export interface ForwardRule {
  /** 24 hexadecimal digits. */
  readonly id: string;
  readonly accountId: number;
  readonly domainId: number;
  /** An address, or a local part, with `*` for any text. */
  readonly match: string;
  readonly urls: readonly string[];
  readonly recipients: readonly string[];
  /** The URL that is told when the mail is kept; '' none is told. Absent: it is not kept for reading. */
  readonly store?: string;
  readonly createdMs: number;
  readonly updatedMs: number;
}

export interface ForwardStore {
  /** False: the domain has `max` already. */
  createForward(rule: ForwardRule, max: number): Promise<boolean>;
  forwardOf(accountId: number, id: string): Promise<ForwardRule | undefined>;
  /** False: no such rule. Its owner, domain and birth stay. */
  changeForward(accountId: number, rule: ForwardRule): Promise<boolean>;
  deleteForward(accountId: number, id: string): Promise<boolean>;
  /** The earlier made first. */
  listForwards(accountId: number, domainId: number | undefined, skip: number, limit: number): Promise<ForwardRule[]>;
  countForwards(accountId: number, domainId: number | undefined): Promise<number>;
}
