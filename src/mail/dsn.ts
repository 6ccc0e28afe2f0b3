/**
 * Delivery status notifications: multipart/report with a text for people, the status for programs and the message or its header (RFC 3461 §6, RFC 3464,
 * RFC 3834; RFC 6533 when an address is beyond ASCII). Everything that a remote server or sender wrote is bounded and cannot leave its field.
 */
import { hash } from 'node:crypto';
import { displayMailbox } from './address.ts';
import { formatDate } from './date.ts';
import { writeField } from './field.ts';
import { findField, foldHeader, rawValue, readHeader, withoutControls } from './header.ts';
import { octetFacts } from './octets.ts';
import { encodeText } from './transfer-encoding.ts';

export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export interface DsnRecipient {
  /** The address it was sent to. */
  readonly address: string;
  /** ORCPT as given, still xtext: "rfc822;user@example.org". */
  readonly orcpt?: string;
  readonly action: DsnAction;
  /** RFC 3463: "5.1.1". */
  readonly status: string;
  /** Name of the server that answered. */
  readonly remoteMta?: string;
  /** Its reply, code and enhanced code included: "550 5.1.1 no such user". */
  readonly reply?: string;
  /** In words, when there is no reply: "connection refused". */
  readonly trouble?: string;
  readonly lastAttemptMs?: number;
  /** delayed: until when it is tried. */
  readonly willRetryUntilMs?: number;
}

export interface DsnFacts {
  /** Our host name. */
  readonly reportingMta: string;
  /** The submitter: the reverse-path of the original. */
  readonly to: string;
  /** Without angle brackets. */
  readonly messageId: string;
  readonly dateMs: number;
  /** When the original was accepted. */
  readonly arrivalMs: number;
  /** ENVID as given, still xtext. */
  readonly envid?: string;
  readonly recipients: readonly DsnRecipient[];
  readonly original: Buffer;
  /** RET; the header alone when the original is larger than ORIGINAL_MAX. */
  readonly ret: 'FULL' | 'HDRS';
}

/** A larger original is not returned whole: a notification is not worth its size again. */
export const ORIGINAL_MAX = 256 * 1024;
const HEADER_MAX = 64 * 1024;
const RECIPIENTS_MAX = 1000;
const TEXT_MAX = 2000;

const SUBJECTS: Readonly<Record<DsnAction, string>> = {
  failed: 'Your mail could not be delivered',
  delayed: 'Your mail is delayed',
  delivered: 'Your mail was delivered',
  relayed: 'Your mail was handed on',
  expanded: 'Your mail was sent on to a list',
};

const SENTENCES: Readonly<Record<DsnAction, string>> = {
  failed: 'could not be delivered. It will not be tried again.',
  delayed: 'has not been delivered yet. Nothing needs to be done: it is tried again.',
  delivered: 'was delivered.',
  relayed: 'was handed on to a server that does not confirm deliveries.',
  expanded: 'was sent on to the members of a list.',
};

const ORDER: readonly DsnAction[] = ['failed', 'delayed', 'expanded', 'relayed', 'delivered'];

/** The notification, complete, in memory of its own. */
export function buildDsn(facts: DsnFacts): Buffer {
  const recipients = facts.recipients.slice(0, RECIPIENTS_MAX);
  const isGlobal = recipients.some((recipient) => isBeyondAscii(recipient.address));
  const boundary = `=_${hash('sha256', facts.messageId, 'hex').slice(0, 32)}`;
  const text = encodeText(explanation(facts, recipients));
  const status = statusFields(facts, recipients, isGlobal);
  const returned = returnedOriginal(facts);
  const chunks = [
    Buffer.from(
      `${dsnHeader(facts, recipients)}Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"\r\n` +
        `${returned.isEightBit || isGlobal ? 'Content-Transfer-Encoding: 8bit\r\n' : ''}\r\n` +
        `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ${text.encoding}\r\n\r\n`,
    ),
    Buffer.from(text.body),
    Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: message/${isGlobal ? 'global-delivery-status\r\nContent-Transfer-Encoding: 8bit' : 'delivery-status'}\r\n\r\n` +
        `${status}\r\n--${boundary}\r\n${returned.head}\r\n`,
    ),
    returned.octets,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ];
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const out = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(out, at);
  return out;
}

function dsnHeader(facts: DsnFacts, recipients: readonly DsnRecipient[]): string {
  const action = ORDER.find((each) => recipients.some((recipient) => recipient.action === each)) ?? 'failed';
  const header = readHeader(facts.original);
  const idField = findField(header, 'message-id');
  const id = idField === undefined ? undefined : /^<[!-=?-~]{1,500}>/.exec(rawValue(header, idField))?.[0];
  return (
    writeField('From', displayMailbox('Mail Delivery System', `mailer-daemon@${facts.reportingMta}`)) +
    writeField('To', facts.to) +
    writeField('Subject', SUBJECTS[action]) +
    `Date: ${formatDate(facts.dateMs)}\r\n` +
    writeField('Message-ID', `<${facts.messageId}>`) +
    (id === undefined ? '' : foldHeader('In-Reply-To', id) + foldHeader('References', id)) +
    // RFC 3834 §5: nobody's vacation program answers this.
    'Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n'
  );
}

// ---- for people ----------------------------------------------------------------------------------------------------------

function explanation(facts: DsnFacts, recipients: readonly DsnRecipient[]): string {
  const header = readHeader(facts.original);
  const subjectField = findField(header, 'subject');
  const subject = subjectField === undefined ? undefined : bounded(rawValue(header, subjectField)).slice(0, 200);
  const parts = [`This is the mail server ${facts.reportingMta}.\n`];
  for (const action of ORDER) {
    const those = recipients.filter((recipient) => recipient.action === action);
    if (those.length > 0) parts.push(`Your mail to the following ${SENTENCES[action]}\n`, ...those.map(describe));
  }
  parts.push(`It was accepted on ${formatDate(facts.arrivalMs)}${subject === undefined ? '' : `, with the subject:\n  ${subject}`}\n`);
  return parts.join('\n');
}

function describe(recipient: DsnRecipient): string {
  const { address, remoteMta, reply, trouble, willRetryUntilMs } = recipient;
  let text = `  ${bounded(address)}\n`;
  if (reply !== undefined) text += `    ${remoteMta === undefined ? 'The server' : bounded(remoteMta)} said: ${bounded(reply)}\n`;
  else if (trouble !== undefined) text += `    ${bounded(trouble)}\n`;
  if (willRetryUntilMs !== undefined) text += `    It is tried until ${formatDate(willRetryUntilMs)}.\n`;
  return text;
}

// ---- for programs --------------------------------------------------------------------------------------------------------

/** RFC 3464 §2.2 and §2.3: fields about the message, then a block for each recipient. */
function statusFields(facts: DsnFacts, recipients: readonly DsnRecipient[], isGlobal: boolean): string {
  const add = (name: string, value: string): string => foldHeader(name, isGlobal ? value : asciiOnly(value));
  let text = add('Reporting-MTA', `dns; ${facts.reportingMta}`);
  const envid = facts.envid === undefined ? '' : decodeXtext(facts.envid);
  if (envid !== '') text += add('Original-Envelope-Id', envid);
  text += add('Arrival-Date', formatDate(facts.arrivalMs));
  for (const recipient of recipients) {
    text += '\r\n';
    const original = originalRecipient(recipient.orcpt);
    if (original !== undefined) text += add('Original-Recipient', original);
    text += add('Final-Recipient', `${isBeyondAscii(recipient.address) ? 'utf-8' : 'rfc822'}; ${bounded(recipient.address)}`);
    text += add('Action', recipient.action);
    text += add('Status', /^[245]\.\d{1,3}\.\d{1,3}$/.test(recipient.status) ? recipient.status : '5.0.0');
    if (recipient.remoteMta !== undefined) text += add('Remote-MTA', `dns; ${bounded(recipient.remoteMta)}`);
    if (recipient.reply !== undefined) text += add('Diagnostic-Code', `smtp; ${bounded(recipient.reply)}`);
    else if (recipient.trouble !== undefined) text += add('Diagnostic-Code', `x-postrider; ${bounded(recipient.trouble)}`);
    if (recipient.lastAttemptMs !== undefined) text += add('Last-Attempt-Date', formatDate(recipient.lastAttemptMs));
    if (recipient.willRetryUntilMs !== undefined) text += add('Will-Retry-Until', formatDate(recipient.willRetryUntilMs));
  }
  return text;
}

/** "rfc822;user+40x" → "rfc822; user@x"; undefined when it is malformed. */
function originalRecipient(orcpt: string | undefined): string | undefined {
  const match = /^([A-Za-z0-9-]{1,30});(.{1,500})$/s.exec(orcpt ?? '');
  return match === null ? undefined : `${match[1] as string}; ${bounded(decodeXtext(match[2] as string))}`;
}

/** RFC 3461 §4: "+41" is "A". Control characters it may hide become spaces where it is written. */
function decodeXtext(text: string): string {
  const octets = text.slice(0, 500).replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return withoutControls(octets);
}

function bounded(text: string): string {
  return withoutControls(text.slice(0, TEXT_MAX));
}

function asciiOnly(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function isBeyondAscii(text: string): boolean {
  return /[\u0080-\uffff]/.test(text);
}

// ---- the original --------------------------------------------------------------------------------------------------------

function returnedOriginal(facts: DsnFacts): { head: string; octets: Buffer; isEightBit: boolean } {
  const { original } = facts;
  const isWhole = facts.ret === 'FULL' && original.length <= ORIGINAL_MAX;
  const octets = isWhole ? original : headerOnly(original);
  const { hasEightBitHeader, hasEightBitBody } = octetFacts(octets);
  const kind = isWhole
    ? hasEightBitHeader
      ? 'message/global'
      : 'message/rfc822'
    : hasEightBitHeader
      ? 'message/global-headers'
      : 'text/rfc822-headers';
  const isEightBit = hasEightBitHeader || hasEightBitBody;
  return { head: `Content-Type: ${kind}\r\n${isEightBit ? 'Content-Transfer-Encoding: 8bit\r\n' : ''}`, octets, isEightBit };
}

/** Whole fields only, as many as fit. */
function headerOnly(original: Buffer): Buffer {
  const header = readHeader(original);
  let end = 0;
  for (const field of header.fields) {
    if (field.end > HEADER_MAX) break;
    end = field.end;
  }
  return original.subarray(0, end);
}
