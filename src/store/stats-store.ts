/** Reading what was counted, and the tags that messages had. Answers come from counters that were written with the facts, never from events. */
import type { EventKind } from '#model/event.ts';

/** How long counters are kept: those of hours, those of days, and tags that no message had since. */
export const HOURS_KEPT = 62 * 24;
export const DAYS_KEPT = 366;

/** A message may have any tag: beyond so many of one account, new ones are counted but not listed. */
export const TAGS_MAX = 100_000;

/** receiver: the receiving domain, known by the day alone. */
export type CountDimension = 'time' | 'domain' | 'tag' | 'provider' | 'receiver' | 'source' | 'country' | 'device' | 'reason';

export interface CountCondition {
  readonly dimension: Exclude<CountDimension, 'time' | 'domain'>;
  readonly is: 'in' | 'not-in' | 'contains' | 'not-contains';
  /** Tags without regard to case. */
  readonly values: readonly string[];
}

export interface CountQuery {
  readonly accountId: number;
  /** Absent: all of the account's. */
  readonly domainIds?: readonly number[];
  /** The unit of `from` and `until`, and of the dimension `time`: since 1970. */
  readonly step: 'hour' | 'day';
  readonly from: number;
  /** Exclusive. */
  readonly until: number;
  /** What sums are told apart by, beside their kind. */
  readonly by: readonly CountDimension[];
  readonly where?: readonly CountCondition[];
  readonly kinds?: readonly EventKind[];
  /** More rows than these are not read: the answer has one more, which tells so. */
  readonly rowsMax: number;
}

/** By `time` and `domain` numbers, else texts. With the dimension or a condition `tag`, what has several of those tags is counted with each. */
export type CountSum = Readonly<Partial<Record<CountDimension, string | number>>> & { readonly kind: EventKind; readonly n: number };

export interface Tag {
  readonly domainId: number;
  /** As it was seen first. */
  readonly name: string;
  readonly description: string;
  readonly firstMs: number;
  /** The hour in which it was seen last. */
  readonly lastMs: number;
}

export interface StatsStore {
  sums(query: CountQuery): Promise<CountSum[]>;
  /** In the order of their names in lower case, after (or, the nearest first, before) such a name. */
  tags(
    accountId: number,
    domainId: number,
    page: { readonly after?: string; readonly before?: string; readonly prefix?: string; readonly limit: number },
  ): Promise<Tag[]>;
  /** Of all domains of the account, those whose names begin so, the domains' tags of one name beside each other; at most `limit`. */
  accountTags(accountId: number, prefix: string, limit: number): Promise<Tag[]>;
  countTags(accountId: number, domainId?: number): Promise<number>;
  /** False: the domain, or no domain of the account, has such a tag. */
  describeTag(accountId: number, domainId: number | undefined, name: string, description: string): Promise<boolean>;
  /** The tag and what was counted with it. */
  deleteTag(accountId: number, domainId: number | undefined, name: string): Promise<boolean>;
}
