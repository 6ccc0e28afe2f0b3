/** /v3/lists: mailing lists of the account. */
import { plainAddress } from '#lists/entries.ts';
import { AppError, badParameter } from '#model/errors.ts';
import { domainOfList, type ListFacts, type MailingList } from '#store/list-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { entryFields } from '#api/conventions/entry-fields.ts';
import { requiredList, shownList, skipOf } from '#api/conventions/mailing-lists.ts';
import { pageAsk, pageLimit, pagingOf } from '#api/conventions/pivot-pages.ts';
import { ownedDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { counted, listAnswer, listChange, listForm, listPagesQuery, listRemoved, listShape, paged, skipQuery } from '#api/shapes/lists.ts';

const ACCESS_LEVELS = ['readonly', 'members', 'everyone'] as const;
const REPLY_PREFERENCES = ['sender', 'list'] as const;
const NAME_MAX = 500;
const DESCRIPTION_MAX = 5000;
const LISTS_MAX = 10_000;
/** Members in one transaction of removing a list. */
const CLEAR_STEP = 2000;

export function lists(door: Door): Endpoint[] {
  const to = (work: (door: Door, call: Call) => Promise<Answer>) => (call: Call) => work(door, call);
  const read = { method: 'GET', right: 'read' } as const;
  return [
    { ...read, url: '/v3/lists', summary: 'Mailing lists', query: skipQuery, answer: counted(listShape), handle: to(listed) },
    {
      ...read,
      url: '/v3/lists/pages',
      summary: 'Mailing lists by pages',
      query: listPagesQuery,
      answer: paged(listShape),
      handle: to(pages),
    },
    {
      method: 'POST',
      url: '/v3/lists',
      summary: 'Make a mailing list',
      right: 'write',
      form: listForm,
      answer: listAnswer,
      handle: to(create),
    },
    {
      ...read,
      url: '/v3/lists/:list',
      summary: 'One mailing list',
      answer: listAnswer,
      handle: async (call) => json({ list: shownList(await requiredList(door, call)) }),
    },
    {
      method: 'PUT',
      url: '/v3/lists/:list',
      summary: 'Change a mailing list, also its address',
      right: 'write',
      form: listChange,
      answer: listAnswer,
      handle: to(change),
    },
    {
      method: 'DELETE',
      url: '/v3/lists/:list',
      summary: 'Remove a mailing list with its members',
      right: 'write',
      answer: listRemoved,
      handle: to(remove),
    },
  ];
}

async function listed(door: Door, call: Call): Promise<Answer> {
  const { lists: store } = door.deps.store;
  const { accountId } = call.principal;
  const address = call.query.get('address');
  if (address !== undefined) {
    const found = await store.listByAddress(accountId, plainAddress(address) ?? '');
    return json({ total_count: found === undefined ? 0 : 1, items: found === undefined ? [] : [shownList(found)] });
  }
  const items = await store.listsFrom(accountId, skipOf(call), pageLimit(call));
  return json({ total_count: await store.countLists(accountId), items: items.map(shownList) });
}

async function pages(door: Door, call: Call): Promise<Answer> {
  const ask = pageAsk(call);
  const items = await door.deps.store.lists.listPage(call.principal.accountId, ask);
  const keys = items.map(({ address }) => address);
  return json({ items: items.map(shownList), paging: pagingOf(call, '/v3/lists/pages', ask, keys, '') });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const { store, clock } = door.deps;
  const facts = await factsOf(door, call, { createdMs: clock.nowMs() });
  if ((await store.lists.countLists(facts.accountId)) >= LISTS_MAX) throw badParameter(`too many mailing lists, max is ${LISTS_MAX}`);
  const list = await store.lists.createList(facts);
  if (list === undefined) throw badParameter('Duplicate object');
  return json({ list: shownList(list), message: 'Mailing list has been created' });
}

async function change(door: Door, call: Call): Promise<Answer> {
  const list = await requiredList(door, call);
  const facts = await factsOf(door, call, list);
  if (!(await door.deps.store.lists.changeList(list.id, facts))) throw badParameter('Duplicate object');
  return json({ list: shownList({ ...list, ...facts }), message: 'Mailing list has been updated' });
}

async function factsOf(door: Door, call: Call, before: Partial<MailingList> & Pick<MailingList, 'createdMs'>): Promise<ListFacts> {
  const { one } = entryFields(call.body.json ?? call.body.form);
  const text = one('address') ?? before.address;
  if (text === undefined) throw badParameter('Missing mandatory parameter: address');
  const address = plainAddress(text);
  if (address === undefined) throw new AppError('bad-address', { field: 'address' });
  const isNew = address !== before.address;
  if (isNew && (await ownedDomain(door.deps.accounts, call.principal, domainOfList(address))) === undefined)
    throw badParameter(`The domain of ${address} does not belong to this account`);
  return {
    accountId: call.principal.accountId,
    address,
    name: (one('name') ?? before.name ?? '').slice(0, NAME_MAX),
    description: (one('description') ?? before.description ?? '').slice(0, DESCRIPTION_MAX),
    accessLevel: oneOf('access level', ACCESS_LEVELS, one('access_level'), before.accessLevel ?? 'readonly'),
    // `reply_reference` is how the hosted service's description spells it.
    replyPreference: oneOf(
      'reply preference',
      REPLY_PREFERENCES,
      one('reply_preference') ?? one('reply_reference'),
      before.replyPreference ?? 'list',
    ),
    createdMs: before.createdMs,
  };
}

function oneOf<T extends string>(what: string, known: readonly T[], text: string | undefined, otherwise: T): T {
  if (text === undefined) return otherwise;
  const found = known.find((value) => value === text.trim().toLowerCase());
  if (found !== undefined) return found;
  const all = known.map((value) => `'${value}'`).join(', ');
  throw badParameter(`Invalid ${what} '${text.slice(0, 100)}'. It can be any of: ${all}${what === 'access level' ? '.' : ''}`);
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const list = await requiredList(door, call);
  const { lists: store } = door.deps.store;
  while ((await store.clearMembers(list.id, CLEAR_STEP)) === CLEAR_STEP);
  await store.deleteList(list.id);
  return json({ address: list.address, message: 'Mailing list has been removed' });
}
