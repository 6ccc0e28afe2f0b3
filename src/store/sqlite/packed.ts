/**
 * What crosses to the writer's thread for each message, made light: facts as JSON text (much of it the text that the tables keep), the content as octets apart.
 * Copying an object of forty properties between threads costs more than writing its row.
 */
import type { EventKind } from '#model/event.ts';
import type { AcceptMessage, CounterKey, Settlement } from '#store/store.ts';
import { extraJson } from './rows.ts';

export type PackedRecipient = readonly [address: string, domain: string, isLeased: boolean, extra: string | null];
export type PackedCounter = readonly [accountId: number, domainId: number, kind: EventKind, provider: string, tag: string, count: number];

export interface MessageFacts extends Omit<AcceptMessage, 'info' | 'recipients' | 'counters' | 'content'> {
  readonly recipients: readonly PackedRecipient[];
  readonly counters: readonly PackedCounter[];
}

/** JSON of `MessageFacts`, and of the message's info. */
export type PackedMessage = readonly [facts: string, info: string];

export interface SettlementFacts extends Omit<Settlement, 'event' | 'counters' | 'notification'> {
  readonly kind: EventKind;
  readonly counters: readonly PackedCounter[];
}

export interface PackedNotification {
  readonly action: NonNullable<Settlement['notification']>['action'];
  readonly message: PackedMessage;
  readonly content: Uint8Array;
}

/** JSON of `SettlementFacts`, and of the event's detail. */
export type PackedSettlement = readonly [facts: string, detail: string, notification: PackedNotification | undefined];

export function packMessage(message: AcceptMessage): PackedMessage {
  const facts: MessageFacts & { readonly content: undefined; readonly info: undefined } = {
    ...message,
    // Left out of the text: they cross apart.
    content: undefined,
    info: undefined,
    recipients: message.recipients.map(
      (recipient) => [recipient.address, recipient.domain, recipient.isLeased, extraJson(recipient)] as const,
    ),
    counters: (message.counters ?? []).map((counter) => packCounter(counter, counter.count)),
  };
  return [JSON.stringify(facts), JSON.stringify(message.info)];
}

export function packSettlement({ event, counters, notification, ...settlement }: Settlement): PackedSettlement {
  const facts: SettlementFacts = { ...settlement, kind: event.kind, counters: counters.map((counter) => packCounter(counter, 1)) };
  return [JSON.stringify(facts), JSON.stringify(event.detail), notification === undefined ? undefined : packNotification(notification)];
}

function packNotification({ action, message }: NonNullable<Settlement['notification']>): PackedNotification {
  // A view on a larger buffer would be copied with all that surrounds it.
  return { action, message: packMessage(message), content: new Uint8Array(message.content) };
}

function packCounter(key: CounterKey, count: number): PackedCounter {
  return [key.accountId, key.domainId, key.kind, key.provider, key.tag, count];
}
