/** Builds what lets word of delivered mail come back: return paths and feedback fields on the way out, and who answers for them on the way in. */
import { hash } from 'node:crypto';
import type { Accounts } from '#accounts/accounts.ts';
import { returnDomainOf } from '#accounts/dns-records.ts';
import type { InstanceSecret } from '#accounts/instance-secret.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createSignedTokens } from '#base/signed-token.ts';
import { createReturnAddressees } from '#bounces/addressees.ts';
import { noReturns, Recorder, type RecorderDeps, type ReturnCounts } from '#bounces/recorder.ts';
import { createReturning } from '#bounces/returning.ts';
import { createReturnTokens } from '#bounces/return-token.ts';
import type { Proofs } from '#bounces/subject.ts';
import { classify } from '#delivery/classify.ts';
import type { ComposerDeps } from '#delivery/compose.ts';
import { providerOf } from '#delivery/provider.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import type { AcceptMessage, AcceptResult, Store, Ungranted } from '#store/store.ts';
import { createPostIn, type DoorAddress } from '#sandbox/post-in.ts';
import { createReports, type Reports } from '#sandbox/reports.ts';
import { createUnsubscribeTokens, type UnsubscribeTokens } from '#unsubscribe/tokens.ts';
import { createReportedDsnWriter } from '#submission/dsn.ts';
import type { Srs } from '#routes/srs.ts';
import type { Config } from './config.ts';
import { senderBehind } from './routes.ts';

/** Two weeks: reports of one failure are told to its submitter once, however often they come. */
const TOLD_ONCE_MS = 14 * 86_400_000;
const SENDER_ID_LENGTH = 12;

export interface ReturnPaths {
  readonly proofs: Proofs;
  readonly returning: NonNullable<ComposerDeps['returning']>;
}

export function createReturnPaths(config: Config, accounts: Pick<Accounts, 'domainById'>, secret: InstanceSecret): ReturnPaths {
  const key = secret.keyFor('return-path');
  const tokens = createReturnTokens(createSignedTokens(key));
  const { bounces, sandbox, smtp } = config;
  const isOn = bounces.returnPath === 'auto' && (sandbox.capture || smtp.inbound.length > 0);
  const returning = createReturning({
    tokens,
    hasFeedbackId: bounces.feedbackId,
    senderId: hash('sha256', Buffer.concat([key, Buffer.from('sender id')]), 'hex').slice(0, SENDER_ID_LENGTH),
    async returnDomain({ domainId, domain }) {
      if (!isOn) return undefined;
      if (sandbox.capture) return domain;
      const known = await accounts.domainById(domainId);
      // Of one's own domain first: SPF then passes for the author's domain.
      return (known === undefined ? undefined : returnDomainOf(known)) ?? bounces.domain;
    },
  });
  const unsubscribe = createUnsubscribeTokens(createSignedTokens(secret.keyFor('unsubscribe')));
  return { proofs: { tokens, openUnsubscribe: (address) => recipientOf(unsubscribe, address) }, returning };
}

const SEGMENTS_MAX = 8;

/** `mailto:unsubscribe+TOKEN@…?…`, `https://…/TOKEN`: the recipient that it was made for. */
function recipientOf(tokens: UnsubscribeTokens, address: string): number | undefined {
  if (/^mailto:/i.test(address)) return tokens.openMailbox((address.slice('mailto:'.length).split('@', 1)[0] as string).trim())?.recipient;
  for (const segment of address.split(/[/?]/, SEGMENTS_MAX)) {
    const page = tokens.openPage(segment);
    if (page !== undefined) return page.recipient;
  }
  return undefined;
}

export interface BounceParts {
  readonly config: Config;
  readonly proofs: Proofs;
  readonly accounts: Pick<Accounts, 'domainFor'>;
  readonly store: Pick<Store, 'events' | 'mail'>;
  readonly record: RecorderDeps['record'];
  /** A notification to a submitter, as mail of ours. */
  accept(message: AcceptMessage): Promise<AcceptResult | Ungranted>;
  readonly srs: Srs;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Bounces {
  /** `others`: who would have letters to abuse@ that are no report. */
  handlers(others: readonly AddresseeHandler[]): AddresseeHandler[];
  readonly counts: ReturnCounts;
}

export function createBounces(parts: BounceParts): Bounces {
  const { config, proofs, accounts, store, clock, log } = parts;
  const { tokens } = proofs;
  const counts = noReturns();
  const recorder = new Recorder({
    record: parts.record,
    events: store.events,
    ...proofs,
    classify(reply, host) {
      const provider = host === undefined ? undefined : providerOf(host);
      return classify(reply, 'rcpt', { recipientCount: 1, ...(provider !== undefined && { provider }) });
    },
    notify: notifier(parts),
    counts,
    log,
  });
  return {
    counts,
    handlers: (others) =>
      createReturnAddressees({
        tokens,
        recorder,
        rate: config.bounces.ratePerSource,
        clock,
        async isOurs(domain) {
          if (domain === config.bounces.domain || (await accounts.domainFor(domain)) !== undefined) return true;
          // The host of a domain that its owner chose for notifications.
          for (let at = domain.indexOf('.'); at !== -1; at = domain.indexOf('.', at + 1)) {
            const above = await accounts.domainFor(domain.slice(at + 1));
            if (above?.settings?.mailfromHost === domain.slice(0, at)) return true;
          }
          return false;
        },
        async next(rcpt) {
          for (const handler of others) {
            const addressee = await handler.accepts(rcpt);
            if (addressee !== undefined) return addressee;
          }
          return undefined;
        },
      }),
  };
}

/** Tells a submitter who asked for it, once: the key under which it is accepted names recipient and action. */
function notifier({ config, store, accept, clock, srs }: BounceParts): RecorderDeps['notify'] {
  const write = createReportedDsnWriter({
    clock,
    hostname: config.smtp.hostname,
    delayAfterMs: 0,
    senderBehind: (sender) => senderBehind(srs, sender, clock.nowMs()),
    lifetimeMs: config.delivery.expireAfterMs,
  });
  return async ({ message, recipient }, action, detail) => {
    const notification = await write(message, recipient, action, detail, () => store.mail.content(message.contentId));
    if (notification === undefined) return;
    const key = `returned ${recipient.id} ${action}`;
    const idempotency = { key, fingerprint: key, untilMs: clock.nowMs() + TOLD_ONCE_MS };
    const result = await accept({ ...notification, idempotency });
    if (result.kind === 'ungranted') throw new Error('a notification was refused for want of a grant, which it does not use');
    if (result.kind !== 'accepted') return;
    await store.mail.appendEvent({
      kind: 'notified',
      atUs: clock.nowMs() * 1000,
      accountId: message.accountId,
      domainId: message.domainId,
      message: message.id,
      recipient: recipient.id,
      detail: { dsn: { action, message: result.id } },
    });
  };
}

export interface SandboxReports extends Reports {
  /** Where they are brought; they wait until that is known. */
  door: DoorAddress | undefined;
}

export function createSandboxReports({ smtp }: Config, clock: Clock, log: Log): SandboxReports {
  const post = createPostIn(() => made.door, smtp.hostname, clock);
  const made: SandboxReports = { ...createReports({ post, hostname: smtp.hostname, clock, log }), door: undefined };
  return made;
}
