/**
 * Abuse reports (RFC 5965): read as strangers write them, and written. Linear and bounded; nothing of an enclosed message is taken for the report.
 */
import { foldHeader, type Header } from './header.ts';
import { formatDate } from './date.ts';
import { readFieldBlocks } from './field-blocks.ts';
import { octetFacts } from './octets.ts';
import { type MimeStructure, partOctets } from './mime.ts';
import { ownParts, returnedHeader } from './status-report.ts';

const REPORT_OCTETS_MAX = 64 * 1024;
const ADDRESSES_MAX = 20;

export interface FeedbackReport {
  /** Lower case: "abuse", "fraud", "not-spam", …; 'abuse' when it does not say. */
  readonly type: string;
  readonly userAgent?: string;
  /** The reverse-path of what was complained about. */
  readonly mailFrom?: string;
  /** Whom it had been sent to; often withheld. */
  readonly recipients: readonly string[];
  readonly returned?: Header;
}

/** Undefined: there is no part of that kind. */
export function readFeedbackReport(mime: MimeStructure): FeedbackReport | undefined {
  const part = ownParts(mime).find(({ type }) => type.value === 'message/feedback-report');
  if (part === undefined) return undefined;
  const text = partOctets(mime, part).subarray(0, REPORT_OCTETS_MAX).toString('utf8');
  const [fields] = readFieldBlocks(text);
  const first = (name: string): string | undefined => fields?.get(name)?.[0];
  const userAgent = first('user-agent');
  const mailFrom = bare(first('original-mail-from'));
  const returned = returnedHeader(mime);
  const recipients = [...(fields?.get('original-rcpt-to') ?? []), ...(fields?.get('removal-recipient') ?? [])];
  return {
    type: /^[a-z-]{1,40}/.exec(first('feedback-type')?.toLowerCase() ?? '')?.[0] ?? 'abuse',
    recipients: recipients.slice(0, ADDRESSES_MAX).flatMap((address) => bare(address) ?? []),
    ...(userAgent !== undefined && { userAgent }),
    ...(mailFrom !== undefined && { mailFrom }),
    ...(returned !== undefined && { returned }),
  };
}

function bare(value: string | undefined): string | undefined {
  const address = value?.trim().replace(/^<([^<>]*)>.*$/s, '$1');
  return address === undefined || address === '' ? undefined : address;
}

export interface FeedbackFacts {
  readonly from: string;
  readonly to: string;
  /** Without angle brackets. */
  readonly messageId: string;
  readonly dateMs: number;
  readonly type: 'abuse';
  readonly userAgent: string;
  readonly mailFrom: string;
  readonly recipient: string;
  /** Its header is enclosed. */
  readonly original: Header;
}

/** The report, complete. */
export function buildFeedbackReport(facts: FeedbackFacts): Buffer {
  const boundary = `=_feedback_${facts.messageId.replace(/[^A-Za-z0-9]/g, '').slice(0, 40)}`;
  const header = facts.original.bytes.subarray(0, facts.original.headerEnd);
  const isEightBit = octetFacts(header).hasEightBitHeader;
  const head =
    foldHeader('From', facts.from) +
    foldHeader('To', facts.to) +
    foldHeader('Subject', 'Complaint about a message') +
    `Date: ${formatDate(facts.dateMs)}\r\n` +
    foldHeader('Message-ID', `<${facts.messageId}>`) +
    'Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n' +
    `Content-Type: multipart/report; report-type=feedback-report;\r\n boundary="${boundary}"\r\n\r\n` +
    `--${boundary}\r\nContent-Type: text/plain\r\n\r\nThe recipient of this message says that it is spam.\r\n\r\n` +
    `--${boundary}\r\nContent-Type: message/feedback-report\r\n\r\n` +
    foldHeader('Feedback-Type', facts.type) +
    foldHeader('User-Agent', facts.userAgent) +
    'Version: 1\r\n' +
    foldHeader('Original-Mail-From', `<${facts.mailFrom}>`) +
    foldHeader('Original-Rcpt-To', `<${facts.recipient}>`) +
    `\r\n--${boundary}\r\nContent-Type: text/rfc822-headers\r\n${isEightBit ? 'Content-Transfer-Encoding: 8bit\r\n' : ''}\r\n`;
  return Buffer.concat([Buffer.from(head), header, Buffer.from(`\r\n--${boundary}--\r\n`)]);
}
