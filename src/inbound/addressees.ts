/**
 * Who answers for a recipient of mail that comes in: handlers are asked in their order, and the first that knows the address has it. What no handler knows
 * is refused here, so that nothing is relayed: a domain that is not ours, a recipient that is not there, and an address that tells a way to
 * somewhere else (`user%elsewhere@ours`, `elsewhere!user@ours`, `"user@elsewhere"@ours`), which a server behind us might follow.
 */
import type { Addressee, AddresseeHandler, InboundRcpt, InboundRefusal } from '#model/inbound.ts';

export interface AddresseesDeps {
  readonly handlers: readonly AddresseeHandler[];
  /** By its name in any spelling, whoever owns it. */
  domainFor(name: string): Promise<{ readonly state: string } | undefined>;
}

export type FindAddressee = (rcpt: InboundRcpt) => Promise<Addressee | InboundRefusal>;

export function createAddressees({ handlers, domainFor }: AddresseesDeps): FindAddressee {
  return async (rcpt) => {
    if (/[@%!]/.test(rcpt.local)) return { code: 550, enhanced: '5.7.1', text: 'Relaying is not offered: the address names a route' };
    for (const handler of handlers) {
      const addressee = await handler.accepts(rcpt);
      if (addressee !== undefined) return addressee;
    }
    const domain = rcpt.domain.startsWith('[') ? undefined : await domainFor(rcpt.domain);
    if (domain === undefined) return { code: 550, enhanced: '5.7.1', text: `Relaying is not offered: ${rcpt.domain} is not served here` };
    if (domain.state === 'disabled') return { code: 550, enhanced: '5.7.1', text: `${rcpt.domain} takes no mail: it is disabled` };
    return { code: 550, enhanced: '5.1.1', text: 'There is no such recipient here' };
  };
}

export function isRefusal(answer: Addressee | InboundRefusal): answer is InboundRefusal {
  return 'code' in answer;
}
