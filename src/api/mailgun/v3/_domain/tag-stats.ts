/** What happened to the messages with a tag: by time, and by provider, device or country. Under /tags/{tag}/stats, and under /tag/stats?tag=. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { queryRange, whoseOf } from '#api/conventions/statistics.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { statsOver } from '#api/mailgun/v3/stats.ts';
import { statsAnswer, statsQuery } from '#api/shapes/statistics.ts';
import { badParameter } from '#model/errors.ts';
import { type AggregateKind, aggregatesOf } from '#stats/aggregates.ts';
import type { Condition } from '#stats/metrics.ts';
import { statsEvents, totalsByTime } from '#stats/totals.ts';
import { requiredTag, tagName } from './tags.ts';

/** `type` of /tag/stats/aggregates, or the end of the path; and the name of the answer's member. The SDK for PHP looks for it under the kind's own name. */
const KINDS: Readonly<Record<string, readonly [kind: AggregateKind, member: string]>> = {
  provider: ['providers', 'provider'],
  providers: ['providers', 'provider'],
  device: ['devices', 'device'],
  devices: ['devices', 'device'],
  country: ['countries', 'country'],
  countries: ['countries', 'country'],
};

export function tagStats(door: Door): Endpoint[] {
  const read = { method: 'GET', right: 'read' } as const;
  const over = { ...read, summary: 'Totals of a tag, by time (deprecated)', query: statsQuery, answer: statsAnswer } as const;
  return [
    { ...over, url: '/v3/:domain/tags/:tag/stats', handle: (call) => byTime(door, call) },
    { ...over, url: '/v3/:domain/tag/stats', handle: (call) => byTime(door, call) },
    ...['countries', 'providers', 'devices'].map((kind): Endpoint => ({
      ...read,
      url: `/v3/:domain/tags/:tag/stats/aggregates/${kind}`,
      summary: `Totals of a tag by ${kind} (deprecated)`,
      handle: (call) => aggregates(door, call, kind),
    })),
    {
      ...read,
      url: '/v3/:domain/tag/stats/aggregates',
      summary: 'Totals of a tag by provider, device or country (deprecated)',
      handle: (call) => aggregates(door, call, call.query.get('type') ?? ''),
    },
  ];
}

const withTag = (name: string): Condition => ({ attribute: 'tag', comparator: '=', values: [name] });

async function byTime(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const events = statsEvents(call.query.all('event'));
  const tag = await requiredTag(door, domain, tagName(call));
  const range = queryRange(door, call);
  const where = [withTag(tag.name), ...narrowed(call)];
  const buckets = await totalsByTime(door.deps.store.stats, await whoseOf(door, call, domain), range, where);
  return statsOver(range, buckets, events, { tag: tag.name, description: tag.description });
}

function narrowed(call: Call): Condition[] {
  return [
    ['provider', 'recipient_domain'],
    ['device', 'device'],
    ['country', 'country'],
  ].flatMap(([name, attribute]) => {
    const value = call.query.get(name as string);
    return value === undefined ? [] : [{ attribute: attribute as string, comparator: '=' as const, values: [value] }];
  });
}

async function aggregates(door: Door, call: Call, type: string): Promise<Answer> {
  const domain = await domainOf(door, call);
  const asked = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (asked === undefined) throw badParameter("'type' parameter is provider, device or country");
  const tag = await requiredTag(door, domain, tagName(call));
  const [kind, member] = asked;
  const whose = await whoseOf(door, call, domain);
  const totals = await aggregatesOf(door.deps.store.stats, whose, kind, [withTag(tag.name)], door.deps.clock.nowMs());
  return json({ tag: tag.name, [member]: totals, [kind]: totals });
}
