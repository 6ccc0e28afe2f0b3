/** Rows of either driver to attempts of webhooks, and back. */
import { EVENT_KINDS, type EventKind, type PostRecord } from '#model/event.ts';
import { type LoggedPost, POST_ERROR_MAX, POST_RESPONSE_MAX, type PostRow, type Replayed } from './post-store.ts';
import type { Row } from './rows-json.ts';

/** Numbers are stored: never change or reuse one. */
export const POST_RESULTS: Readonly<Record<PostRecord['result'], number>> = { done: 1, deferred: 2, failed: 3 };

const RESULTS = new Map(Object.entries(POST_RESULTS).map(([name, number]) => [number, name as PostRecord['result']]));
const KINDS = new Map(Object.entries(EVENT_KINDS).map(([name, number]) => [number as number, name as EventKind]));

/** In the order of the columns, from account_id on. */
export const POST_COLUMNS =
  'account_id, domain_id, event, message, recipient, kind, url, endpoint, payload, at_ms, number, result, status, took_ms, error, response';

export function postValues(post: PostRow): (number | string)[] {
  return [
    post.accountId,
    post.domainId,
    post.event,
    post.message,
    post.recipient,
    EVENT_KINDS[post.kind],
    post.url,
    post.endpoint,
    post.payload,
    post.atMs,
    post.number,
    POST_RESULTS[post.result],
    post.status ?? 0,
    post.tookMs,
    storedTexts(post).error,
    storedTexts(post).response,
  ];
}

export function storedTexts({ error, response }: PostRow): { readonly error: string; readonly response: string } {
  return { error: error.slice(0, POST_ERROR_MAX).toWellFormed(), response: response.slice(0, POST_RESPONSE_MAX).toWellFormed() };
}

export function postOf(row: Row): LoggedPost & PostRow {
  const status = Number(row['status']);
  return {
    id: Number(row['id']),
    accountId: Number(row['account_id']),
    domainId: Number(row['domain_id']),
    event: Number(row['event']),
    message: Number(row['message']),
    recipient: Number(row['recipient']),
    kind: KINDS.get(Number(row['kind'])) as EventKind,
    url: String(row['url']),
    endpoint: String(row['endpoint']),
    payload: String(row['payload']),
    atMs: Number(row['at_ms']),
    number: Number(row['number']),
    result: RESULTS.get(Number(row['result'])) as PostRecord['result'],
    ...(status > 0 && { status }),
    tookMs: Number(row['took_ms']),
    error: String(row['error']),
    response: String(row['response']),
  };
}

/** What is listed: how an entry is made of it again is the store's own affair. */
export function loggedOf(row: Row): LoggedPost {
  const { endpoint: _endpoint, payload: _payload, ...post } = postOf(row);
  return post;
}

/** One for each event and URL, the newest of its attempts. */
export function onePerTelling(posts: readonly (LoggedPost & PostRow)[]): (LoggedPost & PostRow)[] {
  const seen = new Set<string>();
  return posts.filter(({ event, url }) => {
    const telling = `${event} ${url}`;
    if (event === 0 || seen.has(telling)) return false;
    seen.add(telling);
    return true;
  });
}

/** What a step came to that looked at these. */
export function replayedOf(posts: readonly LoggedPost[], limit: number, entries: number): Replayed {
  const last = posts.at(-1);
  return { entries, ...(posts.length === limit && last !== undefined && { after: { atMs: last.atMs, id: last.id } }) };
}
