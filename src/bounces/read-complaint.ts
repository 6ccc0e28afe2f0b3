/**
 * Complaints as mailbox providers and people send them: reports of RFC 5965, and the shapes that came before it, in which a message is simply enclosed. Data
 * says by what each shape is known; each has samples in test/corpus/complaints.
 */
import { findField, type Header, headerValue, rawValue, readHeader } from '#mail/header.ts';
import { type MimeStructure } from '#mail/mime.ts';
import { readFeedbackReport } from '#mail/feedback-report.ts';
import { reportText, returnedHeader } from '#mail/status-report.ts';

export interface Complaint {
  /** The row that knew it, or 'rfc5965'. */
  readonly format: string;
  /** Feedback-Type: "abuse", "fraud", "opt-out", …, 'not-spam', 'auth-failure'. */
  readonly type: string;
  /** What it is about, as far as it is told. */
  readonly mailFrom?: string;
  readonly recipients: readonly string[];
  readonly returned?: Header;
  readonly userAgent?: string;
}

interface ComplaintShape {
  readonly name: string;
  /** Every condition that is given must hold; phrases in lower case. */
  readonly from?: readonly string[];
  readonly subject?: readonly string[];
  /** Field, here or in the enclosed message, that names the recipient. */
  readonly recipientField?: string;
  /** The line of the text below which the message stands. */
  readonly below?: string;
}

/** Mail to a complaint address that is no report of RFC 5965. */
export const COMPLAINT_SHAPES: readonly ComplaintShape[] = [
  { name: 'jmrp', recipientField: 'x-hmxmroriginalrecipient' },
  { name: 'spamcop', subject: ['[spamcop'], below: '[ offending message ]' },
  { name: 'enclosed-message', subject: ['abuse', 'complaint', 'spam', 'unsolicited', 'fw:', 'fwd:'] },
];

/** Feedback-Types that say something else than that the recipient does not want this mail. */
const NO_COMPLAINTS: ReadonlySet<string> = new Set(['not-spam', 'auth-failure', 'dmarc', 'dkim', 'dkim-reply', 'dkim-mailbox']);

export function isComplaint({ type }: Complaint): boolean {
  return !NO_COMPLAINTS.has(type);
}

/** `at`: where it came. Only at an address for complaints is a message that is merely enclosed taken for one. */
export function readComplaint(mime: MimeStructure, at: 'report' | 'complaint-address'): Complaint | undefined {
  const report = readFeedbackReport(mime);
  if (report !== undefined) return { format: 'rfc5965', ...report };
  if (at === 'report') return undefined;
  const header = mime.parts[0]?.header ?? readHeader(mime.bytes);
  const subject = (headerValue(header, 'subject') ?? '').toLowerCase();
  for (const shape of COMPLAINT_SHAPES) {
    const found = readShape(shape, mime, header, subject);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readShape(shape: ComplaintShape, mime: MimeStructure, header: Header, subject: string): Complaint | undefined {
  if (shape.subject !== undefined && !shape.subject.some((phrase) => subject.includes(phrase))) return undefined;
  const returned = shape.below === undefined ? returnedHeader(mime) : headerBelow(shape.below, reportText(mime));
  if (returned === undefined) return undefined;
  if (shape.recipientField === undefined) return { format: shape.name, type: 'abuse', recipients: [], returned };
  const field = [header, returned].flatMap((each) => {
    const found = findField(each, shape.recipientField as string);
    return found === undefined ? [] : rawValue(each, found);
  });
  return field.length === 0 ? undefined : { format: shape.name, type: 'abuse', recipients: field.slice(0, 1), returned };
}

const HEADER_MAX = 64 * 1024;

function headerBelow(mark: string, text: string): Header | undefined {
  const at = text.toLowerCase().indexOf(mark);
  if (at === -1) return undefined;
  const block = text.slice(at + mark.length, at + mark.length + HEADER_MAX).trimStart();
  return readHeader(Buffer.from(block.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n')));
}
