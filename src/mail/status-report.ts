/**
 * Reads delivery status notifications: the fields for programs of a multipart/report (RFC 3464, RFC 6533), as strangers write them. How people's texts are
 * read is not known here. Promises: linear, bounded (`STATUS_OCTETS_MAX`, `REPORTED_MAX`), never throws; nothing that was returned or
 * forwarded inside is taken for the report itself.
 */
import { decodeWords } from './encoded-word.ts';
import { type Fields, readFieldBlocks, VALUE_MAX } from './field-blocks.ts';
import { type Header, readHeader, withoutControls } from './header.ts';
import { type MimePart, type MimeStructure, partOctets, partText } from './mime.ts';

/** Of the status part; what lies beyond is not read. */
export const STATUS_OCTETS_MAX = 256 * 1024;
/** Recipients of one report; a report of more is of no server that we sent to. */
export const REPORTED_MAX = 1000;
const ADDRESS_MAX = 320;

export type ReportedAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export interface ReportedRecipient {
  /** Whom it concerns, as the reporter calls them; absent: it does not say. */
  readonly address?: string;
  /** As the sender called them, when that is told. */
  readonly original?: string;
  readonly action: ReportedAction;
  /** RFC 3463: "5.1.1". */
  readonly status?: string;
  /** What the reporter, or a server that it talked to, said: printable, bounded. */
  readonly diagnostic?: string;
  readonly remoteMta?: string;
}

export interface StatusReport {
  readonly reportingMta?: string;
  readonly envelopeId?: string;
  /** At most `REPORTED_MAX`; empty when the status part is malformed. */
  readonly recipients: readonly ReportedRecipient[];
  readonly isTruncated: boolean;
}

const STATUS_TYPES: ReadonlySet<string> = new Set(['message/delivery-status', 'message/global-delivery-status']);
const HEADER_TYPES: ReadonlySet<string> = new Set([
  'text/rfc822-headers',
  'text/rfc822-header',
  'message/rfc822-headers',
  'message/global-headers',
]);
const ACTIONS: readonly ReportedAction[] = ['failed', 'delayed', 'delivered', 'relayed', 'expanded'];

/** Undefined: there is no status part. */
export function readStatusReport(mime: MimeStructure): StatusReport | undefined {
  const part = ownParts(mime).find(({ type }) => STATUS_TYPES.has(type.value));
  if (part === undefined) return undefined;
  const octets = partOctets(mime, part);
  const blocks = readFieldBlocks(octets.subarray(0, STATUS_OCTETS_MAX).toString('utf8'));
  const [message, ...rest] = blocks;
  // A reporter that leaves out the fields about the message begins with a recipient.
  const isRecipient = (fields: Fields): boolean => ['final-recipient', 'original-recipient', 'action'].some((name) => fields.has(name));
  const perRecipient = message !== undefined && isRecipient(message) ? blocks : rest;
  const recipients = perRecipient.slice(0, REPORTED_MAX).filter(isRecipient).map(readRecipient);
  const reportingMta = nameOf(message?.get('reporting-mta')?.[0]);
  const envelopeId = message?.get('original-envelope-id')?.[0];
  return {
    recipients,
    isTruncated: octets.length > STATUS_OCTETS_MAX || perRecipient.length > REPORTED_MAX,
    ...(reportingMta !== undefined && { reportingMta }),
    ...(envelopeId !== undefined && { envelopeId }),
  };
}

/** Parts that the sender of this message wrote: not those of a message that it encloses. */
export function ownParts(mime: MimeStructure): readonly MimePart[] {
  return mime.parts.filter((part) => !isEnclosed(mime, part));
}

function isEnclosed(mime: MimeStructure, part: MimePart): boolean {
  for (let at = part.parent; at !== -1; at = (mime.parts[at] as MimePart).parent) {
    if ((mime.parts[at] as MimePart).type.value.startsWith('message/')) return true;
  }
  return false;
}

/** The header of the message that is returned with a report, whole or in part; undefined: none is. */
export function returnedHeader(mime: MimeStructure): Header | undefined {
  for (const part of mime.parts) {
    if (part.parent === -1 || isEnclosed(mime, part)) continue;
    const { value } = part.type;
    if (HEADER_TYPES.has(value)) return readHeader(crlf(partOctets(mime, part).subarray(0, STATUS_OCTETS_MAX)));
    if (value !== 'message/rfc822' && value !== 'message/global') continue;
    const position = mime.parts.indexOf(part);
    const inner = mime.parts.find(({ parent }) => parent === position);
    return inner?.header ?? readHeader(crlf(partOctets(mime, part).subarray(0, STATUS_OCTETS_MAX)));
  }
  return undefined;
}

/** Header lines of an encoded part may end with LF alone. */
function crlf(octets: Buffer): Buffer {
  return octets.includes('\r\n') ? octets : Buffer.from(octets.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

function readRecipient(fields: Fields): ReportedRecipient {
  const address = addressOf(fields.get('final-recipient')?.[0]);
  const original = addressOf(fields.get('original-recipient')?.[0]);
  const status = statusIn(fields.get('status')?.[0] ?? '');
  const diagnostic = diagnosticOf(fields.get('diagnostic-code')?.[0]);
  const remoteMta = nameOf(fields.get('remote-mta')?.[0]);
  return {
    action: actionOf(fields.get('action')?.[0], status),
    ...(address !== undefined && { address }),
    ...(original !== undefined && { original }),
    ...(status !== undefined && { status }),
    ...(diagnostic !== undefined && { diagnostic }),
    ...(remoteMta !== undefined && { remoteMta }),
  };
}

/** "failed (user unknown)", "Failed". What says nothing is read by its status; what is not understood is no failure (P5). */
function actionOf(text: string | undefined, status: string | undefined): ReportedAction {
  const word = /^[a-z]+/.exec((text ?? '').toLowerCase())?.[0];
  const action = ACTIONS.find((each) => each === word);
  if (action !== undefined) return action;
  return text === undefined && status?.startsWith('5.') === true ? 'failed' : 'delayed';
}

/** "rfc822; <jane@example.org>", "utf-8; j\x{E4}ne@example.org" (RFC 6533 §3); one without its type is taken too. */
function addressOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const [, type = '', rest = ''] = /^(?:([A-Za-z0-9-]{1,30})\s*;)?\s*(.*)$/s.exec(value) ?? [];
  const plain = rest
    .replace(/^<([^<>]*)>.*$/s, '$1')
    .replace(/^([^\s"]+)\s+\(.*$/s, '$1')
    .trim();
  const text = type.toLowerCase() === 'utf-8' ? plain.replace(/\\x\{([0-9A-Fa-f]{2,6})\}/g, fromCodePoint) : plain;
  return text === '' || text.length > ADDRESS_MAX ? undefined : withoutControls(text);
}

function fromCodePoint(written: string, hex: string): string {
  const point = Number.parseInt(hex, 16);
  return point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? written : String.fromCodePoint(point);
}

/** "dns; mx.example.org (192.0.2.1)" */
function nameOf(value: string | undefined): string | undefined {
  const name = /^(?:[A-Za-z0-9-]{1,30}\s*;)?\s*([^\s()]{1,255})/.exec(value ?? '')?.[1];
  return name === undefined ? undefined : withoutControls(name).toLowerCase().replace(/\.$/, '');
}

/** "smtp; 550 5.1.1 …": without its type. */
function diagnosticOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = withoutControls(decodeWords(value.replace(/^[A-Za-z0-9-]{1,30}\s*;/, '')));
  return text === '' ? undefined : text;
}

/** The first status code of RFC 3463 in a text. */
export function statusIn(text: string): string | undefined {
  return /(?:^|[^0-9.])([245]\.\d{1,3}\.\d{1,3})(?![0-9.]*[0-9])/.exec(text.slice(0, VALUE_MAX))?.[1];
}

/** The text for people: of the report's own parts the first that is text, HTML without its tags. Bounded. */
export function reportText(mime: MimeStructure): string {
  const leaves = ownParts(mime).filter(
    (part) => !part.isContainer && part.type.value.startsWith('text/') && !HEADER_TYPES.has(part.type.value),
  );
  const plain = leaves.find(({ type }) => type.value !== 'text/html');
  if (plain !== undefined) return partText(mime, plain).slice(0, STATUS_OCTETS_MAX);
  const [html] = leaves;
  return html === undefined ? '' : withoutTags(partText(mime, html).slice(0, STATUS_OCTETS_MAX));
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', nbsp: ' ', '#39': "'" };

/** Not for showing: lines as people would see them, so that they can be searched. */
function withoutTags(html: string): string {
  let text = '';
  for (let at = 0; at < html.length;) {
    const open = html.indexOf('<', at);
    if (open === -1) return text + entities(html.slice(at));
    text += entities(html.slice(at, open));
    const close = html.indexOf('>', open);
    if (close === -1) return text;
    if (/^<\/?(?:br|p|div|tr|li|h\d|table)\b/i.test(html.slice(open, open + 8))) text += '\n';
    at = close + 1;
  }
  return text;
}

function entities(text: string): string {
  return text.replace(/&([a-z]{2,4}|#39);/g, (written, name: string) => ENTITIES[name] ?? written);
}
