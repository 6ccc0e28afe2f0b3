/** The addresses that mail may leave from, and the account's pools of them. */
import ipaddr from 'ipaddr.js';
import type { EgressSource } from '#model/egress.ts';
import { badParameter } from '#model/errors.ts';
import type { IpPool } from '#store/domain-store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { NotFound } from './errors.ts';

export type Address = EgressSource & { readonly address: string };

/** Sources without an address leave the choice to the system: they have nothing to be named by. */
export function addressesOf(door: Door): readonly Address[] {
  return (door.deps.egress ?? []).flatMap((source) => (source.address === undefined ? [] : [{ ...source, address: source.address }]));
}

/** One spelling of each address. */
function spelt(text: string): string | undefined {
  return ipaddr.isValid(text) ? ipaddr.parse(text).toString() : undefined;
}

export function addressOf(door: Door, text: string): Address | undefined {
  const wanted = spelt(text);
  return wanted === undefined ? undefined : addressesOf(door).find(({ address }) => spelt(address) === wanted);
}

/** As the configuration spells them; throws when one is not there. */
export function assignedAddresses(door: Door, texts: readonly string[]): string[] {
  return texts.map((text) => {
    const found = addressOf(door, text);
    if (found === undefined) throw badParameter(`IP address ${text.slice(0, 50)} is not assigned to the account`);
    return found.address;
  });
}

/** Of the account, or lent to it. */
export async function poolOfAccount(door: Door, { principal }: Call, id: string): Promise<IpPool> {
  const { domains } = door.deps.store;
  const pool = id.length > 100 ? undefined : await domains.poolById(id);
  if (pool !== undefined && pool.accountId === principal.accountId) return pool;
  const lent = await domains.poolLentTo(principal.accountId);
  if (pool !== undefined && lent?.id === pool.id) return pool;
  throw new NotFound('IP pool not found');
}
