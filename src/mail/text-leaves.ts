/**
 * Changes the texts that people read in a message (text/html and text/plain leaves that are not attached), for one recipient: each pass is given a leaf's octets and gives
 * back what is to stand there. What no pass changes keeps its octets and its encoding; a changed leaf keeps its charset, and its transfer encoding where the lines still fit.
 *
 * Passes see one character for each octet: in every charset whose lower half is ASCII, markup and URLs can be found and exchanged without decoding the text around them.
 * A charset of another kind (ISO-2022-JP, UTF-16) is turned into UTF-8 for them, and back only if nothing was changed.
 *
 * AMP parts (text/x-amp-html) are read for who asks (`readLeaves`) and given to no pass: a document that is valid for one cache must not get markup of ours.
 *
 * Never touched: what is signed or encrypted (RFC 1847, S/MIME, PGP in the text), reports, attachments, parts beyond `LEAF_MAX`, mail whose structure was too much to be read.
 */
import { decodeCharset, decodeGuess } from './charset.ts';
import { findField, LINE_MAX } from './header.ts';
import { type MimePart, parseMime, partDisposition, partEncoding, partOctets, type MimeStructure } from './mime.ts';
import { lineTrouble } from './smtp-text.ts';
import { encodeBase64, encodeQuotedPrintable } from './transfer-encoding.ts';

/** Decoded octets of a leaf that is looked at: twenty times what webmail shows of a message. */
export const LEAF_MAX = 2 * 1024 * 1024;

export interface TextLeaf {
  readonly kind: 'html' | 'text';
  /** Among the leaves of its kind, from 0. */
  readonly position: number;
  /** What a stretch of the leaf's octets says. */
  decode(octets: string): string;
}

/** One character for each octet, in and out; what it was given when there is nothing to change. */
export type LeafPass = (octets: string, leaf: TextLeaf) => string;

/** The same buffer when nothing was changed. */
export function rewriteLeaves(bytes: Buffer, passes: readonly LeafPass[]): Buffer {
  if (passes.length === 0) return bytes;
  const mime = parseMime(bytes);
  if (mime.isTruncated) return bytes;
  const edits: Edit[] = [];
  const counts = { html: 0, text: 0 };
  for (const part of mime.parts) {
    const kind = kindOf(mime, part);
    if (kind !== undefined && kind !== 'amp') edits.push(...rewritten(mime, part, kind, counts[kind]++, passes));
  }
  return edits.length === 0 ? bytes : edited(bytes, edits);
}

/** What stands in the texts, as passes would see it, and in AMP parts, which they do not see. */
export function readLeaves(bytes: Buffer, read: (octets: string, kind: LeafKind) => void): void {
  const mime = parseMime(bytes);
  if (mime.isTruncated) return;
  for (const part of mime.parts) {
    const kind = kindOf(mime, part);
    const content = kind === undefined ? undefined : contentOf(mime, part);
    if (kind !== undefined && content !== undefined) read(content.octets, kind);
  }
}

export type LeafKind = TextLeaf['kind'] | 'amp';

const KINDS: ReadonlyMap<string, LeafKind> = new Map([
  ['text/html', 'html'],
  ['text/plain', 'text'],
  ['text/x-amp-html', 'amp'],
]);

/** A stretch of the message that something else takes the place of. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly by: string | Buffer;
}

const SEALED = new Set(['multipart/signed', 'multipart/encrypted', 'multipart/report']);
const ENCODINGS = new Set(['', '7bit', '8bit', 'binary', 'quoted-printable', 'base64']);

function kindOf(mime: MimeStructure, part: MimePart): LeafKind | undefined {
  const { value, parameters } = part.type;
  const kind = KINDS.get(value);
  if (part.isContainer || kind === undefined) return undefined;
  if (part.bodyEnd - part.bodyStart > LEAF_MAX * 3 || !ENCODINGS.has(partEncoding(part))) return undefined;
  // RFC 3676 §4.2: a URL may go on behind a space that is none.
  if (parameters.get('delsp')?.toLowerCase() === 'yes') return undefined;
  const disposition = partDisposition(part);
  if (disposition.value === 'attachment' || disposition.parameters.has('filename') || parameters.has('name')) return undefined;
  for (let above = part.parent; above !== -1; above = (mime.parts[above] as MimePart).parent) {
    if (SEALED.has((mime.parts[above] as MimePart).type.value)) return undefined;
  }
  return kind;
}

/** Charsets in which an octet below 128 may be (part of) another character. */
const NOT_OVER_ASCII = /^(?:utf-?(?:7|16|32)|ucs-|iso-10646|iso-2022|csiso2022|hz|x-user-defined)/i;
const PGP = '-----BEGIN PGP ';

function rewritten(mime: MimeStructure, part: MimePart, kind: TextLeaf['kind'], position: number, passes: readonly LeafPass[]): Edit[] {
  const content = contentOf(mime, part);
  if (content === undefined) return [];
  const { octets: before, charset, isOverAscii } = content;
  const decode = isOverAscii ? decoderOf(charset) : (stretch: string): string => Buffer.from(stretch, 'latin1').toString();
  const leaf: TextLeaf = { kind, position, decode };
  let after = before;
  for (const pass of passes) after = pass(after, leaf);
  return after === before ? [] : editsOf(part, Buffer.from(after, 'latin1'), !isOverAscii);
}

interface LeafContent {
  readonly octets: string;
  readonly charset: string;
  /** Otherwise the octets are UTF-8 now. */
  readonly isOverAscii: boolean;
}

/** undefined: it is left alone. */
function contentOf(mime: MimeStructure, part: MimePart): LeafContent | undefined {
  const charset = part.type.parameters.get('charset') ?? '';
  let bytes = partOctets(mime, part);
  if (bytes.length > LEAF_MAX) return undefined;
  const isOverAscii = !NOT_OVER_ASCII.test(charset);
  if (!isOverAscii) {
    const text = decodeCharset(bytes, charset);
    if (text === undefined) return undefined;
    bytes = Buffer.from(text);
  }
  const octets = bytes.toString('latin1');
  return octets.includes(PGP) ? undefined : { octets, charset, isOverAscii };
}

function decoderOf(charset: string): TextLeaf['decode'] {
  return (stretch) => {
    const octets = Buffer.from(stretch, 'latin1');
    return decodeCharset(octets, charset) ?? decodeGuess(octets);
  };
}

function editsOf(part: MimePart, octets: Buffer, isUtf8Now: boolean): Edit[] {
  const had = partEncoding(part);
  const encoding = encodingFor(had, octets, isUtf8Now);
  const edits: Edit[] = [{ start: part.bodyStart, end: part.bodyEnd, by: encoded(octets, encoding) }];
  if (encoding !== had) edits.push(...encodingField(part, encoding));
  const typeField = findField(part.header, 'content-type');
  if (isUtf8Now && typeField !== undefined)
    edits.push({ start: typeField.start, end: typeField.end, by: `Content-Type: ${part.type.value}; charset=utf-8\r\n` });
  return edits;
}

/** As it was, unless a line became too long. */
function encodingFor(had: string, octets: Buffer, isUtf8Now: boolean): string {
  if (had === 'base64' || had === 'quoted-printable') return had;
  return isUtf8Now || lineTrouble(octets, LINE_MAX) !== undefined ? 'quoted-printable' : had;
}

function encoded(octets: Buffer, encoding: string): Buffer {
  if (encoding === 'base64') return encodeBase64(octets);
  return encoding === 'quoted-printable' ? encodeQuotedPrintable(octets) : octets;
}

function encodingField({ header, parent }: MimePart, encoding: string): Edit[] {
  const { headerEnd, fields } = header;
  const isFirst = parent === -1 && findField(header, 'mime-version') === undefined;
  return [
    ...fields.filter(({ name }) => name === 'content-transfer-encoding').map(({ start, end }): Edit => ({ start, end, by: '' })),
    { start: headerEnd, end: headerEnd, by: `${isFirst ? 'MIME-Version: 1.0\r\n' : ''}Content-Transfer-Encoding: ${encoding}\r\n` },
  ];
}

function edited(bytes: Buffer, edits: readonly Edit[]): Buffer {
  const chunks: Buffer[] = [];
  let from = 0;
  for (const { start, end, by } of edits.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (start > from) chunks.push(bytes.subarray(from, start));
    chunks.push(typeof by === 'string' ? Buffer.from(by, 'latin1') : by);
    from = end;
  }
  chunks.push(bytes.subarray(from));
  return Buffer.concat(chunks);
}
