/**
 * What came of trying one recipient. Outcomes are values, never exceptions. What we do not understand is `deferred` (P5).
 */
import type { Wait } from './wait-reason.ts';

export type Disposition = 'delivered' | 'failed' | 'deferred';

/** Closed list; the table that assigns them is data in `delivery/`. */
export const BOUNCE_CLASSES = [
  'invalid-recipient',
  'inactive-mailbox',
  'mailbox-full',
  'bad-domain',
  'dns-failure',
  'no-answer',
  'connection',
  'routing',
  'relay-denied',
  'spam-content',
  'spam-reputation',
  'virus',
  'content',
  'policy',
  'authentication',
  'invalid-sender',
  'too-large',
  'too-many-recipients',
  'rate-limited',
  'greylisted',
  'protocol',
  'tls',
  'expired',
  'suppressed',
  'transient',
  'unclassified',
] as const;
export type BounceClass = (typeof BOUNCE_CLASSES)[number];

/** RFC 5321 reply, lines joined with "\n" after their codes are cut; enhanced code (RFC 2034) split off when present. */
export interface Reply {
  readonly code: number;
  readonly enhanced?: string;
  /** Printable text: control characters replaced, non-UTF-8 octets replaced, bounded. */
  readonly text: string;
}

export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
  /** The certificate chains to a known root and names the host. */
  readonly verified: boolean;
  readonly subject?: string;
  readonly issuer?: string;
  readonly validUntil?: string;
  /** Why it is not verified. */
  readonly trouble?: string;
}

/** Everything about one attempt at one recipient that the timeline shows. Kept small: it is stored per attempt as JSON. */
export interface AttemptRecord {
  /** 1 for the first. */
  readonly number: number;
  readonly startedMs: number;
  /** Receiving site: what lanes are keyed by (the MX set's name). */
  readonly site?: string;
  readonly host?: string;
  readonly address?: string;
  readonly port?: number;
  /** Egress source's name and EHLO name. */
  readonly source?: string;
  readonly ehlo?: string;
  readonly tls?: TlsFacts;
  /** Milliseconds spent in each step; a step that did not happen is absent. A reused connection has no connect, greeting, ehlo, tls. */
  readonly steps: Readonly<
    Partial<Record<'route' | 'connect' | 'greeting' | 'ehlo' | 'tls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'dot', number>>
  >;
  /** n-th message on this connection, from 1. */
  readonly connectionUse?: number;
  readonly reply?: Reply;
  /** The dialogue, bounded, each line with "C: " or "S: " before it; kept when the attempt did not succeed. */
  readonly dialogue?: readonly string[];
  /** What it waited for before this attempt. */
  readonly waits?: readonly Wait[];
  /** The server offered DSN and was told the sender's NOTIFY: a report of success is its business now (RFC 3461 §5.2.1). */
  readonly dsnHandedOn?: true;
  /** An earlier attempt may have been delivered (P4). */
  readonly possibleDuplicate?: true;
  /** In words, when there is no reply: "connection refused", "MX lookup timed out". */
  readonly trouble?: string;
  /** Hosts and addresses that were tried before this one, and TLS that was given up, in words; with the first message on a connection. */
  readonly before?: string;
}

export interface Outcome {
  readonly disposition: Disposition;
  /** SMTP reply code, or a service code: 498 no MX, 499 cannot connect, 602 too old, 605–607 suppressed, 650 test mode. */
  readonly code: number;
  readonly enhanced?: string;
  readonly text: string;
  readonly bounceClass?: BounceClass;
  /** The receiving server said when to come back. */
  readonly retryAfterMs?: number;
  /** The address should be suppressed for its domain (a permanent failure that says that the mailbox does not exist). */
  readonly suppress?: boolean;
  /** The connection ended between our final dot and the reply: the remote may have it (P4). */
  readonly unclear?: boolean;
  /**
   * A kept connection had been closed by the server before it answered anything: the message was not tried. Deferred; whoever has
   * the lane may try it again at once on a new connection instead of settling this outcome.
   */
  readonly stale?: true;
  /** Nothing was sent, because the lease is not held any more (`DeliveryJob.mayBegin`): not an attempt, and not to be settled. */
  readonly withdrawn?: true;
  readonly attempt: AttemptRecord;
}
