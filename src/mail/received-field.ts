/** A Received field (RFC 5321 §4.4, RFC 3848, RFC 6531 §4.3): who gave the message to whom, how and when. Complete, with CRLFs, in ASCII. */
import { formatDate } from './date.ts';

export interface Hop {
  /** Absent: where it came from is nobody's business. */
  readonly from?: { readonly helo: string | undefined; readonly address: string };
  readonly by: string;
  /** "ESMTPS", "HTTP", … */
  readonly protocol: string;
  readonly id: string;
  /** The one recipient, when there is no other. */
  readonly for?: string;
  readonly atMs: number;
}

/** The client's words in it are reduced to what a host name may hold. */
export function receivedField(hop: Hop): string {
  const recipient = hop.for === undefined || !/^[\x21-\x7e]+$/.test(hop.for) ? '' : ` for <${hop.for}>`;
  const trace = `id ${hop.id}${recipient}; ${formatDate(hop.atMs)}\r\n`;
  if (hop.from === undefined) return `Received: by ${hop.by} with ${hop.protocol}\r\n\t${trace}`;
  const address = hop.from.address.includes(':') ? `IPv6:${hop.from.address}` : hop.from.address;
  const from = `from ${hostWord(hop.from.helo)} ([${address.replace(/[^0-9A-Fa-f:.IPv]/g, '')}])`;
  return `Received: ${from}\r\n\tby ${hop.by} with ${hop.protocol}\r\n\t${trace}`;
}

function hostWord(helo: string | undefined): string {
  const word = (helo ?? '').replace(/[^A-Za-z0-9.:_[\]-]/g, '').slice(0, 255);
  return word === '' ? 'unknown' : word;
}
