/** Builds what lets recipients unsubscribe: what mail is given on its way in and out, where it leads for a domain, and what is done when somebody follows. */
import type { Accounts } from '#accounts/accounts.ts';
import { returnDomainOf } from '#accounts/dns-records.ts';
import type { InstanceSecret } from '#accounts/instance-secret.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createSignedTokens } from '#base/signed-token.ts';
import type { ComposerDeps } from '#delivery/compose.ts';
import type { ListExpanderOptions } from '#lists/expander.ts';
import type { BodyPassFor } from '#model/body-pass.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import type { Domain, Store } from '#store/store.ts';
import type { SubmitDeps } from '#submission/submit.ts';
import { clientOf } from '#tracking/clients.ts';
import { scanHtml } from '#tracking/html-scan.ts';
import { createUnsubscribeAddressee } from '#unsubscribe/addressee.ts';
import { listUnsubscribing, prepareUnsubscribing, type UnsubscribePlaces } from '#unsubscribe/prepare.ts';
import { createUnsubscribeTokens, type UnsubscribeTokens } from '#unsubscribe/tokens.ts';
import { Unsubscriber, type UnsubscriberDeps } from '#unsubscribe/unsubscriber.ts';
import { unsubscribeFields, unsubscribeWords } from '#unsubscribe/words.ts';
import type { Config } from './config.ts';

export interface UnsubscribingParts {
  readonly config: Config;
  readonly secret: InstanceSecret;
  readonly accounts: Pick<Accounts, 'domainById'>;
  /** What pages of the domain begin with; undefined: there is nowhere that links could lead. */
  baseOf(domain: Domain): string | undefined;
}

export interface Unsubscribing {
  readonly tokens: UnsubscribeTokens;
  readonly words: NonNullable<ComposerDeps['words']>;
  readonly pass: BodyPassFor;
  /** Of a message that is accepted now. */
  readonly prepare: NonNullable<SubmitDeps['unsubscribing']>;
  /** Of a page of mail to a mailing list. */
  readonly ofList: NonNullable<ListExpanderOptions['unsubscribing']>;
}

export function createUnsubscribing({ config, secret, accounts, baseOf }: UnsubscribingParts): Unsubscribing {
  const tokens = createUnsubscribeTokens(createSignedTokens(secret.keyFor('unsubscribe')));
  const wishes = config.unsubscribe;
  const preparing = { wishes, endOfBody: (html: string): number => scanHtml(html).bottom };

  function placesOf(domain: Domain): UnsubscribePlaces | undefined {
    const base = baseOf(domain);
    const mailDomain = mailDomainOf(config, domain);
    return base === undefined ? undefined : { base, ...(mailDomain !== undefined && { mailDomain }) };
  }

  return {
    tokens,
    words: (message, recipient) => unsubscribeWords(tokens, message, recipient),
    pass: (message, recipient) => unsubscribeFields(tokens, message, recipient),
    prepare: (domain, of, bytes) =>
      prepareUnsubscribing(bytes, { ...of, settings: domain.settings ?? {} }, preparing, () => placesOf(domain)),
    async ofList(message, bytes) {
      const domain = await accounts.domainById(message.domainId);
      const places = domain === undefined ? undefined : placesOf(domain);
      return places === undefined ? undefined : listUnsubscribing(bytes, message.info.unsubscribe, wishes, places);
    },
  };
}

/** Where mail to unsubscribe comes in, as notifications do. */
function mailDomainOf({ smtp, sandbox, bounces }: Config, domain: Domain): string | undefined {
  if (smtp.inbound.length === 0) return undefined;
  return sandbox.capture ? domain.name : (returnDomainOf(domain) ?? bounces.domain);
}

export interface UnsubscriberParts {
  readonly store: Store;
  readonly accounts: Pick<Accounts, 'domainById' | 'domainFor'>;
  readonly record: UnsubscriberDeps['record'];
  readonly clock: Clock;
  readonly log: Log;
}

export function createUnsubscriber(
  { tokens }: Unsubscribing,
  { store, accounts, record, clock, log }: UnsubscriberParts,
): { readonly unsubscriber: Unsubscriber; readonly handler: AddresseeHandler } {
  const unsubscriber = new Unsubscriber({
    tokens,
    events: store.events,
    store,
    domainById: accounts.domainById,
    domainFor: accounts.domainFor,
    record,
    clientOf,
    clock,
    log,
  });
  return { unsubscriber, handler: createUnsubscribeAddressee(tokens, unsubscriber) };
}
