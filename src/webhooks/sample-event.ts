/** An event of each type that never happened, for trying a webhook: it looks as a real one would, about a message that nobody sent. */
import { randomHex } from '#base/random.ts';
import type { EventDetail, EventKind } from '#model/event.ts';
import type { AttemptRecord } from '#model/outcome.ts';
import type { EventView } from '#store/store.ts';
import type { WebhookEvent } from '#store/webhook-store.ts';

export interface SampleOf {
  readonly accountId: number;
  readonly domainId: number;
  readonly domain: string;
}

const CLIENT: EventDetail = {
  ip: '192.0.2.1',
  geo: { country: 'US', region: 'CA', city: 'San Francisco' },
  client: { name: 'Chrome', os: 'Linux', type: 'browser', device: 'desktop', userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0' },
};

const SAMPLES: Readonly<Record<WebhookEvent, readonly [kind: EventKind, detail: EventDetail]>> = {
  accepted: ['accepted', {}],
  delivered: ['delivered', { code: 250, text: 'OK' }],
  opened: ['opened', CLIENT],
  clicked: ['clicked', { ...CLIENT, url: 'https://example.com/' }],
  unsubscribed: ['unsubscribed', CLIENT],
  complained: ['complained', {}],
  temporary_fail: ['deferred', { code: 451, enhanced: '4.3.0', text: '4.3.0 Try again later', reason: 'generic' }],
  permanent_fail: ['failed', { code: 550, enhanced: '5.1.1', text: '5.1.1 No such user', reason: 'bounce' }],
};

const RETRY_MS = 600_000;

export function sampleEvent({ accountId, domainId, domain }: SampleOf, type: WebhookEvent, nowMs: number): EventView {
  const [kind, given] = SAMPLES[type];
  const attempted = kind === 'delivered' || kind === 'deferred' || kind === 'failed';
  const detail: EventDetail = {
    ...given,
    ...(attempted && { attempt: attempt(nowMs) }),
    ...(kind === 'deferred' && { nextAtMs: nowMs + RETRY_MS }),
  };
  return {
    event: { id: 0, kind, atUs: nowMs * 1000, accountId, domainId, message: 0, recipient: 0, detail },
    message: {
      id: 0,
      accountId,
      domainId,
      domain,
      messageId: `test.${randomHex(8)}@${domain}`,
      sender: `test@${domain}`,
      createdMs: nowMs,
      expiresAtMs: nowMs,
      priority: 0,
      contentId: 0,
      info: {
        from: `Test <test@${domain}>`,
        to: 'alice@example.com',
        subject: 'Test of a webhook',
        sizeBytes: 0,
        attachments: [],
        method: 'HTTP',
        origin: { address: '192.0.2.1' },
        options: { tags: ['test'], variables: {}, testMode: true },
        smtputf8: false,
        body: '7BIT',
      },
    },
    recipient: {
      id: 0,
      message: 0,
      address: 'alice@example.com',
      domain: 'example.com',
      state: 'done',
      dueAtMs: nowMs,
      wait: 'due',
      attempts: 1,
      epoch: 1,
      possibleDuplicate: false,
    },
  };
}

function attempt(nowMs: number): AttemptRecord {
  return { startedMs: nowMs, number: 1, host: 'mx.example.com', steps: {} };
}
