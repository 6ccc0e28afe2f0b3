/** /v5/accounts/subaccounts: accounts that belong to this one, each with domains, keys and limits of its own. */
import { idOfPublic, publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { gmtDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { featuresGiven, featuresJson, SUBACCOUNT_FEATURES } from '#api/conventions/features.ts';
import { countOf, textField } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import {
  disableQuery,
  featuresAnswer,
  featuresForm,
  subaccountForm,
  subaccountList,
  subaccountOne,
  subaccountQuery,
} from '#api/shapes/access.ts';
import { badParameter } from '#model/errors.ts';
import type { AccountFacts } from '#store/access-store.ts';

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 1000;
const REASON_MAX = 1000;
const NAME_MAX = 100;

export function subaccounts(door: Door): Endpoint[] {
  const url = '/v5/accounts/subaccounts';
  const one = `${url}/:id`;
  return [
    {
      method: 'GET',
      url,
      summary: 'List subaccounts',
      right: 'read',
      query: subaccountQuery,
      answer: subaccountList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Add a subaccount',
      right: 'administer',
      form: subaccountForm,
      answer: subaccountOne,
      handle: (call) => create(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Close the subaccount that X-Mailgun-On-Behalf-Of names, for good',
      right: 'administer',
      answer: messageAnswer,
      handle: (call) => close(door, call),
    },
    {
      method: 'GET',
      url: one,
      summary: 'One subaccount',
      right: 'read',
      answer: subaccountOne,
      handle: async (call) => json({ subaccount: shown(await required(door, call)) }),
    },
    {
      method: 'POST',
      url: `${one}/disable`,
      summary: 'Nobody comes in for the subaccount, and nothing is accepted from it, until it is enabled',
      right: 'administer',
      query: disableQuery,
      answer: subaccountOne,
      handle: (call) => disable(door, call),
    },
    {
      method: 'POST',
      url: `${one}/enable`,
      summary: 'Undo that',
      right: 'administer',
      answer: subaccountOne,
      handle: (call) => enable(door, call),
    },
    {
      method: 'PUT',
      url: `${one}/features`,
      summary: 'What the subaccount may do',
      right: 'administer',
      form: featuresForm,
      answer: featuresAnswer,
      handle: (call) => setFeatures(door, call),
    },
  ];
}

/** Closed ones are there for nobody, but in the list that asks for them. */
export async function required(door: Door, { principal, param }: Call): Promise<AccountFacts> {
  const id = idOfPublic(param('id'));
  const found = id === undefined ? undefined : await door.deps.accounts.subaccountOf(principal.accountId, id);
  if (found === undefined || found.status === 'closed') throw new NotFound('Not Found');
  return found;
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { principal, query } = call;
  const limit = countOf(call, 'limit', LIMIT_DEFAULT, LIMIT_MAX);
  const skip = countOf(call, 'skip', 0);
  const sort = query.get('sort');
  if (sort !== undefined && sort !== 'asc' && sort !== 'desc') throw badParameter("'sort' parameter is asc or desc");
  const filter = query.get('filter')?.toLowerCase() ?? '';
  const isClosed = readBoolean(query.get('closed')) ?? false;
  const enabled = readBoolean(query.get('enabled'));
  const all = (await door.deps.store.access.listSubaccounts(principal.accountId)).filter(
    ({ name, status }) =>
      name.toLowerCase().includes(filter) &&
      (status === 'closed') === isClosed &&
      (enabled === undefined || isClosed || (status === 'open') === enabled),
  );
  if (sort !== undefined) all.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) * (sort === 'asc' ? 1 : -1));
  return json({ subaccounts: all.slice(skip, skip + limit).map(shown), total: all.length });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const { principal } = call;
  const name = textField(call, 'name', NAME_MAX);
  if (name === undefined) throw badParameter('Bad request');
  // A subaccount has none of its own: what it may send is what its parent gave it.
  if ((await door.deps.accounts.standingOf(principal.accountId))?.parentId !== undefined)
    throw badParameter('A subaccount cannot have subaccounts');
  const made = await door.deps.accounts.createSubaccount(principal.accountId, name);
  if (made === undefined) throw badParameter('Parent account has reached its allotted child limit');
  return json({ subaccount: shown(made) });
}

async function close(door: Door, { principal }: Call): Promise<Answer> {
  if (principal.parentId === undefined) throw badParameter('Bad request');
  await door.deps.accounts.changeAccount(principal.accountId, { status: 'closed' });
  return json({ message: 'Subaccount successfully deleted' });
}

async function disable(door: Door, call: Call): Promise<Answer> {
  const { id, status } = await required(door, call);
  if (status === 'disabled') throw badParameter('subaccount is already disabled');
  const reason = [textField(call, 'reason', REASON_MAX), textField(call, 'note', REASON_MAX)]
    .filter((part) => part !== undefined)
    .join(': ');
  return changed(await door.deps.accounts.changeAccount(id, { status: 'disabled', reason }));
}

async function enable(door: Door, call: Call): Promise<Answer> {
  const { id } = await required(door, call);
  return changed(await door.deps.accounts.changeAccount(id, { status: 'open', reason: '' }));
}

function changed(facts: AccountFacts | undefined): Answer {
  if (facts === undefined) throw new NotFound('Not Found');
  return json({ subaccount: shown(facts) });
}

async function setFeatures(door: Door, call: Call): Promise<Answer> {
  const { id } = await required(door, call);
  const change = featuresGiven(door, call, SUBACCOUNT_FEATURES);
  const facts = await door.deps.accounts.changeAccount(id, { features: change });
  if (facts === undefined) throw new NotFound('Not Found');
  return json({ features: featuresJson(facts, SUBACCOUNT_FEATURES) });
}

function shown(facts: AccountFacts): Record<string, unknown> {
  return {
    id: publicId(facts.id),
    name: facts.name,
    status: facts.status,
    created_at: gmtDate(facts.createdMs),
    updated_at: gmtDate(facts.updatedMs),
    features: featuresJson(facts, SUBACCOUNT_FEATURES),
  };
}
