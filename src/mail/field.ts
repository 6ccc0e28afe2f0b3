/** One complete header field from a name and a text: encoded as its kind demands, folded, never longer or more than one field. */
import { formatMailbox, parseAddressList } from './address.ts';
import { encodeHeaderValue, foldHeader } from './header.ts';

/** Fields whose value is a list of mailboxes, lower case. */
export const ADDRESS_FIELDS: ReadonlySet<string> = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'resent-from',
  'resent-sender',
  'resent-to',
  'resent-cc',
  'disposition-notification-to',
  'errors-to',
  'return-receipt-to',
]);

const MAILBOXES_MAX = 10_000;
const NON_ASCII = /[^\0-\x7f]/;

/** "Name: value" with CRLF. Beyond ASCII: encoded words, except UTF-8 local parts (RFC 6532) and URLs (percent-encoded). */
export function writeField(name: string, value: string): string {
  if (!NON_ASCII.test(value))
    return foldHeader(name, value.length > 900 && !ADDRESS_FIELDS.has(name.toLowerCase()) ? encodeLong(name, value) : value);
  const lower = name.toLowerCase();
  if (ADDRESS_FIELDS.has(lower)) return foldHeader(name, encodeAddresses(value) ?? encodeHeaderValue(value));
  if (isUrlField(lower)) return foldHeader(name, encodeURI(value.toWellFormed()).replace(/%3C|%3E|%20|%25/g, decodeURIComponent));
  return foldHeader(name, encodeHeaderValue(value));
}

function encodeLong(name: string, value: string): string {
  return isUrlField(name.toLowerCase()) ? value : encodeHeaderValue(value);
}

function isUrlField(lower: string): boolean {
  return lower.startsWith('list-') && lower !== 'list-id';
}

/** A list of mailboxes with names beyond ASCII encoded and domains as A-labels; undefined when it is no such list. */
function encodeAddresses(value: string): string | undefined {
  const mailboxes = parseAddressList(value, MAILBOXES_MAX);
  if (mailboxes === undefined || mailboxes.length === 0 || mailboxes.length > MAILBOXES_MAX) return undefined;
  return mailboxes.map((mailbox) => formatMailbox(mailbox.name, mailbox.address)).join(', ');
}
