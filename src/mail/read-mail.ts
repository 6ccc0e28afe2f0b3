/**
 * A message as programs and people read it: its fields, its texts, its files in their order. Goes over the octets once, decodes with native code, and copies a file only when it is asked for.
 *
 * Promises: linear, bounded (`parseMime`'s bounds; `TEXT_MAX` of each kind of text; `FILES_MAX`), never throws.
 */
import { decodeWords, rawValue } from './header.ts';
import { type MimePart, type MimeStructure, parseMime, partDisposition, partOctets, partText } from './mime.ts';

export interface ReadMail {
  /** In order, names as written, values unfolded and decoded. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Of the first field of that name (lower case). */
  header(name: string): string | undefined;
  /** What is shown of text/plain, part after part, its lines ended by LF; undefined: there is none. */
  readonly text?: string;
  readonly html?: string;
  /** Attached and inline files, in the order in which they stand there. */
  readonly files: readonly MailFile[];
}

export interface MailFile {
  /** The last step of the name that it was given; a name of ours where there is none. */
  readonly filename: string;
  readonly contentType: string;
  readonly isInline: boolean;
  /** Without brackets. */
  readonly contentId?: string;
  /** Decoded; made anew at each call. */
  octets(): Buffer;
}

/** Characters of text, and of HTML. */
export const TEXT_MAX = 4 * 1024 * 1024;
export const FILES_MAX = 1000;
const FILENAME_MAX = 255;

export function readMail(bytes: Buffer): ReadMail {
  const mime = parseMime(bytes);
  const texts: string[] = [];
  const htmls: string[] = [];
  const files: MailFile[] = [];
  for (const part of mime.parts) {
    if (part.isContainer) continue;
    const kind = kindOf(part);
    if (kind === 'text') addText(texts, mime, part);
    else if (kind === 'html') addText(htmls, mime, part);
    else if (files.length < FILES_MAX) files.push(fileOf(mime, part, files.length + 1));
  }
  const headers = headersOf(mime);
  return {
    headers,
    header: (name) => headers.find(([each]) => each.toLowerCase() === name)?.[1],
    ...(texts.length > 0 && { text: texts.join('\n') }),
    ...(htmls.length > 0 && { html: htmls.join('\n') }),
    files,
  };
}

function kindOf(part: MimePart): 'text' | 'html' | 'file' {
  const { value, parameters } = part.type;
  if (value !== 'text/plain' && value !== 'text/html') return part.parent === -1 && value.startsWith('text/') ? 'text' : 'file';
  const disposition = partDisposition(part);
  const isNamed = disposition.parameters.has('filename') || parameters.has('name');
  if (disposition.value === 'attachment' || (isNamed && part.parent !== -1)) return 'file';
  return value === 'text/html' ? 'html' : 'text';
}

function addText(texts: string[], mime: MimeStructure, part: MimePart): void {
  const left = TEXT_MAX - texts.reduce((sum, { length }) => sum + length, 0);
  if (left <= 0) return;
  // Several times as fast as a replacement where there is nothing but ends of lines.
  texts.push(partText(mime, part).slice(0, left).split('\r\n').join('\n').toWellFormed());
}

function headersOf({ parts, bytes }: MimeStructure): ReadMail['headers'] {
  const header = parts[0]?.header;
  if (header === undefined) return [];
  return header.fields.flatMap((field) => {
    if (field.name === '') return [];
    const name = bytes.toString('latin1', field.start, field.start + field.name.length);
    return [[name, decodeWords(rawValue(header, field)).toWellFormed()] as const];
  });
}

function fileOf(mime: MimeStructure, part: MimePart, number: number): MailFile {
  const disposition = partDisposition(part);
  const given = disposition.parameters.get('filename') ?? part.type.parameters.get('name') ?? '';
  const [, contentId] = /^<?([^<>\s]{1,250})>?$/.exec(fieldOf(part, 'content-id').trim()) ?? [];
  const name = lastStep(given).slice(0, FILENAME_MAX).toWellFormed();
  return {
    filename: name === '' ? `attachment-${number}${part.type.value === 'message/rfc822' ? '.eml' : ''}` : name,
    contentType: part.type.value,
    isInline: disposition.value === 'inline' || (disposition.value === '' && contentId !== undefined),
    ...(contentId !== undefined && { contentId }),
    octets: () => partOctets(mime, part),
  };
}

function fieldOf({ header }: MimePart, name: string): string {
  const field = header.fields.find((each) => each.name === name);
  return field === undefined ? '' : rawValue(header, field);
}

/** A stranger's file name says what the file is called, not where it goes. */
function lastStep(path: string): string {
  return path
    .slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
    .replace(/[\0-\x1f\x7f]+/g, ' ')
    .trim();
}
