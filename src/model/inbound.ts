/**
 * Mail that comes in from servers of others: what the listener hands to who takes it, and how takers are asked.
 *
 * A taker is found for each recipient at RCPT, by asking the handlers in their order; the first that knows the address answers for it. One transaction has one
 * taker: recipients with the same `together` are handed over in one call, so that one commit decides about the message and the reply
 * never says of some what is true only of others. A recipient that belongs to another taker gets 452 and comes in the client's next
 * transaction (RFC 5321 §4.5.3.1.10).
 */
import type { Buffer } from 'node:buffer';
import type { Header } from '#mail/header.ts';
import type { Envelope } from './submission.ts';

/** What an SMTP client is told. */
export interface InboundRefusal {
  readonly code: number;
  /** RFC 3463: "5.1.1". */
  readonly enhanced: string;
  readonly text: string;
}

/** An address at RCPT, parsed; what is not an address of a domain (or of an address literal) has been refused. */
export interface InboundRcpt {
  /** As given, with the domain in lower case and A-labels. */
  readonly address: string;
  readonly local: string;
  readonly domain: string;
  /** The reverse-path; '' for the null sender. */
  readonly sender: string;
  /** Where the client connects from. */
  readonly clientAddress: string;
}

export type SpfResult = 'none' | 'neutral' | 'pass' | 'fail' | 'softfail' | 'temperror' | 'permerror';
export type DkimResult = 'none' | 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror';
export type DmarcResult = 'none' | 'pass' | 'fail' | 'temperror' | 'permerror';
export type ArcResult = 'none' | 'pass' | 'fail' | 'temperror';

export interface DkimCheck {
  readonly result: DkimResult;
  /** d= of the signature, lower case. */
  readonly domain: string;
  readonly selector: string;
}

/** What was found out about who sent it. A check that could not be made in its time, or at all, says temperror. */
export interface Authentication {
  readonly spf: { readonly result: SpfResult; readonly domain: string };
  /** One for each signature that was looked at; empty: not signed. */
  readonly dkim: readonly DkimCheck[];
  /** `domain`: of From. `policy`: what its owner asks for; absent: nothing is published. */
  readonly dmarc: { readonly result: DmarcResult; readonly domain: string; readonly policy?: 'none' | 'quarantine' | 'reject' };
  /** `instance`: the highest of the chain. */
  readonly arc: { readonly result: ArcResult; readonly instance?: number };
  /** The value of the Authentication-Results field that was added, unfolded, with our authserv-id: for sealing. */
  readonly results: string;
}

/** What a spam filter said. */
export interface SpamCheck {
  readonly isSpam: boolean;
  readonly score: number;
  readonly rules: readonly string[];
}

export interface InboundMail {
  /** Recipients of the envelope are those below, as objects. */
  readonly envelope: Envelope;
  /** All that this taker takes with this message: at least one. */
  readonly recipients: readonly InboundRcpt[];
  /** The first of them. */
  readonly recipient: InboundRcpt;
  /** As it is to be kept: with Return-Path, Received, Authentication-Results and the other fields that were added; it fills an ArrayBuffer of its own. */
  readonly bytes: Buffer;
  /** Of `bytes`. */
  readonly header: Header;
  readonly client: {
    readonly address: string;
    /** Printable and bounded, as the client said it. */
    readonly helo?: string;
    readonly tls?: string;
  };
  readonly receivedMs: number;
  readonly authentication: Authentication;
  /** Absent: no filter is set, or it did not answer. */
  readonly spam?: SpamCheck;
  /** RFC 3834: it was made by a program (or says nothing of its sender): nothing may answer it automatically. */
  readonly isAutomatic: boolean;
}

/** Who answers for a recipient. With `refusal` it is known and not wanted; otherwise `take` is there. */
export interface Addressee {
  /** For logs and counts: 'routes', 'return-path', … */
  readonly kind: string;
  readonly refusal?: InboundRefusal;
  /** Recipients of one transaction with the same value are handed to one `take`. Absent: this one comes alone. */
  readonly together?: string;
  /** Resolves when the message is safe (P1); only then is 250 said. An `AppError` becomes the reply, whatever else is thrown 451. */
  take?(mail: InboundMail): Promise<void>;
}

export interface AddresseeHandler {
  readonly name: string;
  /** Undefined: not an address of this handler. It answers soon: the client waits for its RCPT. */
  accepts(rcpt: InboundRcpt): Promise<Addressee | undefined>;
}
