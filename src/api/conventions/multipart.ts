/**
 * `multipart/form-data` (RFC 7578) over a body that is wholly in memory and already bounded. Parts are found with
 * `Buffer.indexOf`, so the cost is that of searching, not of a state machine per byte; file parts are views, not copies.
 * A body that ends before its closing delimiter is refused: a truncated upload is never taken for a whole one.
 */
import { Buffer } from 'node:buffer';
import { type AppError, badParameter } from '#model/errors.ts';
import { Form } from './form.ts';

export interface MultipartLimits {
  readonly parts: number;
  readonly partHeaderBytes: number;
}

const CR = 0x0d;
const LF = 0x0a;
const DASH = 0x2d;
const HEADER_END = Buffer.from('\r\n\r\n');
/** RFC 2046 §5.1.1; some clients go beyond, so twice that. */
const BOUNDARY_MAX = 140;

function malformed(): AppError {
  return badParameter('malformed multipart/form-data request');
}

function truncated(): AppError {
  return badParameter('unable to parse request: unexpected EOF');
}

/** The boundary of a Content-Type value, or undefined when it names none that can be used. */
export function boundaryOf(contentType: string): string | undefined {
  const boundary = parameter(contentType, 'boundary');
  return boundary === undefined || boundary === '' || boundary.length > BOUNDARY_MAX ? undefined : boundary;
}

/** The boundary as the body's first line has it, for clients that do not name it in the header. */
export function openingBoundary(body: Buffer): string | undefined {
  if (body[0] !== DASH || body[1] !== DASH) return undefined;
  const end = body.indexOf(CR);
  return end <= 2 || end > BOUNDARY_MAX + 2 ? undefined : body.toString('latin1', 2, end).trimEnd();
}

export function parseMultipart(body: Buffer, boundary: string, limits: MultipartLimits): Form {
  const form = new Form();
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  let at = firstDelimiter(body, delimiter);
  for (let parts = 0; ; parts++) {
    // `at` stands behind a delimiter: "--" closes, CRLF (after optional padding) opens a part.
    if (body[at] === DASH && body[at + 1] === DASH) return form;
    while (body[at] === 0x20 || body[at] === 0x09) at++;
    if (at >= body.length) throw truncated();
    if (body[at] !== CR || body[at + 1] !== LF) throw malformed();
    if (parts >= limits.parts) throw badParameter(`too many parameters, max is ${limits.parts}`);
    const headerEnd = body.indexOf(HEADER_END, at);
    if (headerEnd === -1) throw truncated();
    if (headerEnd - at > limits.partHeaderBytes) throw malformed();
    const start = headerEnd + HEADER_END.length;
    // A part may be empty: then its delimiter begins with the CRLF that ends the header.
    const end = nextDelimiter(body, delimiter, start - 2);
    if (end === -1) throw truncated();
    addPart(form, body.toString('utf8', at + 2, headerEnd), body.subarray(start, Math.max(start, end)));
    at = end + delimiter.length;
  }
}

/** A line that only begins like the delimiter is content. */
function nextDelimiter(body: Buffer, delimiter: Buffer, from: number): number {
  for (let at = body.indexOf(delimiter, from); at !== -1; at = body.indexOf(delimiter, at + 1)) {
    const next = body[at + delimiter.length];
    if (next === undefined || next === CR || next === DASH || next === 0x20 || next === 0x09) return at;
  }
  return -1;
}

/** Behind the first delimiter, which may open the body or follow a preamble. */
function firstDelimiter(body: Buffer, delimiter: Buffer): number {
  const opening = delimiter.subarray(2);
  if (body.length >= opening.length && body.compare(opening, 0, opening.length, 0, opening.length) === 0) return opening.length;
  const found = body.indexOf(delimiter);
  if (found === -1) throw body.length === 0 ? truncated() : malformed();
  return found + delimiter.length;
}

/** What nearly every field looks like; anything else takes the longer way. */
const PLAIN_FIELD = /^content-disposition: form-data; name="([^"\\%\r\n]*)"$/i;

function addPart(form: Form, header: string, bytes: Buffer): void {
  const plain = PLAIN_FIELD.exec(header);
  if (plain !== null) {
    form.add(plain[1] as string, bytes.toString('utf8'));
    return;
  }
  let disposition = '';
  let type: string | undefined;
  let encoding = '';
  for (const line of header.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const name = line.slice(0, colon).trimEnd().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'content-disposition') disposition = value;
    // Some clients write an empty one for what they do not know.
    else if (name === 'content-type' && value !== '') type = value;
    else if (name === 'content-transfer-encoding') encoding = value.toLowerCase();
  }
  const name = parameter(disposition, 'name');
  if (name === undefined || !/^form-data\b/i.test(disposition)) throw malformed();
  const content = transferDecoded(bytes, encoding);
  const filename = extendedParameter(disposition, 'filename') ?? parameter(disposition, 'filename');
  if (filename === undefined) form.add(name, fieldText(content, type));
  else form.addFile({ name, filename: safeFilename(filename), contentType: type ?? 'application/octet-stream', bytes: content });
}

// RFC 7578 §4.7 deprecates the field, yet some libraries still send it.
function transferDecoded(bytes: Buffer, encoding: string): Buffer {
  if (encoding === '' || encoding === 'binary' || encoding === '8bit' || encoding === '7bit') return bytes;
  if (encoding === 'base64') return Buffer.from(bytes.toString('latin1'), 'base64');
  throw malformed();
}

function fieldText(bytes: Buffer, type: string | undefined): string {
  const charset = type === undefined ? undefined : parameter(type, 'charset');
  if (charset === undefined || /^(utf-?8|us-ascii)$/i.test(charset)) return bytes.toString('utf8');
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw malformed();
    throw error;
  }
}

/** The last step of a path, without what could break a header or a terminal. */
function safeFilename(filename: string): string {
  const base = filename.slice(Math.max(filename.lastIndexOf('/'), filename.lastIndexOf('\\')) + 1);
  return base.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '').slice(0, 255);
}

/** A parameter of a structured header value: token or quoted string, with backslash escapes (curl) and %22 (browsers). */
export function parameter(value: string, wanted: string): string | undefined {
  let at = value.indexOf(';');
  while (at !== -1 && at < value.length) {
    at++;
    while (value[at] === ' ' || value[at] === '\t') at++;
    const equals = value.indexOf('=', at);
    if (equals === -1) return undefined;
    const name = value.slice(at, equals).trimEnd().toLowerCase();
    const [text, next] = value[equals + 1] === '"' ? quoted(value, equals + 2) : token(value, equals + 1);
    if (name === wanted) return text;
    at = value.indexOf(';', next);
  }
  return undefined;
}

function token(value: string, start: number): [text: string, next: number] {
  const semicolon = value.indexOf(';', start);
  const end = semicolon === -1 ? value.length : semicolon;
  return [value.slice(start, end).trim(), end];
}

function quoted(value: string, start: number): [text: string, next: number] {
  let text = '';
  let at = start;
  for (; at < value.length && value[at] !== '"'; at++) {
    // Old browsers send backslashes of paths unescaped, so only \" and \\ are escapes.
    if (value[at] === '\\' && (value[at + 1] === '"' || value[at + 1] === '\\')) at++;
    text += value[at];
  }
  return [text.replaceAll('%22', '"'), at + 1];
}

/** RFC 8187: name*=UTF-8''percent-encoded */
function extendedParameter(value: string, wanted: string): string | undefined {
  const text = parameter(value, `${wanted}*`);
  const match = text === undefined ? null : /^utf-8'[^']*'(.*)$/i.exec(text);
  if (match === null) return undefined;
  try {
    return decodeURIComponent(match[1] as string);
  } catch {
    throw malformed();
  }
}
