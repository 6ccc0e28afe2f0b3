/** Is an address in one of these networks? IPv4 addresses mapped into IPv6 count as IPv4. */
import ipaddr from 'ipaddr.js';

export function createNetworkTest(networks: readonly string[]): (address: string) => boolean {
  const ranges = networks.map((network) => (network.includes('/') ? ipaddr.parseCIDR(network) : hostRange(network)));
  return (address) => {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits));
  };
}

function hostRange(address: string): ReturnType<typeof ipaddr.parseCIDR> {
  const parsed = ipaddr.parse(address);
  return [parsed, parsed.kind() === 'ipv4' ? 32 : 128];
}

/** IPv4 as itself even on a socket that listens on both families, which tells it as "::ffff:192.0.2.1". */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}

const LOOPBACK = createNetworkTest(['127.0.0.0/8', '::1/128']);

export function isLoopback(address: string): boolean {
  return LOOPBACK(address);
}

/** "192.0.2.0/24" of "192.0.2.77/24": one spelling for each network; one address stands for itself. undefined: it is none. */
export function canonicalNetwork(text: string): string | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  if (rest.length > 0 || !isWritten(address)) return undefined;
  const parsed = ipaddr.process(address);
  const longest = parsed.kind() === 'ipv4' ? 32 : 128;
  if (bits === undefined) return parsed.toString();
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > longest) return undefined;
  if (Number(bits) === longest) return parsed.toString();
  const first =
    parsed.kind() === 'ipv4'
      ? ipaddr.IPv4.networkAddressFromCIDR(`${parsed.toString()}/${bits}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/${bits}`);
  return `${first.toString()}/${bits}`;
}

/** As people write addresses: "10.1" and "0x7f000001" are left to other programs, and a zone names no network. */
function isWritten(address: string): boolean {
  return address.includes(':') ? !address.includes('%') && ipaddr.IPv6.isValid(address) : ipaddr.IPv4.isValidFourPartDecimal(address);
}
