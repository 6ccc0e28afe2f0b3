/**
 * The log of what was posted to servers outside, as the other rooms see it: one row for each attempt of a webhook or a forward, written in the commit of its settlement (P7), kept for a
 * while. What it names can be posted again. Part of the store's contract (store.ts), which says what holds for all of it.
 */
import type { EventKind, PostRecord } from '#model/event.ts';
import type { OutboxItem, OutboxKind } from './outbox-store.ts';

/** What an attempt adds to what its entry says. */
export interface PostFacts extends Pick<PostRecord, 'result' | 'number' | 'tookMs' | 'status' | 'address' | 'nextAtMs'> {
  readonly atMs: number;
  /** What came of it, in words. */
  readonly text: string;
  /** What the answer's body began with. */
  readonly excerpt?: string;
}

/** The event that it told is told by its id; it may be gone before the row is. */
export interface PostRow extends PostFacts, Pick<OutboxItem, 'accountId' | 'domainId' | 'endpoint' | 'target'> {
  /** Grows with time. */
  readonly id: number;
  /** The entry's: the same for all attempts. */
  readonly outbox: number;
  readonly kind: OutboxKind;
  readonly eventId: number;
  readonly eventKind?: EventKind;
  /** 0: of none. */
  readonly message: number;
  readonly recipient: number;
}

/** All given conditions hold. */
export interface PostFilter {
  readonly accountId: number;
  readonly domainId?: number;
  /** Inclusive, exclusive. */
  readonly beginMs?: number;
  readonly endMs?: number;
  readonly result?: PostRecord['result'];
  readonly eventKind?: EventKind;
  readonly message?: number;
  readonly target?: string;
}

/** How a server that is posted to fares, over all nodes. */
export interface PostEndpoint {
  readonly endpoint: string;
  /** Entries that were not told yet. */
  readonly waiting: number;
  /** When the next of them is tried; absent: none waits. */
  readonly nextMs?: number;
  /** It is left alone until then. */
  readonly pausedUntilMs?: number;
  /** Its last attempt; absent: none is in the log. */
  readonly last?: Pick<PostRow, 'atMs' | 'result' | 'status' | 'text'>;
  /** The first attempt that failed since the last that did not, or the first that did not since the last that failed. */
  readonly sinceMs?: number;
}

export interface PostStore {
  /** Newest first, those before `before` (an id). */
  listPosts(filter: PostFilter, before: number | undefined, limit: number): Promise<PostRow[]>;
  postById(accountId: number, id: number): Promise<PostRow | undefined>;
  /**
   * Puts what the row told into the outbox again, as a new entry, due now: same target, event and payload. False: there is no such row of the account, or its event is gone.
   */
  replayPost(accountId: number, id: number, nowMs: number): Promise<boolean>;
  /**
   * Likewise for each entry that ended in that time, or with `isFailed` only those that were given up, once for each entry: at most `limit`, oldest first, from the row after `after`.
   * `last`: the row to go on after; absent: that was all.
   */
  replayPosts(
    filter: Pick<PostFilter, 'accountId' | 'domainId' | 'beginMs' | 'endMs' | 'target'> & { readonly isFailed: boolean },
    after: number,
    nowMs: number,
    limit: number,
  ): Promise<{ readonly count: number; readonly last?: number }>;
  /** By name. */
  postEndpoints(accountId: number, limit: number): Promise<PostEndpoint[]>;
}
