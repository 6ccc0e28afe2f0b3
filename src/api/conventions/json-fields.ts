/**
 * Bodies of the analytics endpoints: JSON, or a form whose fields hold the same (some SDKs send nested JSON as text in a form). Fields are read one by one; one
 * of a wrong type is refused with its name. A field that holds text which is no JSON is taken for "not given": there are SDKs that send such.
 */
import type { Call } from '#api/endpoint.ts';
import { isUnsetTime } from '#base/unset-time.ts';
import { parseEventTime } from '#events/event-time.ts';
import { badParameter } from '#model/errors.ts';
import { readBoolean } from './booleans.ts';
import { type JsonLimits, nullPrototype, parseJson } from './json.ts';

const LIST_MAX = 100;
const TEXT_MAX = 1024;

export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #allOf: ((name: string) => readonly string[]) | undefined;

  /** `allOf`: of a form, where a list is a name that comes again. */
  constructor(values: Readonly<Record<string, unknown>>, allOf?: (name: string) => readonly string[]) {
    this.#values = nullPrototype(values);
    this.#allOf = allOf;
  }

  #given(name: string): unknown {
    const value = this.#values[name];
    return value === null || value === '' ? undefined : value;
  }

  text(name: string): string | undefined {
    const value = this.#given(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isFinite(value)) return String(value);
    if (typeof value !== 'string' || value.length > TEXT_MAX) throw badParameter(`'${name}' is a text of at most ${TEXT_MAX} characters`);
    return value;
  }

  flag(name: string): boolean {
    const value = this.#given(name);
    const flag = typeof value === 'string' ? readBoolean(value) : value;
    if (flag !== undefined && typeof flag !== 'boolean') throw badParameter(`'${name}' is true or false`);
    return flag ?? false;
  }

  whole(name: string): number | undefined {
    const value = this.#given(name);
    const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
    if (number === undefined) return undefined;
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) throw badParameter(`'${name}' is a whole number`);
    return number;
  }

  /** Epoch milliseconds. */
  time(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined || isUnsetTime(text)) return undefined;
    const us = parseEventTime(text);
    if (us === undefined) throw badParameter(`'${name}' attribute is invalid: use an RFC 2822 date or Unix seconds`);
    return Math.floor(us / 1000);
  }

  texts(name: string): readonly string[] {
    const value = this.#given(name);
    if (value === undefined) return [];
    const list = typeof value === 'string' ? (this.#allOf?.(name) ?? [value]) : value;
    if (!Array.isArray(list) || list.length > LIST_MAX || !list.every((one) => typeof one === 'string' && one.length <= TEXT_MAX)) {
      throw badParameter(`'${name}' is a list of at most ${LIST_MAX} texts`);
    }
    return list as string[];
  }

  objects(name: string): readonly Fields[] {
    const value = this.#given(name);
    if (value === undefined) return [];
    if (!Array.isArray(value) || value.length > LIST_MAX || !value.every(isRecord)) {
      throw badParameter(`'${name}' is a list of at most ${LIST_MAX} objects`);
    }
    return value.map((one) => new Fields(one as Record<string, unknown>));
  }

  /** Empty when it is none. */
  laxObject(name: string): Fields {
    const value = this.#given(name);
    return new Fields(isRecord(value) ? value : {});
  }

  /** Empty when it is not given. */
  object(name: string): Fields {
    const value = this.#given(name) ?? {};
    if (!isRecord(value)) throw badParameter(`'${name}' is an object`);
    return new Fields(value);
  }
}

export function fieldsOf(call: Call, limits: JsonLimits): Fields {
  const { json, form } = call.body;
  if (json !== undefined) {
    if (!isRecord(json)) throw badParameter('the body is a JSON object');
    return new Fields(json);
  }
  const values: Record<string, unknown> = nullPrototype({});
  for (const [name, value] of form.pairs) values[name] = /^\s*[[{]/.test(value) ? parseJson(value, limits) : value;
  return new Fields(values, (name) => form.all(name));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
