/**
 * Whose mail came back, as far as that is proven. A token of ours proves the recipient, or the message; what the report itself says only picks among the recipients of a message whose
 * token it brings, and is then no proof that it is about this one: every recipient of that message could have written it.
 */
import { findField, type Header, rawValue } from '#mail/header.ts';
import type { ReportedRecipient } from '#mail/status-report.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { EventStore } from '#store/store.ts';
import type { About, ReturnTokens } from './return-token.ts';

export interface Subject {
  readonly message: StoredMessage;
  readonly recipient: StoredRecipient;
  /** The token was of this recipient alone, or the message has no other. */
  readonly isProven: boolean;
}

/** Those that a token stands for. */
export interface Concerned {
  readonly message: StoredMessage;
  readonly recipients: readonly StoredRecipient[];
}

const RECIPIENTS_MAX = 1000;

/** Undefined: nothing is known of it any more. */
export async function concerned(events: Pick<EventStore, 'recipientById' | 'messageById'>, about: About): Promise<Concerned | undefined> {
  if (about.kind === 'message') return events.messageById(undefined, about.id, RECIPIENTS_MAX);
  const found = await events.recipientById(about.id);
  return found === undefined ? undefined : { message: found.message, recipients: [found.recipient] };
}

/** The recipient that is meant by one of the addresses; undefined: there is no telling. */
export function subjectOf({ message, recipients }: Concerned, addresses: readonly (string | undefined)[]): Subject | undefined {
  const [only] = recipients;
  if (recipients.length === 1 && only !== undefined) return { message, recipient: only, isProven: true };
  const wanted = new Set(addresses.flatMap((address) => address?.toLowerCase() ?? []));
  const recipient = recipients.find(({ address }) => wanted.has(address.toLowerCase()));
  return recipient === undefined ? undefined : { message, recipient, isProven: false };
}

/** A server behind may have rewritten the domain; another mailbox, to which mail was sent on, says nothing about this one. */
export function isSameMailbox(recipient: StoredRecipient, { address, original }: Pick<ReportedRecipient, 'address' | 'original'>): boolean {
  if (address === undefined && original === undefined) return true;
  const own = recipient.address.toLowerCase();
  return [address, original].some((each) => {
    const told = each?.toLowerCase();
    return told !== undefined && (told === own || localOf(told) === localOf(own));
  });
}

function localOf(address: string): string {
  const at = address.lastIndexOf('@');
  return at === -1 ? address : address.slice(0, at);
}

/** The recipient that an address to unsubscribe at was made for, a URL or `mailto:`; undefined: it is none of ours. */
export type OpenUnsubscribe = (address: string) => number | undefined;

export interface Proofs {
  readonly tokens: ReturnTokens;
  readonly openUnsubscribe: OpenUnsubscribe;
}

/** What the header of a returned message proves: its own token, the address for complaints, those to unsubscribe at, its return path. A recipient's counts before a message's. */
export function provenBy(header: Header | undefined, mailFrom: string | undefined, { tokens, openUnsubscribe }: Proofs): About | undefined {
  const field = (name: string): string => {
    const found = header === undefined ? undefined : findField(header, name);
    return found === undefined ? '' : rawValue(header as Header, found).slice(0, FIELD_MAX);
  };
  const proven = [
    tokens.openFeedbackToken(field('cfbl-feedback-id').trim()),
    tokens.openComplaintAddress(localOf(addressIn(field('cfbl-address').split(';', 1)[0] as string))),
    tokens.openReturnPath(localOf(addressIn(field('return-path')))),
    tokens.openReturnPath(localOf(addressIn(mailFrom ?? ''))),
  ];
  for (const address of field('list-unsubscribe').split(',', UNSUBSCRIBES_MAX)) {
    const id = openUnsubscribe(addressIn(address));
    if (id !== undefined) proven.push({ kind: 'recipient', id });
  }
  return proven.find((about) => about?.kind === 'recipient') ?? proven.find((about) => about !== undefined);
}

const UNSUBSCRIBES_MAX = 4;

/** Of a field: an address to unsubscribe at may be long. */
const FIELD_MAX = 8192;

function addressIn(value: string): string {
  return value
    .trim()
    .replace(/^<([^<>]*)>.*$/s, '$1')
    .trim();
}
