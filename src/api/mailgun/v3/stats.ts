/** GET /v3/stats/total, /v3/stats/total/domains and /v3/stats/filter: the older statistics of the whole account. */
import { json } from '#api/conventions/answer.ts';
import { utcDate } from '#api/conventions/dates.ts';
import { queryRange, whoseOf } from '#api/conventions/statistics.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { statsAnswer, statsQuery } from '#api/shapes/statistics.ts';
import { parseEventTime } from '#events/event-time.ts';
import { badParameter } from '#model/errors.ts';
import { floor, type Range, rangeOf } from '#stats/range.ts';
import type { StatsEvent } from '#stats/tally.ts';
import { type Bucket, eventTotals, groupDimension, readTotalsFilter, statsEvents, totalsBy, totalsByTime } from '#stats/totals.ts';

const GROUPS_MAX = 1000;

export function accountStats(door: Door): Endpoint[] {
  const common = { method: 'GET', right: 'read', query: statsQuery, answer: statsAnswer } as const;
  return [
    { ...common, url: '/v3/stats/total', summary: 'Totals of the account, by time (deprecated)', handle: (call) => total(door, call) },
    { ...common, url: '/v3/stats/total/domains', summary: 'Totals of each domain (deprecated)', handle: (call) => byDomain(door, call) },
    { ...common, url: '/v3/stats/filter', summary: 'Filtered and grouped totals (deprecated)', handle: (call) => filtered(door, call) },
  ];
}

async function total(door: Door, call: Call) {
  const events = statsEvents(call.query.all('event'));
  const range = queryRange(door, call);
  return statsOver(range, await totalsByTime(door.deps.store.stats, await whoseOf(door, call), range), events);
}

/** The envelope of totals by time. `more` comes before. */
export function statsOver(
  range: Range,
  buckets: readonly Bucket[],
  events: readonly StatsEvent[],
  more: Readonly<Record<string, unknown>> = {},
) {
  const stats = buckets.map(({ atMs, tally }) => ({ time: utcDate(atMs), ...eventTotals(tally, events) }));
  return json({ description: '', ...more, start: utcDate(range.startMs), end: utcDate(range.endMs), resolution: range.resolution, stats });
}

async function byDomain(door: Door, call: Call) {
  const events = statsEvents(call.query.all('event'));
  const atUs = parseEventTime(call.query.get('timestamp') ?? '');
  if (atUs === undefined) throw badParameter("'timestamp' is a time: an RFC 2822 date or Unix seconds");
  const { resolution } = rangeOf({ resolution: call.query.get('resolution') }, door.deps.clock.nowMs());
  const atMs = floor(atUs / 1000, resolution);
  const limit = Number(call.query.get('limit') ?? GROUPS_MAX);
  if (!Number.isSafeInteger(limit) || limit < 1) throw badParameter("'limit' is a number from 1");
  const range = { resolution, startMs: atMs, endMs: atMs, duration: '' };
  const groups = await totalsBy(
    door.deps.store.stats,
    await whoseOf(door, call),
    { range, where: [] },
    'domain',
    Math.min(limit, GROUPS_MAX),
  );
  const stats = groups.map(({ values, tally }) => ({ time: utcDate(atMs), domain: String(values[0]), ...eventTotals(tally, events) }));
  return json({ description: '', start: utcDate(atMs), end: utcDate(atMs), resolution, stats });
}

async function filtered(door: Door, call: Call) {
  const events = statsEvents(call.query.all('event'));
  const where = readTotalsFilter(call.query.get('filter'));
  const group = call.query.get('group');
  const dimension = groupDimension(group ?? 'time');
  const given = queryRange(door, call);
  const byTime = dimension === 'time' && group !== undefined && group !== 'time';
  const range = byTime ? { ...given, ...rangeOf({ startMs: given.startMs, endMs: given.endMs, resolution: group }, given.endMs) } : given;
  const whose = await whoseOf(door, call);
  const { stats: store } = door.deps.store;
  const type = { type: group ?? 'time', key: '' };
  if (dimension === 'time') return statsOver(range, await totalsByTime(store, whose, range, where), events, { type });
  const groups = await totalsBy(store, whose, { range, where }, dimension ?? 'subaccount', GROUPS_MAX);
  const stats = groups.map(({ values, tally }) => ({
    ...(group !== undefined && dimension !== undefined && { [group]: String(values[0]) }),
    ...eventTotals(tally, events),
  }));
  return json({ description: '', type, start: utcDate(range.startMs), end: utcDate(range.endMs), resolution: range.resolution, stats });
}
