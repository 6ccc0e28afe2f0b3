/**
 * The named values of a request however its client sends them: as a form, as a JSON object, or in the query. What stands in the body goes first. An empty value is
 * "not given", unless the endpoint asks whether it was named at all.
 */
import type { Call } from '#api/endpoint.ts';
import { badParameter } from '#model/errors.ts';
import { readBoolean } from './booleans.ts';

export interface Fields {
  /** The first of these names that has a value. */
  get(...names: readonly string[]): string | undefined;
  /** Every value, as it was given. */
  all(name: string): readonly string[];
  /** Every value; a text with commas is several. */
  list(name: string): readonly string[];
  /** Given, if only as an empty text. */
  has(name: string): boolean;
}

export function fieldsOf({ body, query }: Call): Fields {
  const all = (name: string): readonly string[] => {
    const values = [...body.form.all(name), ...jsonValues(body.json, name)];
    return values.length > 0 ? values : query.all(name);
  };
  return {
    get(...names) {
      for (const name of names) {
        const [value] = all(name);
        if (value !== undefined) return value;
      }
      return undefined;
    },
    all,
    list: (name) =>
      all(name).flatMap((value) =>
        value
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== ''),
      ),
    has: (name) =>
      body.form.pairs.some(([given]) => given === name) ||
      query.pairs.some(([given]) => given === name) ||
      (isObject(body.json) && Object.hasOwn(body.json, name)),
  };
}

function jsonValues(json: unknown, name: string): string[] {
  if (!isObject(json) || !Object.hasOwn(json, name)) return [];
  const value = json[name];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((item) => item !== null && typeof item !== 'object' && item !== '').map(String);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** undefined: not given. */
export function flagOf(fields: Fields, ...names: readonly string[]): boolean | undefined {
  const text = fields.get(...names);
  if (text === undefined) return undefined;
  const value = readBoolean(text);
  if (value === undefined) throw badParameter(`'${names[0]}' parameter is not a boolean: use yes or no`);
  return value;
}

export function wordOf<T extends string>(fields: Fields, name: string, words: readonly T[]): T | undefined {
  const text = fields.get(name);
  const word = words.find((each) => each === text?.trim().toLowerCase());
  if (text !== undefined && word === undefined) throw badParameter(`'${name}' parameter is not valid: it is one of ${words.join(', ')}`);
  return word;
}

export function wholeNumber(fields: Fields, name: string, min: number, max: number): number | undefined {
  const text = fields.get(name);
  if (text === undefined) return undefined;
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw badParameter(`'${name}' parameter is not a whole number from ${min} to ${max}`);
  return value;
}

export function requiredField(fields: Fields, name: string): string {
  const value = fields.get(name);
  if (value === undefined) throw badParameter(`${name} parameter is missing`);
  return value;
}

// ---- one at a time ---------------------------------------------------------------------------------------------------------

/** The first value that is not empty; numbers and booleans of JSON as text. */
export function fieldOf({ body, query }: Pick<Call, 'body' | 'query'>, name: string): string | undefined {
  return body.form.get(name) ?? jsonField(body.json, name) ?? query.get(name);
}

function jsonField(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value = (body as Readonly<Record<string, unknown>>)[name];
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === null || value === undefined) return undefined;
  throw badParameter(`'${name}' parameter is not a text`);
}

/** Not longer than `max`, and without what would not survive being shown. */
export function textField(call: Pick<Call, 'body' | 'query'>, name: string, max: number): string | undefined {
  const text = fieldOf(call, name);
  if (text !== undefined && (text.length > max || /\p{Cc}/u.test(text)))
    throw badParameter(`'${name}' parameter has at most ${max} characters, without control characters`);
  return text;
}

/** A count in the query. */
export function countOf({ query }: Pick<Call, 'query'>, name: string, absent: number, max = Number.POSITIVE_INFINITY): number {
  const text = query.get(name);
  if (text === undefined) return absent;
  if (!/^\d{1,9}$/.test(text)) throw badParameter(`'${name}' parameter is not a number`);
  return Math.min(Number(text), max);
}
