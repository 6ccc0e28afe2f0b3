/** The custom limit of a month: how many recipients an account, or one of its subaccounts, is accepted for. It counts from when it is set. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldOf } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { limitAnswer, limitQuery, success } from '#api/shapes/access.ts';
import { monthOf } from '#grants/quotas.ts';
import { badParameter } from '#model/errors.ts';
import { required } from './subaccounts.ts';

const LIMIT_MIN = 1000;
const LIMIT_MAX = 10_000_000_000;

export function customLimits(door: Door): Endpoint[] {
  const own = '/v5/accounts/limit/custom';
  return [
    ...monthly(door, `${own}/monthly`, 'the account', ({ principal }) => Promise.resolve(principal.accountId)),
    ...monthly(door, '/v5/accounts/subaccounts/:id/limit/custom/monthly', 'a subaccount', async (call) => (await required(door, call)).id),
    {
      method: 'PUT',
      url: `${own}/enable`,
      summary: 'Whether the account may send again after its limit of the month was reached: once the limit is raised or the month is over',
      right: 'administer',
      answer: success,
      handle: (call) => enable(door, call),
    },
  ];
}

function monthly(door: Door, url: string, whose: string, idOf: (call: Call) => Promise<number>): Endpoint[] {
  return [
    {
      method: 'GET',
      url,
      summary: `The limit of ${whose} in a month, and what was used of it`,
      right: 'read',
      answer: limitAnswer,
      handle: async (call) => json(await state(door, await idOf(call))),
    },
    {
      method: 'PUT',
      url,
      summary: `Set the limit of ${whose} in a month`,
      right: 'administer',
      query: limitQuery,
      answer: success,
      handle: async (call) => set(door, await idOf(call), limitOf(call)),
    },
    {
      method: 'DELETE',
      url,
      summary: `Remove the limit of ${whose} in a month`,
      right: 'administer',
      answer: success,
      handle: async (call) => remove(door, await idOf(call)),
    },
  ];
}

async function state(
  { deps }: Door,
  accountId: number,
): Promise<{ readonly limit: number; readonly current: number; readonly period: string }> {
  const { recipientsPerMonth } = await deps.store.grants.limitsOf(accountId);
  if (recipientsPerMonth === undefined) throw new NotFound('No threshold for account');
  const { name, startMs } = monthOf(accountId, deps.clock.nowMs());
  return { limit: recipientsPerMonth, current: await deps.store.grants.usedOf(name, startMs), period: '1m' };
}

function limitOf(call: Call): number {
  const text = fieldOf(call, 'limit');
  const limit = text !== undefined && /^\d{1,11}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(limit) || limit > LIMIT_MAX) throw badParameter("'limit' parameter is not a number");
  if (limit < LIMIT_MIN) throw badParameter(`The limit parameter minumum is ${LIMIT_MIN}`);
  return limit;
}

async function set({ deps: { store } }: Door, accountId: number, limit: number): Promise<Answer> {
  await store.grants.setLimits(accountId, { ...(await store.grants.limitsOf(accountId)), recipientsPerMonth: limit });
  return json({ success: true });
}

async function remove({ deps: { store } }: Door, accountId: number): Promise<Answer> {
  const { recipientsPerMonth, ...rest } = await store.grants.limitsOf(accountId);
  if (recipientsPerMonth === undefined) throw badParameter('Could not delete threshold for account');
  await store.grants.setLimits(accountId, rest);
  return json({ success: true });
}

/** Nothing is disabled when a limit is reached: what is beyond it is refused, and is accepted again as soon as there is room. */
async function enable(door: Door, { principal }: Call): Promise<Answer> {
  const { recipientsPerMonth } = await door.deps.store.grants.limitsOf(principal.accountId);
  if (recipientsPerMonth !== undefined && (await state(door, principal.accountId)).current >= recipientsPerMonth)
    throw badParameter('Unable to re-enable account with current account disablement');
  return json({ success: true });
}
