/**
 * Content transfer encodings (RFC 2045 §6): bodies to 7-bit lines and back. Encoded lines are at most 76 characters and end with CRLF.
 */
import { LINE_MAX } from './header.ts';

export type TransferEncoding = '7bit' | 'quoted-printable' | 'base64';

export interface EncodedText {
  readonly encoding: TransferEncoding;
  /** ASCII only. A string where that saves a copy. */
  readonly body: string | Buffer;
}

const LINE_ENCODED = 76;
/** What a line of base64 encodes. */
const LINE_OCTETS = (LINE_ENCODED / 4) * 3;
const QUOTED_PRINTABLE_MAX = 1024 * 1024;

/** Text as UTF-8 in the encoding that suits it, line ends made CRLF. Plain ASCII with lines that fit stays as it is. */
export function encodeText(text: string): EncodedText {
  const lines = withCrlf(text);
  const octets = Buffer.byteLength(lines);
  if (octets === lines.length && linesFit(lines) && !lines.includes('\0')) return { encoding: '7bit', body: lines };
  return encodeOctets(Buffer.from(lines), octets - lines.length);
}

/** Octets of text with CRLF lines. `beyondAscii`: roughly how many of them are. */
function encodeOctets(bytes: Buffer, beyondAscii: number): EncodedText {
  // Quoted-printable costs two octets for each that is encoded, base64 one for every three.
  const suitsBase64 = beyondAscii * 6 > bytes.length || bytes.length > QUOTED_PRINTABLE_MAX;
  return suitsBase64
    ? { encoding: 'base64', body: encodeBase64(bytes) }
    : { encoding: 'quoted-printable', body: encodeQuotedPrintable(bytes) };
}

/** Line ends of any kind become CRLF. */
function withCrlf(text: string): string {
  if (!text.includes('\r')) return text.replaceAll('\n', '\r\n');
  return text.replace(/\r\n?|\n/g, '\r\n');
}

/** No line is longer than 998 characters. */
function linesFit(text: string): boolean {
  let start = 0;
  while (text.length - start > LINE_MAX) {
    const end = text.lastIndexOf('\n', start + LINE_MAX + 1);
    if (end < start) return false;
    start = end + 1;
  }
  return true;
}

const HEX = Buffer.from('0123456789ABCDEF');
/** 1: stands for itself (white space too, unless a line ends after it). */
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, octet) =>
  octet === 0x09 || (octet >= 0x20 && octet < 0x7f && octet !== 0x3d) ? 1 : 0,
);

/** Octets whose CRLFs are line ends (other CR and LF are encoded). */
export function encodeQuotedPrintable(bytes: Buffer): Buffer {
  const end = bytes.length;
  // Each octet takes three characters at most, each line of at least 70 of them three more.
  const out = Buffer.allocUnsafe(end * 3 + Math.ceil((end * 3) / 70) * 3 + 6);
  let length = 0;
  let at = 0;
  let lineStart = 0;
  while (at < end) {
    // The last column is kept for the "=" of a soft line break.
    let room = LINE_ENCODED - 1 - (length - lineStart);
    let octet = bytes[at] as number;
    while (room > 0 && IS_PLAIN[octet] === 1) {
      out[length++] = octet;
      room--;
      octet = bytes[++at] as number;
    }
    if (at >= end) break;
    if (octet === 0x0d && bytes[at + 1] === 0x0a) {
      length = closeLine(out, length, lineStart);
      out[length++] = 0x0d;
      out[length++] = 0x0a;
      lineStart = length;
      at += 2;
    } else if (room < 1 || (IS_PLAIN[octet] === 0 && room < 3)) {
      length = softBreak(out, length);
      lineStart = length;
    } else {
      length = writeEscape(out, length, octet);
      at++;
    }
  }
  return out.subarray(0, closeLine(out, length, lineStart));
}

/** White space before a line end is encoded (RFC 2045 §6.7 (3)). */
function closeLine(out: Buffer, length: number, lineStart: number): number {
  const last = out[length - 1] as number;
  if (length === lineStart || (last !== 0x20 && last !== 0x09)) return length;
  const before = length - 1;
  return writeEscape(out, before - lineStart + 3 > LINE_ENCODED ? softBreak(out, before) : before, last);
}

function softBreak(out: Buffer, length: number): number {
  out[length] = 0x3d;
  out[length + 1] = 0x0d;
  out[length + 2] = 0x0a;
  return length + 3;
}

function writeEscape(out: Buffer, length: number, octet: number): number {
  out[length] = 0x3d;
  out[length + 1] = HEX[octet >> 4] as number;
  out[length + 2] = HEX[octet & 15] as number;
  return length + 3;
}

/** Octets as base64 in lines, written where they are to stand: no copy of a large file is made on the way. Ends with CRLF unless empty. */
export class Base64Lines {
  readonly #bytes: Buffer;
  /** Of what is written. */
  readonly length: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const characters = Math.ceil(bytes.length / 3) * 4;
    this.length = characters + Math.ceil(characters / LINE_ENCODED) * 2;
  }

  /** Octets written. */
  write(out: Buffer, start: number): number {
    const bytes = this.#bytes;
    let at = start;
    for (let from = 0; from < bytes.length; from += LINE_OCTETS) {
      at += out.write(bytes.toString('base64', from, Math.min(bytes.length, from + LINE_OCTETS)), at, 'latin1');
      out[at++] = 0x0d;
      out[at++] = 0x0a;
    }
    return at - start;
  }
}

/** Base64 in lines; ends with CRLF unless empty. */
export function encodeBase64(bytes: Buffer): Buffer {
  const lines = new Base64Lines(bytes);
  const out = Buffer.allocUnsafe(lines.length);
  lines.write(out, 0);
  return out;
}

/** What a body says under its Content-Transfer-Encoding (any case); unknown encodings are taken as they stand. */
export function decodeTransfer(bytes: Buffer, encoding: string): Buffer {
  const name = encoding.trim().toLowerCase();
  if (name === 'base64') return Buffer.from(bytes.toString('latin1'), 'base64');
  if (name === 'quoted-printable') return decodeQuotedPrintable(bytes);
  return bytes;
}

export function decodeQuotedPrintable(bytes: Buffer): Buffer {
  if (bytes.indexOf(0x3d) === -1) return bytes;
  const out = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const octet = bytes[at] as number;
    if (octet !== 0x3d) {
      out[length++] = octet;
      continue;
    }
    const high = hexDigit(bytes[at + 1]);
    const low = hexDigit(bytes[at + 2]);
    if (high !== -1 && low !== -1) {
      out[length++] = high * 16 + low;
      at += 2;
      continue;
    }
    const lineEnd = softBreakEnd(bytes, at + 1);
    // RFC 2045 §6.7: a malformed "=" is best shown as it is.
    if (lineEnd === -1) out[length++] = octet;
    else at = lineEnd - 1;
  }
  return out.subarray(0, length);
}

/** After the line end that a soft break stands for; white space that transport added before it is skipped, a little. -1: no soft break. */
function softBreakEnd(bytes: Buffer, from: number): number {
  let at = from;
  while (at - from < 8 && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++;
  if (at >= bytes.length) return at;
  if (bytes[at] === 0x0a) return at + 1;
  return bytes[at] === 0x0d && bytes[at + 1] === 0x0a ? at + 2 : -1;
}

function hexDigit(octet: number | undefined): number {
  if (octet === undefined) return -1;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const upper = octet & 0xdf;
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : -1;
}
