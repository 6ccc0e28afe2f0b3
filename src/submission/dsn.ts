/**
 * Whether a settlement is told to the submitter by mail, and that mail (RFC 3461, 3464). The message it makes is accepted in the commit of
 * the settlement itself, so no failure is ever recorded and not told, or told twice.
 *
 * | settlement | told when NOTIFY has | as |
 * |---|---|---|
 * | failed, expired, suppressed | FAILURE (the default) | failed |
 * | delivered | SUCCESS, unless the next server takes that over | relayed |
 * | deferred, for longer than `delayAfterMs` | DELAY | delayed, once |
 * | cancelled, test mode | never | |
 *
 * What a server that took the mail reports later is told likewise, where it came to our return path in the submitter's place: to whom it would have gone.
 *
 * Of mail that was sent on to several in one recipient's place one failure is told: its sender wrote to one, and knows nothing of the others. This is kept in memory; after a restart another may be.
 *
 * Never for a null reverse-path, so never for a notification; never to a mailing list, whose members would all have it; never for mail that came by the API, which has events, unless its recipient asks with NOTIFY.
 */
import { isAscii } from 'node:buffer';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { domainOfAddress } from '#mail/address.ts';
import { buildDsn } from '#mail/dsn.ts';
import type { DsnAction, DsnRecipient } from '#mail/dsn.ts';
import { headerValue, readHeader } from '#mail/header.ts';
import type { EventDetail } from '#model/event.ts';
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Notify } from '#model/submission.ts';
import type { AcceptMessage, Settlement } from '#store/store.ts';
import { newMessageId } from './message-id.ts';
import { NO_OPTIONS } from './options.ts';

export interface DsnDeps {
  readonly clock: Clock;
  /** Our name, as the reporting server and in From. */
  readonly hostname: string;
  /** A delay is told when a recipient has waited this long. */
  readonly delayAfterMs: number;
  /** Of mail that was sent on the reverse-path is ours: whose it stands for. Absent: it is nobody else's. */
  senderBehind?(sender: string): string;
  /** How long a notification is tried itself. */
  readonly lifetimeMs: number;
}

/** `content`: the message as kept; asked for only when a notification is written. */
export type WriteDsn = (
  message: StoredMessage,
  recipient: StoredRecipient,
  settlement: Settlement,
  content: () => Promise<Uint8Array | undefined>,
) => Promise<Settlement['notification']>;

/** `detail`: what was reported of a recipient that had been delivered. Undefined: it is not told. */
export type WriteReportedDsn = (
  message: StoredMessage,
  recipient: StoredRecipient,
  action: DsnAction,
  detail: EventDetail,
  content: () => Promise<Uint8Array | undefined>,
) => Promise<AcceptMessage | undefined>;

/** Messages sent on of which it is remembered who was told of. */
const SENT_ON_MAX = 10_000;
const DEFAULT_NOTIFY: readonly Notify[] = ['FAILURE'];

export function createDsnWriter(deps: DsnDeps): WriteDsn {
  const toldOf = new BoundedCache<string, number>({ max: SENT_ON_MAX });
  return async (message, recipient, settlement, content) => {
    const action = dsnAction(message, recipient, settlement, deps.delayAfterMs);
    if (action === undefined) return undefined;
    if (senderOf(deps, message) !== message.sender) {
      const key = `${message.id} ${action}`;
      const first = toldOf.get(key, 0);
      // The same recipient's is written again where its settlement could not be committed.
      if (first !== undefined && first !== recipient.id) return undefined;
      toldOf.set(key, recipient.id, 0);
    }
    const original = await content();
    const { detail } = settlement.event;
    return { action, message: notification(deps, message, recipient, detail, action, original ?? new Uint8Array(0)) };
  };
}

export function createReportedDsnWriter(deps: DsnDeps): WriteReportedDsn {
  return async (message, recipient, action, detail, content) => {
    if (!isToBeTold(message, recipient)) return undefined;
    const wish: Notify = action === 'failed' ? 'FAILURE' : action === 'delayed' ? 'DELAY' : 'SUCCESS';
    if (!(recipient.notify ?? DEFAULT_NOTIFY).includes(wish)) return undefined;
    const original = await content();
    return notification(deps, message, recipient, detail, action, original ?? new Uint8Array(0));
  };
}

function isToBeTold({ sender, info }: StoredMessage, recipient: StoredRecipient): boolean {
  if (sender.toLowerCase() === info.mailingList?.address) return false;
  return sender !== '' && !info.options.testMode && (info.method === 'SMTP' || recipient.notify !== undefined);
}

/** Pure; costs nothing for mail that needs none. */
function dsnAction(
  message: StoredMessage,
  recipient: StoredRecipient,
  settlement: Settlement,
  delayAfterMs: number,
): DsnAction | undefined {
  if (!isToBeTold(message, recipient)) return undefined;
  const notify = recipient.notify ?? DEFAULT_NOTIFY;
  const { kind, detail } = settlement.event;
  if (kind === 'failed') return notify.includes('FAILURE') ? 'failed' : undefined;
  if (kind === 'delivered') return notify.includes('SUCCESS') && detail.attempt?.dsnHandedOn !== true ? 'relayed' : undefined;
  if (kind === 'deferred' && notify.includes('DELAY'))
    return passesDelay(message, recipient, settlement, delayAfterMs) ? 'delayed' : undefined;
  return undefined;
}

/**
 * The times at which a recipient is due follow each other without gap, so the moment lies between this attempt's and the next one's exactly once,
 * and nothing need be remembered.
 */
function passesDelay(message: StoredMessage, recipient: StoredRecipient, settlement: Settlement, delayAfterMs: number): boolean {
  const firstDueMs = Math.max(message.createdMs, message.info.options.deliverAtMs ?? 0);
  const momentMs = firstDueMs + delayAfterMs;
  return recipient.dueAtMs < momentMs && settlement.dueAtMs !== undefined && settlement.dueAtMs >= momentMs;
}

function senderOf(deps: DsnDeps, { sender }: StoredMessage): string {
  return deps.senderBehind?.(sender) ?? sender;
}

function notification(
  deps: DsnDeps,
  message: StoredMessage,
  recipient: StoredRecipient,
  detail: EventDetail,
  action: DsnAction,
  original: Uint8Array,
): AcceptMessage {
  const nowMs = deps.clock.nowMs();
  const to = senderOf(deps, message);
  const messageId = newMessageId(deps.hostname, nowMs);
  const content = buildDsn({
    reportingMta: deps.hostname,
    to,
    messageId,
    dateMs: nowMs,
    arrivalMs: message.createdMs,
    envid: message.info.envid,
    recipients: [recipientFacts(message, recipient, detail, action)],
    original: Buffer.from(original.buffer, original.byteOffset, original.byteLength),
    // RFC 3461 §4.3: RET concerns failures only.
    ret: action === 'failed' ? (message.info.ret ?? 'FULL') : 'HDRS',
  });
  return {
    accountId: message.accountId,
    domainId: message.domainId,
    domain: message.domain,
    messageId,
    sender: '',
    createdMs: nowMs,
    dueAtMs: nowMs,
    wait: 'due',
    expiresAtMs: nowMs + deps.lifetimeMs,
    priority: 1,
    info: notificationInfo(deps, message, content, to),
    content,
    recipients: [{ address: to, domain: domainOfAddress(to), notify: ['NEVER'], isLeased: false }],
  };
}

function notificationInfo(deps: DsnDeps, message: StoredMessage, content: Buffer, to: string): MessageInfo {
  const header = readHeader(content);
  return {
    from: headerValue(header, 'from') ?? '',
    to,
    subject: headerValue(header, 'subject') ?? '',
    sizeBytes: content.length,
    attachments: [],
    method: 'SMTP',
    origin: { address: '127.0.0.1', helo: deps.hostname },
    options: NO_OPTIONS,
    notifiesOf: message.id,
    smtputf8: /[\u0080-\uffff]/.test(to),
    body: isAscii(content) ? '7BIT' : '8BITMIME',
  };
}

function recipientFacts(message: StoredMessage, recipient: StoredRecipient, detail: EventDetail, action: DsnAction): DsnRecipient {
  const { attempt, returned } = detail;
  // Of a report the reply is what it quotes, and who quotes it stands for the server.
  const reply = returned === undefined ? attempt?.reply : { code: detail.code, enhanced: detail.enhanced, text: detail.text };
  return {
    address: recipient.address,
    orcpt: recipient.orcpt,
    action,
    status: statusOf(detail, action),
    remoteMta: returned === undefined ? (reply === undefined ? undefined : attempt?.host) : returned.reporter,
    reply: reply === undefined ? undefined : [reply.code, reply.enhanced, reply.text].filter((part) => part !== undefined).join(' '),
    trouble: attempt?.trouble ?? detail.text,
    lastAttemptMs: attempt?.startedMs,
    willRetryUntilMs: action === 'delayed' ? (recipient.expiresAtMs ?? message.expiresAtMs) : undefined,
  };
}

/** The server's own code where its class fits what we tell; else ours (RFC 3463). */
function statusOf(detail: EventDetail, action: DsnAction): string {
  const said = detail.enhanced ?? '';
  if (action === 'failed') {
    if (detail.bounceClass === 'expired') return '5.4.7';
    if (detail.bounceClass === 'suppressed') return '5.7.1';
    return said.startsWith('5.') ? said : '5.0.0';
  }
  if (action === 'delayed') return said.startsWith('4.') ? said : '4.0.0';
  return said.startsWith('2.') ? said : '2.0.0';
}
