/**
 * What crosses to the writer's thread for each message, made light: facts as a row of values in JSON text (much of it the text that the tables keep), the
 * content as octets apart. Copying an object of forty properties between threads costs more than writing its row.
 */
import type { EventKind } from '#model/event.ts';
import type { Fact, Reception } from '#store/fact-store.ts';
import type { OutboxEntry, OutboxKind } from '#store/outbox-store.ts';
import type { AcceptMessage, AcceptRecipient, CounterKey, Settlement, Suppression } from '#store/store.ts';
import { extraJson, termsOf } from '#store/rows-json.ts';

export type PackedRecipient = readonly [
  address: string,
  domain: string,
  isLeased: boolean,
  extra: string | null,
  /** Where they are not the message's. */
  terms?: readonly [dueAtMs: number, expiresAtMs: number, wait: string],
];
export type PackedCounter = readonly [
  accountId: number,
  domainId: number,
  kind: EventKind,
  provider: string,
  tag: string,
  count: number,
  receiver?: string,
  reason?: string,
  source?: string,
  country?: string,
  device?: string,
];

export type MessageFacts = readonly [
  accountId: number,
  domainId: number,
  messageId: string,
  sender: string,
  createdMs: number,
  dueAtMs: number,
  wait: string,
  expiresAtMs: number,
  priority: number,
  recipients: readonly PackedRecipient[],
  counters: readonly PackedCounter[],
  idempotency: AcceptMessage['idempotency'] | null,
  uses: AcceptMessage['uses'] | null,
  outbox?: readonly PackedOutbox[] | null,
];

/** JSON of `MessageFacts`, and of the message's info. */
export type PackedMessage = readonly [facts: string, info: string];

export type PackedOutbox = readonly [kind: OutboxKind, endpoint: string, target: string, payload: string, ownerId?: number];

export type SettlementFacts = readonly [
  recipient: number,
  epoch: number,
  accountId: number,
  domainId: number,
  message: number,
  atMs: number,
  attempts: number,
  ending: string | null,
  dueAtMs: number | null,
  wait: string | null,
  possibleDuplicate: boolean,
  kind: EventKind,
  counters: readonly PackedCounter[],
  suppression: Settlement['suppression'] | null,
  outbox: readonly PackedOutbox[] | null,
];

export interface PackedNotification {
  readonly action: NonNullable<Settlement['notification']>['action'];
  readonly message: PackedMessage;
  readonly content: Uint8Array;
}

export interface PackedFact {
  readonly event: Omit<Fact['event'], 'detail'>;
  readonly once?: string;
  readonly suppression?: Suppression;
  readonly leaves?: Fact['leaves'];
  readonly counters: readonly PackedCounter[];
  readonly firstCounters?: readonly PackedCounter[];
  readonly firstOf?: { readonly mark: string; readonly counters: readonly PackedCounter[] };
  readonly outbox?: readonly PackedOutbox[];
}

export interface PackedReception {
  readonly message: PackedMessage;
  readonly events: readonly (readonly [
    recipient: number,
    kind: EventKind,
    atUs: number,
    accountId: number,
    domainId: number,
    detail: string,
  ])[];
  readonly outbox: readonly (readonly [recipient: number, entry: PackedOutbox])[];
  readonly forwards: readonly { readonly message: PackedMessage; readonly content: Uint8Array }[];
}

/** JSON of `SettlementFacts`, and of the event's detail. */
export type PackedSettlement = readonly [facts: string, detail: string, notification: PackedNotification | undefined];

export function packMessage(message: AcceptMessage): PackedMessage {
  const facts: MessageFacts = [
    message.accountId,
    message.domainId,
    message.messageId,
    message.sender,
    message.createdMs,
    message.dueAtMs,
    message.wait,
    message.expiresAtMs,
    message.priority,
    message.recipients.map((recipient) => packRecipient(message, recipient)),
    (message.counters ?? []).map((counter) => packCounter(counter, counter.count)),
    message.idempotency ?? null,
    message.uses ?? null,
    packEntries(message.outbox),
  ];
  return [JSON.stringify(facts), JSON.stringify(message.info)];
}

function packRecipient(message: AcceptMessage, recipient: AcceptRecipient): PackedRecipient {
  const { address, domain, isLeased } = recipient;
  const extra = extraJson(recipient);
  if (recipient.dueAtMs === undefined && recipient.expiresAtMs === undefined) return [address, domain, isLeased, extra];
  const { dueAtMs, expiresAtMs, wait } = termsOf(message, recipient);
  return [address, domain, isLeased, extra, [dueAtMs, expiresAtMs, wait]];
}

export function packSettlement(settlement: Settlement): PackedSettlement {
  const facts: SettlementFacts = [
    settlement.recipient,
    settlement.epoch,
    settlement.accountId,
    settlement.domainId,
    settlement.message,
    settlement.atMs,
    settlement.attempts,
    settlement.ending ?? null,
    settlement.dueAtMs ?? null,
    settlement.wait ?? null,
    settlement.possibleDuplicate === true,
    settlement.event.kind,
    settlement.counters.map((counter) => packCounter(counter, 1)),
    settlement.suppression ?? null,
    packEntries(settlement.outbox),
  ];
  const { notification } = settlement;
  return [
    JSON.stringify(facts),
    JSON.stringify(settlement.event.detail),
    notification === undefined ? undefined : packNotification(notification),
  ];
}

function packNotification({ action, message }: NonNullable<Settlement['notification']>): PackedNotification {
  // A view on a larger buffer would be copied with all that surrounds it.
  return { action, message: packMessage(message), content: new Uint8Array(message.content) };
}

function packEntries(entries: readonly OutboxEntry[] | undefined): readonly PackedOutbox[] | null {
  return entries === undefined || entries.length === 0 ? null : entries.map(packEntry);
}

export function packEntry({ kind, endpoint, target, payload, ownerId }: OutboxEntry): PackedOutbox {
  return ownerId === undefined ? [kind, endpoint, target, payload] : [kind, endpoint, target, payload, ownerId];
}

/** JSON of `PackedFact`, and of the event's detail. */
export function packFact(fact: Fact): readonly [facts: string, detail: string] {
  const { once, suppression, leaves, counters, firstCounters, firstOf, outbox } = fact;
  const { detail, ...rest } = fact.event;
  const one = (counter: CounterKey): PackedCounter => packCounter(counter, 1);
  const facts: PackedFact = {
    event: rest,
    ...(once !== undefined && { once }),
    ...(suppression !== undefined && { suppression }),
    ...(leaves !== undefined && { leaves }),
    counters: counters.map(one),
    ...(firstCounters !== undefined && { firstCounters: firstCounters.map(one) }),
    ...(firstOf !== undefined && { firstOf: { mark: firstOf.mark, counters: firstOf.counters.map(one) } }),
    ...(outbox !== undefined && { outbox: outbox.map(packEntry) }),
  };
  return [JSON.stringify(facts), JSON.stringify(detail)];
}

export function packReception({ message, events, outbox, forwards }: Reception): PackedReception {
  return {
    message: packMessage(message),
    events: events.map(({ recipient, event: { kind, atUs, accountId, domainId, detail } }) => [
      recipient,
      kind,
      atUs,
      accountId,
      domainId,
      JSON.stringify(detail),
    ]),
    outbox: outbox.map((entry) => [entry.recipient, packEntry(entry)]),
    // A view on a larger buffer would be copied with all that surrounds it.
    forwards: forwards.map((forward) => ({ message: packMessage(forward), content: new Uint8Array(forward.content) })),
  };
}

export function packCounter(key: CounterKey, count: number): PackedCounter {
  const { accountId, domainId, kind, provider, tag, receiver = '', reason = '', source = '', country = '', device = '' } = key;
  return [accountId, domainId, kind, provider, tag, count, receiver, reason, source, country, device];
}
