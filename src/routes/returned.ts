/**
 * Bounces of mail that was sent on: they come to a reverse-path that holds the first sender's address, and go on to that sender. An address that we did not make, or made long ago, is refused,
 * and so is what is no bounce: nobody else is to have us send mail to strangers.
 */
import { isAscii } from 'node:buffer';
import { randomHex } from '#base/random.ts';
import type { Clock } from '#base/clock.ts';
import { domainOfAddress, parsePath } from '#mail/address.ts';
import { headerValue } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { AddresseeHandler, InboundMail } from '#model/inbound.ts';
import type { AcceptMessage, AcceptResult, Ungranted } from '#store/store.ts';
import type { Srs } from './srs.ts';

export interface ReturnedDeps {
  readonly srs: Srs;
  /** That takes mail for the name. */
  domainFor(
    name: string,
  ): Promise<{ readonly id: number; readonly accountId: number; readonly name: string; readonly state: string } | undefined>;
  accept(message: AcceptMessage): Promise<AcceptResult | Ungranted>;
  readonly hostname: string;
  readonly lifetimeMs: number;
  readonly clock: Clock;
}

const FORGED = { code: 550, enhanced: '5.7.1', text: 'This reverse-path was not made here, or is too old' } as const;
const NO_BOUNCE = {
  code: 550,
  enhanced: '5.7.1',
  text: 'This address takes notifications of mail that was sent on, and no letters',
} as const;
const TEXT_MAX = 1000;

export function createReturned(deps: ReturnedDeps): AddresseeHandler {
  return {
    name: 'returned',
    async accepts({ local, domain: name, sender }) {
      const reversed = deps.srs.reverse(local, name, deps.clock.nowMs());
      if (reversed === undefined) return undefined;
      const domain = await deps.domainFor(name);
      if (domain === undefined || domain.state === 'disabled') return undefined;
      const to = reversed === 'forged' ? undefined : parsePath(reversed.to, { allowNull: false })?.address;
      if (to === undefined) return { kind: 'returned', refusal: FORGED };
      if (sender !== '') return { kind: 'returned', refusal: NO_BOUNCE };
      return {
        kind: 'returned',
        async take(mail) {
          const result = await deps.accept(passedOn(deps, mail, domain, to));
          if (result.kind !== 'accepted') throw new AppError('internal');
        },
      };
    },
  };
}

function passedOn(
  deps: ReturnedDeps,
  mail: InboundMail,
  domain: { readonly id: number; readonly accountId: number; readonly name: string },
  to: string,
): AcceptMessage {
  const { bytes, header, receivedMs, client } = mail;
  const text = (name: string): string => (headerValue(header, name) ?? '').slice(0, TEXT_MAX).toWellFormed();
  return {
    accountId: domain.accountId,
    domainId: domain.id,
    domain: domain.name,
    messageId: `${receivedMs}.${randomHex(12)}@${deps.hostname}`,
    sender: '',
    createdMs: receivedMs,
    dueAtMs: receivedMs,
    wait: 'due',
    expiresAtMs: receivedMs + deps.lifetimeMs,
    priority: 1,
    info: {
      from: text('from'),
      to,
      subject: text('subject'),
      sizeBytes: bytes.length,
      attachments: [],
      method: 'SMTP',
      origin: { address: client.address, ...(client.helo !== undefined && { helo: client.helo }) },
      options: { tags: [], variables: {}, testMode: false, dkim: false, tracking: 'no', suppressHeaders: ['all'] },
      notifiesOf: 0,
      smtputf8: /[\u0080-\uffff]/.test(to),
      body: isAscii(bytes) ? '7BIT' : '8BITMIME',
    },
    content: bytes,
    recipients: [{ address: to, domain: domainOfAddress(to), notify: ['NEVER'], isLeased: false }],
  };
}
