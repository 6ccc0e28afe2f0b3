/**
 * Header blocks over octets: where the header ends, where each field stands, and edits that share the untouched octets.
 *
 * Promises: linear, bounded (`HEADER_BYTES_MAX`, `FIELDS_MAX`: what lies beyond is reported as `trouble`, not read), never throws. Lines end
 * with CRLF; who takes in anything else normalises it first. A line that is no field stays where it is and has the name ''.
 */
import { decodeGuess } from './charset.ts';
import { decodeWords, encodeWords } from './encoded-word.ts';

export { decodeWords } from './encoded-word.ts';

export const HEADER_BYTES_MAX = 512 * 1024;
export const FIELDS_MAX = 1000;
/** RFC 5322 §2.1.1, without CRLF. */
export const LINE_MAX = 998;
const LINE_SOFT = 76;

const CRLF_CRLF = Buffer.from('\r\n\r\n');

/** A field with its continuation lines, as offsets into the message. */
export interface RawField {
  /** Lower case; '' for a line that is no field. */
  readonly name: string;
  readonly start: number;
  /** After the colon. */
  readonly valueStart: number;
  /** After the last CRLF. */
  readonly end: number;
}

export interface Header {
  readonly bytes: Buffer;
  readonly fields: readonly RawField[];
  /** After the last field's CRLF. */
  readonly headerEnd: number;
  /** After the empty line. */
  readonly bodyStart: number;
  readonly trouble?: 'header-too-large' | 'too-many-fields';
}

/** Where the header ends and the body starts, between `start` and `end`. Without an empty line everything is header. */
export function splitMessage(bytes: Buffer, start = 0, end = bytes.length): { headerEnd: number; bodyStart: number } {
  if (bytes[start] === 0x0d && bytes[start + 1] === 0x0a && start + 2 <= end) return { headerEnd: start, bodyStart: start + 2 };
  // The search must not run past `end`: a message of many parts would be searched once for each.
  const found = end === bytes.length ? bytes.indexOf(CRLF_CRLF, start) : bytes.subarray(start, end).indexOf(CRLF_CRLF);
  const at = found === -1 || end === bytes.length ? found : start + found;
  return at === -1 ? { headerEnd: end, bodyStart: end } : { headerEnd: at + 2, bodyStart: at + 4 };
}

/** The header of the message or part that stands between `start` and `end`. */
export function readHeader(bytes: Buffer, start = 0, end = bytes.length): Header {
  const { headerEnd, bodyStart } = splitMessage(bytes, start, end);
  const fields: RawField[] = [];
  const readable = Math.min(headerEnd, start + HEADER_BYTES_MAX);
  let at = start;
  while (at < readable && fields.length < FIELDS_MAX) {
    const field = readField(bytes, at, headerEnd);
    fields.push(field);
    at = field.end;
  }
  if (at >= headerEnd) return { bytes, fields, headerEnd, bodyStart };
  return { bytes, fields, headerEnd, bodyStart, trouble: at >= readable ? 'header-too-large' : 'too-many-fields' };
}

function readField(bytes: Buffer, start: number, headerEnd: number): RawField {
  let end = lineEnd(bytes, start, headerEnd);
  while (end < headerEnd && (bytes[end] === 0x20 || bytes[end] === 0x09)) end = lineEnd(bytes, end, headerEnd);
  let at = start;
  // RFC 5322 §3.6.8: printable ASCII except the colon.
  while (at < end && (bytes[at] as number) > 0x20 && (bytes[at] as number) < 0x7f && bytes[at] !== 0x3a) at++;
  const nameEnd = at;
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++;
  if (nameEnd === start || bytes[at] !== 0x3a) return { name: '', start, valueStart: start, end };
  return { name: bytes.toString('latin1', start, nameEnd).toLowerCase(), start, valueStart: at + 1, end };
}

function lineEnd(bytes: Buffer, from: number, headerEnd: number): number {
  const newline = bytes.indexOf(0x0a, from);
  return newline === -1 || newline >= headerEnd ? headerEnd : newline + 1;
}

/** A field's value, unfolded and trimmed, not decoded. */
export function rawValue(header: Header, field: RawField): string {
  const text = decodeGuess(header.bytes.subarray(field.valueStart, field.end)).trim();
  return text.includes('\n') || text.includes('\r') ? text.replace(/\r\n(?=[ \t])/g, '').replace(/[\r\n]/g, ' ') : text;
}

/** The first field of that name (lower case), or undefined. */
export function findField(header: Header, name: string): RawField | undefined {
  for (const field of header.fields) if (field.name === name) return field;
  return undefined;
}

/** The value of the first field of that name (lower case), unfolded and decoded; undefined when there is none. */
export function headerValue(header: Header, name: string): string | undefined {
  const field = findField(header, name);
  return field === undefined ? undefined : decodeWords(rawValue(header, field));
}

/** Every value of that name, in order. */
export function headerValues(header: Header, name: string): string[] {
  const values: string[] = [];
  for (const field of header.fields) if (field.name === name) values.push(decodeWords(rawValue(header, field)));
  return values;
}

export interface HeaderEdit {
  /** Fields for which this is true go. */
  remove?(field: RawField): boolean;
  /** Complete fields with their CRLF, put before the first. */
  readonly prepend?: string;
  /** … and after the last. */
  readonly append?: string;
}

/** The message with an edited header, as chunks that share the octets that stay. */
export function editHeader(header: Header, edit: HeaderEdit): Buffer[] {
  const { bytes } = header;
  const chunks: Buffer[] = [];
  if (edit.prepend !== undefined && edit.prepend !== '') chunks.push(Buffer.from(edit.prepend));
  let from = header.fields[0]?.start ?? header.headerEnd;
  if (edit.remove !== undefined) {
    for (const field of header.fields) {
      if (!edit.remove(field)) continue;
      if (field.start > from) chunks.push(bytes.subarray(from, field.start));
      from = field.end;
    }
  }
  if (edit.append === undefined || edit.append === '') {
    chunks.push(bytes.subarray(from));
    return chunks;
  }
  if (header.headerEnd > from) chunks.push(bytes.subarray(from, header.headerEnd));
  // A header that ends without an empty line gets its CRLF before anything is put behind it.
  const isUnfinished = header.headerEnd > 0 && bytes[header.headerEnd - 1] !== 0x0a;
  chunks.push(Buffer.from(isUnfinished ? `\r\n${edit.append}` : edit.append));
  if (header.headerEnd < bytes.length) chunks.push(bytes.subarray(header.headerEnd));
  return chunks;
}

// ---- writing ---------------------------------------------------------------------------------------------------------

/** An unstructured value in ASCII: words beyond ASCII, or too long for any line, become encoded words. Control characters become spaces. */
export function encodeHeaderValue(value: string): string {
  const clean = withoutControls(value);
  if (/^[\x20-\x7e]*$/.test(clean) && !hasLongWord(clean)) return clean;
  const words = clean.split(' ');
  const needs = (word: string): boolean => word.length > LONG_WORD || /[^\x20-\x7e]/.test(word);
  const first = words.findIndex(needs);
  const last = words.findLastIndex(needs);
  return [...words.slice(0, first), encodeWords(words.slice(first, last + 1).join(' ')), ...words.slice(last + 1)].join(' ');
}

/** A word longer than this cannot stand on a line with a field name, however it is folded. */
const LONG_WORD = 900;

function hasLongWord(text: string): boolean {
  if (text.length <= LONG_WORD) return false;
  return text.split(' ').some((word) => word.length > LONG_WORD);
}

/** Trimmed, with spaces for CR, LF, NUL and the other control characters, Unicode's line ends included. */
export function withoutControls(value: string): string {
  return (/[\0-\x1f\x7f-\x9f\u2028\u2029]/.test(value) ? value.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ') : value).trim();
}

/** "Name: value" with its CRLF, folded at white space to 76 characters where that is possible and to 998 always. */
export function foldHeader(name: string, value: string): string {
  const text = `${name}: ${withoutControls(value)}`;
  if (text.length <= LINE_SOFT) return `${text}\r\n`;
  // A line must not be blank (RFC 5322 §3.2.2), so a gap as wide as a line is one space.
  return cutLines(text.length > LINE_MAX ? text.replace(/ {200,}/g, ' ') : text, name.length + 2);
}

function cutLines(text: string, valueStart: number): string {
  let result = '';
  let start = 0;
  while (text.length - start > LINE_SOFT) {
    const cut = foldAt(text, start === 0 ? valueStart : start, start);
    if (cut === -1) break;
    // A word that no line can hold is cut: every line we send is within the limit.
    result += text[cut] === ' ' ? `${text.slice(start, cut)}\r\n` : `${text.slice(start, cut)}\r\n `;
    start = cut;
  }
  return `${result}${text.slice(start)}\r\n`;
}

/** Where to cut the line that starts at `start` and whose words start at `from` or later; -1 when the rest is one line. */
function foldAt(text: string, from: number, start: number): number {
  let word = from;
  while (text[word] === ' ') word++;
  let cut = text.lastIndexOf(' ', start + LINE_SOFT);
  if (cut <= word) cut = text.indexOf(' ', Math.max(word, start + LINE_SOFT));
  const longest = start + LINE_MAX - 1;
  if (cut !== -1 && cut <= longest) return cut;
  return text.length > longest ? longest : -1;
}
