/** What stands in a form, a JSON object or a row of a CSV file, as an entry of a suppression list or the allowlist. Throws AppError for what is none. */
import { isUnsetTime } from '#base/unset-time.ts';
import { normalizeDomain, parsePath } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { Suppression, SuppressionKind } from '#store/store.ts';
import { type AllowlistEntry, UNSUBSCRIBE_TAGS_MAX } from '#store/suppression-store.ts';

export interface Fields {
  one(name: string): string | undefined;
  all(name: string): readonly string[];
}

export interface EntryContext {
  readonly nowMs: number;
  /** Epoch microseconds. */
  parseTime(text: string): number | undefined;
}

const TEXT_MAX = 2000;
const TAG_MAX = 128;
const CODE_DEFAULT = 550;

export function suppressionEntry(kind: SuppressionKind, fields: Fields, context: EntryContext): Suppression {
  const text = fields.one('address');
  if (text === undefined) throw badParameter('Missing mandatory parameter: address');
  const address = plainAddress(text);
  if (address === undefined) throw new AppError('bad-address', { field: 'address' });
  const isBounce = kind === 'bounce';
  const tags = kind === 'unsubscribe' ? tagsOf(fields) : undefined;
  return {
    kind,
    address,
    code: isBounce ? codeOf(fields) : 0,
    error: isBounce ? (fields.one('error') ?? '').slice(0, TEXT_MAX) : '',
    createdMs: createdMsOf(fields, context),
    ...(tags !== undefined && { tags }),
  };
}

/** Suppressions are kept and found in lower case. */
export function plainAddress(text: string): string | undefined {
  return parsePath(text.trim(), { allowNull: false })?.address.toLowerCase();
}

function codeOf(fields: Fields): number {
  const code = Number(fields.one('code') ?? CODE_DEFAULT);
  if (!Number.isInteger(code) || code < 100 || code > 999) throw badParameter("'code' parameter is not a reply code");
  return code;
}

function createdMsOf(fields: Fields, { nowMs, parseTime }: EntryContext): number {
  const text = fields.one('created_at') ?? fields.one('createdat') ?? fields.one('createdAt');
  if (text === undefined || isUnsetTime(text)) return nowMs;
  const atUs = parseTime(text);
  if (atUs === undefined) throw badParameter("'created_at' parameter is not a valid date");
  return Math.floor(atUs / 1000);
}

/** Undefined: for everything. */
function tagsOf(fields: Fields): string[] | undefined {
  const tags = [...fields.all('tag'), ...fields.all('tags')].map((tag) => tag.trim()).filter((tag) => tag !== '');
  if (tags.length === 0 || tags.includes('*')) return undefined;
  if (tags.length > UNSUBSCRIBE_TAGS_MAX) throw badParameter(`too many tags, max is ${UNSUBSCRIBE_TAGS_MAX}`);
  if (tags.some((tag) => tag.length > TAG_MAX)) throw badParameter(`a tag is longer than ${TAG_MAX} characters`);
  return [...new Set(tags)].sort();
}

export function allowlistEntry(fields: Fields, context: EntryContext): AllowlistEntry {
  const [address, domain] = [fields.one('address'), fields.one('domain')];
  const text = address ?? domain;
  if (text === undefined) throw badParameter('Missing mandatory parameter: address/domain');
  const entry = allowlistValue(text, address === undefined ? 'domain' : 'address');
  if (entry === undefined) throw new AppError('bad-address', { field: address === undefined ? 'domain' : 'address' });
  return { ...entry, reason: (fields.one('reason') ?? '').slice(0, TEXT_MAX), createdMs: createdMsOf(fields, context) };
}

export function allowlistValue(text: string, type: AllowlistEntry['type']): Pick<AllowlistEntry, 'type' | 'value'> | undefined {
  const value = type === 'address' ? plainAddress(text) : normalizeDomain(text.trim());
  return value === undefined ? undefined : { type, value };
}
