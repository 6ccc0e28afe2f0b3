/**
 * What came to a return path: a bounce, word of a delay or a delivery, a complaint, or something that is none of these. Reads what strangers wrote: bounded, linear, never throws; decides
 * nothing about mail. What is not recognised is `unknown`, and changes nothing (P5).
 */
import { findField, type Header, headerValue, rawValue, readHeader } from '#mail/header.ts';
import { type MimeStructure, parseMime } from '#mail/mime.ts';
import { ownParts, readStatusReport, type ReportedRecipient, reportText, returnedHeader } from '#mail/status-report.ts';
import type { BounceFormat, ReplyFormat } from './bounce-format.ts';
import { BOUNCE_FORMATS, GENERIC_BOUNCES } from './bounce-formats.ts';
import { hasPhrase, readPlainReport } from './plain-report.ts';
import { type Complaint, readComplaint } from './read-complaint.ts';
import { GENERIC_REPLIES, REPLY_FORMATS } from './reply-formats.ts';

/** Octets of a message that are looked at: a report stands at the beginning. */
export const LOOKED_AT_MAX = 4 * 1024 * 1024;
/** Of a text for people, in lines, to find phrases in. */
const PHRASE_LINES_MAX = 200;

export type Returned =
  | {
      readonly kind: 'report';
      /** The row that knew it, or 'rfc3464'. */
      readonly format: string;
      readonly recipients: readonly ReportedRecipient[];
      /** Who reports, as far as that is told. */
      readonly reportingMta?: string;
      /** Of the message that it is about, if it was returned. */
      readonly returned?: Header;
      readonly isTruncated: boolean;
    }
  | { readonly kind: 'complaint'; readonly complaint: Complaint }
  | { readonly kind: 'auto-reply' | 'challenge' | 'receipt'; readonly format: string }
  | { readonly kind: 'unknown' };

export function readReturned(given: Buffer): Returned {
  const bytes = given.subarray(0, LOOKED_AT_MAX);
  const mime = parseMime(bytes, { intoMessages: true });
  const header = readHeader(bytes);
  if (ownParts(mime).some(({ type }) => type.value === 'message/disposition-notification')) return { kind: 'receipt', format: 'rfc8098' };
  const complaint = readComplaint(mime, 'report');
  if (complaint !== undefined) return { kind: 'complaint', complaint };
  return readStatus(mime, header) ?? readByFormat(mime, header);
}

function readStatus(mime: MimeStructure, header: Header): Returned | undefined {
  const status = readStatusReport(mime);
  if (status === undefined || status.recipients.length === 0) return undefined;
  const returned = returnedHeader(mime);
  const [only] = status.recipients;
  const [named] = failedRecipients(header);
  const isUnnamed = status.recipients.length === 1 && only?.address === undefined && only?.original === undefined;
  return {
    kind: 'report',
    format: 'rfc3464',
    recipients: isUnnamed && named !== undefined ? [{ ...(only as ReportedRecipient), address: named }] : status.recipients,
    isTruncated: status.isTruncated || mime.isTruncated,
    ...(status.reportingMta !== undefined && { reportingMta: status.reportingMta }),
    ...(returned !== undefined && { returned }),
  };
}

function readByFormat(mime: MimeStructure, header: Header): Returned {
  const text = reportText(mime);
  const seen: Seen = {
    header,
    from: (headerValue(header, 'from') ?? '').toLowerCase(),
    subject: (headerValue(header, 'subject') ?? '').toLowerCase(),
    lines: text.split('\n', PHRASE_LINES_MAX),
  };
  const bounce = BOUNCE_FORMATS.find((format) => isBounce(format, seen));
  if (bounce !== undefined) return plain(bounce, mime, header, text);
  const reply = REPLY_FORMATS.find((format) => isReply(format, seen));
  if (reply !== undefined) return { kind: reply.kind, format: reply.name };
  const generic = GENERIC_BOUNCES.find((format) => isBounce(format, seen));
  if (generic !== undefined) return plain(generic, mime, header, text);
  const automatic = GENERIC_REPLIES.find((format) => isReply(format, seen));
  return automatic === undefined ? { kind: 'unknown' } : { kind: automatic.kind, format: automatic.name };
}

function plain(format: BounceFormat, mime: MimeStructure, header: Header, text: string): Returned {
  const subject = headerValue(header, 'subject') ?? '';
  const { recipients, returned = returnedHeader(mime) } = readPlainReport(format, text, subject, failedRecipients(header));
  const reporter = /@([A-Za-z0-9.-]{1,255})/.exec(headerValue(header, 'from') ?? '')?.[1]?.toLowerCase();
  return {
    kind: 'report',
    format: format.name,
    recipients,
    isTruncated: mime.isTruncated,
    ...(reporter !== undefined && { reportingMta: reporter }),
    ...(returned !== undefined && { returned }),
  };
}

interface Seen {
  readonly header: Header;
  /** Lower case. */
  readonly from: string;
  readonly subject: string;
  readonly lines: readonly string[];
}

function isBounce(format: BounceFormat, seen: Seen): boolean {
  if (format.field !== undefined && findField(seen.header, format.field) === undefined) return false;
  if (format.from !== undefined && !format.from.some((phrase) => seen.from.includes(phrase))) return false;
  if (format.subject !== undefined && !format.subject.some((phrase) => seen.subject.includes(phrase))) return false;
  return format.text === undefined || seen.lines.some((line) => hasPhrase(line, format.text));
}

function isReply(format: ReplyFormat, seen: Seen): boolean {
  if (format.field !== undefined && !hasValue(seen.header, format.field)) return false;
  if (format.subject !== undefined && !format.subject.some((phrase) => isIn(seen.subject, phrase, format.isPrefix === true))) return false;
  return format.text === undefined || seen.lines.some((line) => hasPhrase(line, format.text));
}

function isIn(subject: string, phrase: string, isPrefix: boolean): boolean {
  return isPrefix ? subject.replace(/^(?:(?:re|aw|fwd?)\s*:\s*)+/, '').startsWith(phrase) : subject.includes(phrase);
}

function hasValue(header: Header, [name, ...values]: readonly [string, ...string[]]): boolean {
  const field = findField(header, name);
  if (field === undefined) return false;
  const value = rawValue(header, field).toLowerCase();
  return values.length === 0 || values.some((each) => value.startsWith(each));
}

const FAILED_MAX = 100;

/** X-Failed-Recipients, as Exim and Google write it. */
function failedRecipients(header: Header): string[] {
  const value = headerValue(header, 'x-failed-recipients') ?? '';
  return value
    .split(',', FAILED_MAX)
    .map((address) => address.trim())
    .filter((address) => address.includes('@') && address.length <= 320);
}
