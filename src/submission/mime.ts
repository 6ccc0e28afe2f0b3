/**
 * MIME that is complete, made ready to be kept (RFC 6409 §8): a Received header on top; Date, Message-ID and From (the envelope's sender) when
 * they are missing; Bcc and Return-Path taken out; and not one other octet touched, but for an empty line where text follows a header without one.
 * Reads the header block once; the body is copied once and not looked at.
 *
 * Refuses, as AppError: the first line of a mailbox file, more than one From or Sender, one that cannot be read in exactly one way, too many
 * Received headers (a loop), and a NUL. Lines of any length are taken: delivery encodes what no server would take.
 * Cost for 10 KB from SMTP: about 10 µs.
 */
import { prepended, roomFor } from '#base/large.ts';
import { parseAddressList } from '#mail/address.ts';
import type { Mailbox } from '#mail/address.ts';
import { formatDate } from '#mail/date.ts';
import { decodeWords, rawValue, readHeader } from '#mail/header.ts';
import type { Header, RawField } from '#mail/header.ts';
import { attachmentFacts, parseMime } from '#mail/mime.ts';
import { normalizeNewlines } from '#mail/smtp-text.ts';
import { AppError } from '#model/errors.ts';
import type { AttachmentFact } from '#model/message.ts';
import { looseMessageId, newMessageId } from './message-id.ts';
import type { Prepared } from './prepared.ts';

export interface MimeContext {
  readonly nowMs: number;
  readonly domain: string;
  /** Complete field with CRLF. */
  readonly received: string;
  /** Received headers that a message may have when it comes. */
  readonly receivedMax: number;
  /** Of the envelope; '' for the null reverse-path. */
  readonly sender: string;
}

/** From headers with more mailboxes are refused. */
const AUTHORS_MAX = 20;
const SUBJECT_MAX = 500;
const ADDRESSES_MAX = 1000;
/** Octets of one field that are decoded for show. */
const SHOWN_FIELD_BYTES = 4096;

/** CRLF lines and no NUL, from bytes that no SMTP session has checked. Throws AppError. */
export function checkedLines(mime: Buffer): Buffer {
  if (mime.includes(0)) throw badContent('The message contains a NUL octet');
  return endedByCrlf(normalizeNewlines(mime));
}

/** Lines must be checked already: by the SMTP session, or by `checkedLines`. */
export function prepareMime(given: Buffer, context: MimeContext): Prepared {
  const header = headerOf(given);
  const mime = header.bytes;
  if (header.trouble !== undefined) throw badContent('The header of the message is too large');
  const seen = scan(header, context.receivedMax);
  const authors = seen.from === undefined ? senderAsAuthor(context.sender) : parseAuthors(rawValue(header, seen.from));
  const messageId = seen.messageId === undefined ? '' : looseMessageId(rawValue(header, seen.messageId));
  const id = messageId === '' ? newMessageId(context.domain, context.nowMs) : messageId;
  let added = context.received;
  if (seen.date === undefined) added += `Date: ${formatDate(context.nowMs)}\r\n`;
  if (messageId === '') added += `Message-ID: <${id}>\r\n`;
  if (seen.from === undefined) added += `From: <${context.sender}>\r\n`;
  return {
    bytes: assemble(mime, added, messageId === '' && seen.messageId !== undefined ? withCut(seen.cuts, seen.messageId) : seen.cuts),
    messageId: id,
    authors: seen.sender === undefined ? authors : [...authors, ...parseSender(rawValue(header, seen.sender))],
    from: seen.from === undefined ? context.sender : shown(header, seen.from, ADDRESSES_MAX),
    to: shown(header, seen.to, ADDRESSES_MAX),
    subject: shown(header, seen.subject, SUBJECT_MAX),
    attachments: attachmentsOf(header, seen.contentType),
    isSigned: seen.isSigned,
  };
}

/** The first line that is no field begins the body, as mail servers have always read it: it gets the empty line before it that is missing. */
function headerOf(mime: Buffer): Header {
  const header = readHeader(mime);
  const at = mime.length === 0 ? 0 : header.fields.find((field) => field.name === '')?.start;
  // Of a mailbox file, and followed by fields: neither header nor body.
  if (at === undefined || mime.toString('latin1', 0, 5) === 'From ') return header;
  return readHeader(Buffer.concat([mime.subarray(0, at), CRLF, mime.subarray(at)]));
}

/** Only ASCII: more would make the whole message one for SMTPUTF8. */
function senderAsAuthor(sender: string): readonly Mailbox[] {
  if (sender === '' || !/^[\x21-\x7e]+$/.test(sender)) throw badContent('The message has no From header');
  return parseAuthors(`<${sender}>`);
}

interface Seen {
  readonly from?: RawField;
  readonly sender?: RawField;
  readonly to?: RawField;
  readonly subject?: RawField;
  readonly date?: RawField;
  readonly messageId?: RawField;
  readonly contentType?: RawField;
  readonly isSigned: boolean;
  /** Fields to take out, in order. */
  readonly cuts: readonly RawField[];
}

const CRLF = Buffer.from('\r\n');
const NO_CUTS: readonly RawField[] = Object.freeze([]);

function scan(header: Header, receivedMax: number): Seen {
  let [from, sender, to, subject, date, messageId, contentType]: (RawField | undefined)[] = [];
  let cuts: RawField[] | undefined;
  let received = 0;
  let isSigned = false;
  for (const field of header.fields) {
    switch (field.name) {
      case '':
        throw badContent('The message begins with a line that is not a header field');
      case 'received':
        if (++received > receivedMax) throw new AppError('mail-loop', { count: received });
        break;
      case 'dkim-signature':
        isSigned = true;
        break;
      case 'from':
        // Readers differ in which of two they show, and checkers in which they check.
        if (from !== undefined) throw badContent('The message has more than one From header');
        from = field;
        break;
      case 'sender':
        if (sender !== undefined) throw badContent('The message has more than one Sender header');
        sender = field;
        break;
      case 'bcc':
      case 'resent-bcc':
      case 'return-path':
        (cuts ??= []).push(field);
        break;
      case 'to':
        to ??= field;
        break;
      case 'subject':
        subject ??= field;
        break;
      case 'date':
        date ??= field;
        break;
      case 'message-id':
        messageId ??= field;
        break;
      case 'content-type':
        contentType ??= field;
        break;
      default:
    }
  }
  return { from, sender, to, subject, date, messageId, contentType, isSigned, cuts: cuts ?? NO_CUTS };
}

/** Mailboxes of a From header. Throws AppError 'bad-address' unless it is one to twenty, readable in exactly one way. */
export function parseAuthors(text: string): readonly Mailbox[] {
  const authors = parseAddressList(text, AUTHORS_MAX);
  if (authors === undefined || authors.length === 0 || authors.length > AUTHORS_MAX) throw new AppError('bad-address', { field: 'from' });
  return authors;
}

/** The mailbox of a Sender header, which some readers show before From; an empty one says nothing. Throws AppError 'bad-address'. */
export function parseSender(text: string): readonly Mailbox[] {
  const senders = parseAddressList(text, 1);
  if (senders === undefined || senders.length > 1) throw new AppError('bad-address', { field: 'sender' });
  return senders;
}

function shown(header: Header, field: RawField | undefined, lengthMax: number): string {
  if (field === undefined) return '';
  const end = Math.min(field.end, field.valueStart + SHOWN_FIELD_BYTES);
  const text = rawValue(header, end === field.end ? field : { ...field, end });
  return bounded(text.includes('=?') ? decodeWords(text) : text, lengthMax);
}

const ATTACHMENTS_MAX = 100;
const NO_ATTACHMENTS: readonly AttachmentFact[] = Object.freeze([]);

/** Nothing but a multipart is looked into. */
function attachmentsOf(header: Header, contentType: RawField | undefined): readonly AttachmentFact[] {
  if (contentType === undefined || !/^multipart\//i.test(rawValue(header, contentType))) return NO_ATTACHMENTS;
  return attachmentFacts(parseMime(header.bytes)).slice(0, ATTACHMENTS_MAX);
}

/** At most `lengthMax` UTF-16 units, no half of a pair at the end. */
export function bounded(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : text.slice(0, lengthMax).toWellFormed();
}

/** [added fields][message without the cuts], in memory of its own: the store takes the ArrayBuffer. */
function assemble(mime: Buffer, added: string, cuts: readonly RawField[]): Buffer {
  if (cuts.length === 0) return prepended(added, mime);
  let size = added.length + mime.length;
  for (const cut of cuts) size -= cut.end - cut.start;
  const out = roomFor(size);
  let to = out.write(added, 0, 'latin1');
  let from = 0;
  for (const cut of cuts) {
    to += mime.copy(out, to, from, cut.start);
    from = cut.end;
  }
  mime.copy(out, to, from);
  return out;
}

/** An empty Message-ID is as good as none, and goes. */
function withCut(cuts: readonly RawField[], field: RawField): readonly RawField[] {
  return [...cuts, field].sort((a, b) => a.start - b.start);
}

function endedByCrlf(mime: Buffer): Buffer {
  if (mime.length === 0) throw badContent('The message is empty');
  return mime[mime.length - 1] === 10 ? mime : Buffer.concat([mime, Buffer.from('\r\n')]);
}

function badContent(reason: string): AppError {
  return new AppError('bad-content', { reason });
}
