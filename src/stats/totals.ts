/** The older statistics: totals of some kinds of events in every bucket of a range, also where nothing happened; or by what they are grouped by. */
import { badParameter } from '#model/errors.ts';
import type { StatsStore } from '#store/stats-store.ts';
import { type Condition, type Group, groupsOf, type MetricsQuery, type Whose } from './metrics.ts';
import { bucketsOf, type Range } from './range.ts';
import { STATS_EVENTS, type StatsEvent, Tally } from './tally.ts';

/** Throws AppError 'bad-parameter'. */
export function statsEvents(names: readonly string[]): readonly StatsEvent[] {
  if (names.length === 0) throw badParameter('event is required');
  for (const name of names) {
    if (!(STATS_EVENTS as readonly string[]).includes(name)) throw badParameter(`event '${name.slice(0, 60)}' is not valid`);
  }
  return [...new Set(names)] as StatsEvent[];
}

export interface Bucket {
  readonly atMs: number;
  readonly tally: Tally;
}

export async function totalsByTime(store: StatsStore, whose: Whose, range: Range, where: readonly Condition[] = []): Promise<Bucket[]> {
  const buckets = bucketsOf(range);
  const groups = await groupsOf(store, whose, { range, dimensions: ['time'], where });
  const tallies = new Map(groups.map(({ values, tally }) => [Number(values[0]), tally]));
  return buckets.map((atMs) => ({ atMs, tally: tallies.get(atMs) ?? new Tally() }));
}

/** By one dimension, the largest first. */
export async function totalsBy(
  store: StatsStore,
  whose: Whose,
  query: Omit<MetricsQuery, 'dimensions'>,
  dimension: string,
  max: number,
): Promise<Group[]> {
  const groups = await groupsOf(store, whose, { ...query, dimensions: [dimension] });
  const size = ({ tally }: Group): number => {
    const {
      accepted_count: accepted = 0,
      delivered_count: delivered = 0,
      opened_count: opened = 0,
      clicked_count: clicked = 0,
    } = tally.counts();
    return accepted + delivered + opened + clicked;
  };
  return groups
    .map((group) => ({ group, size: size(group) }))
    .sort((a, b) => b.size - a.size)
    .slice(0, max)
    .map(({ group }) => group);
}

export function eventTotals(tally: Tally, events: readonly StatsEvent[]): Record<string, unknown> {
  return Object.fromEntries(events.map((event) => [event, tally.totals(event)]));
}

const FILTER_FIELDS: Readonly<Record<string, string>> = {
  domain: 'domain',
  ip: 'ip',
  provider: 'recipient_provider',
  tag: 'tag',
  country: 'country',
  device: 'device',
};

/** "domain:example.org AND tag:news"; terms of the older API. */
export function readTotalsFilter(text: string | undefined): Condition[] {
  if (text === undefined) return [];
  const terms = text.trim().split(/\s+(?:AND\s+)?/i);
  return terms.map((term) => {
    const colon = term.indexOf(':');
    const attribute = FILTER_FIELDS[term.slice(0, colon)];
    if (colon <= 0 || attribute === undefined || term.length === colon + 1) {
      throw badParameter(
        `the filter has '${term.slice(0, 60)}'; its terms are domain:, ip:, provider:, tag:, country: or device: with a value`,
      );
    }
    return { attribute, comparator: '=', values: [term.slice(colon + 1)] };
  });
}

/** The dimension of `group`; undefined: all together. */
export function groupDimension(text: string | undefined): string | undefined {
  if (text === undefined || text === 'total') return undefined;
  if (['time', 'hour', 'day', 'month'].includes(text)) return 'time';
  const dimension = FILTER_FIELDS[text];
  if (dimension === undefined) throw badParameter(`'${text.slice(0, 60)}' is not something to group by`);
  return dimension;
}
