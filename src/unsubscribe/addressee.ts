/**
 * Who answers at the listener for `unsubscribe+TOKEN@`: whoever writes there unsubscribes, whatever the letter says (RFC 2369 §3.2). A token that is not ours is refused at RCPT.
 * What a program answered by itself, or sends back, is taken and means nothing.
 */
import { headerValue } from '#mail/header.ts';
import type { AddresseeHandler, InboundMail, InboundRefusal } from '#model/inbound.ts';
import { isMailbox, type UnsubscribeTokens } from './tokens.ts';
import type { Unsubscriber } from './unsubscriber.ts';

const NOT_HERE: InboundRefusal = { code: 550, enhanced: '5.1.1', text: 'This address is not one that we gave out' };
const KIND = 'unsubscribe';

export function createUnsubscribeAddressee(
  tokens: Pick<UnsubscribeTokens, 'openMailbox'>,
  unsubscriber: Pick<Unsubscriber, 'ofMailbox' | 'unsubscribe'>,
): AddresseeHandler {
  return {
    name: KIND,
    async accepts(rcpt) {
      if (!isMailbox(rcpt.local)) return undefined;
      const subscription = tokens.openMailbox(rcpt.local);
      if (subscription === undefined) return { kind: KIND, refusal: NOT_HERE };
      return {
        kind: KIND,
        async take(mail) {
          if (isAnswer(mail)) return;
          const subscriber = await unsubscriber.ofMailbox(subscription);
          if (subscriber !== undefined) await unsubscriber.unsubscribe(subscriber, subscriber.scope, { ip: mail.client.address });
        },
      };
    },
  };
}

/**
 * Mail programs and providers write to this address by themselves when their user says so, and may say that they do (Auto-Submitted: auto-generated). What nobody asked for is
 * what answers mail or reports about it (RFC 3834 §5).
 */
function isAnswer({ envelope, header, isAutomatic }: InboundMail): boolean {
  if (envelope.sender === '') return true;
  return isAutomatic && !/^auto-generated\b/i.test(headerValue(header, 'auto-submitted') ?? '');
}
