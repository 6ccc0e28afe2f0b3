/**
 * Who is told of what happens: for each domain the URLs of its own webhooks, of its account's, and of the account above it, each URL once for a type of event. Asked with every commit
 * of a fact, so the answer comes from memory: one look-up in a map where a domain has none. What is known is read again after a moment, beside the work, and is waited for when it is
 * older than that; a change made on this node holds at once, on others within `STALE_MS`.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { InFlight } from '#base/in-flight.ts';
import type { EventKind } from '#model/event.ts';
import type { OutboxEntry } from '#store/outbox-store.ts';
import { ACCOUNT_WEBHOOKS, type Webhook, type WebhookEvent, type WebhookStore } from '#store/webhook-store.ts';
import { endpointName } from './endpoint-name.ts';

export interface SubscriptionsOptions {
  readonly webhooks: Pick<WebhookStore, 'webhooksOf'>;
  /** The account that this one is a subaccount of. */
  parentOf(accountId: number): Promise<number | undefined>;
  readonly clock: Clock;
}

/** Of one account, or of one of its domains. */
interface OwnedSet {
  /** undefined: the account that the event is of. */
  readonly ownerId: number | undefined;
  readonly webhooks: readonly Webhook[];
}

type Entries = readonly OutboxEntry[] | undefined;

interface Known {
  readonly accountId: number;
  /** undefined: nobody is told of anything. */
  readonly byKind: ReadonlyMap<EventKind, readonly OutboxEntry[]> | undefined;
  readonly readAtMs: number;
}

const FRESH_MS = 2000;
export const STALE_MS = 4000;
const DOMAINS_MAX = 50_000;

const KINDS: Readonly<Partial<Record<EventKind, WebhookEvent>>> = {
  accepted: 'accepted',
  delivered: 'delivered',
  opened: 'opened',
  clicked: 'clicked',
  unsubscribed: 'unsubscribed',
  complained: 'complained',
  deferred: 'temporary_fail',
  failed: 'permanent_fail',
};

/** The type of webhook that is told of it; undefined: none is. */
export function webhookEventOf(kind: EventKind): WebhookEvent | undefined {
  return KINDS[kind];
}

export function eventEntry(url: string, ownerId?: number): OutboxEntry {
  return { kind: 'event', endpoint: endpointName(url), target: url, payload: '', ...(ownerId !== undefined && { ownerId }) };
}

export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #known = new BoundedCache<number, Known>({ max: DOMAINS_MAX, ttlMs: STALE_MS });
  readonly #reading = new InFlight<number, Known>();
  #changes = 0;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** What goes into the outbox with an event of that kind; undefined: nothing. Not at once where it must be read; rejects as the store does. `domainId` 0: of no domain. */
  entriesFor(accountId: number, domainId: number, kind: EventKind): Entries | Promise<Entries> {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#known.get(keyOf(accountId, domainId), nowMs);
    if (known === undefined || known.accountId !== accountId)
      return this.#read(accountId, domainId).then(({ byKind }) => byKind?.get(kind));
    // Who asks after that waits, and learns what the trouble is.
    if (nowMs - known.readAtMs > FRESH_MS) this.#read(accountId, domainId).catch(() => undefined);
    return known.byKind?.get(kind);
  }

  /** Something was changed here. */
  forget(): void {
    this.#changes++;
    this.#known.clear();
  }

  #read(accountId: number, domainId: number): Promise<Known> {
    const key = keyOf(accountId, domainId);
    return this.#reading.once(key, async () => {
      for (;;) {
        const change = this.#changes;
        const readAtMs = this.#options.clock.monotonicMs();
        const known = { accountId, byKind: entriesByKind(await this.#sets(accountId, domainId)), readAtMs };
        // What was read before a change that was made meanwhile is not what stands.
        if (change !== this.#changes) continue;
        this.#known.set(key, known, readAtMs);
        return known;
      }
    });
  }

  async #sets(accountId: number, domainId: number): Promise<readonly OwnedSet[]> {
    const { webhooks, parentOf } = this.#options;
    const parent = await parentOf(accountId);
    const owners = [
      ...(domainId === ACCOUNT_WEBHOOKS ? [] : [[accountId, domainId] as const]),
      [accountId, ACCOUNT_WEBHOOKS] as const,
      ...(parent === undefined ? [] : [[parent, ACCOUNT_WEBHOOKS] as const]),
    ];
    return Promise.all(
      owners.map(async ([account, domain]) => ({
        ownerId: account === accountId ? undefined : account,
        webhooks: (await webhooks.webhooksOf(account, domain)).webhooks,
      })),
    );
  }
}

/** Domains and accounts are numbered apart. */
function keyOf(accountId: number, domainId: number): number {
  return domainId === ACCOUNT_WEBHOOKS ? -accountId : domainId;
}

/** A URL that is in several sets is told as that of the first one. */
function entriesByKind(sets: readonly OwnedSet[]): Known['byKind'] {
  const webhooks = sets.flatMap((set) => set.webhooks.map(({ url, events }) => ({ url, events, ownerId: set.ownerId })));
  if (webhooks.length === 0) return undefined;
  const byKind = new Map<EventKind, readonly OutboxEntry[]>();
  for (const [kind, event] of Object.entries(KINDS) as [EventKind, WebhookEvent][]) {
    const entries = new Map<string, OutboxEntry>();
    for (const { url, events, ownerId } of webhooks) {
      if (events.includes(event) && !entries.has(url)) entries.set(url, eventEntry(url, ownerId));
    }
    if (entries.size > 0) byKind.set(kind, [...entries.values()]);
  }
  return byKind;
}
