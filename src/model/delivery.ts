/** What `lanes`, `delivery` and `smtp` say to each other about handing one message to one receiving site. */
import type { Buffer } from 'node:buffer';
import type { EgressSource, Route, TlsDemand } from './egress.ts';
import type { Outcome } from './outcome.ts';
import type { Notify } from './submission.ts';

/** What the receiving server offered in its EHLO reply, as far as it changes the bytes we send. */
export interface PeerCapabilities {
  readonly eightBitMime: boolean;
  readonly smtputf8: boolean;
  readonly binaryMime: boolean;
}

/** The bytes for this transaction: CRLF lines, not dot-stuffed, in order. */
export interface Composed {
  readonly chunks: readonly Buffer[];
  readonly sizeBytes: number;
  /** So many octets at the beginning of the first chunk are of this transaction alone: signatures and our own fields. */
  readonly freshBytes?: number;
  /** When the parts of it that are the recipient's own were made, as they say themselves; absent: there are none. */
  readonly sentMs?: number;
  /** BODY= to announce when the peer offers 8BITMIME. */
  readonly body: '7BIT' | '8BITMIME' | 'BINARYMIME';
  /** The transaction needs the SMTPUTF8 parameter. */
  readonly smtputf8: boolean;
  /** The reverse-path, where it is not the job's sender: notifications come to us. */
  readonly mailFrom?: string;
}

export interface JobRecipient {
  readonly address: string;
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
}

/** One transaction: one content for one or more recipients of one site, where nothing differs between them. */
export interface DeliveryJob {
  /** '' for the null reverse-path. */
  readonly sender: string;
  readonly recipients: readonly JobRecipient[];
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  readonly tls: TlsDemand;
  /** Makes (and signs) the bytes once the peer's capabilities are known. `refused`: cannot be sent to such a peer at all. */
  compose(capabilities: PeerCapabilities): Promise<Composed | { readonly refused: string }>;
  /** Asked at the last moment before anything is sent for it: whether its recipients are still this node's to try. Absent: they are. */
  mayBegin?(): boolean;
}

/** An open connection to a receiving server, past EHLO and TLS. Owned by a lane; used by one job at a time. */
export interface DeliverySession {
  readonly host: string;
  readonly address: string;
  /** Jobs handed to it so far. */
  readonly uses: number;
  /** False once the connection is gone or must not be used again. */
  readonly isUsable: boolean;
  satisfies(demand: TlsDemand): boolean;
  /** One outcome per recipient, in their order. Never rejects: trouble is an outcome. `attempt.number` is 0: the caller knows it. */
  deliver(job: DeliveryJob): Promise<readonly Outcome[]>;
  /** QUIT and close; resolves when the socket is gone, within a second or two. */
  close(): Promise<void>;
}

/**
 * `outcome` is what each recipient waiting for this connection would get. `isSiteDown`: no host of the site answered at all.
 * `isDemandUnmet`: only the TLS that the message demands was missing; other mail may pass.
 */
export interface ConnectFailure {
  readonly kind: 'failed';
  readonly outcome: Outcome;
  readonly isSiteDown: boolean;
  readonly isDemandUnmet?: true;
}

export type ConnectResult = { readonly kind: 'open'; readonly session: DeliverySession } | ConnectFailure;

/** Opens a connection to the first host of the route that serves `demand`. Never rejects. */
export type Connect = (route: Route, source: EgressSource, demand: TlsDemand, signal: AbortSignal) => Promise<ConnectResult>;

/** How a domain is reached, or what to do with its mail when it is not (no such domain, null MX, DNS trouble). Never rejects. */
export type FindRoute = (
  domain: string,
  signal: AbortSignal,
) => Promise<{ readonly kind: 'route'; readonly route: Route } | { readonly kind: 'failed'; readonly outcome: Outcome }>;
