/** What one kind of entry is: how it is made, how long it is tried, and what the timeline is told. */
import type { EventRow, PostRecord } from '#model/event.ts';
import type { OutboxItem } from '#store/outbox-store.ts';
import type { PostRequest } from './guarded-post.ts';

export interface OutboxMaker {
  /** What could not be posted in this time is given up. */
  readonly giveUpAfterMs: number;
  /** Each attempt is written in the log of webhooks and routes. */
  readonly isLogged: boolean;
  /** Webhooks are told of its events. */
  readonly isTold?: boolean;
  /** Octets that posting it will hold in memory. */
  sizeBytes(item: OutboxItem): number;
  /** The request; or why it cannot be made any more. */
  make(item: OutboxItem): Promise<PostRequest | { readonly gone: string }>;
  /** What the timeline is told of an attempt; undefined: nothing. */
  event(item: OutboxItem, record: PostRecord, text: string): EventRow['detail'] | undefined;
  /** Of that event. */
  readonly eventKind: EventRow['kind'] | ((record: PostRecord) => EventRow['kind']);
}
