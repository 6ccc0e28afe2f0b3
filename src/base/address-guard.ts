/**
 * Which addresses may be connected to where a stranger names them. Whoever controls a domain's DNS, or writes a URL, chooses the address we connect to, so
 * everything that is not a public unicast address is refused (loopback, private, link-local with the metadata services, multicast,
 * unspecified, documentation, and IPv6 forms that carry such an IPv4 address) unless the operator allows its network. Our own
 * listeners are told apart, as mail for them would be a loop.
 */
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

export interface Listener {
  /** "0.0.0.0" and "::" stand for every address of this machine. */
  readonly address: string;
  readonly port: number;
}

export interface AddressGuardOptions {
  /** CIDRs, or single addresses. */
  readonly allowNetworks: readonly string[];
  readonly ownListeners: readonly Listener[];
  /** Addresses of this machine's interfaces; asked for once. */
  readonly localAddresses?: readonly string[];
}

export interface AddressGuard {
  /** What kind of address it is that is not connected to ("loopback"); undefined: it may be. */
  refusal(address: string): string | undefined;
  /** One of our own listeners. */
  isOwn(address: string, port: number): boolean;
}

const KINDS: Readonly<Record<string, string>> = {
  loopback: 'loopback',
  private: 'private',
  uniqueLocal: 'private',
  carrierGradeNat: 'private (carrier-grade NAT)',
  linkLocal: 'link-local',
  multicast: 'multicast',
  broadcast: 'broadcast',
  unspecified: 'unspecified',
};
/** Public by number, but a cloud's metadata service. */
const METADATA = new Set(['168.63.129.16']);
/** NAT64 (RFC 6052): as good as the IPv4 address inside. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
/** IPv4-compatible (RFC 4291 §2.5.5.1), which some systems still send to the IPv4 address inside. */
const COMPATIBLE = ipaddr.IPv6.parseCIDR('::/96');

export function createAddressGuard(options: AddressGuardOptions): AddressGuard {
  const allowed = options.allowNetworks.map(network);
  const local = new Set((options.localAddresses ?? systemAddresses()).map(canonical));
  const own = options.ownListeners.map(({ address, port }) => ({ address: canonical(address), port }));
  return {
    refusal(text) {
      const address = parse(text);
      if (address === undefined) return 'malformed';
      const kind = kindOf(address);
      return kind === undefined || allowed.some((network) => contains(network, address)) ? undefined : kind;
    },
    isOwn(text, port) {
      const address = canonical(text);
      return own.some((listener) => {
        if (listener.port !== port) return false;
        const isWildcard = listener.address === '0.0.0.0' || listener.address === '::';
        return isWildcard ? local.has(address) || isLoopback(address) : listener.address === address;
      });
    },
  };
}

/** Throws for what is none. */
function network(text: string): [Address, number] {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/** IPv4-mapped addresses become the IPv4 address that they are. */
function parse(text: string): Address | undefined {
  if (text.includes('%') || !ipaddr.isValid(text)) return undefined;
  return ipaddr.process(text);
}

function kindOf(address: Address): string | undefined {
  if (METADATA.has(address.toString())) return 'metadata service';
  const range = address.range();
  if (address instanceof ipaddr.IPv6) {
    if (range === 'loopback' || range === 'unspecified') return KINDS[range];
    if (address.match(NAT64) || address.match(COMPATIBLE)) return kindOf(embedded(address));
  }
  return range === 'unicast' ? undefined : (KINDS[range] ?? `special-purpose (${range})`);
}

function embedded(address: ipaddr.IPv6): ipaddr.IPv4 {
  return new ipaddr.IPv4(address.toByteArray().slice(12));
}

function contains(network: [Address, number], address: Address): boolean {
  return network[0].kind() === address.kind() && address.match(network);
}

function canonical(text: string): string {
  return parse(text)?.toString() ?? text;
}

function isLoopback(address: string): boolean {
  return parse(address)?.range() === 'loopback';
}

function systemAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address.replace(/%.*$/, '')));
}
