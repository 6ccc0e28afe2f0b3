/** Builds what routes do with mail that comes in: who answers for recipients, and who takes back what could not be delivered of what was sent on. */
import type { Accounts } from '#accounts/accounts.ts';
import type { InstanceSecret } from '#accounts/instance-secret.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { receptionOf } from '#inbound/reception.ts';
import { AppError } from '#model/errors.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import type { StoredMessage } from '#model/message.ts';
import type { Incoming } from '#queue/intake.ts';
import { createReturned } from '#routes/returned.ts';
import { RouteBook } from '#routes/route-book.ts';
import { createSrs, type Srs } from '#routes/srs.ts';
import { sentAgain } from '#routes/sent-on.ts';
import { createRoutesTaker } from '#routes/taker.ts';
import type { Received, Reception } from '#store/fact-store.ts';
import type { AcceptMessage, AcceptResult, Store, Ungranted } from '#store/store.ts';
import { endpointName } from '#webhooks/endpoint-name.ts';
import type { Config } from './config.ts';
import { createReceivingDomain } from './receiving-domain.ts';
import type { Webhooks } from './webhooks.ts';

export interface RouteParts {
  readonly config: Config;
  readonly srs: Srs;
  readonly accounts: Pick<Accounts, 'domainFor' | 'signingKeys' | 'sendingRefusal' | 'maySandboxSendTo'>;
  readonly store: Pick<Store, 'routes' | 'forwards' | 'lists'>;
  readonly webhooks: Pick<Webhooks, 'entriesFor' | 'ring'>;
  /** What is nobody's own: it counts against no quota. */
  accept(message: AcceptMessage): Promise<AcceptResult | Ungranted>;
  /** Mail that came in, of which what is sent on keeps to the account's limits and counts against its quotas. */
  receive(reception: Reception): Promise<Received>;
  /** The way of all mail. */
  acceptWithinLimits(message: Incoming): Promise<AcceptResult>;
  /** Something waits on disk. */
  ringQueue(): void;
  readonly clock: Clock;
  readonly log: Log;
}

export interface InboundRoutes {
  /** Of reverse-paths of mail that was sent on. */
  readonly returned: AddresseeHandler;
  readonly taker: AddresseeHandler;
  /** Mail that came in, sent on to others once more. Throws AppError. */
  sendAgain(message: StoredMessage, bytes: Buffer, addresses: readonly string[]): Promise<void>;
  /** Rules of the account were changed here. */
  changed(accountId: number): void;
}

export function createSenderRewriting(secret: InstanceSecret): Srs {
  return createSrs(secret.keyFor('forwarding'));
}

/** Whose reverse-path ours stands for. */
export function senderBehind(srs: Srs, sender: string, nowMs: number): string {
  const at = sender.lastIndexOf('@');
  const reversed = srs.reverse(sender.slice(0, at), sender.slice(at + 1), nowMs);
  return reversed === undefined || reversed === 'forged' ? sender : reversed.to;
}

export function createInboundRoutes(parts: RouteParts): InboundRoutes {
  const { config, accounts, store, webhooks, clock, log, srs } = parts;
  const book = new RouteBook({ listRoutes: store.routes.listRoutes, listForwards: store.forwards.listForwards }, clock);
  const { hostname } = config.smtp;
  const lifetimeMs = config.delivery.expireAfterMs;
  return {
    returned: createReturned({ srs, domainFor: createReceivingDomain(accounts), accept: parts.accept, hostname, lifetimeMs, clock }),
    taker: createRoutesTaker({
      hostname,
      domainFor: createReceivingDomain(accounts),
      rulesOf: (accountId, domainId) => book.rulesOf(accountId, domainId),
      lists: store.lists,
      receive: parts.receive,
      keep(mail, domain, madeMessageId) {
        const { message, events } = receptionOf(mail, domain, madeMessageId);
        return { message, record: events[0]?.event.detail.inbound };
      },
      sendingRefusal: accounts.sendingRefusal,
      ...(!config.sandbox.capture && { maySandboxSendTo: accounts.maySandboxSendTo }),
      sendOn: { signingKeys: accounts.signingKeys, srs, lifetimeMs },
      endpointName,
      entriesFor: webhooks.entriesFor,
      ringOutbox: webhooks.ring,
      ringQueue: parts.ringQueue,
      clock,
      log,
    }),
    async sendAgain(message, bytes, addresses) {
      const refusal = await accounts.sendingRefusal(message.accountId);
      if (refusal !== undefined) throw refusal;
      const domain = await accounts.domainFor(message.domain);
      if (domain?.type === 'sandbox' && !config.sandbox.capture && !(await accounts.maySandboxSendTo(message.accountId, addresses)))
        throw new AppError('sandbox-recipient', { domain: message.domain });
      const { counters: _counted, ...again } = sentAgain({ srs, lifetimeMs }, message, bytes, addresses, clock.nowMs());
      await parts.acceptWithinLimits(again);
    },
    changed: (accountId) => book.forget(accountId),
  };
}
