/**
 * The outbox as the other rooms see it: what servers outside are still to be told. Part of the store's contract (store.ts), which says what holds for all of it.
 */
import type { EventRow } from '#model/event.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { PostRow, PostStore } from './post-store.ts';

/**
 * archive: a copy of a delivered message (`o:archive-to`). event: what happened, for a webhook. forward, notify: mail that came in, for a route's URL; what was received stays
 * while one of these stands.
 */
export type OutboxKind = 'archive' | 'event' | 'forward' | 'notify';

/** A message's content stays while an entry of one of these stands. */
export const CONTENT_KINDS: readonly OutboxKind[] = ['forward', 'notify'];

/** Something that a server outside is to be told. It stands in the store from the commit of the fact that it tells (P7) until it was told or given up. */
export interface OutboxEntry {
  readonly kind: OutboxKind;
  /** Who is to take it, "https://hooks.example:443": entries of one account and endpoint share its turns, so that a slow one holds up no other. */
  readonly endpoint: string;
  /** Where it is posted: a URL, which may hold a secret. */
  readonly target: string;
  /** What the kind needs to make it: JSON of some KB at most. Bodies are not copied here. */
  readonly payload: string;
  /** The account whose server it goes to, where that is not the event's: a webhook of the account above. It waits, is logged and is told again as that account's. */
  readonly ownerId?: number;
}

/** When an entry is due that waits for an earlier one: never, until that is done with. */
export const BEHIND_MS = Number.MAX_SAFE_INTEGER;

/** Entries that wait together: one account and endpoint. */
export interface OutboxEndpoint {
  readonly id: number;
  readonly accountId: number;
  readonly endpoint: string;
  readonly dueAtMs: number;
}

/** An entry with what is needed to make it. */
export interface OutboxItem extends Omit<OutboxEntry, 'ownerId'> {
  /** Never given again. */
  readonly id: number;
  /** Of its `OutboxEndpoint`. */
  readonly endpointId: number;
  readonly epoch: number;
  /** Whose it is; message, recipient and event may be a subaccount's. */
  readonly accountId: number;
  /** Of the event. */
  readonly domainId: number;
  readonly createdMs: number;
  /** Made before this one; an attempt that ended without a result (crash, loss of the node) counts. */
  readonly attempts: number;
  readonly message: StoredMessage | undefined;
  readonly recipient: StoredRecipient | undefined;
  /** What it tells, when it came with an event that is still there. */
  readonly event?: EventRow;
}

export interface OutboxSettlement {
  readonly item: Pick<OutboxItem, 'id' | 'epoch' | 'endpointId'>;
  /** Set: it is tried again then. Absent: it is done with, and goes. */
  readonly dueAtMs?: number;
  /** It was put back without having been tried: the attempt does not count. */
  readonly isUntried?: true;
  /** Written in the same commit. */
  readonly event?: Omit<EventRow, 'id'>;
  /** What others are to be told of that event, due at its time; it is of a message. */
  readonly outbox?: readonly OutboxEntry[];
  /** For the log of webhooks, in the same commit. */
  readonly post?: PostRow;
}

/**
 * Of one endpoint, target, message and recipient (where there is a message) an entry is never leased while an earlier one stands: what happened is told in its order.
 * Shared by all nodes. A claim leases an entry for a bounded time, in which an attempt ends: a lease that runs out makes the entry due again, and there is nothing to
 * clean up after a node that is gone. An entry may be posted twice, when a node is lost between the answer and the commit; its id tells receivers.
 */
export interface OutboxStore extends PostStore {
  /** Endpoints whose earliest entry is due, earliest first. */
  dueEndpoints(nowMs: number, limit: number): Promise<OutboxEndpoint[]>;
  /** Leases up to `room` due entries of each endpoint until `leaseUntilMs`, the earliest first. */
  claim(
    requests: readonly { readonly endpoint: number; readonly room: number }[],
    nowMs: number,
    leaseUntilMs: number,
  ): Promise<OutboxItem[]>;
  /** Leases up to `limit` entries of any endpoint that are as old as this, whenever they are due, unless they are leased: there is nothing left to try. */
  claimOld(createdUntilMs: number, limit: number, nowMs: number, leaseUntilMs: number): Promise<OutboxItem[]>;
  /** False: refused, another lease epoch holds it (fencing). */
  settle(settlement: OutboxSettlement): Promise<boolean>;
  /** Looks at the endpoint again no sooner than this, and no sooner than another node asked for. */
  park(endpoint: number, untilMs: number): Promise<void>;
  /** When the next endpoint is to be looked at. */
  nextDueAtMs(): Promise<number | undefined>;
  /** Entries that were not told yet. */
  depth(): Promise<number>;
}
