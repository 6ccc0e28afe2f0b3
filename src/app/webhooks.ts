/**
 * Builds what posts to servers outside: the guarded poster, the outbox's runner, who is told of which events, and what each kind of entry is made of. Delivery and posting meet here: what
 * is to be told goes into the commit of what happened. A copy for o:archive-to remembers what was sent, and is made again when it is posted.
 */
import type { Accounts } from '#accounts/accounts.ts';
import { redactsWebhooks } from '#accounts/standing.ts';
import { createAddressGuard } from '#base/address-guard.ts';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Composer } from '#delivery/compose.ts';
import { remade, sentCopy, type SentCopy } from '#delivery/sent-copy.ts';
import type { Resolver } from '#dns/resolver.ts';
import { mailgunEvent } from '#events/mailgun-json.ts';
import { redacted } from '#events/redacted.ts';
import { storageKey } from '#events/storage-key.ts';
import type { DeliveryJob } from '#model/delivery.ts';
import type { EventKind } from '#model/event.ts';
import { AppError } from '#model/errors.ts';
import type { WorkItem } from '#queue/work-item.ts';
import { MailReader } from '#routes/mail-reader.ts';
import { createForwardMaker, createNotifyMaker, type PostMakerDeps } from '#routes/post-maker.ts';
import type { Fact } from '#store/fact-store.ts';
import type { OutboxEntry, OutboxItem } from '#store/outbox-store.ts';
import type { Settlement, Store } from '#store/store.ts';
import type { WebhookEvent } from '#store/webhook-store.ts';
import { archiveEntry, createArchiveMaker } from '#webhooks/archive.ts';
import { createEventMaker, type SigningKeys, WEBHOOK_HEADERS, webhookBody } from '#webhooks/event-maker.ts';
import { createPoster, type PostResult } from '#webhooks/guarded-post.ts';
import { OutboxRunner } from '#webhooks/outbox-runner.ts';
import { type SampleOf, sampleEvent } from '#webhooks/sample-event.ts';
import { sign } from '#webhooks/signature.ts';
import { Subscriptions } from '#webhooks/subscriptions.ts';
import { htmlToText } from '#templates/html-text.ts';
import type { Config } from './config.ts';
import type { OpenAddress } from './running.ts';
import type { Services } from './services.ts';

export interface WebhookParts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Store;
  readonly accounts: Pick<Accounts, 'standingOf' | 'webhookKey'>;
  readonly services: Services;
  readonly resolver: Resolver;
  readonly composer: Composer;
  /** What is open by now. */
  readonly addresses: () => readonly OpenAddress[];
  /** This node posts, and was not asked to drain. */
  mayPost(): boolean;
}

export interface Webhooks {
  /** The same, remembering what was sent where it will be wanted. */
  remembering(items: readonly WorkItem[], compose: DeliveryJob['compose']): DeliveryJob['compose'];
  /** What is to be told of the settlement, in its commit. */
  entries(item: WorkItem, settlement: Settlement): MaybeLater;
  /** What webhooks are to be told of an event of the kind, in its commit. */
  entriesFor(accountId: number, domainId: number, kind: EventKind): MaybeLater;
  /** Records what came back, and tells webhooks. */
  record(fact: Omit<Fact, 'outbox'>): Promise<'recorded' | 'repeated'>;
  /** Webhooks or signing keys were changed here. */
  changed(): void;
  /** Tells the URL of an event that never happened; what came of it. */
  test(of: SampleOf, type: WebhookEvent, url: string): Promise<PostResult>;
  /** Something was put in. */
  ring(): void;
  isIdle(): boolean;
  readonly counts: OutboxRunner['counts'];
}

/** Not at once where the store must be asked first; rejects as it does. */
type MaybeLater = readonly OutboxEntry[] | undefined | Promise<readonly OutboxEntry[] | undefined>;

const STOP_MS = 5000;
/** That run at a time, for everybody. */
const TESTS_MAX = 20;
const KEYS_MAX = 10_000;
/** Within this a key that was made anew on another node is used here. */
const KEYS_MS = 1500;

export function startWebhooks(parts: WebhookParts): Webhooks {
  const { config, services } = parts;
  const sent = new WeakMap<WorkItem, SentCopy>();
  const { webhooks } = config;
  const subscriptions = new Subscriptions({
    webhooks: parts.store.webhooks,
    parentOf: async (accountId) => (await parts.accounts.standingOf(accountId))?.parentId,
    clock: parts.clock,
  });
  const keys = signingKeys(parts);
  const shown = eventData(parts);
  const routed: PostMakerDeps = {
    giveUpAfterMs: webhooks.giveUpAfterMs,
    format: config.inbound.routePosts,
    clock: parts.clock,
    content: (contentId) => parts.store.mail.content(contentId),
    sign: async (accountId, nowMs) => sign((await keys.of(accountId)).own, nowMs),
    messageUrl: ({ domain, id }) => storageUrl(parts)(domain, storageKey(id)),
    reader: new MailReader(htmlToText),
  };
  const stopTests = new AbortController();
  let tests = 0;
  const poster = createPoster({
    resolver: parts.resolver,
    guard: createAddressGuard({ allowNetworks: webhooks.allowNetworks, ownListeners: [] }),
    timeoutMs: webhooks.timeoutMs,
    connectTimeoutMs: webhooks.connectTimeoutMs,
  });
  const runner = new OutboxRunner({
    outbox: parts.store.outbox,
    clock: parts.clock,
    log: parts.log,
    poster,
    makers: {
      archive: createArchiveMaker({
        giveUpAfterMs: webhooks.copiesGiveUpAfterMs,
        sizeBytes: (item) => copyOf(item).sizeBytes,
        remake: (item) => remakeSent(parts, item),
      }),
      event: createEventMaker({
        giveUpAfterMs: webhooks.giveUpAfterMs,
        clock: parts.clock,
        eventData: shown,
        signingKeys: keys.of,
        isWanted: async (target, { accountId, domainId, kind }) =>
          (await subscriptions.entriesFor(accountId, domainId, kind))?.some((entry) => entry.target === target) === true,
      }),
      forward: createForwardMaker(routed),
      notify: createNotifyMaker(routed),
    },
    entriesFor: (accountId, domainId, kind) => subscriptions.entriesFor(accountId, domainId, kind),
    limits: { perEndpointMax: webhooks.concurrency, totalMax: webhooks.connections },
    timeoutMs: webhooks.timeoutMs,
    retryMs: webhooks.retry,
    mayPost: parts.mayPost,
  });
  runner.start();
  services.add({
    name: 'webhooks',
    stopMs: STOP_MS,
    async stop() {
      stopTests.abort();
      await runner.stop();
      poster.close();
    },
  });
  return {
    remembering(items, compose) {
      if (items[0]?.message.info.options.archiveTo === undefined) return compose;
      return async (capabilities) => {
        const composed = await compose(capabilities);
        if (!('refused' in composed)) {
          const copy = sentCopy(composed, capabilities);
          for (const item of items) sent.set(item, copy);
        }
        return composed;
      };
    },
    entries(item, settlement) {
      const url = item.message.info.options.archiveTo;
      const copy = settlement.event.kind === 'delivered' ? sent.get(item) : undefined;
      const archive = url === undefined || copy === undefined ? undefined : [archiveEntry(url, JSON.stringify(copy))];
      // A notification is nobody's mail.
      if (item.message.info.notifiesOf !== undefined) return archive;
      const told = subscriptions.entriesFor(settlement.accountId, settlement.domainId, settlement.event.kind);
      if (told instanceof Promise) return told.then((entries) => joined(archive, entries));
      return joined(archive, told);
    },
    entriesFor: (accountId, domainId, kind) => subscriptions.entriesFor(accountId, domainId, kind),
    async record(fact) {
      const { accountId, domainId, kind } = fact.event;
      const outbox = await subscriptions.entriesFor(accountId, domainId, kind);
      const result = await parts.store.mail.record(outbox === undefined ? fact : { ...fact, outbox });
      if (result === 'recorded' && outbox !== undefined) runner.ring();
      return result;
    },
    changed() {
      subscriptions.forget();
      keys.forget();
    },
    async test(of, type, url) {
      if (tests >= TESTS_MAX) throw new AppError('overloaded');
      tests++;
      try {
        const nowMs = parts.clock.nowMs();
        const body = [webhookBody(await shown(sampleEvent(of, type, nowMs)), await keys.of(of.accountId), nowMs)];
        return await poster.post({ url, headers: WEBHOOK_HEADERS, body }, stopTests.signal);
      } finally {
        tests--;
      }
    },
    ring: () => runner.ring(),
    isIdle: () => runner.running === 0,
    counts: runner.counts,
  };
}

function joined(some: Settlement['outbox'], others: Settlement['outbox']): Settlement['outbox'] {
  return some === undefined ? others : others === undefined ? some : [...some, ...others];
}

function signingKeys({ accounts, clock }: WebhookParts): { of(accountId: number): SigningKeys | Promise<SigningKeys>; forget(): void } {
  const known = new BoundedCache<number, SigningKeys>({ max: KEYS_MAX, ttlMs: KEYS_MS });
  const read = async (accountId: number): Promise<SigningKeys> => {
    const nowMs = clock.monotonicMs();
    const parent = (await accounts.standingOf(accountId))?.parentId;
    const keys = {
      own: await accounts.webhookKey(accountId),
      ...(parent !== undefined && { parent: await accounts.webhookKey(parent) }),
    };
    known.set(accountId, keys, nowMs);
    return keys;
  };
  return { of: (accountId) => known.get(accountId, clock.monotonicMs()) ?? read(accountId), forget: () => known.clear() };
}

/** As the events API shows it, with the URLs that it would have there; without personal data where the account, or the one above it, wants that. */
function eventData(parts: WebhookParts): Parameters<typeof createEventMaker>[0]['eventData'] {
  const urls = { storage: storageUrl(parts) };
  return async (view) => {
    const data = mailgunEvent(view, urls);
    return (await redactsWebhooks(parts.accounts, view.event.accountId)) ? redacted(data) : data;
  };
}

function storageUrl({ config, addresses }: WebhookParts): (domain: string, key: string) => string {
  return (domain, key) => {
    const { host = 'localhost', port } = addresses().find(({ service }) => service === 'http') ?? config.http.listen[0] ?? { port: 0 };
    const base = config.http.publicUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
    return `${base}/v3/domains/${domain}/messages/${key}`;
  };
}

function copyOf({ payload }: OutboxItem): SentCopy {
  return JSON.parse(payload) as SentCopy;
}

async function remakeSent({ store, composer }: WebhookParts, item: OutboxItem): Promise<readonly Buffer[] | { readonly gone: string }> {
  const { message, recipient } = item;
  if (message === undefined || recipient === undefined) return { gone: 'the message was deleted meanwhile' };
  const content = message.contentId === 0 ? undefined : await store.mail.content(message.contentId);
  return remade(
    composer,
    copyOf(item),
    message,
    recipient,
    content === undefined ? undefined : Buffer.from(content.buffer, content.byteOffset, content.byteLength),
  );
}
