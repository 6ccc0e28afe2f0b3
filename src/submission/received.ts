/** Our trace field of a submission: one line saying who gave the message to whom, how and when. */
import { randomHex } from '#base/random.ts';
import { receivedField } from '#mail/received-field.ts';
import type { Principal } from '#model/principal.ts';
import type { Submission } from '#model/submission.ts';

/** Complete, with CRLFs, ASCII. */
export function receivedHeader(principal: Principal, submission: Submission, hostname: string, nowMs: number): string {
  const { origin, envelope } = submission;
  const hop = { by: hostname, id: randomHex(8), atMs: nowMs };
  // An API caller's address is its own business: recipients see the service.
  if (submission.method === 'HTTP') return receivedField({ ...hop, protocol: 'HTTP' });
  const protocol = protocolName(principal, origin.tls !== undefined, envelope.smtputf8);
  return receivedField({ ...hop, from: { helo: origin.helo, address: origin.address }, protocol });
}

function protocolName(principal: Principal, isTls: boolean, isUtf8: boolean): string {
  const isAuthenticated = principal.kind === 'credential';
  return `${isUtf8 ? 'UTF8SMTP' : 'ESMTP'}${isTls ? 'S' : ''}${isAuthenticated ? 'A' : ''}`;
}
