/**
 * What the endpoints of templates share, be they a domain's or the account's own: whose they are, what a request may say, how a template and a version are
 * shown, and their pages. Names and tags are kept in lower case. A template and its versions are few (`TEMPLATES_MAX`, `VERSIONS_MAX`): pages are cut from all of them.
 */
import { hash } from 'node:crypto';
import { badParameter } from '#model/errors.ts';
import { accountTemplates } from '#store/template-store.ts';
import type { TemplateFacts, TemplateVersion } from '#store/template-store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { NotFound } from './errors.ts';
import { utcDate } from './dates.ts';
import { countOf } from './fields.ts';
import { nullPrototype, parseJson } from './json.ts';
import { domainOf } from './tenant.ts';

export const TEMPLATES_MAX = 100;
export const VERSIONS_MAX = 40;
const NAME_MAX = 255;
const COMMENT_MAX = 1000;
const SOURCE_MAX = 100 * 1024;
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const HEADER_NAMES = new Set(['from', 'subject', 'reply-to']);

/** Whose templates: what the store knows the owner by, and where the owner's templates are on the API. */
export interface Shelf {
  readonly id: number;
  readonly path: string;
}

export type ShelfOf = (call: Call) => Promise<Shelf> | Shelf;

export function domainShelf(door: Door): ShelfOf {
  return async (call) => {
    const domain = await domainOf(door, call, 'domain not found');
    return { id: domain.id, path: `/v3/${domain.name}/templates` };
  };
}

export function accountShelf({ principal }: Call): Shelf {
  return { id: accountTemplates(principal.accountId), path: '/v4/templates' };
}

export async function requiredTemplate(door: Door, shelf: Shelf, call: Call): Promise<TemplateFacts> {
  const name = call.param('name').toLowerCase();
  const found = (await door.deps.store.templates.listTemplates(shelf.id)).find((item) => item.name === name);
  if (found === undefined) throw new NotFound('template not found');
  return found;
}

// ---- what a request says -----------------------------------------------------------------------------------------------

export function nameOf(text: string | undefined, field: string): string {
  if (text === undefined) throw badParameter(`${field} parameter is missing`);
  const name = text.trim().toLowerCase();
  if (name === '' || name.length > NAME_MAX || !name.isWellFormed() || /[\u0000-\u001f\u007f-\u009f/]/.test(name))
    throw badParameter(`${field} parameter is not valid`);
  return name;
}

export function textOf(call: Call, field: string): string | undefined {
  const text = call.body.form.get(field);
  if (text === undefined) return undefined;
  if (text.length > COMMENT_MAX) throw badParameter(`${field} parameter is longer than ${COMMENT_MAX} characters`);
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text)) throw badParameter(`${field} parameter has control characters`);
  return text;
}

export function sourceOf(call: Call): string | undefined {
  const { form } = call.body;
  const engine = form.get('engine') ?? 'handlebars';
  if (engine !== 'handlebars') throw badParameter("engine parameter is 'handlebars'");
  const source = form.text('template');
  if (source !== undefined && Buffer.byteLength(source) > SOURCE_MAX) throw badParameter(`template is larger than ${SOURCE_MAX} bytes`);
  return source;
}

export function headersOf(door: Door, call: Call): Readonly<Record<string, string>> | undefined {
  const text = call.body.form.get('headers');
  if (text === undefined) return undefined;
  const value = parseJson(text, door.limits);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badParameter('headers parameter is not a valid JSON');
  const entries = Object.entries(nullPrototype(value as Record<string, unknown>));
  if (entries.some(([name, item]) => typeof item !== 'string' || !HEADER_NAMES.has(name.toLowerCase()))) {
    throw badParameter('headers parameter may have From, Subject and Reply-To');
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

// ---- what an answer shows -------------------------------------------------------------------------------------------------

export function shown(shelf: Shelf, item: TemplateFacts): Record<string, unknown> {
  return {
    name: item.name,
    description: item.description,
    createdAt: utcDate(item.createdMs),
    createdBy: item.createdBy,
    id: uuidOf(`${shelf.id}/${item.name}`),
  };
}

/** Lists leave the source and the headers out, as the hosted service does. */
export function listedVersion(shelf: Shelf, version: Omit<TemplateVersion, 'source' | 'templateId'>): Record<string, unknown> {
  return {
    tag: version.tag,
    engine: version.engine,
    mjml: '',
    createdAt: utcDate(version.createdMs),
    comment: version.comment,
    active: version.isActive,
    id: uuidOf(`${shelf.id}/${version.name}/${version.tag}`),
  };
}

export function shownVersion(shelf: Shelf, version: Omit<TemplateVersion, 'templateId'>): Record<string, unknown> {
  const { tag, ...rest } = listedVersion(shelf, version);
  return { tag, template: version.source, ...rest, ...(Object.keys(version.headers).length > 0 && { headers: version.headers }) };
}

/** SDKs expect a UUID; the name already is the identity, so it is derived from it (RFC 9562 §5.8, version 8). */
function uuidOf(identity: string): string {
  const hex = hash('sha256', identity, 'hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A page of what is in the order of its names: the first, the last, or that after or before the name `p`. */
export function pageOf<T>(
  call: Call,
  path: string,
  all: readonly T[],
  nameFor: (item: T) => string,
): { readonly items: T[]; readonly paging: object } {
  const limit = countOf(call, 'limit', LIMIT_DEFAULT, LIMIT_MAX) || LIMIT_DEFAULT;
  const page = call.query.get('page');
  const pivot = call.query.get('p')?.toLowerCase();
  const items = itemsOf(all, nameFor, page, pivot, limit);
  const base = `${call.publicUrl}${path}?`;
  const around = (word: string, item: T | undefined): string =>
    `${base}page=${word}${item === undefined ? '' : `&p=${encodeURIComponent(nameFor(item))}`}&limit=${limit}`;
  const [first, last] = items.length === 0 ? [undefined, undefined] : [items[0], items.at(-1)];
  return {
    items,
    paging: {
      first: `${base}limit=${limit}`,
      last: `${base}page=last&limit=${limit}`,
      next: items.length === 0 ? `${base}page=last&limit=${limit}` : around('next', last),
      previous: items.length === 0 ? `${base}limit=${limit}` : around('previous', first),
    },
  };
}

function itemsOf<T>(
  all: readonly T[],
  nameFor: (item: T) => string,
  page: string | undefined,
  pivot: string | undefined,
  limit: number,
): T[] {
  if (page === 'last') return all.slice(-limit);
  if (pivot === undefined) return all.slice(0, limit);
  if (page === 'previous') return all.filter((item) => nameFor(item) < pivot).slice(-limit);
  if (page === 'next') return all.filter((item) => nameFor(item) > pivot).slice(0, limit);
  return all.slice(0, limit);
}
