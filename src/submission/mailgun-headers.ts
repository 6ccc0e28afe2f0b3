/**
 * Options inside the message: the X-Mailgun-* headers of SMTP and raw MIME submissions. They are read as the HTTP options they
 * stand for and cut out, so that recipients never see them; everything else keeps its octets. A message without such headers
 * (nearly all) is returned as it is, after one case-insensitive search of its header block (about 1 µs).
 *
 * A message may also come wrapped as multipart/mailgun-variables: recipient variables as JSON, then the message.
 */
import { decodeWords } from '#mail/encoded-word.ts';
import { AppError } from '#model/errors.ts';
import { bodyOffset, fieldText, headerFields } from './header-block.ts';
import type { FieldRange } from './header-block.ts';
import { parseRecipientVariables } from './options.ts';

export interface TakenHeaders {
  readonly mime: Buffer;
  /** For `parseOptions`. */
  readonly pairs: [name: string, value: string][];
  /** Present: batch mode. By bare address in lower case. */
  readonly recipientVariables?: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

const PREFIX = 'x-mailgun-';
const RECIPIENT_VARIABLES = 'x-mailgun-recipient-variables';
const SOMETHING_OF_OURS = /(?:^|\n)x-mailgun-|multipart\/mailgun-variables/i;
/** Recipient variables for a thousand recipients may be long; a header block beyond this is left for `submit` to refuse. */
const SEARCHED_BYTES_MAX = 512 * 1024;

/** Headers that are cut out, and the option each stands for. Others with the prefix (X-Mailgun-Sid of a forwarded message) stay. */
const OPTION_OF: Readonly<Record<string, string>> = {
  'x-mailgun-tag': 'o:tag',
  'x-mailgun-dkim': 'o:dkim',
  'x-mailgun-secondary-dkim': 'o:secondary-dkim',
  'x-mailgun-secondary-dkim-public': 'o:secondary-dkim-public',
  'x-mailgun-deliver-by': 'o:deliverytime',
  'x-mailgun-deliver-within': 'o:deliver-within',
  'x-mailgun-drop-message': 'o:testmode',
  'x-mailgun-track': 'o:tracking',
  'x-mailgun-track-clicks': 'o:tracking-clicks',
  'x-mailgun-track-opens': 'o:tracking-opens',
  'x-mailgun-track-pixel-location-top': 'o:tracking-pixel-location-top',
  'x-mailgun-require-tls': 'o:require-tls',
  'x-mailgun-skip-verification': 'o:skip-verification',
  'x-mailgun-sending-ip': 'o:sending-ip',
  'x-mailgun-sending-ip-pool': 'o:sending-ip-pool',
  'x-mailgun-delivery-time-optimize-period': 'o:deliverytime-optimize-period',
  'x-mailgun-time-zone-localize': 'o:time-zone-localize',
  'x-mailgun-archive-to': 'o:archive-to',
  'x-mailgun-suppress-headers': 'o:suppress-headers',
  'x-mailgun-variables': 'h:X-Mailgun-Variables',
  'x-mailgun-template-name': 'template',
  'x-mailgun-template-version': 't:version',
  'x-mailgun-template-variables': 't:variables',
};

/** Throws AppError: 'bad-content' for a header block or container that is none, 'bad-parameter' for variables that are no JSON. */
export function takeMailgunHeaders(mime: Buffer): TakenHeaders {
  const bodyStart = bodyOffset(mime);
  if (bodyStart > SEARCHED_BYTES_MAX || !SOMETHING_OF_OURS.test(mime.toString('latin1', 0, bodyStart))) return { mime, pairs: [] };
  const fields = headerFields(mime, bodyStart);
  const pairs: [string, string][] = [];
  const cuts: FieldRange[] = [];
  let recipientVariables: TakenHeaders['recipientVariables'];
  for (const field of fields) {
    if (!field.name.startsWith(PREFIX)) continue;
    const option = OPTION_OF[field.name];
    if (field.name === RECIPIENT_VARIABLES) recipientVariables = parseRecipientVariables(decodeWords(fieldText(mime, field)));
    else if (option !== undefined) pairs.push([option, decodeWords(fieldText(mime, field))]);
    else continue;
    cuts.push(field);
  }
  const container = fields.find((field) => field.name === 'content-type' && isContainer(fieldText(mime, field)));
  if (container !== undefined) return unwrap(mime, bodyStart, fieldText(mime, container), pairs);
  return { mime: without(mime, cuts), pairs, ...(recipientVariables !== undefined && { recipientVariables }) };
}

/** A copy of `mime` without the given ranges, which are in order. */
function without(mime: Buffer, cuts: readonly FieldRange[]): Buffer {
  if (cuts.length === 0) return mime;
  const kept: Buffer[] = [];
  let from = 0;
  for (const cut of cuts) {
    kept.push(mime.subarray(from, cut.start));
    from = cut.end;
  }
  kept.push(mime.subarray(from));
  return Buffer.concat(kept);
}

function isContainer(contentType: string): boolean {
  return /^multipart\/mailgun-variables\s*(?:;|$)/i.test(contentType);
}

/** First part: the JSON, base64 or plain. Second part: message/rfc822, the message itself. */
function unwrap(mime: Buffer, bodyStart: number, contentType: string, pairs: [string, string][]): TakenHeaders {
  const [json, message] = containerParts(mime, bodyStart, contentType);
  const jsonStart = bodyOffset(json);
  const isBase64 = headerFields(json, jsonStart).some(
    (field) => field.name === 'content-transfer-encoding' && fieldText(json, field).toLowerCase() === 'base64',
  );
  const text = json.toString('utf8', jsonStart);
  const recipientVariables = parseRecipientVariables(isBase64 ? Buffer.from(text, 'base64').toString('utf8') : text);
  const inner = message.subarray(bodyOffset(message));
  const innerStart = bodyOffset(inner);
  const isNested = headerFields(inner, innerStart).some((field) => field.name === 'content-type' && isContainer(fieldText(inner, field)));
  if (isNested) throw badContainer();
  const taken = takeMailgunHeaders(inner);
  return { mime: taken.mime, pairs: [...pairs, ...taken.pairs], recipientVariables };
}

function containerParts(mime: Buffer, bodyStart: number, contentType: string): [json: Buffer, message: Buffer] {
  const match = /;\s*boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw badContainer();
  const delimiter = Buffer.from(`--${boundary}`);
  const first = mime.indexOf(delimiter, bodyStart);
  const second = first < 0 ? -1 : mime.indexOf(delimiter, first + delimiter.length);
  const last = second < 0 ? -1 : mime.lastIndexOf(delimiter);
  if (last <= second) throw badContainer();
  return [partBetween(mime, first + delimiter.length, second), partBetween(mime, second + delimiter.length, last)];
}

/** The part after a delimiter's line, without the line end that belongs to the next delimiter (RFC 2046 §5.1.1). */
function partBetween(mime: Buffer, from: number, next: number): Buffer {
  const start = mime.indexOf(10, from) + 1;
  if (start === 0 || start > next) throw badContainer();
  let end = next;
  if (mime[end - 1] === 10) end--;
  if (mime[end - 1] === 13) end--;
  return mime.subarray(start, Math.max(start, end));
}

function badContainer(): AppError {
  return new AppError('bad-content', {
    reason: 'multipart/mailgun-variables holds a JSON part with recipient variables, then one message/rfc822 part',
  });
}
