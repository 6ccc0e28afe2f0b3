/**
 * What unsubscribing does: the address is suppressed for the domain, or for messages with a tag, or leaves the mailing list; an event says so, counted once for the recipient and the scope,
 * and webhooks are told, all in one commit (P7). Whoever holds the link decides, as often as they like: subscribing again takes it back.
 *
 * A message that is not kept any more has no event, but what its links say is done all the same: the token holds the address.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { countReason } from '#model/count-reason.ts';
import type { ClientRecord, EventDetail } from '#model/event.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import { countersOf } from '#store/counters-of.ts';
import type { Fact } from '#store/fact-store.ts';
import type { ListMember } from '#store/list-store.ts';
import type { Domain, EventStore, Store, Suppression } from '#store/store.ts';
import type { MailSubscription, Scope, Subscription, UnsubscribeTokens } from './tokens.ts';
import { scopeOf } from './words.ts';

/** Who holds a link, as far as is still known. */
export interface Subscriber {
  readonly address: string;
  readonly domain: Pick<Domain, 'id' | 'accountId' | 'name'>;
  readonly scope: Scope;
  /** Tags of the message, and those that the link names. */
  readonly tags: readonly string[];
  /** The mailing list that it came by. */
  readonly list?: string;
  readonly known?: Known;
}

interface Known {
  readonly message: StoredMessage;
  readonly recipient: StoredRecipient;
}

/** What is off for a subscriber now. */
export interface SubscriberState {
  readonly isOffAll: boolean;
  /** As written in the subscriber's tags. */
  readonly offTags: readonly string[];
  readonly isOffList: boolean;
}

/** By what it was asked for. */
export interface Asker {
  readonly ip?: string;
  readonly userAgent?: string;
}

export interface UnsubscriberDeps {
  readonly tokens: UnsubscribeTokens;
  readonly events: Pick<EventStore, 'recipientById'>;
  readonly store: Pick<Store, 'lists' | 'suppressions'> & {
    readonly accounts: Pick<Store['accounts'], 'suppressionOf' | 'deleteSuppression'>;
  };
  /** Also one that was deleted. */
  domainById(id: number): Promise<Domain | undefined>;
  domainFor(name: string): Promise<Domain | undefined>;
  /** In one commit with what servers outside are told of it. */
  record(fact: Omit<Fact, 'outbox'>): Promise<'recorded' | 'repeated'>;
  clientOf(userAgent: string): Omit<ClientRecord, 'userAgent' | 'bot'>;
  readonly clock: Clock;
  readonly log: Log;
}

const AGENT_MAX = 512;
const EVERYTHING = '*';

export class Unsubscriber {
  readonly #deps: UnsubscriberDeps;

  constructor(deps: UnsubscriberDeps) {
    this.#deps = deps;
  }

  /** undefined: the token is none of ours, or its domain is gone. */
  async ofPage(token: string): Promise<Subscriber | undefined> {
    const subscription = this.#deps.tokens.openPage(token);
    return subscription === undefined ? undefined : this.#subscriber(subscription);
  }

  /** undefined: likewise, or nothing is known of the message any more. */
  async ofMailbox({ recipient, scope }: MailSubscription): Promise<Subscriber | undefined> {
    const known = await this.#deps.events.recipientById(recipient);
    if (known === undefined) return undefined;
    const { message } = known;
    return this.#subscriber({ recipient, domainId: message.domainId, address: known.recipient.address, scope: scopeOf(message, scope) });
  }

  async #subscriber({ recipient, domainId, address, scope }: Subscription): Promise<Subscriber | undefined> {
    const domain = await this.#sendingDomain(domainId);
    if (domain === undefined) return undefined;
    const found = await this.#deps.events.recipientById(recipient);
    // What was restored from elsewhere may have given the number to another.
    const known = found?.message.domainId === domainId && found.recipient.address === address ? found : undefined;
    const named = scope.kind === 'tags' ? scope.tags : [];
    const list = scope.kind === 'list' ? scope.list : known?.message.info.mailingList?.address;
    return {
      address,
      domain,
      scope,
      tags: distinct([...named, ...(known?.message.info.options.tags ?? [])]),
      ...(list !== undefined && { list }),
      ...(known !== undefined && { known }),
    };
  }

  /** What was said of a domain that its account deleted and added again holds for mail of the new one. */
  async #sendingDomain(id: number): Promise<Domain | undefined> {
    const domain = await this.#deps.domainById(id);
    if (domain?.deletedMs === undefined) return domain;
    const again = await this.#deps.domainFor(domain.name);
    return again?.accountId === domain.accountId && again.name === domain.name ? again : domain;
  }

  async stateOf(subscriber: Subscriber): Promise<SubscriberState> {
    const { address, domain, tags, list } = subscriber;
    const { accounts } = this.#deps.store;
    const suppression = await accounts.suppressionOf(domain.id, 'unsubscribe', address);
    const off = new Set(suppression?.tags?.map((tag) => tag.toLowerCase()));
    const member = list === undefined ? undefined : await this.#memberOf(subscriber, list);
    return {
      isOffAll: suppression !== undefined && suppression.tags === undefined,
      offTags: tags.filter((tag) => off.has(tag.toLowerCase())),
      isOffList: list !== undefined && member?.isSubscribed !== true,
    };
  }

  /** Resolves when it is durable. Asking again changes nothing. */
  async unsubscribe(subscriber: Subscriber, scope: Scope, by: Asker): Promise<void> {
    if (scope.kind === 'tags') {
      for (const tag of scope.tags) await this.#suppress(subscriber, tag, by);
    } else if (scope.kind === 'all') {
      await this.#suppress(subscriber, EVERYTHING, by);
    } else {
      await this.#leave(subscriber, scope.list, by);
    }
    this.#deps.log.debug({ domain: subscriber.domain.name, scope: scope.kind }, 'a recipient unsubscribed');
  }

  /** Takes back what keeps mail of the subscriber's scope away, at whatever level that was said. */
  async subscribe(subscriber: Subscriber): Promise<void> {
    const { scope } = subscriber;
    if ((await this.stateOf(subscriber)).isOffAll) await this.#allowAll(subscriber);
    const member = scope.kind === 'list' ? await this.#memberOf(subscriber, scope.list) : undefined;
    if (member !== undefined) await this.#deps.store.lists.setSubscribed(member.list, member.address, true);
    if (scope.kind === 'tags') await this.#allowTags(subscriber, scope.tags);
  }

  /** Of the subscriber's tags these are wanted and the others are not; other mail of the domain is. */
  async choose(subscriber: Subscriber, wanted: readonly string[], by: Asker): Promise<void> {
    const { isOffAll } = await this.stateOf(subscriber);
    const isWanted = new Set(wanted.map((tag) => tag.toLowerCase()));
    const [on, off] = [true, false].map((is) => subscriber.tags.filter((tag) => isWanted.has(tag.toLowerCase()) === is));
    if (isOffAll) await this.#allowAll(subscriber);
    await this.#allowTags(subscriber, on ?? []);
    await this.unsubscribe(subscriber, { kind: 'tags', tags: off ?? [] }, by);
  }

  async #allowAll({ address, domain }: Subscriber): Promise<void> {
    await this.#deps.store.accounts.deleteSuppression(domain.id, 'unsubscribe', address);
  }

  async #allowTags({ address, domain }: Subscriber, tags: readonly string[]): Promise<void> {
    for (const tag of tags) await this.#deps.store.suppressions.removeUnsubscribeTag(domain.id, address, tag);
  }

  async #suppress(subscriber: Subscriber, tag: string, by: Asker): Promise<void> {
    const { suppressions } = this.#deps.store;
    const { address, domain } = subscriber;
    const suppression: Suppression = {
      kind: 'unsubscribe',
      address,
      code: 0,
      error: '',
      createdMs: this.#deps.clock.nowMs(),
      ...(tag !== EVERYTHING && { tags: [tag] }),
    };
    if (subscriber.known !== undefined) {
      const fact = { ...this.#fact(subscriber, subscriber.known, tag, by), once: `unsubscribed:${tag.toLowerCase()}`, suppression };
      if ((await this.#deps.record(fact)) === 'recorded') return;
    }
    // Told before, and taken back since; or nobody is left to tell of.
    await suppressions.putSuppressions(domain.id, [suppression]);
  }

  #fact({ domain }: Subscriber, { message, recipient }: Known, what: string, by: Asker): Omit<Fact, 'outbox' | 'once'> {
    const userAgent = by.userAgent?.slice(0, AGENT_MAX);
    const client = userAgent === undefined ? undefined : { ...this.#deps.clientOf(userAgent), userAgent };
    const detail: EventDetail = { list: what, ...(by.ip !== undefined && { ip: by.ip }), ...(client !== undefined && { client }) };
    const kind = 'unsubscribed';
    return {
      event: {
        kind,
        atUs: this.#deps.clock.nowMs() * 1000,
        accountId: domain.accountId,
        domainId: domain.id,
        message: message.id,
        recipient: recipient.id,
        detail,
      },
      counters: countersOf(
        {
          accountId: domain.accountId,
          domainId: domain.id,
          kind,
          provider: providerOf(recipient.domain) ?? '',
          receiver: recipient.domain,
          reason: countReason(kind, detail, 0),
          ...(client !== undefined && { device: client.device }),
        },
        message.info.options.tags,
      ),
    };
  }

  async #leave(subscriber: Subscriber, list: string, by: Asker): Promise<void> {
    const member = await this.#memberOf(subscriber, list);
    const { known } = subscriber;
    if (known !== undefined) {
      const leaves = member && { list: member.list, address: member.address };
      const fact = { ...this.#fact(subscriber, known, list, by), once: `unsubscribed:list:${list}`, leaves };
      if ((await this.#deps.record(fact)) === 'recorded') return;
    }
    // Likewise.
    if (member !== undefined) await this.#deps.store.lists.setSubscribed(member.list, member.address, false);
  }

  async #memberOf({ address, domain }: Subscriber, listAddress: string): Promise<(ListMember & { readonly list: number }) | undefined> {
    const { lists } = this.#deps.store;
    const list = await lists.listByAddress(domain.accountId, listAddress);
    const member = list === undefined ? undefined : await lists.memberOf(list.id, address.toLowerCase());
    return list === undefined || member === undefined ? undefined : { ...member, list: list.id };
  }
}

function distinct(tags: readonly string[]): readonly string[] {
  return [...new Map(tags.map((tag) => [tag.toLowerCase(), tag])).values()];
}
