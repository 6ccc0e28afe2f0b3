/**
 * The MIME structure of a message: which parts there are and where they stand, as offsets; what they say only when asked.
 *
 * Promises: linear and bounded whatever a stranger wrote (`PARTS_MAX`, `DEPTH_MAX`, `DELIMITERS_MAX`, `BOUNDARY_MAX`, `PART_HEADER_MAX`), never
 * throws, never copies the message. Beyond a bound the rest belongs to the part that was open, and `isTruncated` says so.
 */
import { decodeCharset, decodeGuess } from './charset.ts';
import { findField, rawValue, readHeader, splitMessage, type Header } from './header.ts';
import { parseParameters, type ParameterizedValue } from './parameters.ts';
import { decodeTransfer } from './transfer-encoding.ts';

export const PARTS_MAX = 1000;
export const DEPTH_MAX = 100;
/** RFC 2046 §5.1.1 says 70; careless writers use more. */
export const BOUNDARY_MAX = 250;
/** Lines that start with "--" and are looked at. */
export const DELIMITERS_MAX = 100_000;
export const PART_HEADER_MAX = 64 * 1024;

export interface MimePart {
  /** Position of the enclosing part in `parts`; -1 for the message itself. */
  readonly parent: number;
  readonly depth: number;
  readonly header: Header;
  /** The header's first octet. */
  readonly start: number;
  readonly bodyStart: number;
  /** After the last octet of the body; the CRLF before a delimiter belongs to the delimiter. */
  readonly bodyEnd: number;
  readonly type: ParameterizedValue;
  /** Multipart, or a message that was looked into: what it says is in its children. */
  readonly isContainer: boolean;
}

export interface MimeStructure {
  readonly bytes: Buffer;
  /** In the order in which they stand there; the first is the message. */
  readonly parts: readonly MimePart[];
  readonly isTruncated: boolean;
}

export interface StructureOptions {
  /** Look into message/rfc822 parts too. */
  readonly intoMessages?: boolean;
}

interface OpenPart {
  parent: number;
  depth: number;
  header: Header;
  start: number;
  bodyStart: number;
  bodyEnd: number;
  type: ParameterizedValue;
  isContainer: boolean;
  /** Multipart: what its delimiters say after "--". */
  boundary?: string;
}

export function parseMime(bytes: Buffer, options: StructureOptions = {}): MimeStructure {
  return new StructureReader(bytes, options).read();
}

/** Goes once over the lines that start with "--". `#open` are the containers and the leaf around the current position, outermost first. */
class StructureReader {
  readonly #bytes: Buffer;
  readonly #intoMessages: boolean;
  readonly #parts: OpenPart[] = [];
  readonly #open: number[] = [];
  /** Boundary → position in `#open`. */
  readonly #boundaries = new Map<string, number>();
  #delimiters = 0;
  /** What the last search for "\n--" found, so that no stretch is searched twice. */
  #searchedFrom = 0;
  #searchedTo = 0;
  #isTruncated = false;

  constructor(bytes: Buffer, options: StructureOptions) {
    this.#bytes = bytes;
    this.#intoMessages = options.intoMessages === true;
  }

  read(): MimeStructure {
    let at = this.#openPart(0);
    while (this.#boundaries.size > 0) {
      const line = this.#nextDelimiter(at, this.#bytes.length);
      if (line === undefined) break;
      at = this.#atDelimiter(line);
    }
    this.#closeFrom(0, this.#bytes.length);
    return { bytes: this.#bytes, parts: this.#parts, isTruncated: this.#isTruncated };
  }

  /** Closes what is inside the container whose delimiter it is, and opens its next part. Returns where to read on. */
  #atDelimiter(line: DelimiterLine): number {
    // The CRLF before the delimiter is part of it (RFC 2046 §5.1.1).
    const before = line.start >= 2 && this.#bytes[line.start - 2] === 0x0d ? line.start - 2 : line.start;
    this.#closeFrom(line.openIndex + 1, before);
    if (line.isLast) {
      const container = this.#parts[this.#open[line.openIndex] as number] as OpenPart;
      this.#boundaries.delete(container.boundary as string);
      return line.end;
    }
    if (this.#parts.length >= PARTS_MAX || this.#open.length >= DEPTH_MAX) {
      // Nothing more is opened: the rest is text of the containers around it.
      this.#isTruncated = true;
      this.#boundaries.clear();
      return line.end;
    }
    return this.#openPart(line.end);
  }

  /** Opens the part whose header starts at `start`, with what it contains at once when it is a message. Returns where its body starts. */
  #openPart(start: number): number {
    const bytes = this.#bytes;
    const isMessage = this.#parts.length === 0;
    const window = isMessage ? bytes.length : Math.min(bytes.length, start + PART_HEADER_MAX);
    let { bodyStart } = splitMessage(bytes, start, window);
    // A delimiter inside what looks like the header ends the part before its empty line came.
    const early = this.#boundaries.size === 0 ? undefined : this.#nextDelimiter(start, bodyStart);
    if (early !== undefined) bodyStart = early.start;
    const header = readHeader(bytes, start, bodyStart);
    const typeField = findField(header, 'content-type');
    const parent = this.#open.at(-1) ?? -1;
    const type = typeField === undefined ? DEFAULT_TYPE : parseParameters(rawValue(header, typeField));
    const depth = this.#open.length;
    this.#open.push(this.#parts.length);
    const part: OpenPart = { parent, depth, header, start, bodyStart, bodyEnd: bodyStart, type, isContainer: false };
    this.#parts.push(part);
    return early === undefined ? this.#enter(part) : bodyStart;
  }

  #enter(part: OpenPart): number {
    const boundary = part.type.parameters.get('boundary');
    if (part.type.value.startsWith('multipart/') && boundary !== undefined && boundary !== '' && boundary.length <= BOUNDARY_MAX) {
      // An inner boundary that repeats an outer one would hide it: the outer delimiters keep their meaning.
      if (this.#boundaries.has(boundary)) return part.bodyStart;
      part.isContainer = true;
      part.boundary = boundary;
      this.#boundaries.set(boundary, this.#open.length - 1);
      return part.bodyStart;
    }
    if (!this.#intoMessages || !isMessageType(part.type.value) || !isIdentity(part.header)) return part.bodyStart;
    if (this.#parts.length >= PARTS_MAX || this.#open.length >= DEPTH_MAX) {
      this.#isTruncated = true;
      return part.bodyStart;
    }
    part.isContainer = true;
    return this.#openPart(part.bodyStart);
  }

  #closeFrom(openIndex: number, end: number): void {
    while (this.#open.length > openIndex) {
      const part = this.#parts[this.#open.pop() as number] as OpenPart;
      part.bodyEnd = Math.max(part.bodyStart, end);
      if (part.boundary !== undefined) this.#boundaries.delete(part.boundary);
    }
  }

  /** The next line between `from` and `to` that is a delimiter of an open container. */
  #nextDelimiter(from: number, to: number): DelimiterLine | undefined {
    const bytes = this.#bytes;
    // `from` is where a line starts.
    let start = bytes[from] === 0x2d && bytes[from + 1] === 0x2d ? from : this.#dashesAfter(from);
    while (start !== -1 && start < to) {
      if (++this.#delimiters > DELIMITERS_MAX) {
        this.#isTruncated = true;
        this.#boundaries.clear();
        return undefined;
      }
      const newline = bytes.indexOf(0x0a, start);
      const end = newline === -1 ? bytes.length : newline + 1;
      const line = this.#readDelimiter(start, end);
      if (line !== undefined) return line;
      start = this.#dashesAfter(end - 1);
    }
    return undefined;
  }

  /** Start of the first line after the newline at or after `from` that begins with "--"; -1: none. */
  #dashesAfter(from: number): number {
    if (from < this.#searchedFrom || from >= this.#searchedTo) {
      const at = this.#bytes.indexOf(NEWLINE_DASHES, from);
      this.#searchedFrom = from;
      this.#searchedTo = at === -1 ? Number.POSITIVE_INFINITY : at + 1;
    }
    return this.#searchedTo === Number.POSITIVE_INFINITY ? -1 : this.#searchedTo;
  }

  #readDelimiter(start: number, end: number): DelimiterLine | undefined {
    // Longer than a delimiter with some white space behind it can be.
    if (end - start > BOUNDARY_MAX + 100) return undefined;
    const text = this.#bytes.toString('latin1', start + 2, end).trimEnd();
    const open = this.#boundaries.get(text);
    if (open !== undefined) return { start, end, openIndex: open, isLast: false };
    if (!text.endsWith('--')) return undefined;
    const last = this.#boundaries.get(text.slice(0, -2));
    return last === undefined ? undefined : { start, end, openIndex: last, isLast: true };
  }
}

interface DelimiterLine {
  readonly start: number;
  /** After its newline. */
  readonly end: number;
  readonly openIndex: number;
  readonly isLast: boolean;
}

const NEWLINE_DASHES = Buffer.from('\n--');
const DEFAULT_TYPE: ParameterizedValue = { value: 'text/plain', parameters: new Map() };

function isMessageType(value: string): boolean {
  return value === 'message/rfc822' || value === 'message/global';
}

function isIdentity(header: Header): boolean {
  return /^(?:7bit|8bit|binary|)$/.test(transferEncoding(header));
}

/** Lower case; '' when there is none. */
function transferEncoding(header: Header): string {
  const field = findField(header, 'content-transfer-encoding');
  return field === undefined ? '' : rawValue(header, field).toLowerCase();
}

// ---- what parts say ------------------------------------------------------------------------------------------------------

/** Content-Transfer-Encoding in lower case, '' when there is none. */
export function partEncoding(part: MimePart): string {
  return transferEncoding(part.header);
}

/** Content-Disposition; value '' when there is none. */
export function partDisposition(part: MimePart): ParameterizedValue {
  const field = findField(part.header, 'content-disposition');
  return field === undefined ? { value: '', parameters: new Map() } : parseParameters(rawValue(part.header, field));
}

/** The decoded octets of a leaf. */
export function partOctets(mime: MimeStructure, part: MimePart): Buffer {
  return decodeTransfer(mime.bytes.subarray(part.bodyStart, part.bodyEnd), partEncoding(part));
}

/** The decoded text of a leaf; a charset that is not known is guessed. */
export function partText(mime: MimeStructure, part: MimePart): string {
  const octets = partOctets(mime, part);
  return decodeCharset(octets, part.type.parameters.get('charset') ?? '') ?? decodeGuess(octets);
}

export interface AttachmentFact {
  readonly filename: string;
  readonly 'content-type': string;
  /** Octets when decoded. */
  readonly size: number;
}

/** The attached and inline files: leaves with a name, a disposition "attachment", or a type that no reader shows in line. */
export function attachmentFacts(mime: MimeStructure): AttachmentFact[] {
  const facts: AttachmentFact[] = [];
  for (const part of mime.parts) {
    if (part.isContainer) continue;
    const disposition = partDisposition(part);
    const filename = disposition.parameters.get('filename') ?? part.type.parameters.get('name');
    const isShown = part.type.value.startsWith('text/') && disposition.value !== 'attachment';
    if (filename === undefined && (isShown || part.parent === -1)) continue;
    facts.push({ filename: (filename ?? '').slice(0, 255), 'content-type': part.type.value, size: decodedSize(mime, part) });
  }
  return facts;
}

/** Without decoding: exact for base64 with lines of one length, which is how it is written. */
function decodedSize(mime: MimeStructure, part: MimePart): number {
  const { bytes } = mime;
  let end = part.bodyEnd;
  while (end > part.bodyStart && (bytes[end - 1] as number) <= 0x20) end--;
  const length = end - part.bodyStart;
  if (partEncoding(part) !== 'base64') return part.bodyEnd - part.bodyStart;
  const newline = bytes.indexOf(0x0a, part.bodyStart);
  const lineLength = newline === -1 || newline >= end ? length + 2 : newline + 1 - part.bodyStart;
  const characters = length - Math.floor(length / lineLength) * 2;
  let padding = 0;
  while (padding < 2 && bytes[end - 1 - padding] === 0x3d) padding++;
  return Math.max(0, Math.floor((characters * 3) / 4) - padding);
}
