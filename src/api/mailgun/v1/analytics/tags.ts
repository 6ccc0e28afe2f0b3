/** /v1/analytics/tags: the account's tags, those of one name in several domains taken together. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { offsetDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { type Fields, fieldsOf } from '#api/conventions/json-fields.ts';
import { lastSeenMs, sorted, wholeOf } from '#api/conventions/statistics.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { accountTagBody, accountTagLimit, accountTagsAnswer, accountTagsBody } from '#api/shapes/statistics.ts';
import { badParameter } from '#model/errors.ts';
import { accountsOf, groupsOf, type Whose } from '#stats/metrics.ts';
import { rangeOf } from '#stats/range.ts';
import { METRICS } from '#stats/tally.ts';
import { type Tag, TAGS_MAX } from '#store/stats-store.ts';

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 1000;
const DESCRIPTION_MAX = 512;
const url = '/v1/analytics/tags';

export function analyticsTags(door: Door): Endpoint[] {
  return [
    {
      method: 'POST',
      url,
      summary: 'List the tags of the account, or those whose names begin so',
      right: 'read',
      json: accountTagsBody,
      answer: accountTagsAnswer,
      handle: (call) => list(door, call),
    },
    {
      method: 'PUT',
      url,
      summary: 'Describe a tag',
      right: 'write',
      json: accountTagBody,
      answer: messageAnswer,
      handle: (call) => describe(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Delete a tag and its counts',
      right: 'write',
      json: accountTagBody,
      answer: messageAnswer,
      handle: (call) => remove(door, call),
    },
    {
      method: 'GET',
      url: `${url}/limits`,
      summary: 'How many tags the account has, and may have',
      right: 'read',
      answer: accountTagLimit,
      async handle(call) {
        const count = await door.deps.store.stats.countTags(call.principal.accountId);
        return json({ limit: TAGS_MAX, count, limit_reached: count >= TAGS_MAX });
      },
    },
  ];
}

function nameOf(fields: Fields): string {
  const name = fields.text('tag');
  if (name === undefined) throw badParameter("'tag' is required");
  return name;
}

async function describe(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call, door.limits);
  const description = fields.text('description') ?? '';
  if (description.length > DESCRIPTION_MAX) throw badParameter(`'description' is longer than ${DESCRIPTION_MAX} characters`);
  const isThere = await door.deps.store.stats.describeTag(call.principal.accountId, undefined, nameOf(fields), description);
  if (!isThere) throw new NotFound('Tag not found');
  return json({ message: 'Tag updated' });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const isGone = await door.deps.store.stats.deleteTag(call.principal.accountId, undefined, nameOf(fieldsOf(call, door.limits)));
  if (!isGone) throw new NotFound('Tag not found');
  return json({ message: 'Tag deleted' });
}

/** Sorts of the API. */
const SORTS: Readonly<Record<string, (tag: Tag) => string | number>> = {
  tag: ({ name }) => name.toLowerCase(),
  firstseen: ({ firstMs }) => firstMs,
  first_seen: ({ firstMs }) => firstMs,
  lastseen: lastSeenMs,
  last_seen: lastSeenMs,
};

async function list(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call, door.limits);
  const page = pageOf(fields);
  const { accountId } = call.principal;
  const prefix = fields.text('tag') ?? '';
  const all: AccountTag[] = [];
  for (const whose of accountsOf(await wholeOf(door, call, fields)))
    all.push(...together(await door.deps.store.stats.accountTags(whose.accountId, prefix, TAGS_MAX)).map((tag) => ({ ...tag, whose })));
  const rows = sorted(all, page.sort, (tag, by) => SORTS[by]?.(tag)).slice(page.skip, page.skip + page.limit);
  const metrics = fields.flag('include_metrics') ? await metricsOf(door, rows) : new Map<string, object>();
  return json({
    items: rows.map((tag) => ({
      account_id: String(tag.whose.accountId),
      parent_account_id: String(accountId),
      tag: tag.name,
      description: tag.description,
      first_seen: offsetDate(tag.firstMs),
      last_seen: offsetDate(lastSeenMs(tag)),
      metrics: metrics.get(keyOf(tag)) ?? {},
      account_name: tag.whose.accountName,
    })),
    pagination: {
      sort: page.sort,
      ...(page.skip > 0 && { skip: page.skip }),
      limit: page.limit,
      ...(page.isTotalWanted && { total: all.length, include_total: true }),
    },
  });
}

/** Leniently: some SDKs send `pagination` as text that is no JSON. */
function pageOf(fields: Fields): { readonly sort: string; readonly skip: number; readonly limit: number; readonly isTotalWanted: boolean } {
  const page = fields.laxObject('pagination');
  return {
    sort: page.text('sort') ?? 'lastseen:desc',
    skip: page.whole('skip') ?? 0,
    limit: Math.min(page.whole('limit') || LIMIT_DEFAULT, LIMIT_MAX),
    isTotalWanted: page.flag('include_total'),
  };
}

/** Rows come with the same names beside each other. */
function together(rows: readonly Tag[]): Tag[] {
  const tags: Tag[] = [];
  for (const row of rows) {
    const last = tags.at(-1);
    if (last === undefined || last.name.toLowerCase() !== row.name.toLowerCase()) tags.push(row);
    else {
      tags[tags.length - 1] = {
        ...last,
        description: last.description === '' ? row.description : last.description,
        firstMs: Math.min(last.firstMs, row.firstMs),
        lastMs: Math.max(last.lastMs, row.lastMs),
      };
    }
  }
  return tags;
}

type AccountTag = Tag & { readonly whose: Whose };

function keyOf({ name, whose }: AccountTag): string {
  return `${whose.accountId} ${name.toLowerCase()}`;
}

/** Of the last 30 days, by the account and the tag. */
async function metricsOf(door: Door, rows: readonly AccountTag[]): Promise<Map<string, object>> {
  const range = rangeOf({ duration: '30d' }, door.deps.clock.nowMs());
  const found = new Map<string, object>();
  for (const whose of new Set(rows.map((row) => row.whose))) {
    const values = rows.filter((row) => row.whose === whose).map(({ name }) => name);
    const where = [{ attribute: 'tag', comparator: '=' as const, values }];
    const groups = await groupsOf(door.deps.store.stats, whose, { range, dimensions: ['tag'], where });
    for (const group of groups) found.set(`${whose.accountId} ${String(group.values[0])}`, group.tally.metrics(METRICS));
  }
  return found;
}
