/**
 * Tags of a domain as the older API has them: /v3/{domain}/tags and /tags/{tag}, and the same under /tag?tag=. A tag begins with the first message that has it; names are compared
 * without regard to case.
 */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { isoDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { lastSeenMs } from '#api/conventions/statistics.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { tagAnswer, tagForm, tagQuery, tagsAnswer, tagsQuery } from '#api/shapes/statistics.ts';
import { badParameter } from '#model/errors.ts';
import type { Tag } from '#store/stats-store.ts';
import type { Domain } from '#store/store.ts';
import { tagStats } from './tag-stats.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const DESCRIPTION_MAX = 512;

export function tags(door: Door): Endpoint[] {
  const read = { method: 'GET', right: 'read', answer: tagAnswer } as const;
  const change = { right: 'write', answer: messageAnswer } as const;
  return [
    {
      method: 'GET',
      url: '/v3/:domain/tags',
      summary: 'List tags (deprecated)',
      right: 'read',
      query: tagsQuery,
      answer: tagsAnswer,
      handle: (call) => list(door, call),
    },
    ...(['/v3/:domain/tags/:tag', '/v3/:domain/tag'] as const).flatMap((url): Endpoint[] => [
      {
        ...read,
        url,
        summary: 'A tag (deprecated)',
        query: url.endsWith('/tag') ? tagQuery : undefined,
        handle: (call) => get(door, call),
      },
      { ...change, method: 'PUT', url, summary: 'Describe a tag (deprecated)', form: tagForm, handle: (call) => describe(door, call) },
      { ...change, method: 'DELETE', url, summary: 'Delete a tag and its counts (deprecated)', handle: (call) => remove(door, call) },
    ]),
    ...tagStats(door),
  ];
}

/** Of the path, the query or the body. */
export function tagName(call: Call): string {
  const name = call.param('tag') || call.query.get('tag') || call.body.form.get('tag');
  if (name === undefined) throw badParameter('tag is required');
  return name;
}

export async function requiredTag(door: Door, domain: Domain, name: string): Promise<Tag> {
  const key = name.toLowerCase();
  // Of all that begin so it is the first.
  const [found] = await door.deps.store.stats.tags(domain.accountId, domain.id, { prefix: name, limit: 1 });
  if (found === undefined || found.name.toLowerCase() !== key) throw new NotFound('Tag not found');
  return found;
}

function shown(tag: Tag): Record<string, unknown> {
  return { tag: tag.name, description: tag.description, 'first-seen': isoDate(tag.firstMs), 'last-seen': isoDate(lastSeenMs(tag)) };
}

async function get(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  return json(shown(await requiredTag(door, domain, tagName(call))));
}

async function describe(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const description = call.body.form.get('description') ?? call.query.get('description') ?? '';
  if (description.length > DESCRIPTION_MAX) throw badParameter(`description is longer than ${DESCRIPTION_MAX} characters`);
  // A tag that no message had yet is answered alike.
  await door.deps.store.stats.describeTag(domain.accountId, domain.id, tagName(call), description);
  return json({ message: 'Tag updated' });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const isGone = await door.deps.store.stats.deleteTag(domain.accountId, domain.id, tagName(call));
  if (!isGone) throw new NotFound('Tag not found');
  return json({ message: 'Tag deleted' });
}

async function list(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { query } = call;
  const limitText = query.get('limit') ?? String(LIMIT_DEFAULT);
  if (!/^[1-9]\d{0,8}$/.test(limitText)) throw badParameter("'limit' parameter is not a positive integer");
  const limit = Math.min(Number(limitText), LIMIT_MAX);
  const prefix = query.get('prefix');
  const pivot = query.get('tag');
  const page = query.get('page') ?? 'first';
  const isBack = page === 'previous' || page === 'prev' || page === 'last';
  const whence = page === 'first' || pivot === undefined ? {} : isBack ? { before: pivot } : { after: pivot };
  // A name after all that can be: the last page is read backwards from there.
  const from = page === 'last' ? { before: '\u{10ffff}' } : whence;
  const rows = await door.deps.store.stats.tags(domain.accountId, domain.id, { ...from, ...(prefix !== undefined && { prefix }), limit });
  const items = 'before' in from ? rows.toReversed() : rows;
  const url = (to: string, tag = ''): string => {
    const asked = new URLSearchParams({ page: to, tag, limit: String(limit), ...(prefix !== undefined && { prefix }) });
    return `${call.publicUrl}/v3/${domain.name}/tags?${asked.toString()}`;
  };
  return json({
    items: items.map(shown),
    paging: {
      previous: url('previous', items[0]?.name ?? pivot),
      first: url('first'),
      next: url('next', items.at(-1)?.name ?? pivot),
      last: url('last'),
    },
  });
}
