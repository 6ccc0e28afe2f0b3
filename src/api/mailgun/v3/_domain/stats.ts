/** GET /v3/{domain}/stats/total and the still older /v3/{domain}/stats: what happened to the domain's mail, by time. */
import { json } from '#api/conventions/answer.ts';
import { offsetDate } from '#api/conventions/dates.ts';
import { queryRange, whoseOf } from '#api/conventions/statistics.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { statsOver } from '#api/mailgun/v3/stats.ts';
import { statsAnswer, statsQuery } from '#api/shapes/statistics.ts';
import { badParameter } from '#model/errors.ts';
import { rangeOf } from '#stats/range.ts';
import { statsEvents, totalsByTime } from '#stats/totals.ts';

const LIMIT_MAX = 1000;
/** Names of the oldest statistics, and what they are called since. */
const OLD_NAMES: ReadonlyMap<string, string> = new Map([
  ['sent', 'accepted'],
  ['bounced', 'failed'],
  ['dropped', 'failed'],
]);

export function domainStats(door: Door): Endpoint[] {
  return [
    {
      method: 'GET',
      url: '/v3/:domain/stats/total',
      summary: 'Totals of a domain, by time (deprecated)',
      right: 'read',
      query: statsQuery,
      answer: statsAnswer,
      async handle(call) {
        const domain = await domainOf(door, call);
        const events = statsEvents(call.query.all('event'));
        const range = queryRange(door, call);
        return statsOver(range, await totalsByTime(door.deps.store.stats, await whoseOf(door, call, domain), range), events);
      },
    },
    {
      method: 'GET',
      url: '/v3/:domain/stats',
      summary: 'Totals of a domain for each of the last 30 days (deprecated)',
      right: 'read',
      query: statsQuery,
      handle: (call) => perDay(door, call),
    },
  ];
}

/** A row for each day and kind of event, of those on which something happened, the newest first. */
async function perDay(door: Door, call: Call) {
  const domain = await domainOf(door, call);
  const names = call.query.all('event');
  const asked = names.length === 0 ? ['sent', 'delivered', 'opened', 'clicked', 'bounced', 'unsubscribed', 'complained'] : names;
  const events = asked.map((name) => [name, statsEvents([OLD_NAMES.get(name) ?? name])[0] as string] as const);
  const [limit, skip] = [wholeOf(call, 'limit', 100), wholeOf(call, 'skip', 0)];
  const range = rangeOf({ duration: '30d' }, door.deps.clock.nowMs());
  const buckets = await totalsByTime(door.deps.store.stats, await whoseOf(door, call, domain), range);
  const items = buckets.toReversed().flatMap(({ atMs, tally }) =>
    events.flatMap(([name, event]) => {
      const count = tally.counts()[name === 'bounced' ? 'bounced_count' : `${event}_count`] ?? 0;
      return count === 0 ? [] : [{ event: name, total_count: count, created_at: offsetDate(atMs), tags: {} }];
    }),
  );
  return json({ items: items.slice(skip, skip + Math.min(limit, LIMIT_MAX)), total_count: items.length });
}

function wholeOf(call: Call, name: string, otherwise: number): number {
  const text = call.query.get(name);
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw badParameter(`'${name}' is a whole number`);
  return Number(text);
}
