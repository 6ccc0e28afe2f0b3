/**
 * Facts that come back after mail went out, and mail that comes in, as the other rooms see their writing. Part of the store's contract (store.ts), which says what holds for
 * all of it: each is one commit with everything that belongs to it (P7), and durable when its promise resolves (P1).
 */
import type { EventRow } from '#model/event.ts';
import type { OutboxEntry } from './outbox-store.ts';
import type { AcceptMessage, AcceptResult, CounterKey, Suppression, Ungranted } from './store.ts';

/** An open, a click, an unsubscribe, a complaint, a late bounce. */
export interface Fact {
  /** message and recipient may be 0 when they are not known. Its tags are its message's. */
  readonly event: Omit<EventRow, 'id'>;
  /**
   * Of the recipient (of the message, where that is 0): what has the same key is recorded once; later ones answer 'repeated' and change nothing. Absent, or of neither: each
   * counts. It is remembered as long as events are.
   */
  readonly once?: string;
  /** Of the event's domain. No bounce of an address that the domain's allowlist has. */
  readonly suppression?: Suppression;
  /** A member of a mailing list who is not subscribed from now on. */
  readonly leaves?: { readonly list: number; readonly address: string };
  readonly counters: readonly CounterKey[];
  /** To the counters where this is the recipient's first of its kind (unique opens, clicks); the event's detail has `isFirst` then. */
  readonly firstCounters?: readonly CounterKey[];
  /** To these where it is the recipient's first of its kind that has the mark (unique opens by people, by a machine). */
  readonly firstOf?: { readonly mark: string; readonly counters: readonly CounterKey[] };
  /** Due at the event's time. */
  readonly outbox?: readonly OutboxEntry[];
}

/** Mail that came in. */
export interface Reception {
  /**
   * Kept as mail that came in: its recipients are settled at once with the ending 'received' and nothing is delivered of it. Its idempotency is not looked at, nor are
   * suppressions.
   */
  readonly message: AcceptMessage;
  /** Events beside the accepted ones (kind 'stored'), by position of the recipient (-1: the whole message). */
  readonly events: readonly { readonly recipient: number; readonly event: Omit<EventRow, 'id' | 'message' | 'recipient'> }[];
  /** By position of the recipient, or -1. One of the kind 'event' tells the last of `events` with the same position, or else the accepted one. */
  readonly outbox: readonly (OutboxEntry & { readonly recipient: number })[];
  /** Mail that is sent on because of it, accepted in the same commit as mail of ours. Its idempotency is not looked at. */
  readonly forwards: readonly AcceptMessage[];
}

export interface Received {
  readonly kind: 'received';
  readonly id: number;
  readonly contentId: number;
  readonly firstRecipient: number;
  /** In the order given. */
  readonly forwards: readonly Extract<AcceptResult, { readonly kind: 'accepted' }>[];
}

export interface FactStore {
  record(fact: Fact): Promise<'recorded' | 'repeated'>;
  /** Refused where a grant that it, or what is sent on, uses does not suffice. */
  receive(reception: Reception): Promise<Received | Ungranted>;
}
