/** What all statistics ask and answer alike: whose they are, the range, the filter, and the envelope. */
import type { Call, Door } from '#api/endpoint.ts';
import { parseEventTime } from '#events/event-time.ts';
import { badParameter } from '#model/errors.ts';
import type { Condition, Whose } from '#stats/metrics.ts';
import { type Range, rangeOf } from '#stats/range.ts';
import type { Tag } from '#store/stats-store.ts';
import type { Domain } from '#store/store.ts';
import type { Fields } from './json-fields.ts';

const COMPARATORS = ['=', '!=', 'contains', 'not contains'] as const;

/** P9: of one account, in one question. */
const SUBACCOUNTS_MAX = 100;

/** The caller's account with its domains; of one domain when `domain` is given. */
export async function whoseOf(door: Door, call: Call, domain?: Domain): Promise<Whose> {
  const { accountId } = call.principal;
  const account = await door.deps.store.accounts.accountById(accountId);
  return { ...(await accountWhose(door, accountId, account?.name ?? '')), ...(domain !== undefined && { domainId: domain.id }) };
}

/** Likewise, with its subaccounts where the body says `include_subaccounts`. */
export async function wholeOf(door: Door, call: Call, fields: Fields): Promise<Whose> {
  const whose = await whoseOf(door, call);
  if (!fields.flag('include_subaccounts')) return whose;
  const subaccounts = await door.deps.store.access.listSubaccounts(whose.accountId);
  if (subaccounts.length > SUBACCOUNTS_MAX)
    throw badParameter(`include_subaccounts is for ${SUBACCOUNTS_MAX} subaccounts at most; ask for each`);
  return { ...whose, below: await Promise.all(subaccounts.map(({ id, name }) => accountWhose(door, id, name))) };
}

async function accountWhose(door: Door, accountId: number, accountName: string): Promise<Whose> {
  const domains = await door.deps.store.accounts.listDomains(accountId);
  return { accountId, accountName, domains: new Map(domains.map(({ id, name }) => [id, name])) };
}

/** Of a query string. */
export function queryRange(door: Door, call: Call): Range {
  const time = (name: string): number | undefined => {
    const text = call.query.get(name);
    if (text === undefined) return undefined;
    const us = parseEventTime(text);
    if (us === undefined) throw badParameter(`'${name}' is not a valid time: use an RFC 2822 date or Unix seconds`);
    return Math.floor(us / 1000);
  };
  return rangeOf(
    { startMs: time('start'), endMs: time('end'), duration: call.query.get('duration'), resolution: call.query.get('resolution') },
    door.deps.clock.nowMs(),
  );
}

/** Of a JSON body. */
export function bodyRange(door: Door, fields: Fields): Range {
  return rangeOf(
    { startMs: fields.time('start'), endMs: fields.time('end'), duration: fields.text('duration'), resolution: fields.text('resolution') },
    door.deps.clock.nowMs(),
  );
}

/** `{"AND": [{"attribute", "comparator", "values": [{"label", "value"}]}]}` */
export function predicatesOf(
  fields: Fields,
): { readonly attribute: string; readonly comparator: string; readonly values: readonly string[] }[] {
  return fields
    .object('filter')
    .objects('AND')
    .map((predicate) => ({
      attribute: predicate.text('attribute') ?? '',
      comparator: predicate.text('comparator') ?? '=',
      values: predicate.objects('values').map((value) => value.text('value') ?? value.text('label') ?? ''),
    }));
}

/** Those that counters can answer. */
export function filterOf(fields: Fields): Condition[] {
  return predicatesOf(fields).map(({ attribute, comparator, values }) => {
    if (!isComparator(comparator)) throw badParameter(`'${comparator.slice(0, 40)}' is not a valid filter predicate comparator`);
    return { attribute, comparator, values };
  });
}

function isComparator(text: string): text is Condition['comparator'] {
  return (COMPARATORS as readonly string[]).includes(text);
}

/** When a message had the tag last, as it is shown: that is known by the hour, and no tag was seen last before it was seen first. */
export function lastSeenMs({ firstMs, lastMs }: Pick<Tag, 'firstMs' | 'lastMs'>): number {
  return Math.max(firstMs, lastMs);
}

/** Rows of an answer after sorting, by "name:asc" or "name:desc"; what is compared is what the name says of a row. */
export function sorted<Row>(
  rows: readonly Row[],
  sort: string | undefined,
  value: (row: Row, name: string) => string | number | undefined,
): Row[] {
  if (sort === undefined) return [...rows];
  const [name = '', direction = 'asc'] = sort.split(':');
  if (direction !== 'asc' && direction !== 'desc') throw badParameter("'sort' is a name with :asc or :desc");
  const sign = direction === 'asc' ? 1 : -1;
  if (rows.length > 0 && value(rows[0] as Row, name) === undefined)
    throw badParameter(`'${name.slice(0, 60)}' is not something to sort by`);
  return rows.toSorted((a, b) => sign * compare(value(a, name), value(b, name)));
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [one, two] = [String(a), String(b)];
  return one < two ? -1 : one > two ? 1 : 0;
}
