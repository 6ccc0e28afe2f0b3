/**
 * One submission: what a door hands to `submission/submit`, whichever protocol it came by: envelope, content, options, origin.
 * Addresses are already parsed and normalised (`mail/address`): local part as given, domain in lower case and A-labels
 * unless the local part needs SMTPUTF8, in which case the domain may stay in U-labels' A-label form too.
 */
import type { Buffer } from 'node:buffer';
import type { Principal } from './principal.ts';

export type Method = 'HTTP' | 'SMTP';
/** RFC 3461 §4.1; NEVER excludes the others. */
export type Notify = 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY';
export type Toggle = 'yes' | 'no' | 'htmlonly';

export interface EnvelopeRecipient {
  readonly address: string;
  readonly notify?: readonly Notify[];
  /** RFC 3461 §4.2 original recipient, as given and still xtext-encoded: "rfc822;user@example.org". */
  readonly orcpt?: string;
  /** Display name, for %recipient_name% and To of a batch. */
  readonly name?: string;
  /** This recipient's values for %recipient.x%; batch mode only. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface Envelope {
  /** Empty string: the null reverse-path. */
  readonly sender: string;
  readonly smtputf8: boolean;
  readonly body: '7BIT' | '8BITMIME' | 'BINARYMIME';
  readonly ret?: 'FULL' | 'HDRS';
  /** RFC 3461 §4.4, xtext as given. */
  readonly envid?: string;
  readonly recipients: readonly EnvelopeRecipient[];
}

export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  readonly bytes: Buffer;
  /** Set for inline parts: Content-ID without brackets. */
  readonly contentId?: string;
}

/** A message still to be composed (`mail/compose`), or MIME that is complete. */
export type Content =
  | { readonly kind: 'mime'; readonly bytes: Buffer }
  | {
      readonly kind: 'parts';
      readonly from: string;
      readonly to: readonly string[];
      readonly cc: readonly string[];
      readonly subject?: string;
      readonly text?: string;
      readonly html?: string;
      readonly ampHtml?: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
      readonly attachments: readonly Attachment[];
    };

export interface SubmissionOptions {
  readonly tags: readonly string[];
  /** v: variables; values are JSON values. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly dkim?: boolean;
  /** "signing_domain/selector" */
  readonly secondaryDkim?: string;
  readonly secondaryDkimPublic?: string;
  /** Epoch milliseconds. */
  readonly deliverAtMs?: number;
  readonly deliverWithinMs?: number;
  readonly optimizePeriodMs?: number;
  /** "HH:mm", 24 hours. */
  readonly timeZoneLocalize?: string;
  readonly testMode: boolean;
  readonly tracking?: Toggle;
  readonly trackingClicks?: Toggle;
  readonly trackingOpens?: Toggle;
  readonly trackingPixelTop?: Toggle;
  /** Ours: whether the footers and header fields to unsubscribe are for it. */
  readonly trackingUnsubscribe?: Toggle;
  readonly requireTls?: boolean;
  readonly skipVerification?: boolean;
  readonly sendingIp?: string;
  readonly sendingIpPool?: string;
  readonly archiveTo?: string;
  /** Names of X-Mailgun-* headers not to add, or ['all']. */
  readonly suppressHeaders?: readonly string[];
  readonly template?: {
    readonly name: string;
    readonly version?: string;
    readonly variables: Readonly<Record<string, unknown>>;
    /** t:text=yes: derive text/plain from the rendered HTML. */
    readonly text: boolean;
  };
}

export interface Origin {
  /** Client's IP address, without port. */
  readonly address: string;
  /** "TLSv1.3 TLS_AES_256_GCM_SHA384"; absent: plaintext. */
  readonly tls?: string;
  /** HELO/EHLO name or User-Agent, as the client said it. */
  readonly helo?: string;
}

export interface Submission {
  readonly method: Method;
  /** The domain it is submitted through: of the URL, or of the SMTP login. Lower case, A-labels. */
  readonly domain: string;
  readonly envelope: Envelope;
  readonly content: Content;
  readonly options: SubmissionOptions;
  readonly origin: Origin;
  /** recipient-variables were given: one individual message per `to` recipient. */
  readonly batch: boolean;
  readonly idempotency?: { readonly key: string; readonly fingerprint: string };
}

export interface SubmitResult {
  /** Message-ID without angle brackets. */
  readonly messageId: string;
  /** The store's id, for our own API. */
  readonly id: number;
  readonly recipientCount: number;
  /** True when an Idempotency-Key matched: nothing new was queued (P12). */
  readonly repeated: boolean;
}

/** Doors call this and nothing else to bring mail in. Throws `AppError`. Resolves only when the message is durable (P1). */
export type Submit = (principal: Principal, submission: Submission) => Promise<SubmitResult>;
