/** Bounces, unsubscribes and complaints: three lists of one kind. What differs between them is the table below. */
import { parsePath } from '#mail/address.ts';
import { AppError } from '#model/errors.ts';
import type { Suppression, SuppressionKind } from '#store/store.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { suppressionAdded, suppressionForm, suppressionList, suppressionQuery } from '#api/shapes/suppressions.ts';
import { json } from './answer.ts';
import type { Answer } from './answer.ts';
import { utcDate } from './dates.ts';
import { badParameter, NotFound } from './errors.ts';
import { parseEventTime } from '#events/event-time.ts';
import { requiredDomain } from './tenant.ts';

interface List {
  readonly kind: SuppressionKind;
  readonly path: string;
  readonly table: string;
  readonly addedMany: string;
  readonly removed: string;
  readonly notFound: string;
  readonly show: (entry: Suppression) => Record<string, unknown>;
}

const BATCH_MAX = 1000;
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const ERROR_MAX = 2000;

export const BOUNCES: List = {
  kind: 'bounce',
  path: 'bounces',
  table: 'bounces',
  addedMany: 'addresses',
  removed: 'Bounced address has been removed',
  notFound: 'Address not found in bounces table',
  show: (entry) => ({ address: entry.address, code: String(entry.code), error: entry.error, created_at: utcDate(entry.createdMs) }),
};

export const UNSUBSCRIBES: List = {
  kind: 'unsubscribe',
  path: 'unsubscribes',
  table: 'unsubscribes',
  addedMany: 'addresses',
  removed: 'Unsubscribe event has been removed',
  notFound: 'Address not found in unsubscribers table',
  show: (entry) => ({ address: entry.address, tags: ['*'], created_at: utcDate(entry.createdMs) }),
};

export const COMPLAINTS: List = {
  kind: 'complaint',
  path: 'complaints',
  table: 'complaints',
  addedMany: 'complaint addresses',
  removed: 'Spam complaint has been removed',
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

async function domainOf(door: Door, call: Call): Promise<{ readonly id: number; readonly name: string }> {
  return requiredDomain(door.deps.accounts, call.principal, call.param('domain'), 'Domain not found');
}

async function listed(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const limit = Math.min(Math.max(1, Number(call.query.get('limit') ?? LIMIT_DEFAULT) || LIMIT_DEFAULT), LIMIT_MAX);
  const term = (call.query.get('term') ?? '').toLowerCase();
  const page = call.query.get('page');
  const pivot = (call.query.get('address') ?? '').toLowerCase();
  const items = await readPage(door, list.kind, domain.id, { limit, term, page, pivot });
  const base = `${call.publicUrl}/v3/${domain.name}/${list.path}?`;
  const tail = `limit=${limit}&term=${encodeURIComponent(term)}`;
  const [first, last] = [items[0]?.address, items.at(-1)?.address];
  const around = (name: string, address: string | undefined): string =>
    address === undefined ? `${base}${tail}` : `${base}page=${name}&address=${encodeURIComponent(address)}&${tail}`;
  return json({
    items: items.map(list.show),
    paging: {
      first: `${base}${tail}`,
      last: items.length === 0 ? `${base}${tail}` : `${base}page=last&${tail}`,
      next: around('next', last),
      previous: around('previous', first),
    },
  });
}

interface PageOf {
  readonly limit: number;
  readonly term: string;
  readonly page: string | undefined;
  readonly pivot: string;
}

/**
 * The store walks forward only. `next` is a walk from the pivot; `previous` and `last` walk from the start of the term's range and keep
 * the final page, bounded in rows.
 */
async function readPage(door: Door, kind: SuppressionKind, domainId: number, { limit, term, page, pivot }: PageOf): Promise<Suppression[]> {
  const isBack = page === 'last' || (page === 'previous' && pivot !== '');
  let after = page === 'next' ? pivot : before(term);
  const kept: Suppression[] = [];
  for (let looked = 0; looked < door.limits.eventScanRows;) {
    const rows = await door.deps.store.accounts.listSuppressions(domainId, kind, after, LIMIT_MAX);
    for (const row of rows) {
      const isInTerm = row.address.startsWith(term);
      if ((page === 'previous' && row.address >= pivot) || (!isInTerm && row.address > term)) return isBack ? kept.slice(-limit) : kept;
      if (isInTerm) kept.push(row);
      if (!isBack && kept.length === limit) return kept;
    }
    if (isBack && kept.length > 2 * LIMIT_MAX) kept.splice(0, kept.length - limit);
    looked += rows.length;
    const last = rows.at(-1);
    if (rows.length < LIMIT_MAX || last === undefined) break;
    after = last.address;
  }
  return isBack ? kept.slice(-limit) : kept;
}

/** Just before every address that begins with the term. */
function before(term: string): string {
  return term === '' ? '' : term.slice(0, -1) + String.fromCharCode(term.charCodeAt(term.length - 1) - 1) + '\uffff';
}

async function add(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { json: body, form } = call.body;
  if (Array.isArray(body)) {
    if (body.length > BATCH_MAX) throw badParameter('Batch size should be less than 1000');
    const entries = body.map((item) => entryOf(door, list.kind, (name) => textOf(item, name)));
    for (const entry of entries) await door.deps.store.accounts.putSuppression(domain.id, entry);
    return json({ message: `${entries.length} ${list.addedMany} have been added to the ${list.table} table` });
  }
  const entry = entryOf(door, list.kind, (name) => (body === undefined ? form.get(name) : textOf(body, name)));
  await door.deps.store.accounts.putSuppression(domain.id, entry);
  return json({ message: `Address has been added to the ${list.table} table`, address: entry.address });
}

function textOf(item: unknown, name: string): string | undefined {
  if (typeof item !== 'object' || item === null || !Object.hasOwn(item, name)) return undefined;
  const value = (item as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function entryOf(door: Door, kind: SuppressionKind, field: (name: string) => string | undefined): Suppression {
  const text = field('address');
  if (text === undefined) throw badParameter('Missing mandatory parameter: address');
  const address = addressOf(text);
  if (address === undefined) throw new AppError('bad-address', { field: 'address' });
  const code = Number(field('code') ?? 550);
  if (!Number.isInteger(code) || code < 100 || code > 999) throw badParameter("'code' parameter is not a reply code");
  const created = field('created_at') ?? field('createdat');
  const createdUs = created === undefined ? undefined : parseEventTime(created);
  if (created !== undefined && createdUs === undefined) throw badParameter("'created_at' parameter is not a valid date");
  return {
    kind,
    address,
    code: kind === 'bounce' ? code : 0,
    error: kind === 'bounce' ? (field('error') ?? '').slice(0, ERROR_MAX) : '',
    createdMs: createdUs === undefined ? door.deps.clock.nowMs() : Math.floor(createdUs / 1000),
  };
}

/** Suppressions are kept and found in lower case. */
function addressOf(text: string): string | undefined {
  return parsePath(text.trim(), { allowNull: false })?.address.toLowerCase();
}

async function one(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const address = addressOf(call.param('address'));
  const entry = address === undefined ? undefined : await door.deps.store.accounts.suppressionOf(domain.id, list.kind, address);
  if (entry === undefined) throw new NotFound(list.notFound);
  return json(list.show(entry));
}

async function remove(door: Door, list: List, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const address = addressOf(call.param('address'));
  const isRemoved = address !== undefined && (await door.deps.store.accounts.deleteSuppression(domain.id, list.kind, address));
  if (!isRemoved) throw new NotFound(list.notFound);
  return json({ message: list.removed, address });
}
