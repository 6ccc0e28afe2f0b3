/** /v3/domains/{domain}/ips, for one client under /v4 too: the addresses that a domain's mail leaves from, one by one or as a pool. Without any it leaves from those of the default pool. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { addressesOf, addressOf, assignedAddresses, poolOfAccount } from '#api/conventions/egress.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, requiredField } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { domainIpForm, domainIps as domainIpsShape, domainPoolQuery, ipDetails } from '#api/shapes/ips.ts';
import { badParameter } from '#model/errors.ts';
import { DYNAMIC_POOL } from '#store/egress-store.ts';
import type { Domain } from '#store/store.ts';

export function domainIps(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain';
  return [
    ...[url, '/v4/domains/:domain'].flatMap((domain) => assigned(door, `${domain}/ips`)),
    {
      method: 'POST',
      url: `${url}/pool/:ip`,
      summary: 'Give a domain an address, all of them (all) or a pool (its id, or ip_pool with pool_id)',
      right: 'write',
      query: domainPoolQuery,
      answer: messageAnswer,
      handle: (call) => assignNamed(door, call),
    },
    removal(door, `${url}/pool/:ip`),
  ];
}

function assigned(door: Door, url: string): Endpoint[] {
  return [
    {
      method: 'GET',
      url,
      summary: 'Addresses that the mail of a domain leaves from',
      right: 'read',
      answer: domainIpsShape,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Give a domain an address or a pool',
      right: 'write',
      form: domainIpForm,
      answer: messageAnswer,
      handle: (call) => assign(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:ip`,
      summary: 'One address of a domain',
      right: 'read',
      answer: ipDetails,
      handle: (call) => one(door, call),
    },
    removal(door, `${url}/:ip`),
  ];
}

function removal(door: Door, url: string): Endpoint {
  return {
    method: 'DELETE',
    url,
    summary: 'Take an address, all of them (all) or the pool (ip_pool) from a domain',
    right: 'write',
    query: domainPoolQuery,
    answer: messageAnswer,
    handle: (call) => remove(door, call),
  };
}

/** What its mail leaves from at the moment. */
async function inUse(door: Door, domain: Domain): Promise<readonly string[]> {
  const { ips = [], poolId = '' } = domain.settings ?? {};
  if (ips.length > 0) return ips;
  if (poolId === DYNAMIC_POOL) return (await door.deps.dynamicPools.addressesOf(domain)) ?? [];
  const { domains } = door.deps.store;
  const pool = (poolId === '' ? undefined : await domains.poolById(poolId)) ?? (await domains.poolLentTo(domain.accountId));
  if (pool !== undefined && pool.ips.length > 0) return pool.ips;
  return addressesOf(door)
    .filter((source) => source.pool === 'default')
    .map(({ address }) => address);
}

async function list(door: Door, call: Call): Promise<Answer> {
  const items = await inUse(door, await domainOf(door, call));
  // The SDK for PHP reads all lists of addresses with one model.
  return json({ items, total_count: items.length, assignable_to_pools: items });
}

async function one(door: Door, call: Call): Promise<Answer> {
  const items = await inUse(door, await domainOf(door, call));
  const address = addressOf(door, call.param('ip'));
  if (address === undefined || !items.includes(address.address)) throw new NotFound('IP address not found');
  return json({ ip: address.address, dedicated: true, rdns: address.ehlo });
}

/** The address, or the pool, stands in the path. */
async function assignNamed(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const what = call.param('ip');
  if (what === 'all') return give(door, call, domain, { ips: addressesOf(door).map(({ address }) => address) });
  if (what === 'ip_pool') return give(door, call, domain, { poolId: requiredField(fieldsOf(call), 'pool_id') });
  return addressOf(door, what) === undefined ? give(door, call, domain, { poolId: what }) : give(door, call, domain, { ips: [what] });
}

async function assign(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const fields = fieldsOf(call);
  const [ip, poolId] = [fields.get('ip'), fields.get('pool_id')];
  if (ip !== undefined && poolId === undefined) return give(door, call, domain, { ips: [ip] });
  if (ip === undefined && poolId !== undefined) return give(door, call, domain, { poolId });
  throw badParameter('exactly one of the parameters ip and pool_id is needed');
}

/** A domain has addresses of its own or a pool. */
async function give(
  door: Door,
  call: Call,
  domain: Domain,
  what: { readonly ips: readonly string[] } | { readonly poolId: string },
): Promise<Answer> {
  const settings =
    'ips' in what
      ? { poolId: '', ips: [...new Set([...(domain.settings?.ips ?? []), ...assignedAddresses(door, what.ips)])] }
      : { poolId: (await poolOfAccount(door, call, what.poolId)).id, ips: [] };
  await door.deps.accounts.changeDomain(domain, { settings });
  return json({ message: 'success' });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const what = call.param('ip');
  const fields = fieldsOf(call);
  const replacement = assignedAddresses(door, fields.list('ip'));
  const poolId = fields.get('pool_id');
  const pool = poolId === undefined ? undefined : await poolOfAccount(door, call, poolId);
  const { ips = [], poolId: former = '' } = domain.settings ?? {};
  if (what === 'all' || what === 'ip_pool') {
    if (what === 'ip_pool' && former === '') throw new NotFound('the domain has no IP pool');
    const kept = what === 'all' ? [] : ips;
    await door.deps.accounts.changeDomain(domain, {
      settings: { poolId: pool?.id ?? '', ips: pool === undefined ? [...new Set([...kept, ...replacement])] : [] },
    });
    return json({ message: 'success' });
  }
  const address = addressOf(door, what)?.address ?? what;
  if (!ips.includes(address)) throw new NotFound('IP address not found');
  const left = [...new Set([...ips.filter((each) => each !== address), ...replacement])];
  await door.deps.accounts.changeDomain(domain, { settings: { poolId: pool?.id ?? former, ips: pool === undefined ? left : [] } });
  return json({ message: 'success' });
}
