/** Rows of either driver to attempts of webhooks and routes, and back. */
import { EVENT_KINDS, type EventKind, type PostRecord } from '#model/event.ts';
import { type LoggedPost, POST_ERROR_MAX, POST_RESPONSE_MAX, type PostEndpoint, type PostRow, type Replayed } from './post-store.ts';
import { BEHIND_MS, type OutboxKind } from './outbox-store.ts';
import type { Row } from './rows-json.ts';

/** Numbers are stored: never change or reuse one. */
export const POST_RESULTS: Readonly<Record<PostRecord['result'], number>> = { done: 1, deferred: 2, failed: 3 };

const RESULTS = new Map(Object.entries(POST_RESULTS).map(([name, number]) => [number, name as PostRecord['result']]));
const KINDS = new Map(Object.entries(EVENT_KINDS).map(([name, number]) => [number as number, name as EventKind]));

/** In the order of the columns, from account_id on. */
export const POST_COLUMNS =
  'account_id, domain_id, event, message, recipient, kind, url, endpoint, payload, at_ms, number, result, status, took_ms, error, response, entry';

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
    post.entry,
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
    entry: row['entry'] as OutboxKind,
  };
}

/** What is listed: how an entry is made of it again is the store's own affair. */
export function loggedOf(row: Row): LoggedPost {
  const { endpoint: _endpoint, payload: _payload, ...post } = postOf(row);
  return post;
}

/** One for each kind, event and URL, the newest of its attempts. */
export function onePerTelling(posts: readonly (LoggedPost & PostRow)[]): (LoggedPost & PostRow)[] {
  const seen = new Set<string>();
  return posts.filter(({ event, url, entry }) => {
    const telling = `${entry} ${event} ${url}`;
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

/** Columns that `endpointsOf` needs of attempts. */
export const FARE_COLUMNS = 'endpoint, at_ms, result, status, error';

/** `waiting`: name, look_ms, parked_ms and n of each endpoint that has entries. `attempts`: newest first. */
export function endpointsOf(waiting: readonly Row[], attempts: readonly Row[], nowMs: number, limit: number): PostEndpoint[] {
  const fares = faresOf(attempts);
  const entries = new Map(waiting.map((row) => [String(row['name']), row]));
  const names = [...new Set([...entries.keys(), ...fares.keys()])].sort().slice(0, limit);
  return names.map((endpoint) => {
    const row = entries.get(endpoint);
    const lookMs = Number(row?.['look_ms'] ?? BEHIND_MS);
    const parkedMs = Number(row?.['parked_ms'] ?? 0);
    const count = Number(row?.['n'] ?? 0);
    return {
      endpoint,
      waiting: count,
      ...(count > 0 && lookMs < BEHIND_MS && { nextMs: Math.max(lookMs, parkedMs) }),
      ...(parkedMs > nowMs && { pausedUntilMs: parkedMs }),
      ...fares.get(endpoint),
    };
  });
}

function faresOf(attempts: readonly Row[]): Map<string, Pick<PostEndpoint, 'last' | 'sinceMs'>> {
  const fares = new Map<string, { last: NonNullable<PostEndpoint['last']>; sinceMs: number; hasChanged: boolean }>();
  for (const row of attempts) {
    const endpoint = String(row['endpoint']);
    const atMs = Number(row['at_ms']);
    const status = Number(row['status']);
    const result = RESULTS.get(Number(row['result'])) as PostRecord['result'];
    const fare = fares.get(endpoint);
    if (fare === undefined) {
      const last = { atMs, result, ...(status > 0 && { status }), error: String(row['error']) };
      fares.set(endpoint, { last, sinceMs: atMs, hasChanged: false });
      continue;
    }
    if ((fare.last.result === 'done') !== (result === 'done')) fare.hasChanged = true;
    if (!fare.hasChanged) fare.sinceMs = atMs;
  }
  return new Map([...fares].map(([endpoint, { last, sinceMs }]) => [endpoint, { last, sinceMs }]));
}
