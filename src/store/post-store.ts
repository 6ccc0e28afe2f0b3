/**
 * The log of what was posted to webhooks and by routes, as the other rooms see it: every attempt with what came of it, written in the commit of the entry's settlement, kept for a bounded time.
 * The request is not kept: it is made again from the event, or the message. Part of the store's contract (store.ts), which says what holds for all of it.
 */
import type { EventKind, PostRecord } from '#model/event.ts';
import type { OutboxKind } from './outbox-store.ts';

/** Of the texts that are kept. Longer ones are cut. */
export const POST_ERROR_MAX = 500;
export const POST_RESPONSE_MAX = 1024;

/** What a webhook was told, or a route's URL was given, or was to be. */
export interface PostSubject {
  /** What was posted. */
  readonly entry: OutboxKind;
  /** Whose webhook or route it is; domain, event, message and recipient may be a subaccount's. */
  readonly accountId: number;
  readonly domainId: number;
  /** The event's id. */
  readonly event: number;
  readonly message: number;
  readonly recipient: number;
  readonly kind: EventKind;
  /** As it was called: it may hold a secret. */
  readonly url: string;
}

/** One attempt. */
export interface PostAttempt extends PostSubject {
  /** When it ended. */
  readonly atMs: number;
  /** From 1. */
  readonly number: number;
  readonly result: PostRecord['result'];
  /** Of the answer, when there was one. */
  readonly status?: number;
  readonly tookMs: number;
  /** Why it failed; '': it did not. */
  readonly error: string;
  /** The beginning of the answer's body. */
  readonly response: string;
}

/** As it is handed in, with what an entry of the outbox is made of again. */
export interface PostRow extends PostAttempt {
  readonly endpoint: string;
  readonly payload: string;
}

export interface LoggedPost extends PostAttempt {
  readonly id: number;
}

/** All given conditions hold. */
export interface PostFilter {
  readonly accountId: number;
  readonly domainId?: number;
  readonly url?: string;
  readonly result?: PostRecord['result'];
  readonly kind?: EventKind;
  readonly message?: number;
  /** One attempt. */
  readonly id?: number;
  /** Both inclusive. */
  readonly beginMs: number;
  readonly endMs: number;
}

export interface PostPosition {
  readonly atMs: number;
  readonly id: number;
}

export interface Replayed {
  /** Entries that were put in. */
  readonly entries: number;
  /** There may be more, after this one. */
  readonly after?: PostPosition;
}

/** A server that webhooks, copies or mail go to, over all nodes. */
export interface PostEndpoint {
  /** As entries of the outbox name it. */
  readonly endpoint: string;
  /** Entries that wait, up to `WAITING_COUNTED_MAX`. */
  readonly waiting: number;
  /** When the next of them is looked at; absent: none waits, but for others. */
  readonly nextMs?: number;
  /** It is left alone until then. */
  readonly pausedUntilMs?: number;
  /** The last attempt of those that the log has. */
  readonly last?: Pick<PostAttempt, 'atMs' | 'result' | 'status' | 'error'>;
  /** The first attempt since which all went as the last did. */
  readonly sinceMs?: number;
}

export const WAITING_COUNTED_MAX = 100_000;
/** Of an account's attempts the latest that are looked at to tell how endpoints fare. */
export const FARES_LOOKED_AT = 10_000;

export interface PostStore {
  /** Where something waits, or was posted lately, by name. */
  postEndpoints(accountId: number, nowMs: number, limit: number): Promise<PostEndpoint[]>;
  /** Newest first, strictly after `after`. */
  listPosts(filter: PostFilter, after: PostPosition | undefined, limit: number): Promise<LoggedPost[]>;
  /**
   * Puts what was posted into the outbox again, due at `nowMs`, looking at up to `limit` attempts, newest first, strictly after `after`: as the kind it was, the same event for the same URL, once
   * for all of its attempts. What stands in the outbox for that kind, event and URL already is left alone, and so is what has lost its event. So the same call twice does no more than
   * once, as long as the first one's entries stand.
   */
  replayPosts(filter: PostFilter, nowMs: number, limit: number, after?: PostPosition): Promise<Replayed>;
}
