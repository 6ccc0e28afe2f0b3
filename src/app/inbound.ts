/** Builds the door for mail from elsewhere: who answers for a recipient, how a sender is verified, which filters are asked. Nothing is opened when `smtp.inbound` is empty. */
import type { SecureContext } from 'node:tls';
import type { Accounts } from '#accounts/accounts.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Resolver } from '#dns/resolver.ts';
import { createAddressees } from '#inbound/addressees.ts';
import { createPostmaster } from '#inbound/postmaster.ts';
import { createReceive } from '#inbound/receive.ts';
import { senderDomainTrouble } from '#inbound/sender-domain.ts';
import { createSpamFilters } from '#inbound/spam.ts';
import { createVerifier } from '#inbound/verifier.ts';
import type { AppError } from '#model/errors.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import { OPERATOR_ACCOUNT_ID } from '#model/principal.ts';
import { startInbound, type InboundOptions } from '#smtpd/inbound.ts';
import { type InboundCounts, noCounts } from '#smtpd/inbound-session.ts';
import type { Smtpd } from '#smtpd/open-listeners.ts';
import type { Store } from '#store/store.ts';
import type { Config } from './config.ts';
import { createReceivingDomain } from './receiving-domain.ts';
import type { Services } from './services.ts';
import { sessionLimits } from './session-limits.ts';

export interface InboundParts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly services: Services;
  readonly memory: ByteBudget;
  readonly resolver: Resolver;
  readonly accounts: Pick<Accounts, 'domainFor' | 'listDomains'>;
  readonly store: Pick<Store, 'mail'>;
  /** In the order in which they are asked about a recipient; postmaster's is after them. */
  readonly handlers: readonly AddresseeHandler[];
  readonly secureContext: () => SecureContext;
  refusal(): AppError | undefined;
}

export interface Inbound {
  readonly listeners: Smtpd['listeners'];
  /** Where the sandbox brings what comes back. */
  readonly sandboxDoor: Smtpd['listeners'][number] | undefined;
  readonly counts: InboundCounts;
}

/** How long connections that are open may finish when the program stops, and a little for the rest. */
const DRAIN_MS = 12_000;
const QUICK_STOP_MS = 3000;

export async function openInbound(parts: InboundParts): Promise<Inbound | undefined> {
  const { config, log, clock, services, accounts, resolver } = parts;
  if (config.smtp.inbound.length === 0 && !config.sandbox.capture) return undefined;
  const { hostname } = config.smtp;
  const { inbound, limits } = config;
  const verifier = inbound.authentication
    ? createVerifier({ resolver, hostname, timeoutMs: inbound.authenticationTimeoutMs, log })
    : undefined;
  if (verifier !== undefined) services.add({ name: 'verifier', stopMs: QUICK_STOP_MS, stop: () => verifier.close() });
  const counts = noCounts();
  const receivingDomain = createReceivingDomain(accounts);
  const postmaster = createPostmaster({
    mail: parts.store.mail,
    hostname,
    domainFor: accounts.domainFor,
    operatorsDomain: async () => (await accounts.listDomains(OPERATOR_ACCOUNT_ID))[0],
  });
  const door = await startInbound({
    findAddressee: createAddressees({ handlers: [...parts.handlers, postmaster], domainFor: accounts.domainFor }),
    receive: createReceive({
      hostname,
      receivedMax: limits.receivedHops,
      headerBytesMax: limits.headerSizeBytes,
      verifier,
      dmarc: inbound.dmarc,
      spam: createSpamFilters(inbound.spam, log),
      spamActionOf: async (domain) => (await receivingDomain(domain))?.settings?.spamAction ?? 'disabled',
      clock,
      log,
    }),
    ...(inbound.unknownSender === 'refuse' && {
      senderTrouble: (_sender: string, domain: string) => senderDomainTrouble(resolver, domain),
    }),
    refusal: parts.refusal,
    counts,
    options: inboundOptions(config),
    memory: parts.memory,
    secureContext: parts.secureContext,
    clock,
    log,
  });
  services.add({ name: 'inbound', stopMs: DRAIN_MS + QUICK_STOP_MS, stop: () => door.drain(DRAIN_MS) });
  const own = config.sandbox.capture ? 1 : 0;
  const shown = door.listeners.length - own;
  return { listeners: door.listeners.slice(0, shown), sandboxDoor: door.listeners[shown], counts };
}

const SANDBOX_DOOR = { host: '127.0.0.1', port: 0 };

function inboundOptions(config: Config): InboundOptions {
  const { smtp, inbound, sandbox } = config;
  return {
    hostname: smtp.hostname,
    // The sandbox brings what comes back by a door of its own, which is there whatever else is open.
    inbound: sandbox.capture ? [...smtp.inbound, SANDBOX_DOOR] : smtp.inbound,
    proxyFrom: smtp.proxyFrom,
    bareNewlines: smtp.bareNewline,
    greetingDelayMs: inbound.greetingDelayMs,
    rate: inbound.ratePerAddress,
    refusedRecipientsMax: inbound.refusedRecipients,
    limits: {
      ...sessionLimits(config),
      connections: inbound.connections,
      connectionsPerAddress: inbound.connectionsPerAddress,
    },
  };
}
