/**
 * An event as Mailgun's events API (and later its webhooks) shows it. SDKs are strict about types: `timestamp` is a float of seconds,
 * codes are integers, dates that do not exist are left out. Kinds that Mailgun does not know (cancelled, notified, recovered) have
 * no such form: Mailgun's Go SDK fails on a name it does not know, so `mailgunName` says undefined and nobody shows them there.
 */
import { hash } from 'node:crypto';
import { fillShown } from '#mail/placeholders.ts';
import type { EventDetail, EventKind, EventRow } from '#model/event.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import { recipientValues } from '#model/recipient-values.ts';
import type { EventView } from '#store/store.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import { storageKey } from './storage-key.ts';

export interface EventUrls {
  /** Absolute URL of a stored message. */
  storage(domain: string, key: string): string;
}

const NAMES: Readonly<Partial<Record<EventKind, string>>> = {
  accepted: 'accepted',
  delivered: 'delivered',
  failed: 'failed',
  deferred: 'failed',
  rejected: 'rejected',
  opened: 'opened',
  clicked: 'clicked',
  unsubscribed: 'unsubscribed',
  complained: 'complained',
  stored: 'stored',
};

/** Kinds with a name in Mailgun's API, in the order of their numbers. */
export const MAILGUN_KINDS = Object.keys(NAMES) as readonly EventKind[];

export function mailgunName(kind: EventKind): string | undefined {
  return NAMES[kind];
}

export function severityOf(kind: EventKind): 'permanent' | 'temporary' | undefined {
  if (kind === 'failed') return 'permanent';
  return kind === 'deferred' ? 'temporary' : undefined;
}

/** Variables beyond this are not shown, and this sentence stands in their place, as SDKs expect. */
const VARIABLES_MAX = 4096;
const VARIABLES_LOST = 'Could not load user-variables. They were either truncated or invalid JSON';
/** Mailgun's service codes for what was never sent. */
const SUPPRESSED: Readonly<Record<string, readonly [code: number, description: string]>> = {
  'suppress-bounce': [605, 'Not delivering to previously bounced address'],
  'suppress-unsubscribe': [606, 'Not delivering to unsubscribed address'],
  'suppress-complaint': [607, 'Not delivering to a user who marked your messages as spam'],
};

/** 22 characters, url-safe; the same event always has the same. It tells nothing about other events. */
export function eventId(event: EventRow): string {
  return hash('sha256', `${event.id}.${event.atUs}.${event.accountId}`, 'base64url').slice(0, 22);
}

export function mailgunEvent(view: EventView, urls: EventUrls): Record<string, unknown> {
  const { event, message, recipient } = view;
  const common = {
    event: mailgunName(event.kind) ?? event.kind,
    id: eventId(event),
    timestamp: shownSeconds(event.atUs),
    'log-level': logLevel(event.kind),
  };
  return { ...common, ...body(event, message, recipient, urls) };
}

/** Never a whole number, which older webhook parsers for PHP refuse for want of a fraction: events of a full second are shown a tenth of a millisecond later. */
function shownSeconds(atUs: number): number {
  return (atUs % 1e6 === 0 ? atUs + 100 : atUs) / 1e6;
}

function body(
  event: EventRow,
  message: StoredMessage | undefined,
  recipient: StoredRecipient | undefined,
  urls: EventUrls,
): Record<string, unknown> {
  const about = {
    ...whom(recipient),
    ...(message === undefined ? { tags: [], campaigns: [], 'user-variables': {} } : labels(message, recipient)),
  };
  const { detail } = event;
  switch (event.kind) {
    case 'accepted':
      return {
        ...origin(message),
        ...routed(message, recipient),
        ...envelope(message, recipient, undefined),
        ...flags(message, recipient),
        ...messageOf(message, recipient, true),
        ...storage(message, urls),
        ...about,
      };
    case 'delivered':
      return {
        ...envelope(message, recipient, detail),
        ...flags(message, recipient),
        'delivery-status': deliveryStatus(detail, recipient),
        ...messageOf(message, recipient),
        ...storage(message, urls),
        ...about,
      };
    case 'failed':
    case 'deferred':
      return {
        severity: severityOf(event.kind),
        reason: reasonOf(event),
        ...failure(event, message, recipient),
        ...messageOf(message, recipient),
        ...storage(message, urls),
        ...about,
      };
    case 'rejected':
      // The one message event that names no recipient.
      return {
        flags: { 'is-test-mode': isTest(message) },
        reject: { reason: detail.text ?? '', description: '' },
        ...messageOf(message, recipient),
        ...without(about),
      };
    case 'complained':
      return { flags: { 'is-test-mode': isTest(message) }, ...messageOf(message, recipient), ...about };
    case 'stored':
      return {
        flags: { 'is-test-mode': isTest(message) },
        ...messageOf(message, recipient, true),
        ...storage(message, urls),
        ...without(about),
      };
    default:
      // opened, clicked, unsubscribed: the Message-ID is all they tell about the message.
      return { ...about, ...visit(event), message: { headers: { 'message-id': message?.messageId ?? '' } } };
  }
}

const UNKNOWN_PLACE = { country: 'Unknown', region: 'Unknown', city: 'Unknown' };

/** Who opened, clicked or unsubscribed, as far as it is known. Where that was is not looked up, and said to be unknown. */
function visit({ kind, detail: { client, geo, ip, url } }: EventRow): Record<string, unknown> {
  return {
    ...(url !== undefined && { url }),
    ...(ip !== undefined && { ip, geolocation: { ...UNKNOWN_PLACE, ...geo } }),
    ...(client !== undefined && {
      'client-info': {
        'client-type': client.type,
        'client-os': client.os,
        'device-type': client.device,
        'client-name': client.name,
        'user-agent': client.userAgent,
        ...(kind !== 'unsubscribed' && { bot: client.bot ?? '' }),
      },
    }),
  };
}

function failure(event: EventRow, message: StoredMessage | undefined, recipient: StoredRecipient | undefined): Record<string, unknown> {
  const { detail } = event;
  // An asynchronous bounce has no envelope of ours.
  if (detail.reason === 'delayed-bounce')
    return { envelope: {}, flags: { 'is-delayed-bounce': true }, 'delivery-status': deliveryStatus(detail, recipient) };
  const retry =
    event.kind === 'deferred' && detail.nextAtMs !== undefined
      ? Math.max(0, Math.round(detail.nextAtMs / 1000 - event.atUs / 1e6))
      : undefined;
  return {
    ...envelope(message, recipient, detail),
    ...flags(message, recipient),
    'delivery-status': {
      ...deliveryStatus(detail, recipient),
      ...(retry !== undefined && { 'retry-seconds': retry }),
      ...(event.kind === 'failed' && detail.reason === 'bounce' && { 'bounce-type': 'hard' }),
    },
  };
}

function logLevel(kind: EventKind): string {
  if (kind === 'failed') return 'error';
  return kind === 'deferred' || kind === 'rejected' || kind === 'complained' ? 'warn' : 'info';
}

function reasonOf(event: EventRow): string {
  return event.detail.reason ?? 'generic';
}

function isTest(message: StoredMessage | undefined): boolean {
  return message?.info.options.testMode ?? false;
}

function origin(message: StoredMessage | undefined): Record<string, unknown> {
  if (message === undefined) return {};
  const { method, origin: from, keyId } = message.info;
  return {
    method: method === 'HTTP' ? 'HTTP' : 'smtp',
    ...(from.address !== '' && { 'originating-ip': from.address }),
    ...(keyId !== undefined && { 'api-key-id': keyId }),
  };
}

function envelope(
  message: StoredMessage | undefined,
  recipient: StoredRecipient | undefined,
  detail: EventDetail | undefined,
): Record<string, unknown> {
  return {
    envelope: {
      sender: message?.sender ?? '',
      ...(detail?.forward === undefined
        ? { transport: 'smtp', targets: recipient?.address ?? '' }
        : { transport: 'http', targets: detail.forward.url }),
      ...(detail?.attempt?.source !== undefined && /^[\d.:a-f]+$/i.test(detail.attempt.source) && { 'sending-ip': detail.attempt.source }),
    },
  };
}

function flags(message: StoredMessage | undefined, recipient: StoredRecipient | undefined): Record<string, unknown> {
  const isRouted = message?.info.routes !== undefined;
  return {
    flags: {
      // What came in from elsewhere, and what is sent on of it, nobody of ours handed in.
      'is-authenticated': !isRouted && recipient?.ending !== 'received',
      'is-routed': isRouted,
      'is-system-test': false,
      'is-test-mode': isTest(message),
      'is-amp': false,
    },
  };
}

/** The rules by which it came in or is sent on: this recipient's, of mail that came in for several. */
function routed(message: StoredMessage | undefined, recipient: StoredRecipient | undefined): Record<string, unknown> {
  const all = message?.info.routes;
  if (all === undefined) return {};
  const own = recipient?.ending === 'received' ? all.filter((route) => route.recipient === recipient.address) : all;
  return { routes: own.map((route) => ({ expression: route.expression, id: route.id, match: { recipient: route.recipient } })) };
}

function deliveryStatus(detail: EventDetail, recipient: StoredRecipient | undefined): Record<string, unknown> {
  const { attempt } = detail;
  const suppressed = detail.reason === undefined ? undefined : SUPPRESSED[detail.reason];
  const steps = attempt === undefined ? 0 : Object.values(attempt.steps).reduce((sum, ms) => sum + ms, 0);
  return {
    code: detail.code ?? suppressed?.[0] ?? (detail.testMode === true ? 650 : 0),
    message: suppressed === undefined ? (detail.text ?? '') : '',
    description: suppressed?.[1] ?? attempt?.trouble ?? '',
    'attempt-no': attempt === undefined || attempt.number === 0 ? Math.max(1, recipient?.attempts ?? 1) : attempt.number,
    'session-seconds': Math.round(steps) / 1000,
    ...(detail.enhanced !== undefined && { 'enhanced-code': detail.enhanced }),
    // Ours: an earlier attempt may have been delivered (P4).
    ...(detail.possibleDuplicate === true && { 'possible-duplicate': true }),
    ...(attempt?.host !== undefined && {
      'mx-host': attempt.host,
      tls: attempt.tls !== undefined,
      'certificate-verified': attempt.tls?.verified ?? false,
      utf8: true,
    }),
  };
}

function messageOf(
  message: StoredMessage | undefined,
  recipient: StoredRecipient | undefined,
  isIncoming = false,
): Record<string, unknown> {
  if (message === undefined) return { message: { headers: { 'message-id': '' }, attachments: [], size: 0 } };
  const { info } = message;
  const deliverAtMs = isIncoming ? info.options.deliverAtMs : undefined;
  return {
    message: {
      headers: shownHeaders(message, recipient),
      attachments: info.attachments,
      ...(isIncoming && { recipients: recipient === undefined ? [] : [recipient.address] }),
      size: info.sizeBytes,
      ...(deliverAtMs !== undefined && deliverAtMs > message.createdMs && { 'scheduled-for': deliverAtMs / 1000 }),
    },
  };
}

/** In a batch, as this recipient got them. */
/** Characters that one text of an event may grow to. */
const SHOWN_MAX = 4096;

function shownHeaders(message: StoredMessage, recipient: StoredRecipient | undefined): Record<string, string> {
  const { batchId, from, to, subject } = message.info;
  const values = batchId === undefined || recipient === undefined ? undefined : recipientValues(recipient);
  const shown = (text: string): string => (values === undefined ? text : fillShown(text, values, SHOWN_MAX));
  return { to: shown(to), 'message-id': message.messageId, from: shown(from), subject: shown(subject) };
}

function storage(message: StoredMessage | undefined, urls: EventUrls): Record<string, unknown> {
  if (message === undefined || message.contentId === 0) return {};
  const key = storageKey(message.id);
  return { storage: { url: urls.storage(message.domain, key), key, region: 'local', env: 'production' } };
}

function whom(recipient: StoredRecipient | undefined): Record<string, unknown> {
  if (recipient === undefined) return {};
  const provider = providerOf(recipient.domain);
  return {
    recipient: recipient.address,
    'recipient-domain': recipient.domain,
    ...(provider !== undefined && { 'recipient-provider': provider }),
  };
}

function labels(message: StoredMessage, recipient: StoredRecipient | undefined): Record<string, unknown> {
  const { options, batchId, renderLate, mailingList } = message.info;
  const template =
    options.template === undefined
      ? undefined
      : { name: options.template.name, version: options.template.version ?? renderLate?.version, 'is-text': options.template.text };
  return {
    tags: options.tags,
    campaigns: [],
    'user-variables': shownVariables(options.variables, recipient),
    ...(batchId !== undefined && { batch: { id: batchId } }),
    ...(mailingList !== undefined && {
      'mailing-list': { address: mailingList.address, 'list-id': mailingList.listId, sid: mailingList.sid },
    }),
    ...(template !== undefined && { template }),
  };
}

/** In a batch a variable may say %recipient.id%: it is shown as this recipient got it. */
function shownVariables(variables: Readonly<Record<string, unknown>>, recipient: StoredRecipient | undefined): unknown {
  const names = Object.keys(variables);
  if (names.length === 0) return {};
  const json = JSON.stringify(variables);
  if (json.length > VARIABLES_MAX) return VARIABLES_LOST;
  if (recipient?.variables === undefined || !json.includes('%recipient')) return variables;
  const own = recipientValues(recipient);
  return Object.fromEntries(
    names.map((name) => {
      const value = variables[name];
      return [name, typeof value === 'string' ? fillShown(value, own, SHOWN_MAX) : value];
    }),
  );
}

/** Without what names the recipient. */
function without(about: Record<string, unknown>): Record<string, unknown> {
  const { recipient: _recipient, 'recipient-domain': _domain, 'recipient-provider': _provider, ...rest } = about;
  return rest;
}
