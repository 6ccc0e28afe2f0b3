/**
 * The sending options a caller writes as `o:…`, `v:…`, `t:…` and `template`, parsed once into `SubmissionOptions`. The SMTP door
 * maps its X-Mailgun-* headers to the same names (`mailgun-headers.ts`), so that both doors mean the same by the same words.
 *
 * Promises: unknown `o:` and `t:` names are ignored, as clients send options of later and earlier versions; a known name with a
 * value that cannot be understood is refused with a sentence that names it; tags over the limit are dropped silently.
 * `h:` pairs count towards the size limit and, but for h:X-Mailgun-Variables, mean nothing here.
 */
import { isWithin, JSON_BOUNDS } from '#base/json-shape.ts';
import { parseDate } from '#mail/date.ts';
import { badParameter } from '#model/errors.ts';
import type { SubmissionOptions, Toggle } from '#model/submission.ts';
import { parseClockTime, parsePeriod } from './periods.ts';

export interface OptionsContext {
  readonly nowMs: number;
  /** How far ahead o:deliverytime may lie. */
  readonly horizonMs: number;
  readonly tagsMax: number;
}

export const OPTIONS_BYTES_MAX = 16 * 1024;
const TAG_LENGTH_MAX = 128;
const DELIVER_WITHIN_MIN_MS = 5 * 60_000;
const DELIVER_WITHIN_MAX_MS = 24 * 3_600_000;
const OPTIMIZE_MIN_MS = 24 * 3_600_000;
const OPTIMIZE_MAX_MS = 72 * 3_600_000;

/** What most mail has. Frozen and shared: one object for all messages without options. */
export const NO_OPTIONS: SubmissionOptions = Object.freeze({ tags: Object.freeze([]), variables: Object.freeze({}), testMode: false });

/** Throws AppError 'bad-parameter'. */
export function parseOptions(pairs: Iterable<readonly [name: string, value: string]>, context: OptionsContext): SubmissionOptions {
  let draft: Draft | undefined;
  let sizeBytes = 0;
  for (const [name, value] of pairs) {
    const kind = name.slice(0, 2).toLowerCase();
    const isOption = kind === 'o:' || kind === 'v:' || kind === 't:' || kind === 'h:';
    if (isOption) {
      sizeBytes += Buffer.byteLength(name) + Buffer.byteLength(value);
      if (sizeBytes > OPTIONS_BYTES_MAX) {
        throw badParameter('Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total');
      }
    }
    draft ??= newDraft();
    if (kind === 'v:') addVariable(draft, name.slice(2), value);
    else if (isOption || name.toLowerCase() === 'template') READERS[name.toLowerCase()]?.(draft, value, context);
  }
  return draft === undefined ? NO_OPTIONS : finish(draft);
}

/**
 * The `recipient-variables` parameter: each recipient's values by bare address in lower case.
 * Throws AppError 'bad-parameter' unless it is a JSON object of objects.
 */
export function parseRecipientVariables(text: string): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const parsed = parseJsonObject(text);
  if (parsed === undefined) throw badParameter("'recipient-variables' parameter is not a valid JSON");
  const byAddress = new Map<string, Readonly<Record<string, unknown>>>();
  for (const [address, values] of Object.entries(parsed)) {
    if (!isObject(values)) throw badParameter("'recipient-variables' parameter is not a valid JSON");
    byAddress.set(address.trim().toLowerCase(), values);
  }
  return byAddress;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Draft {
  readonly options: Partial<Mutable<SubmissionOptions>>;
  readonly tags: string[];
  readonly variables: Map<string, unknown>;
  templateName?: string;
  templateVersion?: string;
  templateVariables?: Readonly<Record<string, unknown>>;
  templateText?: boolean;
}

function newDraft(): Draft {
  return { options: {}, tags: [], variables: new Map() };
}

function finish(draft: Draft): SubmissionOptions {
  const template =
    draft.templateName === undefined
      ? undefined
      : {
          name: draft.templateName,
          ...(draft.templateVersion !== undefined && { version: draft.templateVersion }),
          variables: draft.templateVariables ?? {},
          text: draft.templateText ?? false,
        };
  return {
    ...draft.options,
    tags: draft.tags,
    variables: Object.fromEntries(draft.variables),
    testMode: draft.options.testMode ?? false,
    ...(template !== undefined && { template }),
  };
}

/** One entry per name, in lower case. */
const READERS: Readonly<Record<string, (draft: Draft, value: string, context: OptionsContext) => void>> = {
  'o:tag': (draft, value, context) => addTag(draft, value, context.tagsMax),
  'o:dkim': (draft, value) => void (draft.options.dkim = yesNo('o:dkim', value)),
  'o:secondary-dkim': (draft, value) => void (draft.options.secondaryDkim = secondaryDkim(value)),
  'o:secondary-dkim-public': (draft, value) => void (draft.options.secondaryDkimPublic = secondaryDkim(value)),
  'o:deliverytime': (draft, value, context) => void (draft.options.deliverAtMs = deliverAt(value, context)),
  'o:deliver-within': (draft, value) => void (draft.options.deliverWithinMs = deliverWithin(value)),
  'o:deliverytime-optimize-period': (draft, value) => void (draft.options.optimizePeriodMs = optimizePeriod(value)),
  'o:time-zone-localize': (draft, value) => void (draft.options.timeZoneLocalize = localize(value)),
  'o:testmode': (draft, value) => void (draft.options.testMode = yesNo('o:testmode', value)),
  'o:tracking': (draft, value) => void (draft.options.tracking = toggle('o:tracking', value)),
  'o:tracking-clicks': (draft, value) => void (draft.options.trackingClicks = toggle('o:tracking-clicks', value)),
  'o:tracking-opens': (draft, value) => void (draft.options.trackingOpens = toggle('o:tracking-opens', value)),
  'o:tracking-unsubscribe': (draft, value) => void (draft.options.trackingUnsubscribe = toggle('o:tracking-unsubscribe', value)),
  'o:tracking-pixel-location-top': (draft, value) => void (draft.options.trackingPixelTop = toggle('o:tracking-pixel-location-top', value)),
  'o:require-tls': (draft, value) => void (draft.options.requireTls = yesNo('o:require-tls', value)),
  'o:skip-verification': (draft, value) => void (draft.options.skipVerification = yesNo('o:skip-verification', value)),
  'o:sending-ip': (draft, value) => void (draft.options.sendingIp = plain('o:sending-ip', value, 45)),
  'o:sending-ip-pool': (draft, value) => void (draft.options.sendingIpPool = plain('o:sending-ip-pool', value, 128)),
  'o:archive-to': (draft, value) => void (draft.options.archiveTo = archiveUrl(value)),
  'o:suppress-headers': (draft, value) => void (draft.options.suppressHeaders = headerNames(value)),
  'h:x-mailgun-variables': (draft, value) => mergeVariables(draft, value),
  template: (draft, value) => void (draft.templateName = templateName('template', value)),
  't:version': (draft, value) => void (draft.templateVersion = templateName('t:version', value)),
  't:variables': (draft, value) => void (draft.templateVariables = templateVariables(value)),
  't:text': (draft, value) => void (draft.templateText = yesNo('t:text', value)),
};

function addTag(draft: Draft, value: string, tagsMax: number): void {
  const tag = value.trim();
  if (draft.tags.length >= tagsMax || tag === '' || tag.length > TAG_LENGTH_MAX || !/^[\x20-\x7e]+$/.test(tag)) return;
  const lower = tag.toLowerCase();
  if (!draft.tags.some((other) => other.toLowerCase() === lower)) draft.tags.push(tag);
}

/** Objects and arrays become JSON values, so that templates can walk them; anything else stays the text it was written as. */
function addVariable(draft: Draft, name: string, value: string): void {
  if (name === '' || name === '__proto__') return;
  draft.variables.set(name, /^\s*[[{]/.test(value) ? (parseJson(value) ?? value) : value);
}

function mergeVariables(draft: Draft, value: string): void {
  const parsed = parseJsonObject(value);
  if (parsed === undefined) throw badParameter("'X-Mailgun-Variables' header is not a valid JSON");
  for (const [name, item] of Object.entries(parsed)) {
    if (name !== '__proto__' && !draft.variables.has(name)) draft.variables.set(name, item);
  }
}

function templateVariables(value: string): Readonly<Record<string, unknown>> {
  const parsed = parseJsonObject(value);
  if (parsed === undefined) throw badParameter("'t:variables' parameter is not a valid JSON");
  return parsed;
}

/** Every spelling that the SDKs send: yes, no, true, false, True, False, 1, 0, on, off. */
function yesNo(name: string, value: string): boolean {
  const word = value.trim().toLowerCase();
  if (word === 'yes' || word === 'true' || word === '1' || word === 'on') return true;
  if (word === 'no' || word === 'false' || word === '0' || word === 'off') return false;
  throw badParameter(`'${name}' parameter is not a valid boolean, use yes or no: ${quoted(value)}`);
}

function toggle(name: string, value: string): Toggle {
  if (value.trim().toLowerCase() === 'htmlonly') return 'htmlonly';
  return yesNo(name, value) ? 'yes' : 'no';
}

/** A time that has passed means now. */
function deliverAt(value: string, context: OptionsContext): number {
  const atMs = parseDate(value);
  if (atMs === undefined) {
    const isNumber = /^\s*[-+]?[\d.]+\s*$/.test(value);
    throw badParameter(isNumber ? 'invalid delivery time format' : `${quoted(value)} is not an RFC-2822 compliant date`);
  }
  if (atMs - context.nowMs > context.horizonMs) {
    throw badParameter(
      `'o:deliverytime' lies too far ahead: messages can be scheduled up to ${Math.floor(context.horizonMs / 3_600_000)} hours ahead`,
    );
  }
  return Math.max(atMs, context.nowMs);
}

function deliverWithin(value: string): number {
  const ms = parsePeriod(value);
  if (ms === undefined || ms < DELIVER_WITHIN_MIN_MS || ms > DELIVER_WITHIN_MAX_MS) {
    throw badParameter(`'o:deliver-within' parameter is a period from 5m to 24h, such as 1h30m: ${quoted(value)}`);
  }
  return ms;
}

function optimizePeriod(value: string): number {
  const ms = parsePeriod(value);
  if (ms === undefined || ms < OPTIMIZE_MIN_MS || ms > OPTIMIZE_MAX_MS) {
    throw badParameter(`'o:deliverytime-optimize-period' parameter is a period from 24h to 72h: ${quoted(value)}`);
  }
  return ms;
}

function localize(value: string): string {
  const time = parseClockTime(value);
  if (time === undefined) throw badParameter(`${quoted(value)} invalid 24 hour time(value of 'o:time-zone-localize')`);
  return time;
}

function secondaryDkim(value: string): string {
  const text = value.trim();
  if (text.length > 320 || !/^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+\/[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(text)) {
    throw badParameter(`${quoted(value)} is not a valid secondary dkim domain name`);
  }
  return text.toLowerCase();
}

function archiveUrl(value: string): string {
  const url = value.length <= 2048 && URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw badParameter(`'o:archive-to' parameter is not a valid URL: ${quoted(value)}`);
  }
  return url.href;
}

function headerNames(value: string): string[] {
  const names = value
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  if (names.some((name) => !/^[a-z0-9-]{1,76}$/.test(name))) {
    throw badParameter(`'o:suppress-headers' parameter is a list of header names or "all": ${quoted(value)}`);
  }
  return names.includes('all') ? ['all'] : names;
}

/** Names of templates and versions are kept and looked up in lower case. */
function templateName(parameter: string, value: string): string {
  return plain(parameter, value, 255).toLowerCase();
}

function plain(name: string, value: string, lengthMax: number): string {
  const text = value.trim();
  if (text === '' || text.length > lengthMax || !/^[\x20-\x7e\u00a0-\uffff]+$/.test(text)) {
    throw badParameter(`'${name}' parameter is not valid: ${quoted(value)}`);
  }
  return text;
}

/** undefined also for what is nested too deep or has too many values to be wanted. */
function parseJson(text: string): unknown {
  if (!isWithin(text, JSON_BOUNDS)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function parseJsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  const value = parseJson(text);
  return isObject(value) ? value : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A caller's text inside our sentence: bounded and printable. */
function quoted(value: string): string {
  return value.slice(0, 100).replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, '?');
}
