/**
 * PROXY protocol, versions 1 (a text line) and 2 (binary): what a load balancer says before the client's first octet, so that we know who is calling.
 * Read only from addresses that the operator named, because whoever may write this header may pretend to be any client.
 * A header that is not exactly right ends the connection: there is no sensible guess.
 */
import type { Buffer } from 'node:buffer';
import { isIPv4, isIPv6 } from 'node:net';

export interface ProxiedClient {
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  | { readonly kind: 'more' }
  | { readonly kind: 'malformed' }
  /** `client` is absent when the proxy speaks for itself (health checks: UNKNOWN, LOCAL). */
  | { readonly kind: 'read'; readonly lengthBytes: number; readonly client?: ProxiedClient };

const V1_MAX = 107;
/** Header and the extra fields (TLVs) that a proxy may add. The protocol allows 65535; none that we know sends more than a few hundred. */
const V2_EXTRA_MAX = 4096;
const V2_START = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const V1_START = [...'PROXY '].map((char) => char.charCodeAt(0));

const MORE: ProxyHeader = { kind: 'more' };
const MALFORMED: ProxyHeader = { kind: 'malformed' };

/** Reads the header at the start of `input`, which may have more or less than it. */
export function readProxyHeader(input: Buffer): ProxyHeader {
  if (input.length === 0) return MORE;
  if (startsLike(input, V2_START)) return input.length < 16 ? MORE : readVersion2(input);
  if (startsLike(input, V1_START)) return readVersion1(input);
  return MALFORMED;
}

function readVersion1(input: Buffer): ProxyHeader {
  const end = input.indexOf(0x0a);
  if (end === -1) return input.length < V1_MAX ? MORE : MALFORMED;
  if (end >= V1_MAX || input[end - 1] !== 0x0d) return MALFORMED;
  const words = input.toString('latin1', 0, end - 1).split(' ');
  const lengthBytes = end + 1;
  if (words[1] === 'UNKNOWN') return { kind: 'read', lengthBytes };
  const [, family, source, destination, sourcePort, destinationPort] = words;
  if (words.length !== 6 || source === undefined || destination === undefined) return MALFORMED;
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined;
  const port = readPort(sourcePort);
  if (isAddress === undefined || !isAddress(source) || !isAddress(destination)) return MALFORMED;
  if (port === undefined || readPort(destinationPort) === undefined) return MALFORMED;
  return { kind: 'read', lengthBytes, client: { address: source.toLowerCase(), port } };
}

function readVersion2(input: Buffer): ProxyHeader {
  const command = input[12] as number;
  const family = input[13] as number;
  const payload = input.readUInt16BE(14);
  const lengthBytes = 16 + payload;
  if (command >> 4 !== 2 || payload > V2_EXTRA_MAX) return MALFORMED;
  if (input.length < lengthBytes) return MORE;
  // LOCAL: the proxy itself, whatever addresses it wrote.
  if ((command & 0x0f) === 0) return { kind: 'read', lengthBytes };
  if ((command & 0x0f) !== 1) return MALFORMED;
  if (family === 0x11) {
    if (payload < 12) return MALFORMED;
    const address = input.subarray(16, 20).join('.');
    return { kind: 'read', lengthBytes, client: { address, port: input.readUInt16BE(24) } };
  }
  if (family === 0x21) {
    if (payload < 36) return MALFORMED;
    return { kind: 'read', lengthBytes, client: { address: ipv6Text(input.subarray(16, 32)), port: input.readUInt16BE(48) } };
  }
  // Unix sockets, UDP and the like: no client of ours can come by them.
  return family === 0 ? { kind: 'read', lengthBytes } : MALFORMED;
}

function startsLike(input: Buffer, start: readonly number[]): boolean {
  const length = Math.min(input.length, start.length);
  for (let i = 0; i < length; i++) if (input[i] !== start[i]) return false;
  return true;
}

function readPort(word: string | undefined): number | undefined {
  if (word === undefined || !/^(0|[1-9]\d{0,4})$/.test(word)) return undefined;
  const port = Number(word);
  return port <= 65_535 ? port : undefined;
}

/** RFC 5952: lower case, no leading zeros, the longest run of zero groups (two or more, the first of equals) as "::". */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === '0') length++;
    if (length > best.length) best = { at, length };
  }
  if (best.at === -1) return groups.join(':');
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`;
}
