/**
 * Values with parameters (Content-Type, Content-Disposition; RFC 2045 §5.1, RFC 2231): read from strangers within limits, and written.
 */
import { decodeCharset } from './charset.ts';
import { decodeWords, encodeWords } from './encoded-word.ts';

const VALUE_MAX = 16 * 1024;
const PARAMETERS_MAX = 64;
/** Continuations (name*0, name*1 …) of one parameter. */
const SEGMENTS_MAX = 64;

export interface ParameterizedValue {
  /** "text/html", "attachment": lower case, '' when malformed. */
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+.0-9A-Z^_`a-z{|}~/-]/;

export function parseParameters(text: string): ParameterizedValue {
  const source = text.length > VALUE_MAX ? text.slice(0, VALUE_MAX) : text;
  const firstEnd = source.indexOf(';');
  const value = (firstEnd === -1 ? source : source.slice(0, firstEnd)).trim().toLowerCase();
  const pieces = new Map<string, string>();
  let at = firstEnd === -1 ? source.length : firstEnd + 1;
  while (at < source.length && pieces.size < PARAMETERS_MAX) {
    const equals = source.indexOf('=', at);
    if (equals === -1) break;
    // What has no "=" before its semicolon is no parameter.
    at = Math.max(at, source.lastIndexOf(';', equals) + 1);
    const name = source.slice(at, equals).trim().toLowerCase();
    const read = readParameterValue(source, equals + 1);
    if (name !== '' && !pieces.has(name)) pieces.set(name, read.text);
    at = read.next;
  }
  return { value, parameters: joinContinuations(pieces) };
}

/** A token or quoted string, and where the next parameter starts. */
function readParameterValue(source: string, from: number): { text: string; next: number } {
  let at = from;
  while (source[at] === ' ' || source[at] === '\t') at++;
  if (source[at] !== '"') {
    const end = source.indexOf(';', at);
    const stop = end === -1 ? source.length : end;
    return { text: source.slice(at, stop).trim(), next: stop + 1 };
  }
  let text = '';
  for (at++; at < source.length && source[at] !== '"'; at++) {
    if (source[at] === '\\' && at + 1 < source.length) at++;
    text += source[at];
  }
  const end = source.indexOf(';', at);
  return { text, next: end === -1 ? source.length : end + 1 };
}

/** RFC 2231: "name*", "name*0", "name*1*" become "name"; a plain "name" beside them yields to them. */
function joinContinuations(pieces: Map<string, string>): Map<string, string> {
  const result = new Map<string, string>();
  for (const [name, text] of pieces) {
    const star = name.indexOf('*');
    if (star === -1) {
      if (!result.has(name)) result.set(name, text.includes('=?') ? decodeWords(text) : text);
      continue;
    }
    const base = name.slice(0, star);
    if (name === `${base}*`) result.set(base, decodeExtended(text));
    else if (name === `${base}*0` || name === `${base}*0*`) result.set(base, joinSegments(pieces, base));
  }
  return result;
}

function joinSegments(pieces: Map<string, string>, base: string): string {
  let encoded = '';
  let hasEncoded = false;
  for (let i = 0; i < SEGMENTS_MAX; i++) {
    const extended = pieces.get(`${base}*${i}*`);
    const plain = pieces.get(`${base}*${i}`);
    if (extended === undefined && plain === undefined) break;
    if (extended !== undefined && i === 0) hasEncoded = true;
    encoded += extended ?? (hasEncoded ? encodeURIComponentSafely(plain as string) : (plain as string));
  }
  return hasEncoded ? decodeExtended(encoded) : encoded;
}

/** charset'language'percent-encoded */
function decodeExtended(text: string): string {
  const first = text.indexOf("'");
  const second = first === -1 ? -1 : text.indexOf("'", first + 1);
  if (second === -1) return text;
  const octets: number[] = [];
  for (let at = second + 1; at < text.length; at++) {
    const hex = text[at] === '%' ? text.slice(at + 1, at + 3) : '';
    if (/^[0-9a-f]{2}$/i.test(hex)) {
      octets.push(Number.parseInt(hex, 16));
      at += 2;
    } else octets.push(text.charCodeAt(at) & 0xff);
  }
  const bytes = Buffer.from(octets);
  return (decodeCharset(bytes, text.slice(0, first)) ?? bytes.toString('latin1')).replace(/[\0-\x1f\x7f]/g, ' ');
}

function encodeURIComponentSafely(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

// ---- writing ---------------------------------------------------------------------------------------------------------

/** `; name="value"` on a line of its own, for a value of printable characters; RFC 2231 beyond ASCII or when it is long. */
export function writeParameter(name: string, value: string): string {
  if (value.length <= 60 && /^[\x20-\x7e]*$/.test(value)) {
    return `;\r\n ${name}="${value.replace(/["\\]/g, '\\$&')}"`;
  }
  const encoded = encodeURIComponentSafely(value).replace(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  if (encoded.length <= 55) return `;\r\n ${name}*=UTF-8''${encoded}`;
  let result = '';
  let segment = 0;
  for (let at = 0; at < encoded.length; segment++) {
    let end = Math.min(at + 55, encoded.length);
    // A percent triplet is not split.
    const percent = encoded.lastIndexOf('%', end - 1);
    if (end < encoded.length && percent > end - 3 && percent > at) end = percent;
    result += `;\r\n ${name}*${segment}*=${segment === 0 ? "UTF-8''" : ''}${encoded.slice(at, end)}`;
    at = end;
  }
  return result;
}

/** For `name` of Content-Type, which old readers look at: encoded words in quotes beyond ASCII, not allowed by RFC 2047 §5 but understood by all. */
export function writeLegacyParameter(name: string, value: string): string {
  if (/^[\x20-\x7e]{0,60}$/.test(value)) return writeParameter(name, value);
  return `;\r\n ${name}="${encodeWords(value).replaceAll(' ', '\r\n ')}"`;
}

/** Whether a text is a media type without parameters. */
export function isMediaType(text: string): boolean {
  if (text.length > 127) return false;
  const [type, subtype, more] = text.split('/');
  return more === undefined && isToken(type) && isToken(subtype);
}

function isToken(text: string | undefined): boolean {
  if (text === undefined || text === '') return false;
  for (const character of text) if (!TOKEN.test(character)) return false;
  return true;
}
