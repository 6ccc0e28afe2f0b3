/**
 * Facts that happened, append-only. The kinds are few and stored as small numbers; the JSON that each API shows is made when it is read.
 */
import type { AttemptRecord, BounceClass } from './outcome.ts';
import type { Wait, WaitReason } from './wait-reason.ts';

/** Numbers are stored: never change or reuse one. */
export const EVENT_KINDS = {
  accepted: 1,
  delivered: 2,
  /** permanent failure */
  failed: 3,
  /** temporary failure; shown as failed/temporary by Mailgun's API */
  deferred: 4,
  rejected: 5,
  opened: 6,
  clicked: 7,
  unsubscribed: 8,
  complained: 9,
  stored: 10,
  /** ours, not in Mailgun's API: taken back by the sender before delivery */
  cancelled: 11,
  /** ours: a delivery status notification was written to the submitter */
  notified: 12,
  /** ours: a lease ended without a result (crash, loss of the node) */
  recovered: 13,
  /** ours: a copy was posted to the URL of o:archive-to, or could not be */
  archived: 14,
  /** ours: a webhook that was to be told of an event was not, and is not told any more */
  untold: 15,
  /** ours: the sender moved a scheduled recipient to another time */
  rescheduled: 16,
  /** ours, and counted alone: an address was validated; nothing happened to a message */
  validated: 17,
} as const;
export type EventKind = keyof typeof EVENT_KINDS;

export interface EventDetail {
  readonly code?: number;
  readonly enhanced?: string;
  readonly text?: string;
  readonly reason?:
    | 'generic'
    | 'bounce'
    | 'suppress-bounce'
    | 'suppress-unsubscribe'
    | 'suppress-complaint'
    | 'greylisted'
    | 'espblock'
    | 'old'
    | 'delayed-bounce';
  readonly bounceClass?: BounceClass;
  readonly attempt?: AttemptRecord;
  /** Settled without an attempt: what it waited for before. */
  readonly waits?: readonly Wait[];
  /** Deferred: what comes next. */
  readonly nextAtMs?: number;
  readonly wait?: WaitReason;
  readonly testMode?: true;
  readonly possibleDuplicate?: true;
  /** archived: what became of posting the copy. */
  readonly archive?: PostRecord;
  /** delivered, deferred, failed: mail that came in was posted to a URL, or could not be. */
  readonly forward?: PostRecord & { readonly rule?: string };
  /** untold: the last attempt to tell the webhook, and of what. */
  readonly webhook?: PostRecord & { readonly event?: EventKind };
  /** Told later by others: how the report was read, whether its token was of the recipient alone, and who reported. */
  readonly returned?: { readonly format: string; readonly by: 'recipient' | 'message'; readonly reporter?: string };
  /** notified: the DSN's kind and its message. */
  readonly dsn?: { readonly action: 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded'; readonly message: number };
  /** rescheduled: when it was due, and when it is. */
  readonly moved?: { readonly fromMs: number; readonly toMs: number };
  /** opened, clicked: with what it was done, as its user agent says. */
  readonly client?: ClientRecord;
  readonly geo?: { readonly country: string; readonly region?: string; readonly city?: string };
  /** opened, clicked, unsubscribed: where it came from. */
  readonly ip?: string;
  /** clicked: where the link leads. */
  readonly url?: string;
  /** unsubscribed: '*' from everything, or a tag, or a mailing list's address. */
  readonly list?: string;
  /** complained: the report's Feedback-Type. */
  readonly feedback?: string;
  /** stored: what came in. */
  readonly inbound?: InboundRecord;
  /** The recipient's first of this kind. */
  readonly isFirst?: true;
}

export interface ClientRecord {
  readonly name: string;
  readonly os: string;
  /** 'browser', 'mobile browser', 'email client', 'robot', … */
  readonly type: string;
  /** 'desktop', 'mobile', 'tablet', 'unknown', … */
  readonly device: string;
  readonly userAgent: string;
  /** Which robot it is, or is taken for. */
  readonly bot?: string;
}

export interface InboundRecord {
  /** Ids of the routes that took it. */
  readonly routes?: readonly string[];
  readonly spf?: string;
  readonly dkim?: string;
  readonly dmarc?: string;
}

/** One try to hand something to a server outside by HTTP. */
export interface PostRecord {
  /** done: it was taken. deferred: it is tried again at `nextAtMs`. failed: it is given up. */
  readonly result: 'done' | 'deferred' | 'failed';
  /** Without login and query, which may be secrets. */
  readonly url: string;
  /** From 1. */
  readonly number: number;
  readonly tookMs: number;
  /** HTTP status of the answer, when there was one. */
  readonly status?: number;
  readonly address?: string;
  readonly nextAtMs?: number;
}

export interface EventRow {
  readonly id: number;
  readonly kind: EventKind;
  /** Epoch microseconds; unique enough to sort with id. */
  readonly atUs: number;
  readonly accountId: number;
  readonly domainId: number;
  readonly message: number;
  /** 0: concerns the whole message. */
  readonly recipient: number;
  readonly detail: EventDetail;
}
