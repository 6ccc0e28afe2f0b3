/**
 * `GET /v3/{domain}/events`: what is asked, where a page begins, and how the pages around it are named.
 *
 * A query is a time range with a direction and filters by field. Kinds, one recipient, one Message-ID and one tag are filtered by the store;
 * the rest is looked at row by row, within a bound of rows for each page. A page is named by a token that carries the whole query and
 * a position, so that tokens stay good for ever and a page can be asked for again: the page after the last one is empty now and
 * holds what happened since, later. A token gives no right: the account and the domain always come from the request.
 */
import { Buffer } from 'node:buffer';
import { badParameter } from '#model/errors.ts';
import type { EventFilter, EventPosition, EventStore, EventView } from '#store/store.ts';
import { parseEventTime } from './event-time.ts';
import { evaluate, parseFilter, singleTerm } from './filter-language.ts';
import type { Expression } from './filter-language.ts';
import { MAILGUN_KINDS, mailgunName, severityOf } from './mailgun-json.ts';

export const PAGE_DEFAULT = 100;
export const PAGE_MAX = 300;
/** Rows fetched at a time when rows have to be looked at. */
const CHUNK_ROWS = 300;
const TOKEN_MAX = 8192;

export const FILTER_FIELDS = [
  'event',
  'list',
  'attachment',
  'from',
  'message-id',
  'subject',
  'to',
  'size',
  'recipient',
  'recipients',
  'tags',
  'severity',
] as const;
type FilterField = (typeof FILTER_FIELDS)[number];

export interface EventQuery {
  readonly order: 'ascending' | 'descending';
  /** Where the range begins in the direction of `order`. */
  readonly beginUs?: number;
  readonly endUs?: number;
  readonly limit: number;
  /** As given, so that a token can carry them. */
  readonly filters: readonly (readonly [field: FilterField, text: string])[];
}

/** A page: of the query, after a position. `isBack`: the page before the position, read backwards. */
export interface PageRequest {
  readonly query: EventQuery;
  readonly after?: EventPosition;
  readonly isBack: boolean;
}

export interface EventPage {
  readonly items: readonly EventView[];
  /** Tokens. */
  readonly paging: Readonly<Record<'next' | 'previous' | 'first' | 'last', string>>;
}

/** `values(name)` gives every value of a parameter that is not empty. Throws AppError 'bad-parameter'. */
export function readEventQuery(values: (name: string) => readonly string[]): EventQuery {
  const begin = readTime('begin', values('begin')[0]);
  const end = readTime('end', values('end')[0]);
  const ascending = readAscending(values('ascending')[0]);
  const filters = FILTER_FIELDS.flatMap((field) => values(field).map((text) => [field, text] as const));
  for (const [field, text] of filters) parseFilter(field, text);
  return { ...range(begin, end, ascending), limit: readLimit(values('limit')[0]), filters };
}

/**
 * Both given: their order is the direction. Only `begin`: since then, or (with ascending=no) from then back into the past. Without
 * a word about direction the newest come first.
 */
function range(
  begin: number | undefined,
  end: number | undefined,
  ascending: boolean | undefined,
): Pick<EventQuery, 'order' | 'beginUs' | 'endUs'> {
  if (begin !== undefined && end !== undefined) {
    const isUp = begin < end || (begin === end && ascending !== false);
    if (ascending !== undefined && ascending !== isUp && begin !== end) {
      throw badParameter("'ascending' contradicts the order of 'begin' and 'end'");
    }
    return { order: isUp ? 'ascending' : 'descending', beginUs: begin, endUs: end };
  }
  if (ascending === true)
    return { order: 'ascending', ...(begin !== undefined && { beginUs: begin }), ...(end !== undefined && { endUs: end }) };
  if (begin !== undefined && ascending === undefined) return { order: 'descending', endUs: begin };
  // Descending: a lone `end` is the newest time wanted, as a lone `begin` is.
  const newest = begin ?? end;
  return { order: 'descending', ...(newest !== undefined && { beginUs: newest }) };
}

function readTime(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const us = parseEventTime(text);
  if (us === undefined) throw badParameter(`'${name}' parameter is not a valid time: use an RFC 2822 date or Unix seconds`);
  return us;
}

function readAscending(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  const word = text.toLowerCase();
  if (['yes', 'true', '1', 'on'].includes(word)) return true;
  if (['no', 'false', '0', 'off'].includes(word)) return false;
  throw badParameter("'ascending' parameter is yes or no");
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return PAGE_DEFAULT;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1) throw badParameter("'limit' parameter is a number from 1 to 300");
  return Math.min(limit, PAGE_MAX);
}

// ---- tokens ----------------------------------------------------------------------------------------------------------

function writeToken(page: PageRequest): string {
  const { query, after, isBack } = page;
  const { order, beginUs, endUs, limit, filters } = query;
  const data = [
    order === 'ascending' ? 1 : 0,
    beginUs ?? null,
    endUs ?? null,
    limit,
    filters,
    after === undefined ? null : [after.atUs, after.id],
    isBack ? 1 : 0,
  ];
  return Buffer.from(JSON.stringify(data)).toString('base64url');
}

/** Throws AppError 'bad-parameter' for what is no token of ours. */
export function readToken(token: string): PageRequest {
  const page = token.length > TOKEN_MAX ? undefined : parseToken(token);
  if (page === undefined) throw badParameter("'page' parameter is not a page of this API");
  return page;
}

function parseToken(token: string): PageRequest | undefined {
  let data: unknown;
  try {
    data = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (!Array.isArray(data) || data.length !== 7) return undefined;
  const [up, beginUs, endUs, limit, filters, after, back] = data as unknown[];
  const isTime = (value: unknown): value is number | null => value === null || Number.isSafeInteger(value);
  if (!isTime(beginUs) || !isTime(endUs) || !isCount(limit) || !isFilters(filters) || !isPosition(after)) return undefined;
  return {
    query: {
      order: up === 1 ? 'ascending' : 'descending',
      ...(beginUs !== null && { beginUs }),
      ...(endUs !== null && { endUs }),
      limit: Math.min(limit, PAGE_MAX),
      filters,
    },
    ...(after !== null && { after: { atUs: after[0], id: after[1] } }),
    isBack: back === 1,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isPosition(value: unknown): value is [number, number] | null {
  return value === null || (Array.isArray(value) && value.length === 2 && value.every((part) => Number.isSafeInteger(part)));
}

function isFilters(value: unknown): value is EventQuery['filters'] {
  return (
    Array.isArray(value) &&
    value.every(
      (pair) => Array.isArray(pair) && pair.length === 2 && FILTER_FIELDS.includes(pair[0] as FilterField) && typeof pair[1] === 'string',
    )
  );
}

// ---- running ---------------------------------------------------------------------------------------------------------

/** `rowsMax` bounds the rows that are looked at; a page may then be short though more follows. */
export async function runEventQuery(
  store: Pick<EventStore, 'list'>,
  bounds: { readonly accountId: number; readonly domainId: number },
  page: PageRequest,
  rowsMax: number,
): Promise<EventPage> {
  const { query } = page;
  const order = page.isBack ? opposite(query.order) : query.order;
  const filter = { ...bounds, ...limitsOf(query, order), ...prefilter(query) };
  const isWanted = rowTest(query);
  const items: EventView[] = [];
  const chunk = isWanted === undefined ? query.limit : CHUNK_ROWS;
  let position = page.after;
  for (let looked = 0; looked < rowsMax && items.length < query.limit;) {
    const rows = await store.list(filter, order, position, chunk);
    for (const row of rows) {
      if (items.length === query.limit) break;
      position = { atUs: row.event.atUs, id: row.event.id };
      if (isWanted === undefined || isWanted(row)) items.push(row);
    }
    looked += rows.length;
    if (rows.length < chunk) break;
  }
  if (page.isBack) items.reverse();
  return { items, paging: tokens(page, items, position) };
}

/** In the direction of reading: `beginUs` is where the store starts. */
function limitsOf(query: EventQuery, order: EventQuery['order']): Pick<EventFilter, 'beginUs' | 'endUs'> {
  const { beginUs, endUs } = query;
  return order === query.order ? { beginUs, endUs } : { beginUs: endUs, endUs: beginUs };
}

function tokens(page: PageRequest, items: readonly EventView[], reached: EventPosition | undefined): EventPage['paging'] {
  const { query } = page;
  const first = items[0]?.event;
  const last = items.at(-1)?.event;
  const forward = (after: EventPosition | undefined): string =>
    writeToken({ query, isBack: false, ...(after !== undefined && { after: place(after) }) });
  const backward = (after: EventPosition | undefined): string =>
    writeToken({ query, isBack: true, ...(after !== undefined && { after: place(after) }) });
  // Forward reading goes on where it stopped looking, so that a page without items still moves on.
  const next = page.isBack ? (last ?? beside(page.after, opposite(query.order))) : (reached ?? page.after);
  const previous = page.isBack ? (reached ?? page.after) : (first ?? beside(page.after, query.order));
  return { next: forward(next), previous: backward(previous), first: forward(undefined), last: backward(undefined) };
}

function place(position: EventPosition): EventPosition {
  return { atUs: position.atUs, id: position.id };
}

/** An empty page has no event to count from: its neighbour begins with the event at its own position. */
function beside(position: EventPosition | undefined, order: EventQuery['order']): EventPosition | undefined {
  return position === undefined ? undefined : { atUs: position.atUs, id: position.id + (order === 'ascending' ? 1 : -1) };
}

function opposite(order: EventQuery['order']): EventQuery['order'] {
  return order === 'ascending' ? 'descending' : 'ascending';
}

// ---- filters ---------------------------------------------------------------------------------------------------------

/** What the store can do: kinds always (ours never show here), one recipient, one Message-ID. */
function prefilter(query: EventQuery): Pick<EventFilter, 'kinds' | 'recipient' | 'messageId' | 'tag'> {
  const about = query.filters
    .filter(([field]) => field === 'event' || field === 'severity')
    .map(([field, text]) => [field, parseFilter(field, text)] as const);
  const kinds = MAILGUN_KINDS.filter((kind) =>
    about.every(([field, expression]) =>
      evaluate(expression, (term) => (field === 'event' ? mailgunName(kind) : severityOf(kind)) === term.text.toLowerCase()),
    ),
  );
  const messageId = only(query, 'message-id');
  const recipient = only(query, 'recipient');
  const tag = only(query, 'tags');
  return {
    kinds,
    ...(messageId !== undefined && { messageId: bare(messageId) }),
    ...(tag !== undefined && { tag }),
    ...(recipient !== undefined && recipient.includes('@') && { recipient: withLowerDomain(recipient) }),
  };
}

/** The one plain term of a field that is given once. */
function only(query: EventQuery, field: FilterField): string | undefined {
  const given = query.filters.filter(([name]) => name === field);
  return given.length === 1 ? singleTerm(parseFilter(field, (given[0] as readonly [FilterField, string])[1])) : undefined;
}

function bare(messageId: string): string {
  return messageId.replace(/^<|>$/g, '');
}

function withLowerDomain(address: string): string {
  const at = address.lastIndexOf('@');
  return address.slice(0, at) + address.slice(at).toLowerCase();
}

/** A test for what the store did not filter; undefined when nothing is left. */
function rowTest(query: EventQuery): ((row: EventView) => boolean) | undefined {
  const tests: ((row: EventView) => boolean)[] = [];
  for (const [field, text] of query.filters) {
    if (field === 'event' || field === 'severity') continue;
    const isPrefiltered =
      (field === 'message-id' || field === 'tags' || (field === 'recipient' && text.includes('@'))) && only(query, field) !== undefined;
    if (!isPrefiltered) tests.push(fieldTest(field, parseFilter(field, text)));
  }
  return tests.length === 0 ? undefined : (row) => tests.every((test) => test(row));
}

function fieldTest(field: FilterField, expression: Expression): (row: EventView) => boolean {
  return (row) =>
    evaluate(expression, (term) => {
      if (field === 'size') return compareSize(row.message?.info.sizeBytes, term);
      const wanted = (field === 'message-id' ? bare(term.text) : term.text).toLowerCase();
      return matchesField(field, row, wanted);
    });
}

function matchesField(field: FilterField, row: EventView, wanted: string): boolean {
  const { message, recipient } = row;
  const contains = (text: string | undefined): boolean => text?.toLowerCase().includes(wanted) ?? false;
  switch (field) {
    case 'from':
      return contains(message?.info.from) || contains(message?.sender);
    case 'to':
      return contains(message?.info.to);
    case 'subject':
      return contains(message?.info.subject);
    case 'attachment':
      return message?.info.attachments.some((attachment) => contains(attachment.filename)) ?? false;
    case 'tags':
      return message?.info.options.tags.some((tag) => tag.toLowerCase() === wanted) ?? false;
    case 'message-id':
      return message?.messageId.toLowerCase() === wanted;
    case 'recipient':
    case 'recipients':
      return wanted.includes('@') ? recipient?.address.toLowerCase() === wanted : recipient?.domain === wanted;
    default:
      // No event comes from a mailing list.
      return false;
  }
}

function compareSize(size: number | undefined, term: { readonly text: string; readonly compare?: string }): boolean {
  const wanted = Number(term.text);
  if (size === undefined || Number.isNaN(wanted)) return false;
  switch (term.compare) {
    case '>':
      return size > wanted;
    case '<':
      return size < wanted;
    case '>=':
      return size >= wanted;
    case '<=':
      return size <= wanted;
    default:
      return size === wanted;
  }
}
