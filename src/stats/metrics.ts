/**
 * A question for metrics: some dimensions, some metrics, some conditions, a range. Answered from counters alone. Groups in which nothing was counted are not there.
 * What has several tags is counted with each when the question is about tags.
 */
import { BOTS, readVisitReason, visitReason } from '#model/count-reason.ts';
import { badParameter } from '#model/errors.ts';
import type { CountCondition, CountDimension, CountSum, StatsStore } from '#store/stats-store.ts';
import { bucketOf, floor, type Range, stepsOf } from './range.ts';
import { METRICS, Tally } from './tally.ts';

/** Names of the API, and of the counters. undefined: it has the same value wherever it is asked for. */
export const DIMENSIONS: Readonly<Record<string, CountDimension | undefined>> = {
  time: 'time',
  domain: 'domain',
  tag: 'tag',
  ip: 'source',
  recipient_domain: 'receiver',
  recipient_provider: 'provider',
  country: 'country',
  device: 'device',
  ip_pool: undefined,
  bot: 'reason',
  subaccount: undefined,
};

/** Counters, summed up by the store, that one answer is made of. */
const ROWS_MAX = 100_000;

export interface Condition {
  readonly attribute: string;
  readonly comparator: '=' | '!=' | 'contains' | 'not contains';
  readonly values: readonly string[];
}

export interface MetricsQuery {
  readonly range: Range;
  /** Names out of DIMENSIONS. */
  readonly dimensions: readonly string[];
  readonly where: readonly Condition[];
}

/** What a question may see: the account's domains, by their ids. */
export interface Whose {
  readonly accountId: number;
  readonly accountName: string;
  readonly domains: ReadonlyMap<number, string>;
  /** Asked about in the name of one domain. */
  readonly domainId?: number;
  /** Subaccounts that are asked about with it. */
  readonly below?: readonly Whose[];
}

/** One group: the values of its dimensions, in their order, and its counts. Of `time` the beginning of the bucket, in milliseconds. */
export interface Group {
  readonly values: readonly (string | number)[];
  readonly tally: Tally;
}

export async function groupsOf(
  store: StatsStore,
  whose: Whose,
  query: MetricsQuery,
  more: readonly CountDimension[] = [],
): Promise<Group[]> {
  const isByBot = query.dimensions.includes('bot') || query.where.some(({ attribute }) => attribute === 'bot');
  const groups = new Map<string, { values: (string | number)[]; tally: Tally }>();
  for (const each of accountsOf(whose)) {
    for (const sum of await sumsOf(store, each, query, more)) {
      const values = query.dimensions.map((name) => valueOf(name, sum, each, query.range));
      const key = values.join('\u0000');
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { values, tally: new Tally(isByBot) }));
      group.tally.add(sum.kind, String(sum.reason ?? ''), sum.n);
    }
  }
  return [...groups.values()];
}

/** Every account that a question is about, each by itself. */
export function accountsOf({ below = [], ...own }: Whose): readonly Whose[] {
  return [own, ...below];
}

/** Sums of one account with the dimensions that the question needs, and `reason`. */
export async function sumsOf(
  store: StatsStore,
  whose: Whose,
  { range, dimensions, where }: MetricsQuery,
  more: readonly CountDimension[] = [],
): Promise<CountSum[]> {
  const by = new Set<CountDimension>(['reason', ...more]);
  for (const name of dimensions) {
    const dimension = dimensionOf(name);
    if (dimension !== undefined) by.add(dimension);
  }
  const conditions = conditionsOf(where, whose);
  if (conditions === undefined) return [];
  const isByReceiver = by.has('receiver') || conditions.where.some(({ dimension }) => dimension === 'receiver');
  if (isByReceiver && range.resolution === 'hour' && dimensions.includes('time')) {
    throw badParameter('receiving domains are counted by the day; use the resolution day or month');
  }
  const sums = await store.sums({
    accountId: whose.accountId,
    ...conditions,
    ...spanOf(range, isByReceiver),
    by: [...by],
    rowsMax: ROWS_MAX,
  });
  if (sums.length > ROWS_MAX) throw badParameter('the answer would be too long; ask for fewer dimensions or a shorter time');
  return sums;
}

function spanOf(range: Range, isByDay: boolean): ReturnType<typeof stepsOf> {
  return stepsOf(
    isByDay && range.resolution === 'hour'
      ? { ...range, resolution: 'day', startMs: floor(range.startMs, 'day'), endMs: floor(range.endMs, 'day') }
      : range,
  );
}

function dimensionOf(name: string): CountDimension | undefined {
  if (!Object.hasOwn(DIMENSIONS, name)) throw badParameter(`'${name.slice(0, 60)}' is not a valid dimension`);
  return DIMENSIONS[name];
}

export function metricNames(names: readonly string[]): readonly string[] {
  for (const name of names) if (!METRICS.includes(name)) throw badParameter(`'${name.slice(0, 60)}' is not a valid metric`);
  return names.length === 0 ? METRICS : names;
}

/** undefined: nothing can fulfil them. */
function conditionsOf(
  where: readonly Condition[],
  whose: Whose,
): { domainIds: readonly number[]; where: readonly CountCondition[] } | undefined {
  let domainIds = whose.domainId === undefined ? [...whose.domains.keys()] : [whose.domainId];
  const others: CountCondition[] = [];
  for (const { attribute, comparator, values } of where) {
    if (attribute === 'time' || !Object.hasOwn(DIMENSIONS, attribute)) {
      throw badParameter(`'${attribute.slice(0, 60)}' is not a valid filter predicate attribute`);
    }
    const dimension = DIMENSIONS[attribute];
    const is = IS[comparator];
    if (attribute === 'bot') {
      const allowed = botReasons(is, values);
      if (allowed === undefined) return undefined;
      others.push(allowed);
    } else if (dimension === 'domain') domainIds = domainIds.filter((id) => passes(whose.domains.get(id) ?? '', is, values));
    else if (dimension !== undefined && dimension !== 'time')
      others.push({ dimension, is, values: attribute === 'recipient_domain' ? lower(values) : values });
    else if (!passes(constantOf(attribute, whose), is, values)) return undefined;
  }
  return domainIds.length === 0 ? undefined : { domainIds, where: others };
}

const IS = { '=': 'in', '!=': 'not-in', contains: 'contains', 'not contains': 'not-contains' } as const;

/** Machines are told apart in the reason of opens and clicks; everything else was done by none. undefined: no machine fits, and what is by none does not either. */
function botReasons(is: CountCondition['is'], values: readonly string[]): CountCondition | undefined {
  const reasonsOf = (bots: readonly string[]): string[] =>
    bots.flatMap((bot) => (['', 'any', 'own'] as const).map((first) => visitReason({ first, bot })));
  const fitting = BOTS.filter((bot) => passes(bot, is, values));
  if (passes('', is, values)) return { dimension: 'reason', is: 'not-in', values: reasonsOf(BOTS.filter((bot) => !fitting.includes(bot))) };
  return fitting.length === 0 ? undefined : { dimension: 'reason', is: 'in', values: reasonsOf(fitting) };
}

const lower = (values: readonly string[]): string[] => values.map((value) => value.toLowerCase());

function passes(text: string, is: CountCondition['is'], values: readonly string[]): boolean {
  const wanted = lower(values);
  const own = text.toLowerCase();
  if (is === 'in' || is === 'not-in') return wanted.includes(own) === (is === 'in');
  return wanted.some((value) => own.includes(value)) === (is === 'contains');
}

function constantOf(name: string, whose: Whose): string {
  return name === 'subaccount' ? String(whose.accountId) : '';
}

function valueOf(name: string, sum: CountSum, whose: Whose, range: Range): string | number {
  const dimension = dimensionOf(name);
  if (dimension === undefined) return constantOf(name, whose);
  const value = sum[dimension];
  if (name === 'bot') return botOf(sum);
  if (dimension === 'time') return bucketOf(Number(value), range);
  return dimension === 'domain' ? (whose.domains.get(Number(value)) ?? '') : String(value ?? '');
}

function botOf({ kind, reason }: CountSum): string {
  return kind === 'opened' || kind === 'clicked' ? readVisitReason(String(reason ?? '')).bot : '';
}
