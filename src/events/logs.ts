/**
 * `POST /v1/analytics/logs`: events of the whole account, by time, with a filter of attributes. Kinds, domains, one recipient and one Message-ID are filtered by the
 * store; the rest is looked at row by row, within a bound of rows for each page. A token is a position: the question comes anew with each page.
 */
import { Buffer } from 'node:buffer';
import { badParameter } from '#model/errors.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import type { EventFilter, EventPosition, EventStore, EventView } from '#store/store.ts';
import { type EventUrls, mailgunEvent, MAILGUN_KINDS, mailgunName, severityOf, eventId } from './mailgun-json.ts';

export const LOGS_DEFAULT = 100;
export const LOGS_MAX = 300;
const CHUNK_ROWS = 300;
const TOKEN_MAX = 128;
const NAMES = new Set(MAILGUN_KINDS.map(mailgunName));

export interface LogsCondition {
  readonly attribute: string;
  readonly comparator: string;
  readonly values: readonly string[];
}

export interface LogsQuery {
  readonly accountId: number;
  /** All of the account's, by id. */
  readonly domains: ReadonlyMap<number, string>;
  /** Subaccounts that are asked about with it. */
  readonly below?: readonly Pick<LogsQuery, 'accountId' | 'domains'>[];
  readonly startUs: number;
  readonly endUs: number;
  readonly order: 'ascending' | 'descending';
  readonly limit: number;
  /** Names of kinds; empty: all. */
  readonly events: readonly string[];
  readonly where: readonly LogsCondition[];
}

export interface LogsPage {
  readonly items: readonly EventView[];
  /** Tokens; absent where there is no such page. */
  readonly pagination: Readonly<Partial<Record<'next' | 'previous' | 'first' | 'last', string>>>;
}

type Values = (view: EventView) => readonly (string | number | undefined)[];

/** What a predicate compares, of one event. */
const ATTRIBUTES: Readonly<Record<string, Values>> = {
  id: ({ event }) => [eventId(event)],
  event: ({ event }) => [mailgunName(event.kind)],
  severity: ({ event }) => [severityOf(event.kind)],
  domain: ({ message }) => [message?.domain],
  ip: ({ event }) => [event.detail.attempt?.source],
  recipient: ({ recipient }) => [recipient?.address],
  recipients: ({ recipient }) => [recipient?.address],
  recipient_domain: ({ recipient }) => [recipient?.domain],
  recipient_provider: ({ recipient }) => [recipient === undefined ? undefined : providerOf(recipient.domain)],
  from: ({ message }) => [message?.info.from, message?.sender],
  to: ({ message }) => [message?.info.to],
  subject: ({ message }) => [message?.info.subject],
  message_id: ({ message }) => [message?.messageId],
  tag: ({ message }) => message?.info.options.tags ?? [],
  attachment_filename: ({ message }) => message?.info.attachments.map(({ filename }) => filename) ?? [],
  size: ({ message }) => [message?.info.sizeBytes],
  user_variables: ({ message }) => [JSON.stringify(message?.info.options.variables ?? {})],
  subaccount: ({ event }) => [String(event.accountId)],
  delivered_at: ({ event }) => [event.kind === 'delivered' ? event.atUs / 1e6 : undefined],
  delivery_status_code: ({ event }) => [event.detail.code],
  delivery_status_message: ({ event }) => [event.detail.text],
  delivery_status_attempt_no: ({ event }) => [event.detail.attempt?.number],
  delivery_status_enhanced_code: ({ event }) => [event.detail.enhanced],
  delivery_status_mx_host: ({ event }) => [event.detail.attempt?.host],
  country: ({ event }) => [event.detail.geo?.country],
  // Of what nobody is known to have done by a machine it is ''.
  bot: ({ event: { detail } }) => (detail.client === undefined ? [] : [detail.client.bot ?? '']),
  device: ({ event }) => [event.detail.client?.device],
  // Nothing has these: no lists or pools are told in events.
  ip_pool: () => [],
  mailing_list_address: () => [],
};
const COMPARATORS: readonly string[] = ['=', '!=', 'contains', 'not contains', '<', '>', '<=', '>='];

/** `rowsMax` bounds the rows that are looked at; a page may then be short though more follows. Throws AppError 'bad-parameter'. */
export async function runLogs(
  store: Pick<EventStore, 'list'>,
  query: LogsQuery,
  token: string | undefined,
  rowsMax: number,
): Promise<LogsPage> {
  const page = token === undefined ? { isBack: false } : readToken(token);
  const isUp = (query.order === 'ascending') !== page.isBack;
  const filters = [query, ...(query.below ?? [])].map(({ accountId, domains }): EventFilter => ({
    accountId,
    domainId: 0,
    ...prefilter({ ...query, domains }),
    ...(isUp ? { beginUs: query.startUs, endUs: query.endUs } : { beginUs: query.endUs, endUs: query.startUs }),
  }));
  const tests = query.where.map(testOf);
  const items: EventView[] = [];
  let position = page.after;
  let hasMore = false;
  for (let looked = 0; looked < rowsMax && !hasMore;) {
    const chunk = tests.length === 0 ? query.limit + 1 : CHUNK_ROWS;
    const rows = await together(store, filters, isUp ? 'ascending' : 'descending', position, chunk);
    for (const row of rows) {
      const isWanted = tests.every((test) => test(row));
      if (isWanted && items.length === query.limit) {
        hasMore = true;
        break;
      }
      position = { atUs: row.event.atUs, id: row.event.id };
      if (isWanted) items.push(row);
    }
    looked += rows.length;
    if (rows.length < chunk) break;
    // What was not looked at may hold more.
    if (looked >= rowsMax) hasMore = true;
  }
  if (page.isBack) items.reverse();
  return { items, pagination: tokens(page, items, position, hasMore) };
}

/** The next events of all accounts, by time. Each is asked for as many as all of them may come to. */
async function together(
  store: Pick<EventStore, 'list'>,
  filters: readonly EventFilter[],
  order: 'ascending' | 'descending',
  after: EventPosition | undefined,
  limit: number,
): Promise<EventView[]> {
  const lists: EventView[][] = [];
  for (const filter of filters) lists.push(await store.list(filter, order, after, limit));
  if (lists.length === 1) return lists[0] as EventView[];
  const sign = order === 'ascending' ? 1 : -1;
  return lists
    .flat()
    .sort((a, b) => sign * (a.event.atUs - b.event.atUs || a.event.id - b.event.id))
    .slice(0, limit);
}

function prefilter({ domains, events, where }: LogsQuery): Pick<EventFilter, 'domainIds' | 'kinds' | 'recipient' | 'messageId' | 'tag'> {
  for (const name of events) if (!NAMES.has(name)) throw badParameter(`'${name.slice(0, 60)}' is not a valid event`);
  const isNamed = (attribute: string, value: string): boolean =>
    where.every(
      (one) => one.attribute !== attribute || !['=', '!='].includes(one.comparator) || passes(one.comparator, wantedOf(one), [value]),
    );
  const only = (attribute: string): string | undefined => {
    const given = where.filter((one) => one.attribute === attribute && one.comparator === '=' && one.values.length === 1);
    return given.length === 1 ? given[0]?.values[0] : undefined;
  };
  const recipient = only('recipient');
  const messageId = only('message_id');
  const tag = only('tag');
  return {
    domainIds: [...domains].filter(([, name]) => isNamed('domain', name)).map(([id]) => id),
    kinds: MAILGUN_KINDS.filter((kind) => {
      const name = mailgunName(kind) as string;
      return (events.length === 0 || events.includes(name)) && isNamed('event', name) && isNamed('severity', severityOf(kind) ?? '');
    }),
    ...(recipient !== undefined && { recipient }),
    ...(tag !== undefined && { tag }),
    ...(messageId !== undefined && { messageId: messageId.replace(/^<|>$/g, '') }),
  };
}

function testOf(condition: LogsCondition): (view: EventView) => boolean {
  const { attribute, comparator } = condition;
  const values = Object.hasOwn(ATTRIBUTES, attribute) ? ATTRIBUTES[attribute] : undefined;
  if (values === undefined) throw badParameter(`'${attribute.slice(0, 60)}' is not a valid filter predicate attribute`);
  if (!COMPARATORS.includes(comparator)) throw badParameter(`'${comparator.slice(0, 60)}' is not a valid filter predicate comparator`);
  const wanted = wantedOf(condition);
  return (view) => passes(comparator, wanted, values(view));
}

function wantedOf({ attribute, values }: LogsCondition): string[] {
  return values.map((value) => (attribute === 'message_id' ? value.replace(/^<|>$/g, '') : value).toLowerCase());
}

/** True when one of the event's values fulfils it with one of the wanted; of a negated one, when none does. */
function passes(comparator: string, wanted: readonly string[], own: readonly (string | number | undefined)[]): boolean {
  const some = (test: (value: string, wish: string) => boolean): boolean =>
    own.some((value) => value !== undefined && wanted.some((wish) => test(String(value).toLowerCase(), wish)));
  switch (comparator) {
    case '=':
      return some((value, wish) => value === wish);
    case '!=':
      return !some((value, wish) => value === wish);
    case 'contains':
      return some((value, wish) => value.includes(wish));
    case 'not contains':
      return !some((value, wish) => value.includes(wish));
    case '<':
      return some((value, wish) => Number(value) < Number(wish));
    case '>':
      return some((value, wish) => Number(value) > Number(wish));
    case '<=':
      return some((value, wish) => Number(value) <= Number(wish));
    default:
      return some((value, wish) => Number(value) >= Number(wish));
  }
}

// ---- tokens ----------------------------------------------------------------------------------------------------------

interface Place {
  readonly after?: EventPosition;
  readonly isBack: boolean;
}

function writeToken({ after, isBack }: Place): string {
  return Buffer.from(`${isBack ? 'b' : 'f'}${after === undefined ? '' : `${after.atUs}.${after.id}`}`).toString('base64url');
}

function readToken(token: string): Place {
  const text = token.length > TOKEN_MAX ? '' : Buffer.from(token, 'base64url').toString('latin1');
  const [, way, atUs, id] = /^([bf])(?:(\d{1,16})\.(\d{1,16}))?$/.exec(text) ?? [];
  if (way === undefined) throw badParameter("'token' is not a page of this API");
  return { isBack: way === 'b', ...(atUs !== undefined && { after: { atUs: Number(atUs), id: Number(id) } }) };
}

function tokens(page: Place, items: readonly EventView[], reached: EventPosition | undefined, hasMore: boolean): LogsPage['pagination'] {
  const at = (view: EventView | undefined): EventPosition | undefined => view && { atUs: view.event.atUs, id: view.event.id };
  const [first, last] = [at(items[0]), at(items.at(-1))];
  const hasNext = page.isBack ? page.after !== undefined : hasMore;
  const hasPrevious = page.isBack ? hasMore : page.after !== undefined;
  const next = page.isBack ? (last ?? page.after) : reached;
  const previous = page.isBack ? reached : (first ?? page.after);
  const place = (after: EventPosition | undefined, isBack: boolean): string =>
    writeToken({ isBack, ...(after !== undefined && { after }) });
  return {
    ...(hasPrevious && { previous: place(previous, true) }),
    ...(hasNext && { next: place(next, false) }),
    ...((hasNext || hasPrevious) && { first: place(undefined, false), last: place(undefined, true) }),
  };
}

// ---- items -----------------------------------------------------------------------------------------------------------

/** An event as the logs show it: what differs from the events API. */
export function logItem(view: EventView, urls: EventUrls): Record<string, unknown> {
  const { timestamp: _seconds, campaigns: _none, ...shown } = mailgunEvent(view, urls);
  const { event, message } = view;
  const { flags, storage, 'user-variables': variables } = shown;
  return {
    ...shown,
    '@timestamp': new Date(Math.floor(event.atUs / 1000)).toISOString(),
    account: { id: String(event.accountId) },
    domain: { name: message?.domain ?? '' },
    'user-variables': JSON.stringify(variables ?? {}),
    flags: {
      'is-authenticated': true,
      'is-routed': false,
      'is-system-test': false,
      'is-test-mode': false,
      'is-delayed-bounce': event.detail.reason === 'delayed-bounce',
      'is-callback': false,
      ...(flags as object | undefined),
    },
    ...(storage !== undefined && { storage: { ...storage, url: [(storage as { readonly url: string }).url] } }),
  };
}
