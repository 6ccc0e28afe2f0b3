/**
 * AUTH PLAIN (RFC 4616) and LOGIN as exchanges without a socket: a line from the client in, the next challenge, the credentials or a refusal out.
 * What is decoded is checked here (base64, UTF-8, no control characters); whether it is true is for the hook to say.
 */
import { Buffer } from 'node:buffer';
import type { Credentials, ServerReply } from './server-hooks.ts';

export type AuthStep =
  | { readonly kind: 'challenge'; readonly text: string }
  | { readonly kind: 'credentials'; readonly credentials: Credentials }
  | { readonly kind: 'refused'; readonly reply: ServerReply };

export interface AuthExchange {
  /** The client's next line, without CRLF. */
  answer(line: string): AuthStep;
}

const SECRET_BYTES_MAX = 1024;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `argument` is what follows AUTH: mechanism and perhaps an initial response, "=" for an empty one (RFC 4954 §4). */
export function beginAuth(argument: string): { readonly exchange: AuthExchange; readonly step: AuthStep } | ServerReply {
  const words = argument.split(' ');
  const mechanism = words[0]?.toUpperCase();
  if (words.length > 2 || mechanism === '') return { code: 501, enhanced: '5.5.4', text: 'Syntax: AUTH mechanism [initial-response]' };
  if (mechanism !== 'PLAIN' && mechanism !== 'LOGIN') return { code: 504, enhanced: '5.5.4', text: 'This mechanism is not offered' };
  const exchange = mechanism === 'PLAIN' ? plain() : login();
  const initial = words[1];
  if (initial !== undefined) return { exchange, step: exchange.answer(initial === '=' ? '' : initial) };
  return { exchange, step: { kind: 'challenge', text: mechanism === 'PLAIN' ? '' : 'VXNlcm5hbWU6' } };
}

function plain(): AuthExchange {
  return {
    answer(line) {
      const text = decode(line);
      if (text === undefined) return malformed(line);
      const parts = text.split('\0');
      const [authorize, login, password] = parts;
      if (parts.length !== 3 || login === undefined || password === undefined || !isClean(login)) return malformed(line);
      if (login === '' || password === '') return empty();
      // Acting for somebody else is not offered.
      if (authorize !== '' && authorize !== login) return refused(535, '5.7.8', 'Authentication failed');
      return { kind: 'credentials', credentials: { mechanism: 'PLAIN', login, password } };
    },
  };
}

function login(): AuthExchange {
  let name: string | undefined;
  return {
    answer(line) {
      const text = decode(line);
      if (text === undefined || text.includes('\0')) return malformed(line);
      if (text === '') return empty();
      if (name !== undefined) return { kind: 'credentials', credentials: { mechanism: 'LOGIN', login: name, password: text } };
      if (!isClean(text)) return malformed(line);
      name = text;
      return { kind: 'challenge', text: 'UGFzc3dvcmQ6' };
    },
  };
}

/** Undefined when it is not base64 (RFC 4648 §4, with its padding), too long, or not UTF-8. */
function decode(line: string): string | undefined {
  if (line.length % 4 !== 0 || line.length > (SECRET_BYTES_MAX * 4) / 3 || !/^[A-Za-z0-9+/]*={0,2}$/.test(line)) return undefined;
  try {
    return decoder.decode(Buffer.from(line, 'base64'));
  } catch {
    return undefined;
  }
}

function isClean(login: string): boolean {
  return !/[\x00-\x1f\x7f]/.test(login);
}

function malformed(line: string): AuthStep {
  if (line === '*') return refused(501, '5.7.0', 'Authentication cancelled');
  return refused(501, '5.5.2', 'The response cannot be decoded');
}

function empty(): AuthStep {
  return refused(535, '5.7.8', 'Authentication failed');
}

function refused(code: number, enhanced: string, text: string): AuthStep {
  return { kind: 'refused', reply: { code, enhanced, text } };
}
