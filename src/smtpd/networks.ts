/** Networks as operators write them ("10.0.0.0/8", "::1", "fd00::/8") and whether an address is in them. A network that cannot be read is the caller's bug: settings are checked before. */
import { BlockList, isIP } from 'node:net';

export class Networks {
  readonly #list = new BlockList();

  constructor(cidrs: readonly string[]) {
    for (const cidr of cidrs) {
      const [address = '', bits] = cidr.split('/');
      const version = isIP(address);
      if (version === 0) throw new Error(`not a network: ${cidr}`);
      const family = version === 6 ? 'ipv6' : 'ipv4';
      if (bits === undefined) this.#list.addAddress(address, family);
      else this.#list.addSubnet(address, Number(bits), family);
    }
  }

  has(address: string): boolean {
    const version = isIP(address);
    return version !== 0 && this.#list.check(address, version === 6 ? 'ipv6' : 'ipv4');
  }
}

const LOOPBACK = new Networks(['127.0.0.0/8', '::1']);

export function isLoopback(address: string): boolean {
  return LOOPBACK.has(address);
}
