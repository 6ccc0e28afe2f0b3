/** GET /v3/domains/{domain}/tag/…: the names that statistics of tags may be narrowed by; and the limit on tags. */
import { json } from '#api/conventions/answer.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { itemsAnswer, tagLimit } from '#api/shapes/statistics.ts';
import { FACETS } from '#stats/facets.ts';
import { TAGS_MAX } from '#store/stats-store.ts';

export function tagFacets(door: Door): Endpoint[] {
  const facets = Object.entries(FACETS).map(([name, items]): Endpoint => ({
    method: 'GET',
    url: `/v3/domains/:domain/tag/${name}`,
    summary: `Which ${name} statistics of tags tell apart (deprecated)`,
    right: 'read',
    answer: itemsAnswer,
    async handle(call) {
      await domainOf(door, call);
      return json({ items });
    },
  }));
  return [
    ...facets,
    {
      method: 'GET',
      url: '/v3/domains/:domain/limits/tag',
      summary: 'How many tags the domain has, and may have (deprecated)',
      right: 'read',
      answer: tagLimit,
      async handle(call) {
        const domain = await domainOf(door, call);
        return json({ id: domain.name, limit: TAGS_MAX, count: await door.deps.store.stats.countTags(domain.accountId, domain.id) });
      },
    },
  ];
}
