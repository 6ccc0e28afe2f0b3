/**
 * The kinds of value a setting can have: how each is written in the file and in the environment, what is accepted, and what
 * it becomes. A kind never throws on what an operator wrote: it complains in a sentence and reads on, so that every mistake of a
 * file is told at once. Durations become milliseconds and sizes bytes, and the names of the configuration say so (`Ms`, `Bytes`).
 */
import ipaddr from 'ipaddr.js';
import { parseDuration, parseSize } from '#base/units.ts';

/** Told once for each mistake: the key, and a sentence without it. */
export type Complain = (key: string, sentence: string) => void;

/** undefined after a complaint. */
export type Read<V> = { readonly value: V } | undefined;
export type AnySetting = Setting<unknown, string>;

export interface Setting<V, Suffix extends string = ''> {
  readonly isSetting: true;
  /** For the manual: "duration", "list of addresses". */
  readonly type: string;
  /** Added to the name in the configuration: "Ms", "Bytes" or nothing. */
  readonly suffix: Suffix;
  /** As it would be written in the file; undefined: none. */
  readonly preset: unknown;
  /** The same in development mode, when it differs. */
  readonly devPreset?: unknown;
  readonly sentence: string;
  /** Must be given (fields of lists of tables only). */
  readonly isRequired?: boolean;
  /** Never shown in messages or listings. */
  readonly isSecret?: boolean;
  readonly fields?: Readonly<Record<string, AnySetting>>;
  read(given: unknown, key: string, complain: Complain): Read<V>;
  /** What a text from the environment would be in the file. */
  fromText(text: string): unknown;
}

/** host absent: every address of the machine. isOptional: written with "?" at the end. */
export interface ListenAddress {
  readonly host?: string;
  readonly port: number;
  readonly isOptional: boolean;
}

export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

interface Extras {
  readonly dev?: unknown;
  readonly isSecret?: boolean;
}

/** A kind for one plain value: `accept` gives undefined for what it does not take; `expected` is the end of the complaint. */
function plain<V, S extends string = ''>(
  type: string,
  suffix: S,
  expected: string,
  preset: unknown,
  sentence: string,
  accept: (given: unknown) => V | undefined,
  fromText: (text: string) => unknown,
  extras: Extras = {},
): Setting<V, S> {
  return {
    isSetting: true,
    type,
    suffix,
    preset,
    sentence,
    fromText,
    ...(extras.dev === undefined ? {} : { devPreset: extras.dev }),
    ...(extras.isSecret === true ? { isSecret: true } : {}),
    read(given, key, complain) {
      const value = accept(given);
      if (value !== undefined) return { value };
      complain(key, `given ${extras.isSecret === true ? '(hidden)' : show(given)}, expected ${expected}`);
      return undefined;
    },
  };
}

const asIs = (text: string): unknown => text;
const asNumber = (text: string): unknown => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text);

export function string(preset: string | undefined, sentence: string, extras: Extras = {}): Setting<string> {
  return plain('string', '', 'a text', preset, sentence, (given) => (typeof given === 'string' ? given : undefined), asIs, extras);
}

/** A text that `isValid` recognises; `expected` names it in complaints. */
export function text(
  expected: string,
  isValid: (given: string) => boolean,
  preset: string | undefined,
  sentence: string,
  extras: Extras = {},
): Setting<string> {
  return plain(
    'string',
    '',
    expected,
    preset,
    sentence,
    (given) => (typeof given === 'string' && isValid(given) ? given : undefined),
    asIs,
    extras,
  );
}

/** A text that has its own way of telling what is wrong (the end of a sentence that begins "expected"), and of being shown without what is secret in it. */
export function checked(
  problemOf: (given: string) => string | undefined,
  shown: (given: string) => string,
  sentence: string,
): Setting<string> {
  return {
    ...string(undefined, sentence),
    isSecret: true,
    read(given, key, complain) {
      const problem = typeof given === 'string' ? problemOf(given) : 'a text';
      if (problem === undefined) return { value: given as string };
      complain(key, `given ${typeof given === 'string' ? show(shown(given)) : '(hidden)'}, expected ${problem}`);
      return undefined;
    },
  };
}

export function integer(min: number, max: number, preset: number | undefined, sentence: string, extras: Extras = {}): Setting<number> {
  const accept = (given: unknown): number | undefined =>
    typeof given === 'number' && Number.isSafeInteger(given) && given >= min && given <= max ? given : undefined;
  return plain('integer', '', `a whole number from ${min} to ${max}`, preset, sentence, accept, asNumber, extras);
}

/** One of a few numbers. */
export function numberOf(choices: readonly number[], preset: number, sentence: string): Setting<number> {
  const accept = (given: unknown): number | undefined => choices.find((c) => c === given);
  return plain('integer', '', choices.join(' or '), preset, sentence, accept, asNumber);
}

export function flag(preset: boolean, sentence: string, extras: Extras = {}): Setting<boolean> {
  const words: Readonly<Record<string, boolean>> = {
    true: true,
    yes: true,
    on: true,
    1: true,
    false: false,
    no: false,
    off: false,
    0: false,
  };
  return plain(
    'boolean',
    '',
    'true or false',
    preset,
    sentence,
    (given) => (typeof given === 'boolean' ? given : undefined),
    (given) => words[given.trim().toLowerCase()] ?? given,
    extras,
  );
}

export function choice<const C extends string>(choices: readonly C[], preset: C, sentence: string, extras: Extras = {}): Setting<C> {
  const expected = choices.map((c) => `"${c}"`).join(' or ');
  return plain(expected, '', expected, preset, sentence, (given) => choices.find((c) => c === given), asIs, extras);
}

export function duration(
  [min, max]: readonly [string, string],
  preset: string | undefined,
  sentence: string,
  extras: Extras = {},
): Setting<number, 'Ms'> {
  const [minMs, maxMs] = [parseDuration(min) as number, parseDuration(max) as number];
  const accept = (given: unknown): number | undefined => {
    const ms = typeof given === 'string' ? parseDuration(given.trim()) : undefined;
    return ms !== undefined && ms >= minMs && ms <= maxMs ? ms : undefined;
  };
  return plain(
    'duration',
    'Ms',
    `a duration such as "30s", "10m", "2h" or "5d", from ${min} to ${max}`,
    preset,
    sentence,
    accept,
    asIs,
    extras,
  );
}

export function size(
  [min, max]: readonly [string, string],
  preset: string | undefined,
  sentence: string,
  extras: Extras = {},
): Setting<number, 'Bytes'> {
  const [minBytes, maxBytes] = [parseSize(min) as number, parseSize(max) as number];
  const accept = (given: unknown): number | undefined => {
    const bytes = typeof given === 'string' || typeof given === 'number' ? parseSize(String(given).trim()) : undefined;
    return bytes !== undefined && bytes >= minBytes && bytes <= maxBytes ? bytes : undefined;
  };
  return plain('size', 'Bytes', `a size such as "512KB" or "25MB", from ${min} to ${max}`, preset, sentence, accept, asIs, extras);
}

/** "100/s", "3000/m", "10/30s". */
export function rate(preset: string | undefined, sentence: string): Setting<Rate> {
  return plain('rate', '', 'a rate such as "100/s", "3000/m" or "50/30s"', preset, sentence, readRate, asIs);
}

function readRate(given: unknown): Rate | undefined {
  const match = typeof given === 'string' ? /^\s*(\d{1,9})\s*\/\s*(\d{0,6})(ms|s|m|h|d)\s*$/.exec(given) : null;
  if (match === null) return undefined;
  const count = Number(match[1]);
  const perMs = parseDuration(`${match[2] === '' ? '1' : match[2]}${match[3]}`);
  return count > 0 && perMs !== undefined && perMs > 0 ? { count, perMs } : undefined;
}

/** "127.0.0.1:8080", "[::1]:587", ":2525" (every address), "127.0.0.1:587?" (skipped with a warning when it cannot be opened). */
export function listenAddress(preset: string | undefined, sentence: string): Setting<ListenAddress> {
  const expected = 'an address with a port, such as "127.0.0.1:8080", "[::1]:587" or ":2525"';
  return plain('address', '', expected, preset, sentence, readListenAddress, asIs);
}

function readListenAddress(given: unknown): ListenAddress | undefined {
  if (typeof given !== 'string') return undefined;
  const match = /^(?:\[([0-9a-f:.%\w]+)\]|([\w.-]*|\*)):(\d{1,5})(\?)?$/i.exec(given.trim());
  if (match === null) return undefined;
  const [, ip6, name, digits, mark] = match;
  const port = Number(digits);
  if (port > 65_535 || (ip6 !== undefined && !ipaddr.IPv6.isValid(ip6))) return undefined;
  const host = ip6 ?? (name === '*' ? '' : name);
  return { ...(host === undefined || host === '' ? {} : { host }), port, isOptional: mark !== undefined };
}

/** The setting may be absent. */
export function optional<V, S extends string>(setting: Setting<V, S>): Setting<V | undefined, S> {
  return { ...setting, preset: undefined };
}

/** A field without which an entry of a list makes no sense. */
export function required<V, S extends string>(setting: Setting<V, S>): Setting<V, S> {
  return { ...setting, isRequired: true };
}

const LIST_MAX = 10_000;

/** A list of plain values. One value alone is a list of one; in the environment it is comma-separated, or JSON. */
export function list<V>(
  of: Setting<V, string>,
  plural: string,
  preset: readonly unknown[],
  sentence: string,
  extras: Extras = {},
): Setting<readonly V[]> {
  return {
    isSetting: true,
    type: `list of ${plural}`,
    suffix: '',
    preset,
    sentence,
    ...(extras.dev === undefined ? {} : { devPreset: extras.dev }),
    fromText: listFromText,
    read(given, key, complain) {
      const items = Array.isArray(given) ? given : [given];
      if (items.length > LIST_MAX) complain(key, `given ${items.length} entries, expected at most ${LIST_MAX}`);
      const values = items.map((item, i) => of.read(item, items.length === 1 ? key : `${key}[${i}]`, complain));
      return values.includes(undefined) ? undefined : { value: values.map((item) => (item as { readonly value: V }).value) };
    },
  };
}

function listFromText(given: string): unknown {
  if (given.trim() === '') return [];
  if (given.trim().startsWith('[{') || given.trim().startsWith('["') || given.trim() === '[]') return jsonOr(given);
  return given.split(',').map((item) => item.trim());
}

function jsonOr(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return given;
  }
}

type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
/** The name of a setting in the configuration: camel case, with its unit. */
export type ConfigName<K extends string, T> = T extends Setting<infer _, infer S> ? `${Camel<K>}${S}` : Camel<K>;

export function configName(key: string, suffix: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()) + suffix;
}

type Fields = Readonly<Record<string, AnySetting>>;
export type RecordOf<F> = { readonly [K in keyof F & string as ConfigName<K, F[K]>]: F[K] extends Setting<infer V, string> ? V : never };

/** A list of tables: `[[delivery.routes]]` in the file, JSON in the environment. */
export function tables<const F extends Fields>(fields: F, sentence: string): Setting<readonly RecordOf<F>[]> {
  return {
    isSetting: true,
    type: 'list of tables',
    suffix: '',
    preset: [],
    sentence,
    fields,
    fromText: (given) => (given.trim() === '' ? [] : jsonOr(given)),
    read(given, key, complain) {
      if (!Array.isArray(given) || given.length > LIST_MAX) {
        complain(key, `given ${show(given)}, expected a list of tables with the keys ${Object.keys(fields).join(', ')}`);
        return undefined;
      }
      return { value: given.map((item: unknown, i) => readTable(fields, item, `${key}[${i}]`, complain)) as RecordOf<F>[] };
    },
  };
}

function readTable(fields: Fields, given: unknown, key: string, complain: Complain): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    complain(key, `given ${show(given)}, expected a table with the keys ${Object.keys(fields).join(', ')}`);
    return result;
  }
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(fields, name)) complain(`${key}.${name}`, `is not a setting; ${Object.keys(fields).join(', ')} are`);
  }
  for (const [name, field] of Object.entries(fields)) {
    const item = Object.hasOwn(given, name) ? (given as Record<string, unknown>)[name] : field.preset;
    if (item === undefined && field.isRequired === true) complain(`${key}.${name}`, `is missing: ${field.sentence}`);
    if (item === undefined) continue;
    result[configName(name, field.suffix)] = field.read(item, `${key}.${name}`, complain)?.value;
  }
  return result;
}

/** What was given, short and in one line, as JSON would write it. */
export function show(given: unknown): string {
  const json = JSON.stringify(given) ?? String(given);
  return json.length <= 80 ? json : `${json.slice(0, 77)}...`;
}

export interface Group {
  readonly isGroup: true;
  readonly sentence: string;
  readonly keys: Readonly<Record<string, AnySetting | Group>>;
}

/** Settings that belong together, and other groups. */
export function group<const K extends Group['keys']>(
  sentence: string,
  keys: K,
): { readonly isGroup: true; readonly sentence: string; readonly keys: K } {
  return { isGroup: true, sentence, keys };
}
