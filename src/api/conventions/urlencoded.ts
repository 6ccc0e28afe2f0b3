/**
 * `application/x-www-form-urlencoded` bodies and query strings, as bytes: `+` is a space, `%XX` a byte, the whole is UTF-8
 * (what is not becomes U+FFFD). Linear and bounded. A `%` without two hex digits is the caller's mistake, told as Mailgun tells it.
 */
import { Buffer } from 'node:buffer';
import { badParameter } from '#model/errors.ts';
import { Form } from './form.ts';

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;

/** Reads `body` and writes over it: decoding happens in place. */
export function parseUrlencoded(body: Buffer, fieldsMax: number): Form {
  const form = new Form();
  let fields = 0;
  let start = 0;
  while (start < body.length) {
    let end = body.indexOf(AMPERSAND, start);
    if (end === -1) end = body.length;
    // Empty ones too: each costs a search.
    if (++fields > fieldsMax) throw badParameter(`too many parameters, max is ${fieldsMax}`);
    if (end > start) {
      const equals = body.subarray(start, end).indexOf(EQUALS);
      const nameEnd = equals === -1 ? end : start + equals;
      form.add(decode(body, start, nameEnd), equals === -1 ? '' : decode(body, nameEnd + 1, end));
    }
    start = end + 1;
  }
  return form;
}

/** Shared: nobody adds to a query. */
const NO_QUERY = new Form();

export function parseQuery(query: string, fieldsMax: number): Form {
  return query === '' ? NO_QUERY : parseUrlencoded(Buffer.from(query, 'utf8'), fieldsMax);
}

function decode(body: Buffer, start: number, end: number): string {
  let write = start;
  for (let read = start; read < end; read++) {
    let byte = body[read] as number;
    if (byte === PLUS) byte = 0x20;
    else if (byte === PERCENT) {
      const value = read + 2 < end ? hex(body[read + 1] as number) * 16 + hex(body[read + 2] as number) : Number.NaN;
      if (Number.isNaN(value)) throw badParameter('unable to parse request: invalid URL escape');
      byte = value;
      read += 2;
    }
    body[write++] = byte;
  }
  return body.toString('utf8', start, write);
}

function hex(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : Number.NaN;
}
