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

const LOOPBACK = createNetworkTest(['127.0.0.0/8', '::1/128']);

export function isLoopback(address: string): boolean {
  return LOOPBACK(address);
}
