/**
 * Options inside the message: the X-Mailgun-* headers of SMTP and raw MIME submissions. They are read as the HTTP options they
 * stand for and cut out, so that recipients never see them; everything else keeps its octets. A message without such headers
 * (nearly all) is returned as it is, after one case-insensitive search of its header block (about 1 µs). A message that has some comes
 * back with CRLF lines.
 *
 * A message may also come wrapped as multipart/mailgun-variables: recipient variables as JSON, then the message.
 */
import { decodeWords, editHeader, HEADER_BYTES_MAX, headerValue, rawValue, readHeader, splitMessage } from '#mail/header.ts';
import type { Header, RawField } from '#mail/header.ts';
import { parseParameters } from '#mail/parameters.ts';
import { normalizeNewlines } from '#mail/smtp-text.ts';
import { AppError } from '#model/errors.ts';
import { parseRecipientVariables } from './options.ts';

export interface TakenHeaders {
  readonly mime: Buffer;
  /** For `parseOptions`. */
  readonly pairs: [name: string, value: string][];
  /** Present: batch mode. By bare address in lower case. */
  readonly recipientVariables?: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

const RECIPIENT_VARIABLES = 'x-mailgun-recipient-variables';
const SOMETHING_OF_OURS = /(?:^|\n)x-mailgun-|multipart\/mailgun-variables/i;
/** RFC 2046 §5.1.1 */
const BOUNDARY_MAX = 70;

/** Headers that are cut out, and the option each stands for. Others with the prefix (X-Mailgun-Sid of a forwarded message) stay. */
const OPTION_OF: ReadonlyMap<string, string> = new Map([
  ['x-mailgun-tag', 'o:tag'],
  ['x-mailgun-dkim', 'o:dkim'],
  ['x-mailgun-secondary-dkim', 'o:secondary-dkim'],
  ['x-mailgun-secondary-dkim-public', 'o:secondary-dkim-public'],
  ['x-mailgun-deliver-by', 'o:deliverytime'],
  ['x-mailgun-deliver-within', 'o:deliver-within'],
  ['x-mailgun-drop-message', 'o:testmode'],
  ['x-mailgun-track', 'o:tracking'],
  ['x-mailgun-track-clicks', 'o:tracking-clicks'],
  ['x-mailgun-track-opens', 'o:tracking-opens'],
  ['x-mailgun-track-unsubscribe', 'o:tracking-unsubscribe'],
  ['x-mailgun-track-pixel-location-top', 'o:tracking-pixel-location-top'],
  ['x-mailgun-require-tls', 'o:require-tls'],
  ['x-mailgun-skip-verification', 'o:skip-verification'],
  ['x-mailgun-sending-ip', 'o:sending-ip'],
  ['x-mailgun-sending-ip-pool', 'o:sending-ip-pool'],
  ['x-mailgun-delivery-time-optimize-period', 'o:deliverytime-optimize-period'],
  ['x-mailgun-time-zone-localize', 'o:time-zone-localize'],
  ['x-mailgun-archive-to', 'o:archive-to'],
  ['x-mailgun-suppress-headers', 'o:suppress-headers'],
  ['x-mailgun-variables', 'h:X-Mailgun-Variables'],
  ['x-mailgun-template-name', 'template'],
  ['x-mailgun-template-version', 't:version'],
  ['x-mailgun-template-variables', 't:variables'],
]);

/** Throws AppError: 'bad-content' for a container that is none, 'bad-parameter' for variables that are no JSON. */
export function takeMailgunHeaders(mime: Buffer): TakenHeaders {
  if (!mentionsUs(mime)) return { mime, pairs: [] };
  const message = normalizeNewlines(mime);
  const header = readHeader(message);
  const pairs: [string, string][] = [];
  const cuts = new Set<RawField>();
  let recipientVariables: TakenHeaders['recipientVariables'];
  for (const field of header.fields) {
    const option = OPTION_OF.get(field.name);
    if (field.name === RECIPIENT_VARIABLES) recipientVariables = parseRecipientVariables(decodeWords(rawValue(header, field)));
    else if (option !== undefined) pairs.push([option, decodeWords(rawValue(header, field))]);
    else continue;
    cuts.add(field);
  }
  const container = containerBoundary(header);
  if (container !== undefined) return unwrap(header, container, pairs);
  if (cuts.size === 0) return { mime: message, pairs };
  const rest = Buffer.concat(editHeader(header, { remove: (field) => cuts.has(field) }));
  return { mime: rest, pairs, ...(recipientVariables !== undefined && { recipientVariables }) };
}

/** Lines may still end with bare LF here: then the header's end is not found and the whole beginning is searched, which is as good. */
function mentionsUs(mime: Buffer): boolean {
  const { headerEnd } = splitMessage(mime);
  return SOMETHING_OF_OURS.test(mime.toString('latin1', 0, Math.min(headerEnd, HEADER_BYTES_MAX)));
}

/** The boundary of multipart/mailgun-variables; undefined for any other type. Throws for one without boundary. */
function containerBoundary(header: Header): string | undefined {
  const field = header.fields.find(({ name }) => name === 'content-type');
  if (field === undefined) return undefined;
  const { value, parameters } = parseParameters(rawValue(header, field));
  if (value !== 'multipart/mailgun-variables') return undefined;
  const boundary = parameters.get('boundary');
  if (boundary === undefined || boundary === '' || boundary.length > BOUNDARY_MAX) throw badContainer();
  return boundary;
}

/** First part: the JSON, base64 or plain. Second part: message/rfc822, the message itself. */
function unwrap(outer: Header, boundary: string, pairs: [string, string][]): TakenHeaders {
  const [json, message] = containerParts(outer, boundary);
  const jsonHeader = readHeader(json);
  const text = json.toString('utf8', jsonHeader.bodyStart);
  const isBase64 = headerValue(jsonHeader, 'content-transfer-encoding')?.toLowerCase() === 'base64';
  const recipientVariables = parseRecipientVariables(isBase64 ? Buffer.from(text, 'base64').toString('utf8') : text);
  const inner = message.subarray(splitMessage(message).bodyStart);
  if (containerBoundary(readHeader(inner)) !== undefined) throw badContainer();
  const taken = takeMailgunHeaders(inner);
  return { mime: taken.mime, pairs: [...pairs, ...taken.pairs], recipientVariables };
}

function containerParts({ bytes, bodyStart }: Header, boundary: string): [json: Buffer, message: Buffer] {
  const delimiter = Buffer.from(`--${boundary}`);
  const first = bytes.indexOf(delimiter, bodyStart);
  const second = first < 0 ? -1 : bytes.indexOf(delimiter, first + delimiter.length);
  const last = second < 0 ? -1 : bytes.lastIndexOf(delimiter);
  if (last <= second) throw badContainer();
  return [partBetween(bytes, first + delimiter.length, second), partBetween(bytes, second + delimiter.length, last)];
}

/** The part after a delimiter's line, without the CRLF that belongs to the next delimiter (RFC 2046 §5.1.1). */
function partBetween(bytes: Buffer, from: number, next: number): Buffer {
  const lineEnd = bytes.indexOf('\r\n', from);
  if (lineEnd < 0 || lineEnd + 2 > next) throw badContainer();
  return bytes.subarray(lineEnd + 2, Math.max(lineEnd + 2, next - 2));
}

function badContainer(): AppError {
  return new AppError('bad-content', {
    reason: 'multipart/mailgun-variables holds a JSON part with recipient variables, then one message/rfc822 part',
  });
}
