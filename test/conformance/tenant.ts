/** What the conformance tests put into a store: an account with a domain, messages, settlements. Each tenant is new, so that tests share a store. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { EVENT_KINDS, type EventKind } from '#model/event.ts';
import type { OutboxEntry, OutboxItem } from '#store/outbox-store.ts';
import type {
  AcceptMessage,
  AcceptRecipient,
  AcceptResult,
  Bucket,
  Claimed,
  CounterKey,
  Domain,
  NodeFacts,
  Settlement,
  Store,
} from '#store/store.ts';

/** 2026-03-01 12:00 UTC: the instant that tests count from. */
export const T0 = Date.UTC(2026, 2, 1, 12);
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export interface Counter {
  readonly kind: number;
  readonly hour: number;
  readonly tag: string;
  readonly n: number;
}

/** One opened store, and what no room asks of a store but its tests do. */
export interface Opened {
  readonly store: Store;
  /** Counters of a domain as they are on disk. */
  counters(domainId: number): Counter[] | Promise<Counter[]>;
  /** Ends the store in good order and starts it again at that time. */
  reopen(nowMs: number): Promise<Opened>;
  /** Opens the same store as another node beside this one; absent where a store has one server at a time. */
  another?(node: NodeFacts): Promise<Opened>;
}
export type Open = () => Promise<Opened>;

export interface Tenant {
  readonly accountId: number;
  readonly domainId: number;
  readonly domain: string;
}

let serial = 0;

/** A name that no other test uses. */
export function unique(prefix: string): string {
  return `${prefix}${++serial}`;
}

export async function tenant(store: Store, domain: Partial<Omit<Domain, 'id'>> = {}): Promise<Tenant> {
  const accountId = domain.accountId ?? (await store.accounts.createAccount(unique('account '), T0)).id;
  const created = await store.accounts.createDomain({
    accountId,
    name: `${unique('sender')}.example`,
    type: 'custom',
    state: 'active',
    createdMs: T0,
    retentionMs: 3 * DAY_MS,
    requireTls: false,
    skipVerification: false,
    ...domain,
  });
  assert.ok(created);
  return { accountId, domainId: created.id, domain: created.name };
}

export type MailChange = Partial<Omit<AcceptMessage, 'recipients'>> & {
  readonly to?: readonly (string | (Partial<AcceptRecipient> & { readonly address: string }))[];
  /** All of them. */
  readonly isLeased?: boolean;
};

/** A message of one queued recipient at a receiving domain of its own, due now, unless the change says otherwise. */
export function mail(from: Tenant, change: MailChange = {}): AcceptMessage {
  const { to = [`user@${unique('receiver')}.example`], isLeased = false, ...rest } = change;
  return {
    accountId: from.accountId,
    domainId: from.domainId,
    domain: from.domain,
    messageId: `${unique('message')}@${from.domain}`,
    sender: `app@${from.domain}`,
    createdMs: T0,
    dueAtMs: T0,
    wait: 'due',
    expiresAtMs: T0 + 5 * DAY_MS,
    priority: 0,
    info: {
      from: `app@${from.domain}`,
      to: 'somebody',
      subject: 'Receipt Nº 7',
      sizeBytes: 5,
      attachments: [{ filename: 'a.pdf', 'content-type': 'application/pdf', size: 3 }],
      method: 'SMTP',
      origin: { address: '127.0.0.1' },
      options: { tags: ['receipts'], variables: { order: 7 }, testMode: false },
      smtputf8: false,
      body: '7BIT',
    },
    content: new TextEncoder().encode('hello'),
    recipients: to.map((recipient) => {
      const given = typeof recipient === 'string' ? { address: recipient } : recipient;
      return { isLeased, domain: given.address.slice(given.address.lastIndexOf('@') + 1), ...given };
    }),
    ...rest,
  };
}

/** With a last recipient that no table takes: the writing of the message fails when most of it is written. */
export function unwritable(message: AcceptMessage): AcceptMessage {
  const broken = { address: undefined as unknown as string, domain: 'broken.example', isLeased: false };
  return { ...message, recipients: [...message.recipients, broken] };
}

export type Accepted = Extract<AcceptResult, { readonly kind: 'accepted' }>;

export async function accept(store: Store, message: AcceptMessage): Promise<Accepted> {
  const result = await store.mail.accept(message);
  assert.equal(result.kind, 'accepted');
  return result as Accepted;
}

/** The end of a recipient's only attempt, as delivered, unless the change says otherwise. */
export function settlement(from: Tenant, accepted: Accepted, change: Partial<Settlement> = {}): Settlement {
  return {
    recipient: accepted.firstRecipient,
    epoch: 1,
    accountId: from.accountId,
    domainId: from.domainId,
    message: accepted.id,
    atMs: T0 + 1000,
    attempts: 1,
    ending: 'delivered',
    event: { kind: 'delivered', detail: { code: 250, text: '2.0.0 ok' } },
    counters: [{ accountId: from.accountId, domainId: from.domainId, kind: 'delivered', provider: '', tag: '' }],
    ...change,
  };
}

/** A deferral until `dueAtMs`. */
export function deferral(dueAtMs: number): Partial<Settlement> {
  return {
    ending: undefined,
    dueAtMs,
    wait: 'retry',
    event: { kind: 'deferred', detail: { code: 451, text: 'come back later' } },
    counters: [],
  };
}

export async function bucketsOf(store: Store, receivingDomain: string, nowMs = T0): Promise<Bucket[]> {
  return (await store.mail.dueBuckets(nowMs, 10_000)).filter((bucket) => bucket.domain === receivingDomain);
}

/** Claims what is due for a receiving domain, of every account and priority. */
export async function claim(store: Store, receivingDomain: string, nowMs = T0, room = 100): Promise<Claimed[]> {
  const buckets = await bucketsOf(store, receivingDomain, nowMs);
  return store.mail.claim(
    buckets.map(({ id }) => ({ bucket: id, room })),
    nowMs,
  );
}

/** The addresses in what was claimed, in order. */
export function addresses(claimed: readonly Claimed[]): string[] {
  return claimed.flatMap(({ recipients }) => recipients.map(({ address }) => address));
}

export function counter(from: Tenant, kind: CounterKey['kind'], tag = ''): CounterKey {
  return { accountId: from.accountId, domainId: from.domainId, kind, provider: '', tag };
}

/** What a webhook is told. */
export function entry(endpoint: string, change: Partial<OutboxEntry> = {}): OutboxEntry {
  return { kind: 'event', endpoint, target: `${endpoint}/in`, payload: '{}', ...change };
}

export function endpointName(): string {
  return `https://${unique('told')}.example:443`;
}

/** However it was tagged. */
export async function counted({ counters }: Opened, from: Tenant, kind: EventKind): Promise<number> {
  const rows = (await counters(from.domainId)).filter((row) => row.kind === EVENT_KINDS[kind] && row.tag === '');
  return rows.reduce((sum, { n }) => sum + n, 0);
}

/** All that are due for an endpoint. */
export async function claimEntries(store: Store, endpoint: string, nowMs = T0 + HOUR_MS): Promise<OutboxItem[]> {
  const due = (await store.outbox.dueEndpoints(nowMs, 10_000)).filter((each) => each.endpoint === endpoint);
  return store.outbox.claim(
    due.map(({ id }) => ({ endpoint: id, room: 100 })),
    nowMs,
    nowMs + 60_000,
  );
}

/** Waits until it holds; for what another thread or process brings about. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, deadlineMs = 60_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > endMs) assert.fail(`it did not come about in ${deadlineMs} ms: ${what}`);
    await sleep(10);
  }
}
