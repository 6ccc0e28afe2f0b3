/**
 * Webhooks: an event as JSON in Mailgun's form, signed. Each attempt is signed afresh, because receivers refuse signatures that are some minutes old and tokens that they
 * have seen; a repeat is known by the event's id, and by X-Postrider-Delivery, which is the same for all attempts. What an event of a subaccount tells is signed with the key of the account
 * above as well.
 */
import type { Clock } from '#base/clock.ts';
import type { EventRow } from '#model/event.ts';
import type { OutboxItem } from '#store/outbox-store.ts';
import type { EventView } from '#store/store.ts';
import type { OutboxMaker } from './outbox-maker.ts';
import { sign } from './signature.ts';

export interface SigningKeys {
  readonly own: string;
  /** Of the account above. */
  readonly parent?: string;
}

export interface EventMakerDeps {
  readonly clock: Clock;
  /** As the events API shows it, without what its account wants untold. */
  eventData(view: EventView): Record<string, unknown> | Promise<Record<string, unknown>>;
  signingKeys(accountId: number): SigningKeys | Promise<SigningKeys>;
  /** The URL is still a webhook for such events of that account and domain. */
  isWanted(target: string, event: EventRow): Promise<boolean>;
  readonly giveUpAfterMs: number;
}

/** What one holds in memory while it is posted, at most: variables and names are bounded where they come in. */
const BODY_BYTES = 8 * 1024;

export function webhookBody(eventData: Record<string, unknown>, keys: SigningKeys, nowMs: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      signature: sign(keys.own, nowMs),
      ...(keys.parent !== undefined && { 'parent-signature': sign(keys.parent, nowMs) }),
      'event-data': eventData,
    }),
  );
}

/** Of every call to a webhook. */
export const WEBHOOK_HEADERS = { 'content-type': 'application/json', 'user-agent': 'Postrider' } as const;

export function createEventMaker(deps: EventMakerDeps): OutboxMaker {
  return {
    giveUpAfterMs: deps.giveUpAfterMs,
    isLogged: true,
    sizeBytes: () => BODY_BYTES,
    async make(item: OutboxItem) {
      const { event, message, recipient } = item;
      if (event === undefined) return { gone: 'the event was deleted meanwhile' };
      // What is told for the first time was wanted when it happened.
      if (item.attempts > 0 && !(await deps.isWanted(item.target, event))) return { gone: 'the webhook was deleted meanwhile' };
      const keys = await deps.signingKeys(event.accountId);
      const data = await deps.eventData({ event, message, recipient });
      const body = (): Buffer[] => [webhookBody(data, keys, deps.clock.nowMs())];
      return {
        url: item.target,
        headers: { ...WEBHOOK_HEADERS, 'x-postrider-delivery': String(item.id), 'x-postrider-attempt': String(item.attempts + 1) },
        body: body(),
        bodyAgain: body,
      };
    },
    eventKind: 'untold',
    // The log has every attempt; the timeline is told of what never arrived.
    event: ({ event }, post, text) =>
      post.result === 'failed' ? { webhook: { ...post, ...(event !== undefined && { event: event.kind }) }, text } : undefined,
  };
}
