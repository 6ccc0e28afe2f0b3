/**
 * Mail to a mailing list becomes mail to its members: messages of a batch, a page of members each, made when the list's own recipient is tried. However long the list is, one page of it is
 * in memory; what is made waits in the queue like all mail. Each page is accepted under a key that names where it begins, so that after a crash the pages that stand are found and passed
 * by, and who is on them gets one copy (P12). Who leaves or joins meanwhile counts as the list is when their page is made.
 */
import type { Clock } from '#base/clock.ts';
import { findField, foldHeader, readHeader } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { MessageUnsubscribe, StoredMessage, StoredRecipient } from '#model/message.ts';
import { domainOfList, type ListMember, type ListStore, type MailingList } from '#store/list-store.ts';
import type { AcceptMessage, AcceptRecipient, AcceptResult, EventStore } from '#store/store.ts';

const PAGE_MEMBERS = 1000;
/** What is said of lists is believed so long; a list is expanded by every node this long after it was made. */
const DOMAINS_FRESH_MS = 1000;
const TROUBLE_PAUSE_MS = 10_000;
const DAY_MS = 86_400_000;

type Page = Omit<AcceptMessage, 'recipients' | 'counters'> & { readonly recipients: Omit<AcceptRecipient, 'isLeased'>[] };

export interface ListExpanderOptions {
  readonly lists: ListStore;
  readonly events: Pick<EventStore, 'messageById'>;
  readonly clock: Clock;
  /** The way of all mail, quotas included. Throws AppError. */
  accept(message: Page): Promise<AcceptResult>;
  content(contentId: number): Promise<Uint8Array | undefined>;
  /** How members leave the list, or unsubscribe otherwise. Absent: they cannot. */
  unsubscribing?(message: StoredMessage, bytes: Buffer): Promise<MessageUnsubscribe | undefined>;
}

export type Expanded =
  | { readonly kind: 'expanded'; readonly members: number }
  /** For good. */
  | { readonly kind: 'refused'; readonly text: string }
  | { readonly kind: 'later'; readonly wait: 'quota' | 'draining' | 'our-fault'; readonly untilMs: number };

/** What every page is made of. */
interface ListMail {
  readonly message: StoredMessage;
  readonly recipient: StoredRecipient;
  readonly list: MailingList;
  readonly bytes: Buffer;
  readonly unsubscribe: MessageUnsubscribe | undefined;
}

export class ListExpander {
  readonly #options: ListExpanderOptions;
  #domains: ReadonlySet<string> = new Set();
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: ListExpanderOptions) {
    this.#options = options;
  }

  /** Undefined, at once where that is known: the recipient is no list of the account. `mayGoOn`: asked before each page. */
  expand(message: StoredMessage, recipient: StoredRecipient, mayGoOn: () => boolean): Promise<Expanded | undefined> | undefined {
    const isFresh = this.#options.clock.monotonicMs() - this.#readAtMs < DOMAINS_FRESH_MS;
    if (isFresh && !this.#domains.has(recipient.domain)) return undefined;
    return this.#expand(message, recipient, mayGoOn);
  }

  async #expand(message: StoredMessage, recipient: StoredRecipient, mayGoOn: () => boolean): Promise<Expanded | undefined> {
    const { lists, clock } = this.#options;
    if (clock.monotonicMs() - this.#readAtMs >= DOMAINS_FRESH_MS) await this.#readDomains();
    if (!this.#domains.has(recipient.domain)) return undefined;
    const list = await lists.listByAddress(message.accountId, recipient.address.toLowerCase());
    if (list === undefined) return undefined;
    if (message.info.mailingList !== undefined)
      return { kind: 'refused', text: 'A mailing list that is on a mailing list is not expanded' };
    if (message.sender === '') return { kind: 'refused', text: 'A mailing list takes no notifications' };
    try {
      return await this.#pages(message, recipient, list, mayGoOn);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const wait = error.code === 'quota-exceeded' ? 'quota' : 'our-fault';
      const resetMs = Number(error.details['resetMs']);
      return { kind: 'later', wait, untilMs: wait === 'quota' && resetMs > 0 ? resetMs : clock.nowMs() + TROUBLE_PAUSE_MS };
    }
  }

  #readDomains(): Promise<void> {
    const atMs = this.#options.clock.monotonicMs();
    return (this.#reading ??= this.#options.lists
      .listDomains()
      .then((domains) => {
        this.#domains = new Set(domains);
        this.#readAtMs = atMs;
      })
      .finally(() => {
        this.#reading = undefined;
      }));
  }

  async #pages(message: StoredMessage, recipient: StoredRecipient, list: MailingList, mayGoOn: () => boolean): Promise<Expanded> {
    const { lists, clock, content } = this.#options;
    const kept = await content(message.contentId);
    if (kept === undefined) return { kind: 'refused', text: 'The content of the message is gone' };
    const bytes = listContent(Buffer.from(kept), list);
    const unsubscribe = await this.#options.unsubscribing?.(message, bytes);
    let after = '';
    for (let count = 0; ;) {
      if (!mayGoOn()) return { kind: 'later', wait: 'draining', untilMs: clock.nowMs() };
      const members = await lists.memberPage(list.id, { prefix: '', limit: PAGE_MEMBERS, after, isSubscribed: true });
      const last = members.at(-1);
      if (last === undefined) return { kind: 'expanded', members: count };
      const result = await this.#options.accept(this.#page({ message, recipient, list, bytes, unsubscribe }, members, after));
      if (result.kind === 'conflict') return { kind: 'refused', text: 'The key of a page of the mailing list is in use' };
      count += result.kind === 'accepted' ? members.length : result.recipientCount;
      after = result.kind === 'accepted' ? last.address : ((await this.#lastOf(message.accountId, result.id)) ?? last.address);
    }
  }

  #page({ message, recipient, list, bytes, unsubscribe }: ListMail, members: readonly ListMember[], after: string): Page {
    const nowMs = this.#options.clock.nowMs();
    const sid = `${message.id.toString(36)}.${recipient.id.toString(36)}`;
    return {
      accountId: message.accountId,
      domainId: message.domainId,
      domain: message.domain,
      messageId: message.messageId,
      sender: message.sender,
      createdMs: nowMs,
      dueAtMs: nowMs,
      wait: 'due',
      expiresAtMs: nowMs + Math.max(0, message.expiresAtMs - message.createdMs),
      priority: 2,
      info: {
        ...message.info,
        sizeBytes: bytes.length,
        batchId: sid,
        mailingList: { address: list.address, listId: listIdOf(list.address), sid },
        unsubscribe,
      },
      // Memory of its own: it is handed over.
      content: new Uint8Array(bytes),
      recipients: members.map(({ address, name, vars }) => ({
        address,
        domain: domainOfList(address),
        variables: vars,
        ...(name !== '' && { name }),
      })),
      idempotency: { key: `mailing list ${recipient.id} ${after}`, fingerprint: 'page', untilMs: message.expiresAtMs + DAY_MS },
    };
  }

  /** Who stands last on a page that was accepted before: the next begins after them, whoever was on the list since. */
  async #lastOf(accountId: number, id: number): Promise<string | undefined> {
    const view = await this.#options.events.messageById(accountId, id, PAGE_MEMBERS);
    return view?.recipients.reduce((last, each) => (each.id > last.id ? each : last)).address;
  }
}

/** RFC 2919 §2. */
function listIdOf(address: string): string {
  return address.replace('@', '.');
}

/** With the list's name, and where replies are to go; fields that the sender wrote stay. */
function listContent(bytes: Buffer, { address, replyPreference }: MailingList): Buffer {
  const header = readHeader(bytes);
  const isMissing = (name: string): boolean => findField(header, name) === undefined;
  const fields =
    (isMissing('list-id') ? foldHeader('List-Id', `<${listIdOf(address)}>`) : '') +
    (replyPreference === 'list' && isMissing('reply-to') ? foldHeader('Reply-To', `<${address}>`) : '');
  return Buffer.concat([Buffer.from(fields, 'utf8'), bytes]);
}
