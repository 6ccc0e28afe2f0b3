/** Our trace header (RFC 5321 §4.4, RFC 3848, RFC 6531 §4.3): one line saying who gave the message to whom, how and when. */
import { randomHex } from '#base/random.ts';
import { formatDate } from '#mail/date.ts';
import type { Principal } from '#model/principal.ts';
import type { Submission } from '#model/submission.ts';

/** Complete, with CRLFs, ASCII. The client's words in it are reduced to what a host name may hold. */
export function receivedHeader(principal: Principal, submission: Submission, hostname: string, nowMs: number): string {
  const { origin, envelope } = submission;
  const trace = `id ${randomHex(8)}; ${formatDate(nowMs)}\r\n`;
  // An API caller's address is its own business: recipients see the service.
  if (submission.method === 'HTTP') return `Received: by ${hostname} with HTTP\r\n\t${trace}`;
  const address = origin.address.includes(':') ? `IPv6:${origin.address}` : origin.address;
  const from = `from ${hostWord(origin.helo)} ([${address.replace(/[^0-9A-Fa-f:.IPv]/g, '')}])`;
  return `Received: ${from}\r\n\tby ${hostname} with ${protocolName(principal, origin.tls !== undefined, envelope.smtputf8)}\r\n\t${trace}`;
}

function protocolName(principal: Principal, isTls: boolean, isUtf8: boolean): string {
  const isAuthenticated = principal.kind === 'credential';
  return `${isUtf8 ? 'UTF8SMTP' : 'ESMTP'}${isTls ? 'S' : ''}${isAuthenticated ? 'A' : ''}`;
}

function hostWord(helo: string | undefined): string {
  const word = (helo ?? '').replace(/[^A-Za-z0-9.:_[\]-]/g, '').slice(0, 255);
  return word === '' ? 'unknown' : word;
}
