/**
 * Signs of mail that goes round in circles: too many hops, and a recipient that the message was delivered to before (Delivered-To, which whoever sends mail on
 * writes with the address that it came for). And of mail that a program wrote, which no program may answer (RFC 3834 §2).
 */
import { headerValue, rawValue } from '#mail/header.ts';
import type { Header } from '#mail/header.ts';

/**
 * How often a message may have been sent on. Rules that send each message on to two addresses, which match again, double it at every step: no address comes twice,
 * and hops alone would end it when it is a million messages. Mail is seldom sent on more than three times.
 */
export const DELIVERIES_MAX = 10;

export function hopsOf(header: Header): number {
  return header.fields.reduce((count, { name }) => (name === 'received' ? count + 1 : count), 0);
}

/** Addresses that it was delivered to before, in lower case: each field's, and of no more fields than make a loop. */
export function deliveredTo(header: Header): readonly string[] {
  const fields = header.fields.filter(({ name }) => name === 'delivered-to').slice(0, DELIVERIES_MAX + 1);
  return fields.map((field) => rawValue(header, field).replace(/^<|>$/g, '').toLowerCase());
}

export function isAutomatic(header: Header, sender: string): boolean {
  if (sender === '' || /^(?:mailer-daemon|owner-|postmaster@)|-(?:request|bounces?|owner)@/i.test(sender)) return true;
  const submitted = headerValue(header, 'auto-submitted');
  if (submitted !== undefined && !/^no\b/i.test(submitted)) return true;
  if (/^(?:bulk|list|junk|auto_reply)\b/i.test(headerValue(header, 'precedence') ?? '')) return true;
  return header.fields.some(({ name }) => AUTOMATIC_FIELDS.has(name));
}

/** Mailing lists, and marks that programs put on what they write. */
const AUTOMATIC_FIELDS: ReadonlySet<string> = new Set([
  'list-id',
  'list-unsubscribe',
  'list-post',
  'x-autoreply',
  'x-autorespond',
  'x-auto-response-suppress',
  'feedback-id',
]);
