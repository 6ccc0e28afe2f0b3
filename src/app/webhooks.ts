/**
 * Builds what posts to servers outside: the guarded poster, the outbox's runner, and what each kind of entry is made of. Delivery and posting meet here: a copy for
 * o:archive-to remembers what was sent, goes into the settlement's commit, and is made again when it is posted.
 */
import { createAddressGuard } from '#base/address-guard.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Composer } from '#delivery/compose.ts';
import { remade, sentCopy, type SentCopy } from '#delivery/sent-copy.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { DeliveryJob } from '#model/delivery.ts';
import type { WorkItem } from '#queue/work-item.ts';
import type { OutboxItem } from '#store/outbox-store.ts';
import type { Settlement, Store } from '#store/store.ts';
import { archiveEntry, createArchiveMaker } from '#webhooks/archive.ts';
import { createPoster } from '#webhooks/guarded-post.ts';
import { OutboxRunner } from '#webhooks/outbox-runner.ts';
import type { Config } from './config.ts';
import type { Services } from './services.ts';

export interface WebhookParts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Store;
  readonly services: Services;
  readonly resolver: Resolver;
  readonly composer: Composer;
  /** This node posts, and was not asked to drain. */
  mayPost(): boolean;
}

export interface Webhooks {
  /** The same, remembering what was sent where it will be wanted. */
  remembering(items: readonly WorkItem[], compose: DeliveryJob['compose']): DeliveryJob['compose'];
  /** What is to be told of the settlement, in its commit. */
  entries(item: WorkItem, settlement: Settlement): Settlement['outbox'];
  /** Something was put in. */
  ring(): void;
  isIdle(): boolean;
  readonly counts: OutboxRunner['counts'];
}

const STOP_MS = 5000;

export function startWebhooks(parts: WebhookParts): Webhooks {
  const { config, services } = parts;
  const sent = new WeakMap<WorkItem, SentCopy>();
  const { webhooks } = config;
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
    },
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
      return url === undefined || copy === undefined ? undefined : [archiveEntry(url, JSON.stringify(copy))];
    },
    ring: () => runner.ring(),
    isIdle: () => runner.running === 0,
    counts: runner.counts,
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
