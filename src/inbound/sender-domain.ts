/**
 * Whether mail could be answered: a sender's domain that does not exist, has no server, or says that it takes no mail (RFC 7505) is nobody's address. A question
 * that DNS does not answer refuses nobody (P5).
 */
import type { Resolver } from '#dns/resolver.ts';
import type { InboundRefusal } from '#model/inbound.ts';

export async function senderDomainTrouble(
  resolver: Pick<Resolver, 'mx' | 'addresses'>,
  domain: string,
): Promise<InboundRefusal | undefined> {
  const mx = await resolver.mx(domain);
  if (mx.kind === 'trouble') return undefined;
  if (mx.kind === 'no-such-domain') return { code: 550, enhanced: '5.1.8', text: `The sender's domain ${domain} does not exist` };
  if (mx.kind === 'found') {
    const isNull = mx.records.every(({ host }) => host === '');
    return isNull ? { code: 550, enhanced: '5.7.27', text: `The sender's domain ${domain} takes no mail (RFC 7505)` } : undefined;
  }
  // RFC 5321 §5.1: without an MX the host itself is meant.
  const hosts = await resolver.addresses(domain);
  if (hosts.kind === 'found' || hosts.kind === 'trouble') return undefined;
  return { code: 550, enhanced: '5.1.8', text: `The sender's domain ${domain} has no mail server` };
}
