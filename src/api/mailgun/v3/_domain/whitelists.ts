/** /v3/{domain}/whitelists: addresses and receiving domains that no bounce suppresses. */
import { allowlistEntry, allowlistValue } from '#lists/entries.ts';
import { badParameter } from '#model/errors.ts';
import type { AllowlistEntry } from '#store/suppression-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { utcDate } from '#api/conventions/dates.ts';
import { entryContext, entryFields } from '#api/conventions/entry-fields.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { importFile } from '#api/conventions/imports.ts';
import { pageAsk, pagingOf } from '#api/conventions/pivot-pages.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { allowlistAdded, allowlistForm, allowlistList, suppressionImported, suppressionQuery } from '#api/shapes/suppressions.ts';

const URL = '/v3/:domain/whitelists';
const NOT_FOUND = 'Address/Domain not found in allowlist table';
const BATCH_MAX = 1000;
const CLEAR_STEP = 2000;

export function whitelists(door: Door): Endpoint[] {
  const handle = (work: (door: Door, call: Call) => Promise<Answer>) => (call: Call) => work(door, call);
  return [
    {
      method: 'GET',
      url: URL,
      summary: 'List the allowlist',
      right: 'read',
      query: suppressionQuery,
      answer: allowlistList,
      handle: handle(listed),
    },
    {
      method: 'POST',
      url: URL,
      summary: 'Add an address or a receiving domain that no bounce is to suppress',
      right: 'write',
      form: allowlistForm,
      answer: allowlistAdded,
      handle: handle(add),
    },
    { method: 'DELETE', url: URL, summary: 'Clear the allowlist', right: 'write', answer: suppressionImported, handle: handle(clear) },
    {
      method: 'POST',
      url: `${URL}/import`,
      summary: 'Add a CSV file to the allowlist, in the background; the header Location names where to ask how far it is',
      right: 'write',
      answer: suppressionImported,
      handle: async (call) => importFile(door, call, 'allowlist', (await domainOf(door, call)).id),
    },
    { method: 'GET', url: `${URL}/:value`, summary: 'One entry of the allowlist', right: 'read', handle: handle(one) },
    { method: 'DELETE', url: `${URL}/:value`, summary: 'Remove an entry of the allowlist', right: 'write', handle: handle(remove) },
  ];
}

function shown({ type, value, reason, createdMs }: AllowlistEntry): Record<string, unknown> {
  return { type, value, reason, createdAt: utcDate(createdMs) };
}

async function listed(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const ask = pageAsk(call);
  const items = await door.deps.store.suppressions.allowedPage(domain.id, ask);
  const keys = items.map(({ value }) => value);
  return json({ items: items.map(shown), paging: pagingOf(call, `/v3/${domain.name}/whitelists`, ask, keys) });
}

async function add(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { json: body, form } = call.body;
  const { suppressions } = door.deps.store;
  if (Array.isArray(body)) {
    if (body.length > BATCH_MAX) throw badParameter('Batch size should be less than 1000');
    const entries = body.map((item) => allowlistEntry(entryFields(item), entryContext(door)));
    await suppressions.putAllowed(domain.id, entries);
    return json({ message: `${entries.length} addresses/domains have been added to the whitelists table` });
  }
  const entry = allowlistEntry(entryFields(body ?? form), entryContext(door));
  await suppressions.putAllowed(domain.id, [entry]);
  return json({ message: 'Address/Domain has been added to the whitelists table', type: entry.type, value: entry.value });
}

async function clear(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  while ((await door.deps.store.suppressions.clearAllowed(domain.id, CLEAR_STEP)) === CLEAR_STEP);
  return json({ message: 'Whitelist addresses/domains for this domain have been removed' });
}

function valueOf(call: Call): string {
  const text = call.param('value');
  return allowlistValue(text, text.includes('@') ? 'address' : 'domain')?.value ?? '';
}

async function one(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const entry = await door.deps.store.suppressions.allowedOf(domain.id, valueOf(call));
  if (entry === undefined) throw new NotFound(NOT_FOUND);
  return json(shown(entry));
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const value = valueOf(call);
  if (!(await door.deps.store.suppressions.deleteAllowed(domain.id, value))) throw new NotFound(NOT_FOUND);
  return json({ message: 'Whitelist address/domain has been removed', value });
}
