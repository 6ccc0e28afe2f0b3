/**
 * Signs of mail that goes round in circles: too many hops, and a recipient that the message was delivered to before (Delivered-To, which whoever sends mail on
 * writes with the address that it came for). And of mail that a program wrote, which no program may answer (RFC 3834 §2).
 */
import { headerValue, rawValue } from '#mail/header.ts';
import type { Header } from '#mail/header.ts';

/** Delivered-To fields that are looked at. */
const DELIVERIES_MAX = 100;

export function hopsOf(header: Header): number {
  return header.fields.reduce((count, { name }) => (name === 'received' ? count + 1 : count), 0);
}

/** Addresses that it was delivered to before, in lower case. */
export function deliveredTo(header: Header): ReadonlySet<string> {
  const found = new Set<string>();
  for (const field of header.fields) {
    if (field.name !== 'delivered-to' || found.size >= DELIVERIES_MAX) continue;
    found.add(rawValue(header, field).replace(/^<|>$/g, '').toLowerCase());
  }
  return found;
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
