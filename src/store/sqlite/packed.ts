/**
 * What crosses to the writer's thread for each message, made light: nested facts as the JSON text that the tables keep anyway. Copying an object of forty
 * properties between threads costs more than writing its row.
 */
import type { EventKind } from '#model/event.ts';
import type { AcceptMessage, CounterKey, Settlement } from '#store/store.ts';
import { extraJson } from './rows.ts';

export type PackedRecipient = readonly [address: string, domain: string, isLeased: boolean, extra: string | null];
export type PackedCounter = readonly [accountId: number, domainId: number, kind: EventKind, provider: string, tag: string, count: number];

export interface PackedMessage extends Omit<AcceptMessage, 'info' | 'recipients' | 'counters'> {
  readonly info: string;
  readonly recipients: readonly PackedRecipient[];
  readonly counters: readonly PackedCounter[];
}

export interface PackedSettlement extends Omit<Settlement, 'event' | 'counters' | 'notification'> {
  readonly kind: EventKind;
  readonly detail: string;
  readonly counters: readonly PackedCounter[];
  readonly notification?: {
    readonly action: NonNullable<Settlement['notification']>['action'];
    readonly message: PackedMessage;
  };
}

export function packMessage(message: AcceptMessage): PackedMessage {
  const { content } = message;
  return {
    ...message,
    info: JSON.stringify(message.info),
    recipients: message.recipients.map(
      (recipient) => [recipient.address, recipient.domain, recipient.isLeased, extraJson(recipient)] as const,
    ),
    counters: (message.counters ?? []).map((counter) => packCounter(counter, counter.count)),
    // A view on a larger buffer would be copied with all that surrounds it.
    content: content.buffer.byteLength === content.byteLength ? content : new Uint8Array(content),
  };
}

export function packSettlement(settlement: Settlement): PackedSettlement {
  const { event, counters, notification, ...rest } = settlement;
  return {
    ...rest,
    kind: event.kind,
    detail: JSON.stringify(event.detail),
    counters: counters.map((counter) => packCounter(counter, 1)),
    notification: notification === undefined ? undefined : { action: notification.action, message: packMessage(notification.message) },
  };
}

function packCounter(key: CounterKey, count: number): PackedCounter {
  return [key.accountId, key.domainId, key.kind, key.provider, key.tag, count];
}
