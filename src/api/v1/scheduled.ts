/**
 * /v1/scheduled: mail that is to leave at a time to come, listed by that time, and moved or taken back by its message, for all of its recipients or for one of them. What somebody has begun to deliver is
 * not scheduled any more: then the answer is 409, and nothing is changed. All of a domain at once is DELETE /v3/{domain}/envelopes.
 */
import { parseEventTime } from '#events/event-time.ts';
import { parsePath } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { StoredRecipient } from '#model/message.ts';
import type { Scheduled, ScheduledChoice, ScheduledPosition } from '#store/scheduled-store.ts';
import type { MessageView } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { countOf, type Fields, fieldsOf } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  moveForm,
  movedAnswer,
  scheduledList,
  scheduledMessage,
  scheduledQuery,
  whoseQuery,
  withdrawnAnswer,
} from '#api/shapes/scheduled.ts';
import { findMessage } from './messages.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 300;

export function scheduled(door: Door): Endpoint[] {
  const url = '/v1/scheduled';
  return [
    {
      method: 'GET',
      url,
      summary: 'Scheduled mail, the earliest first',
      right: 'read',
      query: scheduledQuery,
      answer: scheduledList,
      handle: (call) => list(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:id`,
      summary: 'The scheduled recipients of a message, by its id or Message-ID',
      right: 'read',
      query: whoseQuery,
      answer: scheduledMessage,
      handle: (call) => show(door, call),
    },
    {
      method: 'PUT',
      url: `${url}/:id`,
      summary: 'Move a scheduled message, or one recipient of it, to another time',
      right: 'write',
      form: moveForm,
      answer: movedAnswer,
      handle: (call) => move(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:id`,
      summary: 'Take back a scheduled message, or one recipient of it',
      right: 'write',
      query: whoseQuery,
      answer: withdrawnAnswer,
      handle: (call) => withdraw(door, call),
    },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { principal } = call;
  const fields = fieldsOf(call);
  const limit = Math.max(1, countOf(call, 'limit', LIMIT_DEFAULT, LIMIT_MAX));
  const found = await door.deps.store.mail.listScheduled(await domainsOf(door, call, fields), positionOf(fields.get('page')), limit);
  const items = found.filter(({ message }) => message.accountId === principal.accountId);
  const last = found.length === limit ? found.at(-1) : undefined;
  return json({ items: items.map(shown), paging: last === undefined ? {} : { next: nextUrl(call, limit, last) } });
}

async function domainsOf(door: Door, { principal }: Call, fields: Fields): Promise<readonly number[]> {
  const { accounts, store } = door.deps;
  const names = fields.list('domain');
  if (names.length > 0)
    return Promise.all([...new Set(names)].map(async (name) => (await requiredDomain(accounts, principal, name, 'Domain not found')).id));
  if (principal.domainId !== undefined) return [principal.domainId];
  return (await store.accounts.listDomains(principal.accountId)).map(({ id }) => id);
}

/** "1763931234567-17": after that recipient. */
function positionOf(text: string | undefined): ScheduledPosition | undefined {
  if (text === undefined) return undefined;
  const [, dueAtMs, id] = /^(\d{1,15})-(\d{1,16})$/.exec(text) ?? [];
  if (dueAtMs === undefined || !Number.isSafeInteger(Number(id))) throw badParameter("'page' parameter is not one that was given out");
  return { dueAtMs: Number(dueAtMs), id: Number(id) };
}

function nextUrl(call: Call, limit: number, { recipient }: Scheduled): string {
  const kept = call.query.all('domain').map((value) => ['domain', value] as [string, string]);
  const query = new URLSearchParams([...kept, ['limit', String(limit)], ['page', `${recipient.dueAtMs}-${recipient.id}`]]);
  return `${call.publicUrl}/v1/scheduled?${query.toString()}`;
}

function shown({ message, recipient }: Scheduled): object {
  return {
    message: message.id,
    message_id: message.messageId,
    domain: message.domain,
    recipient: recipient.address,
    scheduled_at: new Date(recipient.dueAtMs).toISOString(),
    ...(recipient.timeZone !== undefined && { time_zone: recipient.timeZone }),
    created_at: new Date(message.createdMs).toISOString(),
    from: message.info.from,
    subject: message.info.subject,
    tags: message.info.options.tags,
  };
}

/** The message that the path names, of the caller's, and which of its recipients are meant. */
async function find(door: Door, call: Call): Promise<{ readonly view: MessageView; readonly recipient: StoredRecipient | undefined }> {
  const { accountId, domainId } = call.principal;
  const view = await findMessage(door, accountId, call.param('id'));
  if (view === undefined || (domainId !== undefined && domainId !== view.message.domainId)) throw new AppError('message-not-found');
  const address = fieldsOf(call).get('recipient');
  if (address === undefined) return { view, recipient: undefined };
  const path = parsePath(address.replace(/^<|>$/g, ''), { allowNull: false });
  if (path === undefined) throw new AppError('bad-address', { field: 'recipient' });
  const recipient = view.recipients.find((each) => each.address.toLowerCase() === path.address.toLowerCase());
  if (recipient === undefined) throw new AppError('no-such-recipient');
  return { view, recipient };
}

async function show(door: Door, call: Call): Promise<Answer> {
  const { view, recipient } = await find(door, call);
  const meant = recipient === undefined ? view.recipients : [recipient];
  const waiting = meant.filter(({ state, wait }) => state === 'queued' && wait === 'scheduled');
  return json({ items: waiting.map((each) => shown({ message: view.message, recipient: each })) });
}

function choiceOf({ view: { message }, recipient }: Awaited<ReturnType<typeof find>>): ScheduledChoice {
  const { id, accountId, domainId } = message;
  return { accountId, domainId, message: id, ...(recipient !== undefined && { recipient: recipient.id }) };
}

async function move(door: Door, call: Call): Promise<Answer> {
  const text = fieldsOf(call).get('o:deliverytime', 'deliverytime');
  if (text === undefined) throw badParameter('o:deliverytime parameter is missing');
  const nowMs = door.deps.clock.nowMs();
  const dueAtMs = timeOf(door, text, nowMs);
  const count = await door.deps.store.mail.moveScheduled(choiceOf(await find(door, call)), dueAtMs, nowMs);
  if (count === 0) throw new AppError('not-scheduled');
  door.deps.ringQueue?.();
  return json({ message: 'Moved', moved: count, scheduled_at: new Date(dueAtMs).toISOString() });
}

/** As `o:deliverytime` of a new message: a time that has passed means now. */
function timeOf(door: Door, text: string, nowMs: number): number {
  const us = parseEventTime(text);
  if (us === undefined) throw badParameter("'o:deliverytime' parameter is not a time: use an RFC 2822 date, ISO 8601 or Unix seconds");
  const atMs = Math.floor(us / 1000);
  const { scheduleHorizonMs } = door.limits;
  if (atMs - nowMs > scheduleHorizonMs) {
    const hours = Math.floor(scheduleHorizonMs / 3_600_000);
    throw badParameter(`'o:deliverytime' lies too far ahead: messages can be scheduled up to ${hours} hours ahead`);
  }
  return Math.max(atMs, Math.floor(nowMs));
}

async function withdraw(door: Door, call: Call): Promise<Answer> {
  const choice = choiceOf(await find(door, call));
  const count = await door.deps.store.mail.cancelScheduled(choice, Math.floor(door.deps.clock.nowMs()));
  if (count === 0) throw new AppError('not-scheduled');
  return json({ message: 'Cancelled', cancelled: count });
}
