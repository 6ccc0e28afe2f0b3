/**
 * What a message that leaves says about where word of it comes back to: the reverse-path, and the fields that complaints are matched by (RFC 9477, Feedback-ID). A transaction for one
 * recipient tells whose it is; one for several tells the message. The null reverse-path stays: nothing is ever told about a notification.
 *
 * Costs 15 µs for a transaction, for two signatures.
 */
import { findField, foldHeader, readHeader } from '#mail/header.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { About, ReturnTokens } from './return-token.ts';

export interface ReturningDeps {
  readonly tokens: ReturnTokens;
  /** The domain whose mail we receive and that the notifications of this message go to; undefined: they go to its own sender. */
  returnDomain(message: StoredMessage): Promise<string | undefined>;
  /** Add Feedback-ID. */
  readonly hasFeedbackId: boolean;
  /** Names this installation to mailbox providers, the same for all of its mail: 5 to 15 letters and digits. */
  readonly senderId: string;
}

export interface ReturningFacts {
  readonly mailFrom?: string;
  readonly fields: string;
}

const LABEL_MAX = 40;

export function createReturning(deps: ReturningDeps) {
  return async (message: StoredMessage, recipients: readonly StoredRecipient[], mime: Buffer): Promise<ReturningFacts> => {
    const [first] = recipients;
    if (message.sender === '' || first === undefined) return { fields: '' };
    const domain = await deps.returnDomain(message);
    const alone: About = { kind: 'recipient', id: first.id };
    const whole: About = { kind: 'message', id: message.id };
    // Where the header is each recipient's own it tells whose; any other is signed once for all transactions of the message.
    const inHeader = message.info.batchId === undefined && message.priority !== 0 ? whole : alone;
    return {
      fields: feedbackFields(deps, message, domain, inHeader, mime),
      ...(domain !== undefined && { mailFrom: deps.tokens.returnPath(recipients.length === 1 ? alone : whole, domain) }),
    };
  };
}

function feedbackFields(deps: ReturningDeps, message: StoredMessage, domain: string | undefined, about: About, mime: Buffer): string {
  const withheld = message.info.options.suppressHeaders?.map((name) => name.trim().toLowerCase());
  if (withheld?.includes('all') === true) return '';
  const header = readHeader(mime);
  // What the sender wrote there itself is the sender's.
  const isWanted = (name: string): boolean => withheld?.includes(name) !== true && findField(header, name) === undefined;
  let fields = '';
  if (deps.hasFeedbackId && isWanted('feedback-id')) fields += foldHeader('Feedback-ID', feedbackId(message, deps.senderId));
  if (domain === undefined) return fields;
  const token = deps.tokens.feedbackToken(about);
  // RFC 9477 §3.1.1: the address is believed where it is of the author's domain or below it.
  if (isWithin(domain, message.domain) && isWanted('cfbl-address'))
    fields += foldHeader('CFBL-Address', `${deps.tokens.complaintAddress(token, domain)}; report=arf`);
  if (isWanted('cfbl-feedback-id')) fields += foldHeader('CFBL-Feedback-ID', token);
  return fields;
}

function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** Up to three labels that are the same for many messages, then who sends: what is unique to a message is of no use there. */
function feedbackId({ domain, info }: StoredMessage, senderId: string): string {
  const [tag] = info.options.tags;
  const kind = info.mailingList !== undefined ? 'list' : info.batchId !== undefined ? 'batch' : 'single';
  return [...(tag === undefined ? [] : [label(tag)]), domain, kind, senderId].join(':');
}

function label(text: string): string {
  return text.slice(0, LABEL_MAX).replace(/[^A-Za-z0-9._-]/g, '_');
}
