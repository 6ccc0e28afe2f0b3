/** Bounces, unsubscribes and complaints: three lists of one kind. What differs between them is the table below. */
import { plainAddress, suppressionEntry } from '#lists/entries.ts';
import { badParameter } from '#model/errors.ts';
import type { Suppression, SuppressionKind } from '#store/store.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { suppressionAdded, suppressionForm, suppressionImported, suppressionList, suppressionQuery } from '#api/shapes/suppressions.ts';
import { json } from './answer.ts';
import type { Answer } from './answer.ts';
import { utcDate } from './dates.ts';
import { entryContext, entryFields } from './entry-fields.ts';
import { NotFound } from './errors.ts';
import { importFile } from './imports.ts';
import { pageAsk, pagingOf } from './pivot-pages.ts';
import { domainOf } from './tenant.ts';

interface List {
  readonly kind: SuppressionKind;
  readonly path: string;
  readonly addedMany: string;
  readonly removed: string;
  readonly cleared: string;
  readonly notFound: string;
  readonly show: (entry: Suppression) => Record<string, unknown>;
}

const BATCH_MAX = 1000;
/** Rows in one transaction of clearing a list. */
const CLEAR_STEP = 2000;

export const BOUNCES: List = {
  kind: 'bounce',
  path: 'bounces',
  addedMany: 'addresses',
  removed: 'Bounced address has been removed',
  cleared: 'Bounced addresses for this domain have been removed',
  notFound: 'Address not found in bounces table',
  show: (entry) => ({ address: entry.address, code: String(entry.code), error: entry.error, created_at: utcDate(entry.createdMs) }),
};

export const UNSUBSCRIBES: List = {
  kind: 'unsubscribe',
  path: 'unsubscribes',
  addedMany: 'addresses',
  removed: 'Unsubscribe event has been removed',
  cleared: 'Unsubscribe addresses for this domain have been removed',
  notFound: 'Address not found in unsubscribers table',
  show: (entry) => ({ address: entry.address, tags: entry.tags ?? ['*'], created_at: utcDate(entry.createdMs) }),
};

export const COMPLAINTS: List = {
  kind: 'complaint',
  path: 'complaints',
  addedMany: 'complaint addresses',
  removed: 'Spam complaint has been removed',
  cleared: 'Complaint addresses for this domain have been removed',
  notFound: 'No spam complaints found for this address',
  show: (entry) => ({ address: entry.address, created_at: utcDate(entry.createdMs) }),
};

export function suppressionEndpoints(door: Door, list: List): Endpoint[] {
  const url = `/v3/:domain/${list.path}`;
  return [
    {
      method: 'GET',
      url,
      summary: `List ${list.path}`,
      right: 'read',
      query: suppressionQuery,
      answer: suppressionList,
      handle: (call) => listed(door, list, call),
    },
    {
      method: 'POST',
      url,
      summary: `Add to the ${list.path}`,
      right: 'write',
      form: suppressionForm,
      answer: suppressionAdded,
      handle: (call) => add(door, list, call),
    },
    {
      method: 'DELETE',
      url,
      summary: `Remove all ${list.path}`,
      right: 'write',
      answer: suppressionImported,
      handle: (call) => clear(door, list, call),
    },
    {
      method: 'POST',
      url: `${url}/import`,
      summary: `Add a CSV file to the ${list.path}, in the background; the header Location names where to ask how far it is`,
      right: 'write',
      answer: suppressionImported,
      handle: async (call) => importFile(door, call, list.kind, (await domainOf(door, call)).id),
    },
    { method: 'GET', url: `${url}/:address`, summary: `One of the ${list.path}`, right: 'read', handle: (call) => one(door, list, call) },
    {
      method: 'DELETE',
      url: `${url}/:address`,
      summary: `Remove one of the ${list.path}`,
      right: 'write',
      handle: (call) => remove(door, list, call),
    },
  ];
}

async function listed(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const ask = pageAsk(call);
  const items = await door.deps.store.suppressions.suppressionPage(domain.id, list.kind, ask);
  const keys = items.map(({ address }) => address);
  return json({ items: items.map(list.show), paging: pagingOf(call, `/v3/${domain.name}/${list.path}`, ask, keys) });
}

async function add(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { json: body, form } = call.body;
  const context = entryContext(door);
  const { suppressions } = door.deps.store;
  if (Array.isArray(body)) {
    if (body.length > BATCH_MAX) throw badParameter('Batch size should be less than 1000');
    const entries = body.map((item) => suppressionEntry(list.kind, entryFields(item), context));
    await suppressions.putSuppressions(domain.id, entries);
    return json({ message: `${entries.length} ${list.addedMany} have been added to the ${list.path} table` });
  }
  const entry = suppressionEntry(list.kind, entryFields(body ?? form), context);
  await suppressions.putSuppressions(domain.id, [entry]);
  return json({ message: `Address has been added to the ${list.path} table`, address: entry.address });
}

async function clear(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  while ((await door.deps.store.suppressions.clearSuppressions(domain.id, list.kind, CLEAR_STEP)) === CLEAR_STEP);
  return json({ message: list.cleared });
}

async function one(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const address = plainAddress(call.param('address'));
  const entry = address === undefined ? undefined : await door.deps.store.accounts.suppressionOf(domain.id, list.kind, address);
  if (entry === undefined) throw new NotFound(list.notFound);
  return json(list.show(entry));
}

async function remove(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const address = plainAddress(call.param('address'));
  if (address === undefined) throw new NotFound(list.notFound);
  const tag = list.kind === 'unsubscribe' ? (call.query.get('tag') ?? call.body.form.get('tag')) : undefined;
  const { accounts, suppressions } = door.deps.store;
  if (tag !== undefined && tag !== '*') {
    if (!(await suppressions.removeUnsubscribeTag(domain.id, address, tag)))
      throw new NotFound('Unsubscribe event for this tag does not exist');
  } else if (!(await accounts.deleteSuppression(domain.id, list.kind, address))) throw new NotFound(list.notFound);
  return json({ message: list.removed, address });
}
