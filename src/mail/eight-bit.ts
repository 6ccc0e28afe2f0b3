/**
 * Mail for servers that take less than we have (RFC 6152 §3, RFC 3030 §3): 8-bit and binary bodies become quoted-printable or base64, lines
 * that are too long or end wrongly too; raw 8-bit headers become encoded words. Must be done before signing; what needs no change is not copied.
 */
import { parseAddressList } from './address.ts';
import { ADDRESS_FIELDS, writeField } from './field.ts';
import { LINE_MAX, rawValue, readHeader, type Header, type RawField } from './header.ts';
import { parseMime, partEncoding, partOctets, type MimePart, type MimeStructure } from './mime.ts';
import { hasEightBit } from './octets.ts';
import { parseParameters, writeParameter } from './parameters.ts';
import { lineTrouble, normalizeNewlines } from './smtp-text.ts';
import { encodeBase64, encodeQuotedPrintable } from './transfer-encoding.ts';

const MAILBOXES_MAX = 10_000;

/**
 * The message with bodies and inner headers of 7 bits, no line over 998 octets and no bare CR, LF or NUL. Its own header is left as it is,
 * but for the encoding it names. The same Buffer when nothing needs to change.
 */
export function toSevenBit(bytes: Buffer): Buffer {
  const mime = parseMime(bytes, { intoMessages: true });
  const message = mime.parts[0] as MimePart;
  if (!isTroubled(bytes.subarray(message.bodyStart))) return bytes;
  const chunks: Buffer[] = [];
  let at = 0;
  for (const part of mime.parts) {
    chunks.push(plainText(bytes.subarray(at, part.start)));
    at = part.bodyStart;
    if (part.isContainer) {
      chunks.push(rewriteHeader(part, isEightBitLabel(part) ? '7bit' : undefined));
      continue;
    }
    const body = bytes.subarray(part.bodyStart, part.bodyEnd);
    const encoded = isTroubled(body) ? encodeLeaf(mime, part) : undefined;
    chunks.push(rewriteHeader(part, encoded?.encoding ?? (isEightBitLabel(part) ? '7bit' : undefined)), encoded?.body ?? body);
    at = part.bodyEnd;
  }
  chunks.push(plainText(bytes.subarray(at)));
  return Buffer.concat(chunks);
}

/**
 * The message with its own header in ASCII and within 998 octets a line. Undefined when an address of it is beyond ASCII: such mail can only go
 * to a server with SMTPUTF8 (RFC 6531 §3.4). The same Buffer when nothing needs to change.
 */
export function downgradeHeader(bytes: Buffer): Buffer | undefined {
  const header = readHeader(bytes);
  if (!isTroubled(bytes.subarray(0, header.bodyStart))) return bytes;
  const chunks: Buffer[] = [];
  for (const field of header.fields) {
    if (!isTroubled(bytes.subarray(field.start, field.end))) chunks.push(bytes.subarray(field.start, field.end));
    else if (hasUtf8Address(header, field)) return undefined;
    else chunks.push(Buffer.from(rewriteField(header, field)));
  }
  chunks.push(bytes.subarray(header.fields.at(-1)?.end ?? 0));
  return Buffer.concat(chunks);
}

function isTroubled(bytes: Buffer): boolean {
  return hasEightBit(bytes) || lineTrouble(bytes, LINE_MAX) !== undefined;
}

function isEightBitLabel(part: MimePart): boolean {
  return /^(?:8bit|binary)$/.test(partEncoding(part));
}

/** Encoded from what it says, so that a body which breaks its own encoding is put right. */
function encodeLeaf(mime: MimeStructure, part: MimePart): { encoding: string; body: Buffer } {
  const octets = partOctets(mime, part);
  const isText = part.type.value.startsWith('text/') || part.type.value.startsWith('message/');
  if (!isText || octets.includes(0) || isMostlyEightBit(octets)) return { encoding: 'base64', body: encodeBase64(octets) };
  return { encoding: 'quoted-printable', body: encodeQuotedPrintable(normalizeNewlines(octets)) };
}

/** By its first octets. */
function isMostlyEightBit(octets: Buffer): boolean {
  const sample = octets.subarray(0, 4096);
  let count = 0;
  for (const octet of sample) if (octet > 0x7f) count++;
  return count * 6 > sample.length;
}

/** A part's header up to its body, with another encoding (undefined: as it is); inner headers become ASCII. */
function rewriteHeader(part: MimePart, encoding: string | undefined): Buffer {
  const { header } = part;
  const isOwn = part.parent === -1;
  const whole = header.bytes.subarray(part.start, part.bodyStart);
  if (encoding === undefined && (isOwn || !isTroubled(whole))) return whole;
  const chunks: Buffer[] = [];
  for (const field of header.fields) {
    if (encoding !== undefined && field.name === 'content-transfer-encoding') continue;
    const raw = header.bytes.subarray(field.start, field.end);
    chunks.push(isOwn || !isTroubled(raw) ? raw : Buffer.from(rewriteField(header, field)));
  }
  const hasVersion = header.fields.some((field) => field.name === 'mime-version');
  if (encoding !== undefined) {
    chunks.push(Buffer.from(`${isOwn && !hasVersion ? 'MIME-Version: 1.0\r\n' : ''}Content-Transfer-Encoding: ${encoding}\r\n`));
  }
  chunks.push(header.bytes.subarray(header.fields.at(-1)?.end ?? header.headerEnd, part.bodyStart));
  return Buffer.concat(chunks);
}

/** A field in ASCII and short lines; a line that is no field goes. */
function rewriteField(header: Header, field: RawField): string {
  if (field.name === '') return '';
  const name = header.bytes.toString('latin1', field.start, field.start + field.name.length);
  const value = rawValue(header, field);
  if (field.name !== 'content-type' && field.name !== 'content-disposition') return writeField(name, value);
  const parsed = parseParameters(value);
  let text = `${name}: ${plainText(Buffer.from(parsed.value.slice(0, 200))).toString('latin1')}`;
  for (const [key, each] of parsed.parameters) {
    if (/^[!-~]{1,60}$/.test(key)) text += writeParameter(key, each.replace(/[\0-\x1f\x7f]/g, ' '));
  }
  return `${text}\r\n`;
}

function hasUtf8Address(header: Header, field: RawField): boolean {
  if (!ADDRESS_FIELDS.has(field.name)) return false;
  const mailboxes = parseAddressList(rawValue(header, field), MAILBOXES_MAX);
  return mailboxes !== undefined && mailboxes.some((mailbox) => mailbox.isUtf8);
}

/** What stands between parts has no encoding of its own: delimiters stay, other octets of it that cannot be sent are replaced. */
function plainText(bytes: Buffer): Buffer {
  if (!isTroubled(bytes)) return bytes;
  const text = normalizeNewlines(bytes);
  const out = Buffer.allocUnsafe(text.length + 2 * Math.floor(text.length / LINE_MAX));
  let to = 0;
  let lineBytes = 0;
  // One by one: of a message with more parts than are looked at, nearly all of it may come here.
  for (let at = 0; at < text.length; at++) {
    const octet = text[at] as number;
    const isNewline = octet === CR || octet === LF;
    if (!isNewline && lineBytes === LINE_MAX) {
      out[to++] = CR;
      out[to++] = LF;
      lineBytes = 0;
    }
    out[to++] = octet === 0 || octet > 0x7f ? QUESTION_MARK : octet;
    lineBytes = isNewline ? 0 : lineBytes + 1;
  }
  return out.subarray(0, to);
}

const CR = 0x0d;
const LF = 0x0a;
const QUESTION_MARK = 0x3f;
