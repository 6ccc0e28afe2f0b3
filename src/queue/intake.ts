/**
 * Accepting a message (step 3 and 4 of its walk): one commit that holds all of it (P1, P2), and what is due now and finds room in its lane is leased
 * in that same commit, so that delivery starts without a second question to the store.
 */
import type { Clock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { Priority, StoredMessage, StoredRecipient } from '#model/message.ts';
import {
  type AcceptMessage,
  type AcceptRecipient,
  type AcceptResult,
  type CounterKey,
  StoreError,
  type Store,
  type SuppressionKind,
  type Ungranted,
} from '#store/store.ts';
import { countersOf } from '#store/counters-of.ts';
import { HELD_FOR_EVER, type Leases } from './leases.ts';
import type { Memory } from './memory.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import { type WorkItem, workItem } from './work-item.ts';

export type Incoming = Omit<AcceptMessage, 'recipients' | 'counters'> & {
  readonly recipients: readonly Omit<AcceptRecipient, 'isLeased'>[];
};

export interface IntakeOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly memory: Memory;
  /** Recipients that may be taken for the domain now. */
  roomFor(domain: string, accountId: number, priority: Priority): number;
  enter(item: WorkItem): void;
  /** Something waits on disk. */
  ring(): void;
  /** What servers outside are told of each recipient's acceptance, in the same commit. Not at once where the store must be asked first; rejects as it does. */
  outbox?(message: Incoming): AcceptMessage['outbox'] | Promise<AcceptMessage['outbox']>;
  /** Something stands in the outbox. */
  ringOutbox?(): void;
  /** Default: held for ever. */
  readonly leases?: Leases;
}

/** How many recipients were accepted, by receiving domain. */
function counted({ accountId, domainId, info }: Incoming, recipients: readonly AcceptRecipient[]): NonNullable<AcceptMessage['counters']> {
  const counts = new Map<string, number>();
  for (const { domain } of recipients) counts.set(domain, (counts.get(domain) ?? 0) + 1);
  const counters: (CounterKey & { readonly count: number })[] = [];
  for (const [receiver, count] of counts) {
    const fact = { accountId, domainId, kind: 'accepted', provider: providerOf(receiver) ?? '', receiver } as const;
    for (const key of countersOf(fact, info.options.tags)) counters.push({ ...key, count });
  }
  return counters;
}

export function createIntake(options: IntakeOptions): (message: Incoming) => Promise<AcceptResult | Ungranted> {
  const { store, clock, memory, leases = HELD_FOR_EVER } = options;

  return async (incoming) => {
    const asked = options.outbox?.(incoming);
    const outbox = asked instanceof Promise ? await kept(asked) : asked;
    const recipients = leaseWhatHasRoom(incoming);
    const message: AcceptMessage = {
      ...incoming,
      recipients,
      counters: counted(incoming, recipients),
      ...(outbox !== undefined && { outbox }),
    };
    // As of before the commit: leases that are lost meanwhile are lost for this message too.
    const { tenure } = leases;
    const result = await memory.expecting(recipients.filter(({ isLeased }) => isLeased).length, async () => {
      const written = await kept(store.mail.accept(message));
      if (written.kind === 'accepted') hand(message, written, tenure);
      return written;
    });
    if (result.kind === 'accepted' && outbox !== undefined) options.ringOutbox?.();
    return result;
  };

  function leaseWhatHasRoom(incoming: Incoming): AcceptRecipient[] {
    const nowMs = clock.nowMs();
    const taken = new Map<string, number>();
    let memoryLeft = memory.room;
    return incoming.recipients.map((recipient) => {
      let isLeased = memoryLeft > 0 && (recipient.dueAtMs ?? incoming.dueAtMs) <= nowMs;
      if (isLeased) {
        const before = taken.get(recipient.domain) ?? 0;
        isLeased = options.roomFor(recipient.domain, incoming.accountId, incoming.priority) > before;
        if (isLeased) {
          taken.set(recipient.domain, before + 1);
          memoryLeft--;
        }
      }
      return { ...recipient, isLeased };
    });
  }

  async function kept<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw new AppError(error.kind === 'full' ? 'store-full' : 'store-unavailable', {}, error);
    }
  }

  function hand(message: AcceptMessage, result: AcceptResult & { readonly kind: 'accepted' }, tenure: number): void {
    const suppressed = new Map<number, SuppressionKind>(result.suppressed);
    const stored: StoredMessage = {
      id: result.id,
      accountId: message.accountId,
      domainId: message.domainId,
      domain: message.domain,
      messageId: message.messageId,
      sender: message.sender,
      createdMs: message.createdMs,
      expiresAtMs: message.expiresAtMs,
      priority: message.priority,
      contentId: result.contentId,
      info: message.info,
    };
    const nowMs = clock.nowMs();
    let leased = 0;
    for (const [position, recipient] of message.recipients.entries()) {
      if (!recipient.isLeased) continue;
      if (leased++ === 0) memory.keep(result.contentId, message.content);
      options.enter(workItem(stored, storedRecipient(message, result, recipient, position), suppressed.get(position), nowMs, tenure));
    }
    if (leased < message.recipients.length) options.ring();
  }

  function storedRecipient(
    message: AcceptMessage,
    result: AcceptResult & { readonly kind: 'accepted' },
    recipient: AcceptRecipient,
    position: number,
  ): StoredRecipient {
    return {
      id: result.firstRecipient + position,
      message: result.id,
      address: recipient.address,
      domain: recipient.domain,
      name: recipient.name,
      state: 'leased',
      dueAtMs: recipient.dueAtMs ?? message.dueAtMs,
      wait: message.wait,
      attempts: 0,
      epoch: 1,
      possibleDuplicate: false,
      notify: recipient.notify,
      orcpt: recipient.orcpt,
      variables: recipient.variables,
      expiresAtMs: recipient.expiresAtMs,
      timeZone: recipient.timeZone,
    };
  }
}
