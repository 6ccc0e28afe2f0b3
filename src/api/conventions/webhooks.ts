/**
 * Webhooks as the three families of endpoints see them: by type and by URL for a domain, and as objects for the account. One set stands behind the first two.
 * Changes are made to the whole set under its revision and tried again when another caller was faster.
 */
import { randomHex } from '#base/random.ts';
import { AppError, badParameter } from '#model/errors.ts';
import { WEBHOOK_EVENTS } from '#store/webhook-store.ts';
import type { Webhook, WebhookEvent } from '#store/webhook-store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { Refusal } from './errors.ts';
import { domainOf } from './tenant.ts';

/** URLs of one owner for one event type. */
export const URLS_PER_EVENT_MAX = 3;
const URL_MAX = 2048;
const TRIES_MAX = 8;

/** As clients called them before 2018. */
const FORMER_NAMES: Readonly<Record<string, WebhookEvent>> = {
  bounce: 'permanent_fail',
  deliver: 'delivered',
  drop: 'permanent_fail',
  open: 'opened',
  click: 'clicked',
  spam: 'complained',
  unsubscribe: 'unsubscribed',
};

export interface Owner {
  readonly accountId: number;
  /** ACCOUNT_WEBHOOKS: the account itself. */
  readonly domainId: number;
}

/** Refuses what nothing can be posted to. */
export function assertUrl(url: string): void {
  const trouble = urlTrouble(url);
  if (trouble === undefined) return;
  const sentence = `${url.slice(0, 200)} is not a valid url: ${trouble}`;
  throw new Refusal(400, sentence, { Reason: sentence });
}

export async function domainOwner(door: Door, call: Call): Promise<Owner> {
  const { id, accountId } = await domainOf(door, call);
  return { accountId, domainId: id };
}

export async function webhooksOf(door: Door, { accountId, domainId }: Owner): Promise<readonly Webhook[]> {
  return (await door.deps.store.webhooks.webhooksOf(accountId, domainId)).webhooks;
}

/** `edit` makes the new set of the one that is there; what it throws changes nothing. */
export async function changeWebhooks(
  door: Door,
  { accountId, domainId }: Owner,
  edit: (webhooks: readonly Webhook[]) => readonly Webhook[],
): Promise<readonly Webhook[]> {
  const { webhooks: kept } = door.deps.store;
  for (let tried = 0; tried < TRIES_MAX; tried++) {
    const before = await kept.webhooksOf(accountId, domainId);
    const after = edit(before.webhooks).filter(({ events }) => events.length > 0);
    if (!(await kept.putWebhooks(accountId, domainId, before.revision, after))) continue;
    door.deps.webhooksChanged?.();
    return after;
  }
  throw new AppError('overloaded');
}

// ---- what a request says -------------------------------------------------------------------------------------------------

export function eventOf(text: string): WebhookEvent | undefined {
  const word = text.trim().toLowerCase();
  return WEBHOOK_EVENTS.find((event) => event === word) ?? (Object.hasOwn(FORMER_NAMES, word) ? FORMER_NAMES[word] : undefined);
}

/** undefined: it is one that can be posted to. */
export function urlTrouble(text: string): string | undefined {
  if (text.length > URL_MAX) return `it is longer than ${URL_MAX} characters`;
  if (/[\u0000-\u0020\u007f]/.test(text) || !text.isWellFormed()) return 'it has spaces or control characters';
  if (!/^https?:\/\//i.test(text)) return 'invalid URL scheme';
  if (!URL.canParse(text) || new URL(text).hostname === '') return 'invalid URL';
  return undefined;
}

export function eventsOf(texts: readonly string[]): WebhookEvent[] {
  const events = texts
    .flatMap((text) => text.split(','))
    .filter((text) => text.trim() !== '')
    .map((text) => {
      const event = eventOf(text);
      const sentence = `event_type '${text.trim().slice(0, 60)}' is invalid`;
      if (event === undefined) throw new Refusal(404, sentence, { Description: sentence });
      return event;
    });
  const twice = events.find((event, at) => events.indexOf(event) !== at);
  if (twice !== undefined) {
    const value = `duplicate event types: '${twice}'`;
    throw new Refusal(400, value, { Field: 'event_types', Value: value });
  }
  if (events.length === 0) throw badParameter('event_types parameter is missing');
  return events;
}

// ---- sets ------------------------------------------------------------------------------------------------------------------

export function newWebhook(url: string, events: readonly WebhookEvent[], nowMs: number, description = ''): Webhook {
  return { id: randomHex(12), url, events, description, createdMs: nowMs };
}

export function urlsFor(webhooks: readonly Webhook[], event: WebhookEvent): string[] {
  return webhooks.filter(({ events }) => events.includes(event)).map(({ url }) => url);
}

/** Only types that have some. */
export function byEvent(webhooks: readonly Webhook[]): Record<string, { readonly urls: readonly string[] }> {
  return Object.fromEntries(
    WEBHOOK_EVENTS.map((event) => [event, { urls: urlsFor(webhooks, event) }] as const).filter(([, { urls }]) => urls.length > 0),
  );
}

/** The event type of which there are too many URLs. */
export function crowded(webhooks: readonly Webhook[]): WebhookEvent | undefined {
  return WEBHOOK_EVENTS.find((event) => urlsFor(webhooks, event).length > URLS_PER_EVENT_MAX);
}

/** The set in which exactly these URLs are told of the event, in this order. */
export function withUrls(webhooks: readonly Webhook[], event: WebhookEvent, urls: readonly string[], nowMs: number): readonly Webhook[] {
  const others = webhooks.map((webhook) => ({ ...webhook, events: webhook.events.filter((each) => each !== event) }));
  const named = urls.map((url) => {
    const known = others.find((webhook) => webhook.url === url);
    return known === undefined ? newWebhook(url, [event], nowMs) : { ...known, events: [...known.events, event] };
  });
  return [...others.filter(({ url }) => !urls.includes(url)), ...named];
}
