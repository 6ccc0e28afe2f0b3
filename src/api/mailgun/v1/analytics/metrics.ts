/** POST /v1/analytics/metrics and /v1/analytics/usage/metrics: counts and rates of the whole account, by any dimensions. */
import { json } from '#api/conventions/answer.ts';
import { offsetDate } from '#api/conventions/dates.ts';
import { type Fields, fieldsOf } from '#api/conventions/json-fields.ts';
import { bodyRange, filterOf, sorted, wholeOf } from '#api/conventions/statistics.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { metricsAnswer, metricsBody } from '#api/shapes/statistics.ts';
import { badParameter } from '#model/errors.ts';
import { type Group, groupsOf, type MetricsQuery, metricNames, type Whose } from '#stats/metrics.ts';
import { Tally } from '#stats/tally.ts';
import { USAGE_METRICS, usageOf, withoutDomain } from '#stats/usage.ts';

const LIMIT_MAX = 1500;

type Show = (tally: Tally, names: readonly string[]) => Record<string, number | string>;

export function analyticsMetrics(door: Door): Endpoint[] {
  const common = { method: 'POST', right: 'read', json: metricsBody, answer: metricsAnswer } as const;
  return [
    {
      ...common,
      url: '/v1/analytics/metrics',
      summary: 'Counts and rates of what happened, by any dimensions',
      handle: (call) => answer(door, call, metricNames, (tally, names) => tally.metrics(names)),
    },
    {
      ...common,
      url: '/v1/analytics/usage/metrics',
      summary: 'What the account used',
      handle: (call) => answer(door, call, usageNames, usageOf, withoutDomain),
    },
  ];
}

function usageNames(names: readonly string[]): readonly string[] {
  for (const name of names) if (!USAGE_METRICS.includes(name)) throw badParameter(`'${name.slice(0, 60)}' is not a valid metric`);
  return names.length === 0 ? USAGE_METRICS : names;
}

async function answer(
  door: Door,
  call: Call,
  namesOf: (names: readonly string[]) => readonly string[],
  show: Show,
  widened = (whose: Whose): Whose => whose,
) {
  const fields = fieldsOf(call, door.limits);
  const range = bodyRange(door, fields);
  const dimensions = fields.texts('dimensions');
  const query: MetricsQuery = { range, dimensions: dimensions.length === 0 ? ['time'] : [...new Set(dimensions)], where: filterOf(fields) };
  const names = namesOf(fields.texts('metrics'));
  const whose = widened(await wholeOf(door, call, fields));
  const groups = await groupsOf(door.deps.store.stats, whose, query);
  const page = pageOf(fields);
  const rows = sorted(byOwnOrder(groups), page.sort, (group, name) => sortValue(group, name, query, names, show));
  // Groups of a dimension that a message has several of would count it several times.
  const whole = fields.flag('include_aggregates') ? await groupsOf(door.deps.store.stats, whose, { ...query, dimensions: [] }) : [];
  return json({
    start: offsetDate(range.startMs),
    end: offsetDate(range.endMs),
    resolution: range.resolution,
    duration: range.duration,
    dimensions: query.dimensions,
    pagination: { sort: page.sort ?? '', skip: page.skip, limit: page.limit, total: rows.length },
    items: rows.slice(page.skip, page.skip + page.limit).map((group) => ({
      dimensions: query.dimensions.map((dimension, place) => shown(dimension, group.values[place] ?? '')),
      metrics: show(group.tally, names),
    })),
    aggregates: fields.flag('include_aggregates') ? { metrics: show(whole[0]?.tally ?? new Tally(), names) } : {},
  });
}

function pageOf(fields: Fields): { readonly sort: string | undefined; readonly skip: number; readonly limit: number } {
  const page = fields.object('pagination');
  return { sort: page.text('sort'), skip: page.whole('skip') ?? 0, limit: Math.min(page.whole('limit') || LIMIT_MAX, LIMIT_MAX) };
}

function byOwnOrder(groups: readonly Group[]): Group[] {
  return groups.toSorted((a, b) => {
    const place = a.values.findIndex((value, i) => value !== b.values[i]);
    if (place === -1) return 0;
    return (a.values[place] as string | number) < (b.values[place] as string | number) ? -1 : 1;
  });
}

function sortValue(group: Group, name: string, query: MetricsQuery, names: readonly string[], show: Show): string | number | undefined {
  const place = query.dimensions.indexOf(name);
  if (place !== -1) return group.values[place];
  if (!names.includes(name)) return undefined;
  const value = show(group.tally, [name])[name];
  return typeof value === 'string' ? Number(value) : value;
}

function shown(dimension: string, value: string | number): Record<string, unknown> {
  const text = dimension === 'time' ? offsetDate(Number(value)) : String(value);
  return { dimension, value: text, display_value: text };
}
