/**
 * A reply as the octets of RFC 5321 §4.2: every line with its code, enhanced code on each line (RFC 2034 §4), CRLF. Whatever a hook puts into the text,
 * what leaves is printable ASCII in lines of at most 512 octets: a reply can end neither early nor in another protocol.
 */
import { AppError } from '#model/errors.ts';
import type { Log } from '#base/log.ts';
import type { ServerReply } from './server-hooks.ts';

/** RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF. */
const LINE_TEXT_MAX = 490;
const LINES_MAX = 20;
const PLAIN = /^[\x20-\x7e]*$/;

export function formatReply(reply: ServerReply, withEnhanced: boolean): string {
  const code = reply.code >= 200 && reply.code <= 599 ? reply.code : 451;
  const enhanced = withEnhanced && reply.enhanced !== undefined ? `${reply.enhanced} ` : '';
  const { text } = reply;
  if (text.length <= LINE_TEXT_MAX && PLAIN.test(text)) return `${code} ${enhanced}${text}\r\n`;
  const lines = text.split(/\r?\n/, LINES_MAX);
  const last = lines.length - 1;
  return lines.map((line, index) => `${code}${index === last ? ' ' : '-'}${enhanced}${printable(line)}\r\n`).join('');
}

/** The answer to an error that a hook threw: the catalogue's for a caller's mistake, a temporary one for our own (P5). */
export function replyOfError(error: unknown, log: Log, session: string): ServerReply {
  if (error instanceof AppError) return { code: error.smtpCode, enhanced: error.enhanced, text: error.message };
  log.error({ session, err: error }, 'an SMTP command failed inside');
  return { code: 451, enhanced: '4.3.0', text: 'Local trouble; try again later' };
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, LINE_TEXT_MAX);
}
