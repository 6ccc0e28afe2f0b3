/**
 * Domain names as addresses use them: one spelling for each (lower case, A-labels), or refused. Address literals live here too.
 */
import { domainToASCII } from 'node:url';
import ipaddr from 'ipaddr.js';

/** RFC 5321 §4.5.3.1.2 */
const DOMAIN_MAX = 255;
const LABELS_MAX = 100;

const LDH_DOMAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** A last label like this is an IPv4 address to some resolvers, and no top-level domain (RFC 3696 §2). */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
/** Beyond ASCII, refused before mapping: full stops that mapping would turn into label ends, and what cannot be seen except the two joiners. */
const HIDDEN_OR_DOT = /[\u3002\uff0e\uff61\u2024\p{Z}\p{Cc}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/u;

/** The one spelling of a domain, or undefined when it is none. IPv4 addresses without brackets are none. */
export function normalizeDomain(text: string): string | undefined {
  if (text.length === 0 || text.length > DOMAIN_MAX) return undefined;
  const lower = text.toLowerCase();
  if (LDH_DOMAIN.test(lower)) return ENDS_IN_NUMBER.test(lower) ? undefined : lower;
  if (Buffer.byteLength(text) === text.length || HIDDEN_OR_DOT.test(text)) return undefined;
  // The URL parser decodes %41 and cuts at "/" or "?"; with only LDH among the ASCII characters it has nothing to interpret.
  if (/[^a-zA-Z0-9.\u0080-\uffff-]/.test(text)) return undefined;
  const ascii = domainToASCII(text);
  return ascii.length <= DOMAIN_MAX && LDH_DOMAIN.test(ascii) && !ENDS_IN_NUMBER.test(ascii) ? ascii : undefined;
}

/** Labels that stand before a domain's name, as a DKIM selector does: lower case, as written in DNS. */
export function isLabels(text: string): boolean {
  return text.length <= LABELS_MAX && LDH_DOMAIN.test(text);
}

/** "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3) in one spelling, lower case; undefined when malformed. */
export function normalizeLiteral(text: string): string | undefined {
  if (text.length > 64 || !text.startsWith('[') || !text.endsWith(']')) return undefined;
  const inside = text.slice(1, -1);
  if (/^ipv6:/i.test(inside)) {
    const address = inside.slice(5);
    return /^[0-9a-f:.]+$/i.test(address) && ipaddr.IPv6.isValid(address) ? `[ipv6:${ipaddr.IPv6.parse(address).toString()}]` : undefined;
  }
  return ipaddr.IPv4.isValidFourPartDecimal(inside) ? `[${inside}]` : undefined;
}
