/** What verification found, as mail and its takers are told it: the value of Authentication-Results (RFC 8601), and the reply where a domain asks for refusal. */
import type { Authentication, InboundRefusal } from '#model/inbound.ts';
import type { Verification } from './verification-protocol.ts';

export function authenticationOf(verification: Verification, hostname: string, sender: string): Authentication {
  const { spf, dkim, dmarc, arc } = verification;
  return {
    spf,
    dkim: dkim.map(({ result, domain, selector }) => ({ result, domain, selector })),
    dmarc,
    arc,
    results: results(verification, hostname, sender),
  };
}

/** What the domain in From asks for, of mail that fails its policy. */
export function refusalOf({ dmarc }: Authentication): InboundRefusal | undefined {
  if (dmarc.result !== 'fail' || dmarc.policy !== 'reject') return undefined;
  return { code: 550, enhanced: '5.7.1', text: `The message fails the DMARC policy of ${dmarc.domain}, which asks for its refusal` };
}

function results({ spf, dkim, dmarc, arc }: Verification, hostname: string, sender: string): string {
  const parts = [`spf=${spf.result}${spf.domain === '' ? '' : ` smtp.${sender === '' ? 'helo' : 'mailfrom'}=${value(spf.domain)}`}`];
  if (dkim.length === 0) parts.push(dmarc.result === 'temperror' && spf.result === 'temperror' ? 'dkim=temperror' : 'dkim=none');
  for (const { result, domain, selector, mark } of dkim) {
    const signature = mark === '' ? '' : ` header.b=${value(mark)}`;
    parts.push(`dkim=${result} header.d=${value(domain)} header.s=${value(selector)}${signature}`);
  }
  const policy = dmarc.policy === undefined ? '' : ` policy.dmarc=${dmarc.policy}`;
  parts.push(`dmarc=${dmarc.result}${dmarc.domain === '' ? '' : ` header.from=${value(dmarc.domain)}`}${policy}`);
  parts.push(`arc=${arc.result}`);
  return `${hostname}; ${parts.join('; ')}`;
}

/** A token, or a quoted string: what strangers wrote stays one value (RFC 8601 §2.2). */
function value(text: string): string {
  if (/^[A-Za-z0-9._@-]+$/.test(text)) return text;
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
