/** /v2/ip_whitelist: from where the account may be used, by the API and by SMTP logins. Without an entry: from anywhere. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { fieldOf } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { networkForm, networkList, networkQuery } from '#api/shapes/access.ts';
import { canonicalNetwork } from '#base/networks.ts';
import { badParameter } from '#model/errors.ts';

export function ipWhitelist(door: Door): Endpoint[] {
  const common = { answer: networkList, right: 'administer' } as const;
  return ['/v2/ip_whitelist', '/v2/ip/whitelist'].flatMap((url): Endpoint[] => [
    { ...common, method: 'GET', url, summary: 'From where the account may be used', handle: (call) => shown(door, call) },
    { ...common, method: 'POST', url, summary: 'Let it be used from a network', form: networkForm, handle: (call) => add(door, call) },
    {
      ...common,
      method: 'PUT',
      url,
      summary: 'Change the description of a network',
      form: networkForm,
      handle: (call) => describe(door, call),
    },
    {
      ...common,
      method: 'DELETE',
      url,
      summary: 'Let it be used from a network no more',
      query: networkQuery,
      handle: (call) => remove(door, call),
    },
  ]);
}

async function shown(door: Door, { principal }: Call): Promise<Answer> {
  const networks = await door.deps.accounts.networksOf(principal.accountId);
  return json({ addresses: networks.map(({ network, description }) => ({ ip_address: network, description })) });
}

function addressOf(call: Call): string {
  const address = fieldOf(call, 'address');
  if (address === undefined) throw badParameter('IP address can not be blank');
  return address;
}

async function add(door: Door, call: Call): Promise<Answer> {
  await door.deps.accounts.allowNetwork(call.principal.accountId, addressOf(call), fieldOf(call, 'description') ?? '');
  return shown(door, call);
}

async function describe(door: Door, call: Call): Promise<Answer> {
  const address = addressOf(call);
  const network = canonicalNetwork(address.trim());
  const known = await door.deps.accounts.networksOf(call.principal.accountId);
  if (!known.some((entry) => entry.network === network)) throw badParameter('IP not found');
  await door.deps.accounts.allowNetwork(call.principal.accountId, address, fieldOf(call, 'description') ?? '');
  return shown(door, call);
}

async function remove(door: Door, call: Call): Promise<Answer> {
  if (!(await door.deps.accounts.disallowNetwork(call.principal.accountId, addressOf(call)))) throw badParameter('IP not found');
  return shown(door, call);
}
