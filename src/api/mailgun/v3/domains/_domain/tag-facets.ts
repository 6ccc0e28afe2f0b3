/** GET /v3/domains/{domain}/tag/…: the names that statistics of tags may be narrowed by; and the limit on tags. */
import { json } from '#api/conventions/answer.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { itemsAnswer, tagLimit } from '#api/shapes/statistics.ts';
import { PROVIDER_DOMAINS } from '#model/mailbox-provider.ts';
import { TAGS_MAX } from '#store/stats-store.ts';

const FACETS: Readonly<Record<string, readonly string[]>> = {
  devices: ['desktop', 'mobile', 'tablet', 'other'],
  providers: PROVIDER_DOMAINS,
  countries: countries(),
};

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

/** Codes of ISO 3166-1 that the runtime knows as names of countries. */
function countries(): string[] {
  const names = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });
  const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(65 + i));
  // Codes that are set aside for users, or for what is no country.
  const isNone = (code: string): boolean => /^(?:AA|Q[M-Z]|X[A-JL-Z]|ZZ|EU|EZ|UN)$/.test(code);
  return letters
    .flatMap((first) => letters.map((second) => first + second))
    .filter((code) => !isNone(code) && names.of(code) !== undefined)
    .map((code) => code.toLowerCase());
}
