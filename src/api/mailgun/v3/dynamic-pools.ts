/** /v3/dynamic_pools: the addresses of the three bands that domains come to by how their mail fares, and which domains are enrolled. */
import { publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { accountsOf, bandOf, FORM_NAMES, isEnrolled, ownerOf, ownPools, shownBand } from '#api/conventions/dynamic-pools.ts';
import { assignedAddresses, poolOfAccount } from '#api/conventions/egress.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import {
  assignableList,
  assignableQuery,
  bandChange,
  bandForms,
  bandList,
  enrolAllForm,
  enrolQuery,
  leaveQuery,
} from '#api/shapes/dynamic-pools.ts';
import { badParameter } from '#model/errors.ts';
import { BANDS, type Band, type BandAddresses } from '#store/egress-store.ts';
import type { Domain } from '#store/store.ts';

/** P9: of one band. */
const IPS_MAX = 1000;
const NONE: BandAddresses = { good: [], poor: [], new: [] };

export function dynamicPools(door: Door): Endpoint[] {
  const url = '/v3/dynamic_pools';
  const one = '/v3/domains/:domain/dynamic_pools';
  const changing = { right: 'write', answer: messageAnswer } as const;
  return [
    {
      method: 'GET',
      url,
      summary: 'Dynamic pools and their addresses',
      right: 'read',
      answer: bandList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url: `${url}/all`,
      summary: 'Set the addresses of all dynamic pools',
      form: bandForms,
      ...changing,
      handle: (call) => set(door, call),
    },
    { method: 'DELETE', url: `${url}/all`, summary: 'Take the dynamic pools away', ...changing, handle: (call) => remove(door, call) },
    {
      method: 'POST',
      url: `${url}/:pool/:ip`,
      summary: 'Add an address to a dynamic pool',
      ...changing,
      handle: (call) => add(door, call),
    },
    {
      method: 'PATCH',
      url: `${url}/:pool`,
      summary: 'Add and take away an address of a dynamic pool',
      form: bandChange,
      ...changing,
      handle: (call) => change(door, call),
    },
    {
      method: 'POST',
      url: one,
      summary: 'Let how its mail fares choose the pool of a domain',
      query: enrolQuery,
      ...changing,
      handle: (call) => enrol(door, call),
    },
    {
      method: 'DELETE',
      url: one,
      summary: 'Give a domain addresses or a pool of its own again',
      query: leaveQuery,
      ...changing,
      handle: (call) => leave(door, call),
    },
    {
      method: 'GET',
      url: '/v3/domains/dynamic_pools/assignable',
      summary: 'Domains that are not enrolled in dynamic pools',
      right: 'read',
      query: assignableQuery,
      answer: assignableList,
      handle: (call) => assignable(door, call),
    },
    {
      method: 'POST',
      url: '/v3/domains/all/dynamic_pools/enroll',
      summary: 'Enrol all domains of the account',
      query: enrolAllForm,
      ...changing,
      handle: (call) => enrolAll(door, call),
    },
  ];
}

/** Who asked for it, as histories tell. */
function initiator({ principal }: Call): string {
  return principal.keyId === undefined ? 'api' : `api key ${principal.keyId}`;
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { ownerId } = await ownerOf(door, call);
  const pools = (await door.deps.store.egress.dynamicPoolsOf(ownerId)) ?? NONE;
  const named = Object.fromEntries(
    BANDS.flatMap((band) => [
      [shownBand(band), pools[band]],
      [FORM_NAMES[band], pools[band]],
    ]),
  );
  return json({ ...named, items: BANDS.map((band) => ({ name: shownBand(band), ips: pools[band] })), message: 'success' });
}

async function set(door: Door, call: Call): Promise<Answer> {
  const ownerId = await ownPools(door, call);
  const fields = fieldsOf(call);
  const given = Object.fromEntries(
    BANDS.map((band) => {
      const ips = fields.list(FORM_NAMES[band]);
      if (ips.length === 0) throw badParameter(`${FORM_NAMES[band]} parameter is missing`);
      return [band, [...new Set(assignedAddresses(door, ips))]];
    }),
  ) as unknown as BandAddresses;
  await put(door, ownerId, given);
  return json({ message: 'success' });
}

/** An address is in one of them, and each has one that is not being warmed up. */
async function put(door: Door, ownerId: number, pools: BandAddresses): Promise<void> {
  const { egress } = door.deps.store;
  const warming = new Set((await egress.listWarmUps()).map(({ address }) => address));
  const seen = new Set<string>();
  for (const band of BANDS) {
    const ips = pools[band];
    if (ips.length > IPS_MAX) throw badParameter(`a dynamic pool has ${IPS_MAX} addresses at most`);
    if (!ips.some((ip) => !warming.has(ip)))
      throw badParameter(`${shownBand(band)} needs at least one IP address that is not being warmed up`);
    for (const ip of ips) {
      if (seen.has(ip)) throw badParameter(`IP address ${ip} can be in one dynamic pool only`);
      seen.add(ip);
    }
  }
  await egress.putDynamicPools(ownerId, pools);
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const ownerId = await ownPools(door, call);
  for (const accountId of (await accountsOf(door, ownerId)).keys()) {
    const enrolled = (await door.deps.store.accounts.listDomains(accountId)).find(isEnrolled);
    if (enrolled !== undefined) throw badParameter(`Domain ${enrolled.name} must be removed from dynamic IP pools before`);
  }
  if (!(await door.deps.store.egress.deleteDynamicPools(ownerId))) throw new NotFound('There are no dynamic IP pools');
  return json({ message: 'success' });
}

function requiredBand(call: Call): Band {
  const band = bandOf(call.param('pool'));
  if (band === undefined) throw new NotFound('Dynamic IP pool not found');
  return band;
}

function add(door: Door, call: Call): Promise<Answer> {
  return changed(door, call, [call.param('ip')], []);
}

function change(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const [adding, removing] = [fields.list('add_ip'), fields.list('remove_ip')];
  if (adding.length + removing.length === 0) throw badParameter('add_ip or remove_ip parameter is missing');
  return changed(door, call, adding, removing);
}

async function changed(door: Door, call: Call, adding: readonly string[], removing: readonly string[]): Promise<Answer> {
  const band = requiredBand(call);
  const ownerId = await ownPools(door, call);
  const pools = await requiredPools(door, ownerId);
  const gone = assignedAddresses(door, removing);
  for (const ip of gone) if (!pools[band].includes(ip)) throw badParameter(`IP address ${ip} is not in the dynamic pool`);
  const ips = new Set([...pools[band].filter((ip) => !gone.includes(ip)), ...assignedAddresses(door, adding)]);
  await put(door, ownerId, { ...pools, [band]: [...ips] });
  return json({ message: 'success' });
}

async function requiredPools(door: Door, ownerId: number): Promise<BandAddresses> {
  const pools = await door.deps.store.egress.dynamicPoolsOf(ownerId);
  if (pools === undefined) throw badParameter('Dynamic IP pools are not set up: POST /v3/dynamic_pools/all does that');
  return pools;
}

async function enrol(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  await requiredPools(door, (await ownerOf(door, call)).ownerId);
  if (!(await door.deps.dynamicPools.enrol(domain, initiator(call)))) throw badParameter('Domain is already enrolled in dynamic IP pools');
  return json({ message: 'success' });
}

async function enrolAll(door: Door, call: Call): Promise<Answer> {
  const ownerId = await ownPools(door, call);
  await requiredPools(door, ownerId);
  const isWithBelow = flagOf(fieldsOf(call), 'include_subaccounts') ?? false;
  const accountIds = isWithBelow ? [...(await accountsOf(door, ownerId)).keys()] : [ownerId];
  for (const accountId of accountIds) {
    for (const domain of await door.deps.store.accounts.listDomains(accountId))
      if (!isEnrolled(domain)) await door.deps.dynamicPools.enrol(domain, initiator(call));
  }
  return json({ message: 'success' });
}

async function leave(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const fields = fieldsOf(call);
  const [given, poolId] = [fields.list('replacement_ip'), fields.get('replacement_pool_id')];
  if (given.length > 0 === (poolId !== undefined))
    throw badParameter('exactly one of the parameters replacement_ip and replacement_pool_id is needed');
  const settings =
    poolId === undefined ? await ownAddresses(door, call, given) : { ips: [], poolId: (await poolOfAccount(door, call, poolId)).id };
  if (!(await door.deps.dynamicPools.leave(domain, settings, initiator(call))))
    throw new NotFound('Domain is not enrolled in dynamic IP pools');
  return json({ message: 'success' });
}

/** "shared": those that all have, as for a domain that chose nothing. */
async function ownAddresses(door: Door, call: Call, given: readonly string[]): Promise<{ readonly ips: string[]; readonly poolId: '' }> {
  if (given.length === 1 && given[0] === 'shared') return { ips: [], poolId: '' };
  const ips = [...new Set(assignedAddresses(door, given))];
  const pools = (await door.deps.store.egress.dynamicPoolsOf((await ownerOf(door, call)).ownerId)) ?? NONE;
  const taken = ips.find((ip) => BANDS.some((band) => pools[band].includes(ip)));
  if (taken !== undefined) throw badParameter(`IP address ${taken} is in a dynamic pool`);
  return { ips, poolId: '' };
}

async function assignable(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const { ownerId, isOwner } = await ownerOf(door, call);
  const names = isOwner ? await accountsOf(door, ownerId) : new Map([[call.principal.accountId, '']]);
  const [subaccount, wanted = ''] = [fields.get('subaccount_id'), fields.get('domain')?.toLowerCase()];
  const accountIds = [...names.keys()].filter((id) => subaccount === undefined || publicId(id) === subaccount.toLowerCase());
  const domains: Domain[] = [];
  for (const id of accountIds) domains.push(...(await door.deps.store.accounts.listDomains(id)));
  const items = domains
    .filter((domain) => !isEnrolled(domain) && domain.name.includes(wanted))
    .map((domain): Json => ({ id: publicId(domain.id), name: domain.name, account_id: publicId(domain.accountId) }));
  return json({ items, total_count: items.length, message: 'success' });
}
