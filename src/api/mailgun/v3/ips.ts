/** /v3/ips: the addresses that mail leaves from, and which domains use them. They are the sources of the configuration that have an address; every account may use them. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { type Address, addressesOf, addressOf } from '#api/conventions/egress.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { pageBySkip } from '#api/conventions/skip-limit.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { ipChange, ipDetails, ipDetailsList, ipDomains, ipDomainsQuery, ipList, ipListQuery } from '#api/shapes/ips.ts';
import { publicId } from '#accounts/public-id.ts';
import { badParameter } from '#model/errors.ts';
import type { Domain } from '#store/store.ts';

export function ips(door: Door): Endpoint[] {
  const url = '/v3/ips';
  const one = `${url}/:ip`;
  return [
    {
      method: 'GET',
      url,
      summary: 'Addresses that mail leaves from',
      right: 'read',
      query: ipListQuery,
      answer: ipList,
      handle: (call) => list(door, call),
    },
    {
      method: 'GET',
      url: `${url}/details/all`,
      summary: 'The same with what each is',
      right: 'read',
      answer: ipDetailsList,
      handle: (call) => details(door, call),
    },
    { method: 'GET', url: one, summary: 'One address', right: 'read', answer: ipDetails, handle: (call) => json(shown(known(door, call))) },
    {
      method: 'GET',
      url: `${one}/domains`,
      summary: 'Domains whose mail leaves from an address',
      right: 'read',
      query: ipDomainsQuery,
      answer: ipDomains,
      handle: (call) => domainsOf(door, call),
    },
    {
      method: 'POST',
      url: `${one}/domains`,
      summary: 'Use an address for all domains',
      right: 'write',
      answer: ipChange,
      handle: (call) => assign(door, call),
    },
    {
      method: 'DELETE',
      url: `${one}/domains`,
      summary: 'Use an address for no domain',
      right: 'write',
      answer: ipChange,
      handle: (call) => remove(door, call),
    },
  ];
}

function known(door: Door, call: Call): Address {
  const address = addressOf(door, call.param('ip'));
  if (address === undefined) throw new NotFound('IP address not found');
  return address;
}

async function list(door: Door, call: Call): Promise<Answer> {
  // All are in use, and all are dedicated: `dedicated` asks for these alone, or for all.
  const fields = fieldsOf(call);
  flagOf(fields, 'dedicated');
  const items = flagOf(fields, 'enabled') === false ? [] : addressesOf(door).map(({ address }) => address);
  const warming = new Set((await door.deps.store.egress.listWarmUps()).map(({ address }) => address));
  const each = items.map((ip) => ({ ip, is_on_warmup: warming.has(ip) }));
  return json({ items, total_count: items.length, assignable_to_pools: items, details: each });
}

async function details(door: Door, call: Call): Promise<Answer> {
  const { accountId } = call.principal;
  const pools = await door.deps.store.domains.listPools(accountId);
  const items = addressesOf(door).map((one) => ({
    ...shown(one),
    address: one.address,
    account_id: publicId(accountId),
    pool_ids: pools.filter(({ ips }) => ips.includes(one.address)).map(({ id }) => id),
  }));
  return json({ items, total_count: items.length });
}

function shown({ address, ehlo }: Address): Json {
  return { ip: address, dedicated: true, rdns: ehlo };
}

async function domainsOf(door: Door, call: Call): Promise<Answer> {
  const { address } = known(door, call);
  const fields = fieldsOf(call);
  const search = fields.get('search')?.toLowerCase() ?? '';
  const all = (await domainsWith(door, call, address)).filter(({ name }) => name.includes(search));
  const items = pageBySkip(fields, all).map((domain) => ({ domain: domain.name, ips: domain.settings?.ips ?? [] }));
  return json({ items, total_count: all.length, assignable_to_pools: [address] });
}

async function domainsWith(door: Door, call: Call, address: string): Promise<Domain[]> {
  const all = await door.deps.store.accounts.listDomains(call.principal.accountId);
  return all.filter(({ settings }) => settings?.ips?.includes(address));
}

async function assign(door: Door, call: Call): Promise<Answer> {
  const { address } = known(door, call);
  for (const domain of await door.deps.store.accounts.listDomains(call.principal.accountId)) {
    const ips = domain.settings?.ips ?? [];
    if (!ips.includes(address)) await door.deps.accounts.changeDomain(domain, { settings: { ips: [...ips, address] } });
  }
  return json({ message: 'success', reference_id: address });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const { address } = known(door, call);
  const wanted = fieldsOf(call).get('alternative');
  const alternative = wanted === undefined ? undefined : addressOf(door, wanted)?.address;
  if (wanted !== undefined && alternative === undefined) throw badParameter("'alternative' parameter is not an IP address of the account");
  for (const domain of await domainsWith(door, call, address)) {
    const left = (domain.settings?.ips ?? []).filter((ip) => ip !== address && ip !== alternative);
    await door.deps.accounts.changeDomain(domain, { settings: { ips: alternative === undefined ? left : [...left, alternative] } });
  }
  return json({ message: 'success', reference_id: address });
}
