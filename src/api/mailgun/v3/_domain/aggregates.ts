/** GET /v3/{domain}/aggregates/…: what happened by mailbox provider, device and country, over the last 30 days. */
import { json } from '#api/conventions/answer.ts';
import { whoseOf } from '#api/conventions/statistics.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { AGGREGATES, type AggregateKind, aggregatesOf } from '#stats/aggregates.ts';

export function domainAggregates(door: Door): Endpoint[] {
  return (Object.keys(AGGREGATES) as AggregateKind[]).map((kind) => ({
    method: 'GET',
    url: `/v3/:domain/aggregates/${kind}`,
    summary: `Totals by ${kind} (deprecated)`,
    right: 'read',
    async handle(call: Call) {
      const domain = await domainOf(door, call);
      const whose = await whoseOf(door, call, domain);
      return json({ [kind]: await aggregatesOf(door.deps.store.stats, whose, kind, [], door.deps.clock.nowMs()) });
    },
  }));
}
