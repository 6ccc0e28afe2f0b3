/**
 * Pools and addresses for subaccounts: a pool that was lent decides where a subaccount's mail leaves from, where its domain has nothing of its own. Under both paths
 * that clients know. A subaccount has one pool at most.
 */
import { idOfPublic, publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { addressOf } from '#api/conventions/egress.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, requiredField } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { delegationForm, lentPoolList, poolIdForm, poolMessage, subaccountIpForm, subaccountPoolList } from '#api/shapes/ips.ts';
import { badParameter } from '#model/errors.ts';
import type { IpPool } from '#store/domain-store.ts';

export function ipPoolDelegation(door: Door): Endpoint[] {
  const delegate = '/v3/ip_pools/:pool/delegate';
  const subaccounts = '/v5/accounts/subaccounts';
  const one = `${subaccounts}/:subaccount`;
  const byField = (call: Call): string => requiredField(fieldsOf(call), 'subaccount_id');
  const lending = { right: 'write', answer: poolMessage } as const;
  return [
    {
      method: 'PUT',
      url: delegate,
      summary: 'Lend an IP pool to a subaccount',
      form: delegationForm,
      ...lending,
      handle: (call) => lend(door, call, byField(call), call.param('pool')),
    },
    {
      method: 'DELETE',
      url: delegate,
      summary: 'Take an IP pool back',
      form: delegationForm,
      ...lending,
      handle: (call) => takeBack(door, call, byField(call), call.param('pool')),
    },
    {
      method: 'GET',
      url: `${subaccounts}/ip_pools/all`,
      summary: 'IP pools that subaccounts were lent',
      right: 'read',
      answer: lentPoolList,
      handle: (call) => listAll(door, call),
    },
    {
      method: 'GET',
      url: `${one}/ip_pools`,
      summary: 'IP pools of a subaccount',
      right: 'read',
      answer: subaccountPoolList,
      handle: (call) => listOf(door, call),
    },
    {
      method: 'PUT',
      url: `${one}/ip_pool`,
      summary: 'Lend an IP pool to a subaccount',
      form: poolIdForm,
      ...lending,
      handle: (call) => lend(door, call, call.param('subaccount'), requiredField(fieldsOf(call), 'pool_id')),
    },
    {
      method: 'DELETE',
      url: `${one}/ip_pool`,
      summary: 'Take an IP pool back',
      form: poolIdForm,
      ...lending,
      handle: (call) => takeBack(door, call, call.param('subaccount'), requiredField(fieldsOf(call), 'pool_id')),
    },
    {
      method: 'PUT',
      url: `${one}/ip`,
      summary: 'Whether a subaccount may use an address',
      right: 'write',
      form: subaccountIpForm,
      answer: messageAnswer,
      handle: (call) => linkIp(door, call),
    },
  ];
}

async function subaccountOf(door: Door, call: Call, text: string): Promise<number> {
  const id = idOfPublic(text);
  const found = id === undefined ? undefined : await door.deps.accounts.subaccountOf(call.principal.accountId, id);
  if (found === undefined) throw new NotFound('account not found');
  return found.id;
}

/** Only the owner lends; what was lent is not lent on. */
async function ownPool(door: Door, call: Call, id: string): Promise<IpPool> {
  const pool = id.length > 100 ? undefined : await door.deps.store.domains.poolById(id);
  if (pool?.accountId !== call.principal.accountId) throw new NotFound('IP pool not found');
  return pool;
}

async function lend(door: Door, call: Call, subaccount: string, poolId: string): Promise<Answer> {
  const [accountId, pool] = [await subaccountOf(door, call, subaccount), await ownPool(door, call, poolId)];
  await door.deps.store.domains.lendPool(accountId, pool.id);
  return json({ message: 'success', reference_id: pool.id });
}

async function takeBack(door: Door, call: Call, subaccount: string, poolId: string): Promise<Answer> {
  const [accountId, pool] = [await subaccountOf(door, call, subaccount), await ownPool(door, call, poolId)];
  const { domains } = door.deps.store;
  if ((await domains.poolLentTo(accountId))?.id !== pool.id) throw new NotFound('the IP pool is not delegated to this subaccount');
  await domains.lendPool(accountId, undefined);
  return json({ message: 'success', reference_id: pool.id });
}

async function listAll(door: Door, call: Call): Promise<Answer> {
  const lent = await door.deps.store.domains.lentPools(call.principal.accountId);
  const items = lent.map(({ poolId, accountId }) => ({ pool_id: poolId, subaccount_id: publicId(accountId) }));
  return json({ items, total_count: items.length });
}

async function listOf(door: Door, call: Call): Promise<Answer> {
  const accountId = await subaccountOf(door, call, call.param('subaccount'));
  const { domains } = door.deps.store;
  const [own, lent] = await Promise.all([domains.listPools(accountId), domains.poolLentTo(accountId)]);
  const items = [...own, ...(lent === undefined ? [] : [lent])].map(({ id, name, description, ips, accountId: owner }) => ({
    pool_id: id,
    name,
    description,
    ips,
    is_inherited: owner !== accountId,
  }));
  return json({ items, total_count: items.length });
}

/** Every account may use every address, so there is nothing to be kept. */
async function linkIp(door: Door, call: Call): Promise<Answer> {
  await subaccountOf(door, call, call.param('subaccount'));
  const ip = requiredField(fieldsOf(call), 'ip');
  if (addressOf(door, ip) === undefined) throw badParameter('invalid request parameters: the IP address is not assigned to the account');
  return json({ message: 'success' });
}
