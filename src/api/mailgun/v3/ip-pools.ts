/** /v3/ip_pools: addresses of the account under a name. A pool that a domain is linked to, or that a message names, decides the address it leaves from. */
import { randomHex } from '#base/random.ts';
import { publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { assignedAddresses, poolOfAccount } from '#api/conventions/egress.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, requiredField, wholeNumber } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  poolAnswer,
  poolChange,
  poolDomains,
  poolDomainsQuery,
  poolForm,
  poolIpsForm,
  poolList,
  poolMade,
  poolMessage,
} from '#api/shapes/ips.ts';
import { badParameter } from '#model/errors.ts';
import type { IpPool, IpPoolChange } from '#store/domain-store.ts';
import type { Domain } from '#store/store.ts';

/** P9: of one account, and addresses in one. */
const POOLS_MAX = 200;
const IPS_MAX = 1000;
const TEXT_MAX = 255;
const PAGE_DEFAULT = 100;
const PAGE_MAX = 1000;

export function ipPools(door: Door): Endpoint[] {
  const url = '/v3/ip_pools';
  const one = `${url}/:pool`;
  const changing = { right: 'write', answer: poolMessage } as const;
  return [
    { method: 'GET', url, summary: 'List IP pools', right: 'read', answer: poolList, handle: (call) => list(door, call) },
    {
      method: 'POST',
      url,
      summary: 'Make an IP pool',
      right: 'write',
      form: poolForm,
      answer: poolMade,
      handle: (call) => create(door, call),
    },
    { method: 'GET', url: one, summary: 'One IP pool', right: 'read', answer: poolAnswer, handle: (call) => show(door, call) },
    { method: 'PATCH', url: one, summary: 'Change an IP pool', form: poolChange, ...changing, handle: (call) => change(door, call) },
    { method: 'DELETE', url: one, summary: 'Delete an IP pool', ...changing, handle: (call) => remove(door, call) },
    {
      method: 'GET',
      url: `${one}/domains`,
      summary: 'Domains that use an IP pool',
      right: 'read',
      query: poolDomainsQuery,
      answer: poolDomains,
      handle: (call) => domains(door, call),
    },
    {
      method: 'PUT',
      url: `${one}/ips/:ip`,
      summary: 'Add an address to an IP pool',
      ...changing,
      handle: (call) => addresses(door, call, { addIps: [call.param('ip')] }),
    },
    {
      method: 'DELETE',
      url: `${one}/ips/:ip`,
      summary: 'Take an address out of an IP pool',
      ...changing,
      handle: (call) => addresses(door, call, { removeIps: [call.param('ip')] }),
    },
    {
      method: 'POST',
      url: `${one}/ips.json`,
      summary: 'Add addresses to an IP pool',
      json: poolIpsForm,
      ...changing,
      handle: (call) => addresses(door, call, { addIps: fieldsOf(call).list('ips') }),
    },
  ];
}

const NOT_FOUND = 'IP pool not found';

/** One that is lent may be used, not changed. */
async function ownPool(door: Door, call: Call): Promise<IpPool> {
  const pool = await poolOfAccount(door, call, call.param('pool'));
  if (pool.accountId !== call.principal.accountId) throw new NotFound(NOT_FOUND);
  return pool;
}

async function linkedTo(door: Door, call: Call, pool: IpPool): Promise<Domain[]> {
  const all = await door.deps.store.accounts.listDomains(call.principal.accountId);
  return all.filter(({ settings }) => settings?.poolId === pool.id);
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { domains: store } = door.deps.store;
  const { accountId } = call.principal;
  const [own, lent, all] = await Promise.all([
    store.listPools(accountId),
    store.poolLentTo(accountId),
    door.deps.store.accounts.listDomains(accountId),
  ]);
  const pools = lent === undefined || lent.accountId === accountId ? own : [...own, lent];
  const used = new Set(all.map(({ settings }) => settings?.poolId));
  const shown = pools.map((pool) => ({
    ...facts(pool),
    ips: pool.ips,
    is_linked: used.has(pool.id),
    is_inherited: pool.accountId !== accountId,
    metadata: { assignments: {} },
  }));
  return json({ ip_pools: shown, message: 'success' });
}

function facts({ id, name, description }: IpPool): Json {
  return { pool_id: id, name, description };
}

async function create(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const { domains: store } = door.deps.store;
  const { accountId } = call.principal;
  const name = textOf('name', requiredField(fields, 'name'));
  const description = textOf('description', fields.get('description') ?? '');
  const ips = assignedAddresses(door, [...fields.list('ip'), ...fields.list('ips')]);
  const pools = await store.listPools(accountId);
  if (pools.length >= POOLS_MAX) throw badParameter(`an account has ${POOLS_MAX} IP pools at most`);
  if (pools.some((pool) => pool.name === name)) throw badParameter('an IP pool with this name already exists');
  const id = randomHex(12);
  await store.putPool({ id, accountId, name, description, ips: [...new Set(ips)], createdMs: door.deps.clock.nowMs() });
  return json({ message: 'success', pool_id: id });
}

function textOf(name: string, text: string): string {
  if (text.length > TEXT_MAX || /\p{Cc}/u.test(text))
    throw badParameter(`'${name}' parameter is not valid: it has ${TEXT_MAX} characters at most, without control characters`);
  return text;
}

async function show(door: Door, call: Call): Promise<Answer> {
  const pool = await poolOfAccount(door, call, call.param('pool'));
  const linked = (await linkedTo(door, call, pool)).map(({ name }) => name);
  const details = { ...facts(pool), ips: pool.ips, is_linked: linked.length > 0, linked_domains: linked };
  return json({ ...facts(pool), details, ips: pool.ips, is_linked: linked.length > 0, message: 'success' });
}

async function change(door: Door, call: Call): Promise<Answer> {
  const pool = await ownPool(door, call);
  const fields = fieldsOf(call);
  const [name, description] = [fields.get('name'), fields.get('description')];
  const domainOf = (text: string): Promise<Domain> => requiredDomain(door.deps.accounts, call.principal, text, 'Domain not found');
  const link = await Promise.all(fields.list('link_domain').map(domainOf));
  const unlink = await Promise.all(fields.list('unlink_domain').map(domainOf));
  await changed(door, pool, {
    ...(name !== undefined && { name: textOf('name', name) }),
    ...(description !== undefined && { description: textOf('description', description) }),
    addIps: fields.list('add_ip'),
    removeIps: fields.list('remove_ip'),
  });
  for (const domain of link) await door.deps.accounts.changeDomain(domain, { settings: { poolId: pool.id, ips: [] } });
  for (const domain of unlink)
    if (domain.settings?.poolId === pool.id) await door.deps.accounts.changeDomain(domain, { settings: { poolId: '' } });
  return json({ message: 'success', reference_id: pool.id });
}

async function addresses(door: Door, call: Call, change: IpPoolChange): Promise<Answer> {
  const pool = await ownPool(door, call);
  if ((change.addIps ?? change.removeIps ?? []).length === 0) throw badParameter('ips parameter is missing');
  await changed(door, pool, change);
  return json({ message: 'success', reference_id: pool.id });
}

async function changed(door: Door, pool: IpPool, change: IpPoolChange): Promise<void> {
  const addIps = assignedAddresses(door, change.addIps ?? []);
  const removeIps = change.removeIps ?? [];
  for (const ip of removeIps) if (!pool.ips.includes(ip)) throw new NotFound('IP address not found in the pool');
  if (pool.ips.length + addIps.length > IPS_MAX) throw badParameter(`an IP pool has ${IPS_MAX} addresses at most`);
  await door.deps.store.domains.changePool(pool.accountId, pool.id, { ...change, addIps, removeIps });
}

/** Its domains go on with the pool or address that is named, or without any. */
async function remove(door: Door, call: Call): Promise<Answer> {
  const pool = await ownPool(door, call);
  const fields = fieldsOf(call);
  const ips = assignedAddresses(door, fields.list('ip'));
  const other = fields.get('pool_id');
  const next = other === undefined ? undefined : await poolOfAccount(door, call, other);
  if (next?.id === pool.id) throw badParameter('the replacement is the IP pool that is to be deleted');
  for (const domain of await linkedTo(door, call, pool)) {
    await door.deps.accounts.changeDomain(domain, { settings: { poolId: next?.id ?? '', ...(ips.length > 0 && { ips }) } });
  }
  await door.deps.store.domains.deletePool(call.principal.accountId, pool.id);
  return json({ message: 'started', reference_id: pool.id });
}

async function domains(door: Door, call: Call): Promise<Answer> {
  const pool = await poolOfAccount(door, call, call.param('pool'));
  const fields = fieldsOf(call);
  const limit = Math.min(wholeNumber(fields, 'limit', 1, 999_999) ?? PAGE_DEFAULT, PAGE_MAX);
  const after = pageNamed(fields.get('page') ?? '');
  const all = (await linkedTo(door, call, pool)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const found = all.filter(({ name }) => name > after).slice(0, limit);
  const base = `${call.publicUrl}/v3/ip_pools/${pool.id}/domains?limit=${limit}`;
  const next = `${base}&page=${encodeURIComponent(found.at(-1)?.name ?? after)}`;
  return json({ domains: found.map((domain) => ({ id: publicId(domain.id), name: domain.name })), paging: { first: base, next } });
}

/** The SDK for PHP hands on the whole URL of the next page. */
function pageNamed(text: string): string {
  return URL.canParse(text) ? (new URL(text).searchParams.get('page') ?? '') : text;
}
