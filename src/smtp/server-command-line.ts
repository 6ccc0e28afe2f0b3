/**
 * One command line: its octets become verb and argument, or a refusal. Nothing but printable octets and, where SMTPUTF8 could make sense of
 * them, well-formed UTF-8 gets past here, so what handlers see can be logged and compared without fear.
 */
import type { Buffer } from 'node:buffer';
import type { ServerReply } from './server-hooks.ts';

export interface CommandLine {
  /** Upper case. */
  readonly verb: string;
  /** What follows the first space, without spaces around it. */
  readonly argument: string;
}

/** Clients that speak these are no mail clients (a browser, a scanner, a request forged through one); RFC 5321 knows none of them. */
const HTTP_VERBS = new Set(['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE', 'PATCH', 'PRI']);

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
const CONTROL = /[\x00-\x1f\x7f]/;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `line` is without its CRLF. */
export function readCommandLine(line: Buffer): CommandLine | ServerReply {
  let text = line.toString('latin1');
  if (!PRINTABLE_ASCII.test(text)) {
    if (CONTROL.test(text)) return { code: 500, enhanced: '5.5.2', text: 'The command has a control character' };
    try {
      text = decoder.decode(line);
    } catch {
      return { code: 500, enhanced: '5.5.2', text: 'The command is not valid UTF-8' };
    }
  }
  const space = text.indexOf(' ');
  if (space === -1) return { verb: text.toUpperCase(), argument: '' };
  return { verb: text.slice(0, space).toUpperCase(), argument: text.slice(space + 1).trim() };
}

export function isHttp(verb: string): boolean {
  return HTTP_VERBS.has(verb);
}

/** A name that may stand in EHLO, in a trace field and in a log: host names as people really configure them, and address literals. */
export function isHeloName(name: string): boolean {
  return name.length <= 255 && /^[A-Za-z0-9._:[\]-]+$/.test(name);
}
