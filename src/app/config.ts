/**
 * The configuration: what stands in the file (TOML), over it what the environment says (`POSTRIDER_HTTP_LISTEN` for `http.listen`),
 * over that what the command line says; below them the defaults. The result is typed, read-only and complete.
 * Every mistake is told at once, each with its key, what was given and what is expected; an unknown key names the nearest one.
 * This is the only reader of the environment.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { parse } from 'smol-toml';
import { storePlace } from '#store/store-url.ts';
import { configName, show } from './setting-kinds.ts';
import type { Complain, Group, ListenAddress } from './setting-kinds.ts';
import { ALL_SETTINGS, SETTINGS } from './settings.ts';
import type { ConfigOf, NamedSetting } from './settings.ts';

type Settings = ConfigOf<(typeof SETTINGS)['keys']>;

const GOOD_KEY_LENGTH = 16;

/** Complete: what is absent in the table of settings is derived here. */
export interface Config extends Settings {
  readonly isDev: boolean;
  /** The data directory, absolute. */
  readonly data: string;
  readonly store: Settings['store'] & { readonly url: string };
  readonly node: Settings['node'] & { readonly name: string };
  readonly smtp: Settings['smtp'] & { readonly hostname: string };
  /** First start only: POSTRIDER_API_KEY. */
  readonly firstApiKey?: string;
}

export interface ConfigSources {
  /** Path of a TOML file. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Key → value as in the file: `{ 'data': '/srv/postrider' }`. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  /** Development mode's defaults. */
  readonly dev?: boolean;
}

/** All mistakes, one line each. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Throws `ConfigError` with every mistake. */
export function loadConfig(sources: ConfigSources): Config {
  const problems: string[] = [];
  const tree: Record<string, unknown> = {};
  const given = fromFile(sources.file, problems);
  for (const setting of ALL_SETTINGS) put(tree, setting, valueOf(setting, sources, given, problems));
  if (problems.length === 0) problems.push(...contradictions(tree as unknown as Settings));
  const firstApiKey = sources.env['POSTRIDER_API_KEY']?.trim();
  if (firstApiKey !== undefined && firstApiKey !== '' && !/^[\x21-\x39\x3b-\x7e]{1,200}$/.test(firstApiKey)) {
    problems.push('POSTRIDER_API_KEY: expected 1 to 200 printable ASCII characters without space or colon');
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return complete(tree as unknown as Settings, sources.dev === true, firstApiKey === '' ? undefined : firstApiKey);
}

/** What is worth a word but no refusal: variables that look like settings and are none (Kubernetes sets such names), and a key that can be guessed. */
export function environmentWarnings(env: ConfigSources['env']): string[] {
  const known = [...ALL_SETTINGS.map((s) => s.environment), 'POSTRIDER_API_KEY', 'POSTRIDER_CONFIG'];
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith('POSTRIDER_') && !known.includes(name))
    .map((name) => `environment variable ${name} is not a setting; the nearest is ${closest(name, known)}`);
  const key = env['POSTRIDER_API_KEY']?.trim() ?? '';
  // A test or a laptop may do with "secret"; its owner decides, and is told.
  if (key !== '' && key.length < GOOD_KEY_LENGTH)
    warnings.push(`POSTRIDER_API_KEY has fewer than ${GOOD_KEY_LENGTH} characters: easy to guess where others reach the API`);
  return warnings;
}

/** Settings that are right and do nothing yet, or less than one may think. */
export function settingWarnings(config: Config): string[] {
  const warnings: string[] = [];
  if (config.smtp.inbound.length > 0 && !config.isDev) warnings.push(...inboundWarnings(config));
  if (config.tls.acme.names.length > 0 && !config.tls.acme.acceptTerms)
    warnings.push("tls.acme.names has no effect until you agree to the authority's terms (tls.acme.accept_terms)");
  const place = storePlace(config.store.url);
  if (place.kind === 'postgres' && !place.tls.isChosen)
    warnings.push(
      'store.url: the connections to the database are not encrypted; add sslmode=verify-full, or sslmode=disable where the network is trusted',
    );
  return warnings;
}

function inboundWarnings({ smtp, node }: Config): string[] {
  const warnings: string[] = [];
  if (!node.services.includes('accept')) warnings.push('smtp.inbound has no effect: this node does not accept mail (node.services)');
  if (!smtp.hostname.includes('.'))
    warnings.push(`smtp.hostname: other servers expect a full name, which the MX of your domains points to; it is ${show(smtp.hostname)}`);
  return warnings;
}

interface GivenFile {
  readonly name: string;
  readonly values: ReadonlyMap<string, unknown>;
}

function fromFile(file: string | undefined, problems: string[]): GivenFile {
  const values = new Map<string, unknown>();
  if (file === undefined) return { name: '', values };
  try {
    collect(parse(readFileSync(file, 'utf8')), SETTINGS, '', values, problems);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [first = ''] = error.message.split('\n');
    const place = 'line' in error && 'column' in error ? `line ${String(error.line)}, column ${String(error.column)}: ` : '';
    problems.push(`${file}: ${place}${'code' in error ? reasonOf(error.code) : first.replace('Invalid TOML document: ', '')}`);
  }
  return { name: file, values };
}

function reasonOf(code: unknown): string {
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'this user may not read it';
  if (code === 'EISDIR') return 'is a directory, expected a TOML file';
  return `cannot be read (${String(code)})`;
}

/** Walks the tables of the file; what is not a setting is a problem that names the nearest key. */
function collect(table: object, group: Group, prefix: string, values: Map<string, unknown>, problems: string[]): void {
  for (const [name, value] of Object.entries(table)) {
    const entry = Object.hasOwn(group.keys, name) ? group.keys[name] : undefined;
    const key = prefix + name;
    if (entry === undefined)
      problems.push(
        `${key}: is not a setting; ${nearest(
          key,
          Object.keys(group.keys).map((sibling) => prefix + sibling),
        )}`,
      );
    else if (!('isGroup' in entry)) values.set(key, value);
    else if (typeof value === 'object' && value !== null && !Array.isArray(value)) collect(value, entry, `${key}.`, values, problems);
    else problems.push(`${key}: given ${show(value)}, expected a table: ${entry.sentence}`);
  }
}

const KEYS = ALL_SETTINGS.map((s) => s.key);

/** The whole key may be misspelt, or stand in the wrong table: then its last part decides. */
function nearest(key: string, siblings: readonly string[]): string {
  const last = key.split('.').at(-1) ?? key;
  const namesakes = KEYS.filter((k) => k.split('.').at(-1) === last);
  const whole = closest(key, [...siblings, ...KEYS]);
  const best = namesakes.length > 0 && distance(key, whole) > 2 ? closest(key, namesakes) : whole;
  return `the nearest is ${best}`;
}

function valueOf(named: NamedSetting, sources: ConfigSources, file: GivenFile, problems: string[]): unknown {
  const { key, environment, setting } = named;
  const complainAs =
    (origin: string): Complain =>
    (at, sentence) =>
      problems.push(`${at}${origin}: ${sentence}`);
  if (sources.overrides !== undefined && Object.hasOwn(sources.overrides, key)) {
    return setting.read(sources.overrides[key], key, complainAs(' (command line)'))?.value;
  }
  const text = sources.env[environment];
  if (text !== undefined && text !== '')
    return setting.read(setting.fromText(text), key, complainAs(` (environment ${environment})`))?.value;
  if (file.values.has(key)) return setting.read(file.values.get(key), key, complainAs(''))?.value;
  const preset = sources.dev === true && setting.devPreset !== undefined ? setting.devPreset : setting.preset;
  if (preset === undefined) return undefined;
  return setting.read(preset, key, (at, sentence) => {
    throw new Error(`the default of ${at} is wrong: ${sentence}`);
  })?.value;
}

function put(tree: Record<string, unknown>, { key, setting }: NamedSetting, value: unknown): void {
  const path = key.split('.');
  const last = path.pop() as string;
  let node = tree;
  for (const part of path) {
    const name = configName(part, '');
    node = (node[name] ??= {}) as Record<string, unknown>;
  }
  node[configName(last, setting.suffix)] = value;
}

/** What is wrong between settings that are right by themselves. */
function contradictions(c: Settings): string[] {
  const found: string[] = [];
  if ((c.tls.cert === undefined) !== (c.tls.key === undefined))
    found.push('tls.cert and tls.key: only one is given, expected both or none');
  if (c.tls.acme.acceptTerms && c.tls.acme.email === undefined)
    found.push('tls.acme.email: is missing; the authority wants an address with tls.acme.accept_terms');
  if (c.secret !== undefined && c.secretFile !== undefined) found.push('secret and secret_file: both are given, expected one');
  if (c.delivery.retry.length === 0) found.push('delivery.retry: given an empty list, expected at least one duration');
  if (c.delivery.suspendMinMs > c.delivery.suspendMaxMs) found.push('delivery.suspend_min: is longer than delivery.suspend_max');
  if (c.node.services.length === 0) found.push('node.services: given an empty list, expected at least one service');
  if (c.webhooks.retry.length === 0) found.push('webhooks.retry: given an empty list, expected at least one duration');
  if (c.http.listen.length === 0) found.push('http.listen: given an empty list, expected at least one address');
  if (c.http.requestSizeBytes < c.limits.messageSizeBytes) found.push('http.request_size: is smaller than limits.message_size');
  if (c.limits.memoryBytes < c.limits.messageSizeBytes) found.push('limits.memory: is smaller than limits.message_size');
  if (c.limits.headerSizeBytes > c.limits.messageSizeBytes) found.push('limits.header_size: is larger than limits.message_size');
  const names = c.delivery.sources.map((s) => s.name ?? s.address ?? '');
  if (new Set(names).size !== names.length) found.push('delivery.sources: two entries have the same name');
  return [...found, ...sharedAddresses(c)];
}

function sharedAddresses(c: Settings): string[] {
  const taken = new Map<string, string>();
  const found: string[] = [];
  const lists: readonly (readonly [string, readonly ListenAddress[]])[] = [
    ['http.listen', c.http.listen],
    ['http.tls_listen', c.http.tlsListen],
    ['smtp.submission', c.smtp.submission],
    ['smtp.submissions', c.smtp.submissions],
    ['smtp.inbound', c.smtp.inbound],
  ];
  for (const [key, addresses] of lists) {
    for (const { host, port } of addresses) {
      const name = `${host ?? '*'}:${port}`;
      const other = taken.get(name);
      if (port !== 0 && other !== undefined) found.push(`${key}: ${name} is also in ${other}`);
      taken.set(name, key);
    }
  }
  return found;
}

function complete(c: Settings, isDev: boolean, firstApiKey: string | undefined): Config {
  const data = resolve(c.data);
  return deepFreeze({
    ...c,
    isDev,
    data,
    store: { ...c.store, url: c.store.url ?? `sqlite:${join(data, 'postrider.db')}` },
    node: { ...c.node, name: c.node.name ?? hostname().toLowerCase() },
    http: { ...c.http, publicUrl: c.http.publicUrl?.replace(/\/+$/, '') },
    smtp: { ...c.smtp, hostname: c.smtp.hostname ?? hostname().toLowerCase() },
    ...(firstApiKey === undefined ? {} : { firstApiKey }),
  });
}

function deepFreeze<T extends object>(value: T): T {
  for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) deepFreeze(item as object);
  return Object.freeze(value);
}
