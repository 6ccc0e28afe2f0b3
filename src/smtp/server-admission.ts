/**
 * How many connections a server has, in all and from each address. One IPv6 site counts as one: a /64 is what a single customer commonly gets.
 * Several listeners may share one admission. Memory is bounded by the connections themselves.
 */
import type { ServerReply } from './server-hooks.ts';
import type { ServerLimits } from './server-limits.ts';

export class Admission {
  readonly #limits: Pick<ServerLimits, 'connections' | 'connectionsPerAddress'>;
  readonly #byAddress = new Map<string, number>();
  #total = 0;

  constructor(limits: Pick<ServerLimits, 'connections' | 'connectionsPerAddress'>) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** Counts a connection in, or says why not. Who was let in calls `leave` once. */
  enter(address: string): ServerReply | undefined {
    if (this.#total >= this.#limits.connections) return { code: 421, enhanced: '4.3.2', text: 'Too many connections; try again later' };
    const site = siteOf(address);
    const count = this.#byAddress.get(site) ?? 0;
    if (count >= this.#limits.connectionsPerAddress) {
      return { code: 421, enhanced: '4.7.0', text: 'Too many connections from your address; try again later' };
    }
    this.#byAddress.set(site, count + 1);
    this.#total++;
    return undefined;
  }

  leave(address: string): void {
    const site = siteOf(address);
    const count = this.#byAddress.get(site) ?? 0;
    if (count <= 1) this.#byAddress.delete(site);
    else this.#byAddress.set(site, count - 1);
    this.#total--;
  }
}

/** IPv4: the address. IPv6: its first four groups, written out. */
export function siteOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const first = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    while (first.length + last.length < 8) first.push('0');
    first.push(...last);
  }
  return `${first.slice(0, 4).join(':')}::/64`;
}
