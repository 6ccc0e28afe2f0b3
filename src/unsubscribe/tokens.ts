/**
 * What addresses to unsubscribe at carry: who, and from what. Of a page the token is sealed (`base/signed-token`): it holds the address itself, readable by nobody else, because mail is
 * read, and must be unsubscribed from, long after everything else of it is gone here. Of a mail address it holds the recipient's number only: a local part has 64 octets
 * (RFC 5321 §4.5.3.1.1).
 *
 * Payload of a page: recipient, domain (seven bits to an octet, the lowest first) · scope · address, NUL, tags or list, each ended by NUL. Of a mail address: scope · recipient.
 */
import type { SignedTokens } from '#base/signed-token.ts';

/** From what: everything of the domain, what has one of the tags, what comes by the mailing list. */
export type Scope =
  | { readonly kind: 'all' }
  | { readonly kind: 'tags'; readonly tags: readonly string[] }
  | { readonly kind: 'list'; readonly list: string };

export interface Subscription {
  readonly recipient: number;
  readonly domainId: number;
  readonly address: string;
  readonly scope: Scope;
}

export interface MailSubscription {
  readonly recipient: number;
  readonly scope: Scope['kind'];
}

export interface UnsubscribeTokens {
  page(subscription: Subscription): string;
  /** undefined: it is none of ours. */
  openPage(token: string): Subscription | undefined;
  /** The part before the @. */
  mailbox(subscription: MailSubscription): string;
  openMailbox(local: string): MailSubscription | undefined;
}

const MAILBOX_PREFIX = 'unsubscribe+';
/** Tags that a token holds, in octets: a URL has its limits. What is beyond is known while the message is. */
const TAGS_MAX = 512;
/** Kinds of tokens under the key for unsubscribing. Never changed: they are in mail that was sent. */
const PAGE = 1;
const MAILBOX = 2;
/** Numbers are in tokens: never changed. */
const SCOPES = ['all', 'tags', 'list'] as const;

export function createUnsubscribeTokens(tokens: SignedTokens): UnsubscribeTokens {
  return {
    page({ recipient, domainId, address, scope }) {
      const texts = [address, ...(scope.kind === 'tags' ? fitting(scope.tags) : scope.kind === 'list' ? [scope.list] : [])];
      const head = [...numberOctets(recipient), ...numberOctets(domainId), SCOPES.indexOf(scope.kind)];
      return tokens.signSealed(PAGE, Buffer.concat([Buffer.from(head), ...texts.map((text) => Buffer.from(`${text}\0`))]));
    },
    openPage(token) {
      const payload = tokens.openSealed(PAGE, token);
      return payload === undefined ? undefined : readPage(payload);
    },
    mailbox: ({ recipient, scope }) =>
      MAILBOX_PREFIX + tokens.signBase32(MAILBOX, Buffer.from([SCOPES.indexOf(scope), ...numberOctets(recipient)])),
    openMailbox(local) {
      if (!isMailbox(local)) return undefined;
      const payload = tokens.openBase32(MAILBOX, local.slice(MAILBOX_PREFIX.length));
      if (payload === undefined) return undefined;
      return { scope: SCOPES[payload[0] as number] as Scope['kind'], recipient: readNumber(payload, 1).value };
    },
  };
}

/** Whether it can be one of ours, whatever the token says. */
export function isMailbox(local: string): boolean {
  return local.slice(0, MAILBOX_PREFIX.length).toLowerCase() === MAILBOX_PREFIX;
}

function readPage(payload: Buffer): Subscription {
  const recipient = readNumber(payload, 0);
  const domain = readNumber(payload, recipient.end);
  const [address = '', ...texts] = payload
    .toString('utf8', domain.end + 1)
    .split('\0')
    .slice(0, -1);
  const kind = SCOPES[payload[domain.end] as number] as Scope['kind'];
  const scope: Scope = kind === 'tags' ? { kind, tags: texts } : kind === 'list' ? { kind, list: texts[0] ?? '' } : { kind };
  return { recipient: recipient.value, domainId: domain.value, address, scope };
}

function fitting(tags: readonly string[]): readonly string[] {
  let room = TAGS_MAX;
  return tags.filter((tag) => (room -= Buffer.byteLength(tag) + 1) >= 0);
}

function numberOctets(value: number): number[] {
  const octets: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) octets.push((rest % 0x80) | 0x80);
  return [...octets, rest];
}

function readNumber(octets: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let at = from;
  let octet: number;
  do {
    octet = octets[at] as number;
    value += (octet & 0x7f) * 0x80 ** (at - from);
    at++;
  } while (octet > 0x7f);
  return { value, end: at };
}
