/** /v1/messages: where a message is and why (P6): the whole timeline, the latest messages, those to one address, and taking one back. */
import { timeline } from '#events/timeline.ts';
import { parsePath } from '#mail/address.ts';
import { AppError } from '#model/errors.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { EventView, MessageView } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { countOf } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { cancelled, messageList, messageQuery, timelineAnswer } from '#api/shapes/messages.ts';

const LIST_DEFAULT = 50;
const LIST_MAX = 300;
const RECIPIENTS_MAX = 1000;

export function messages(door: Door): Endpoint[] {
  const url = '/v1/messages';
  return [
    {
      method: 'GET',
      url,
      summary: 'The latest messages, or those to one recipient',
      right: 'read',
      query: messageQuery,
      answer: messageList,
      handle: (call) => list(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:id`,
      summary: 'The timeline of a message, by its id or Message-ID',
      right: 'read',
      answer: timelineAnswer,
      handle: (call) => show(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:id`,
      summary: 'Take back what is not delivered yet',
      right: 'write',
      answer: cancelled,
      handle: (call) => cancel(door, call),
    },
  ];
}

/** By our number, or by Message-ID with or without its brackets; only the caller's own. */
async function find(door: Door, call: Call): Promise<MessageView> {
  const view = await findMessage(door, call.principal.accountId, call.param('id'));
  const isAllowed = call.principal.domainId === undefined || call.principal.domainId === view?.message.domainId;
  if (view === undefined || !isAllowed) throw new AppError('message-not-found');
  return view;
}

export async function findMessage(door: Door, accountId: number, id: string): Promise<MessageView | undefined> {
  const { events } = door.deps.store;
  if (/^[1-9]\d{0,15}$/.test(id) && Number.isSafeInteger(Number(id))) return events.messageById(accountId, Number(id), RECIPIENTS_MAX);
  const messageId = id.replace(/^<|>$/g, '');
  return messageId === '' || messageId.length > 998 ? undefined : events.messageByMessageId(accountId, messageId, RECIPIENTS_MAX);
}

async function show(door: Door, call: Call): Promise<Answer> {
  return json(timeline(await find(door, call), door.deps.waitOf));
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { principal, query } = call;
  const limit = countOf(call, 'limit', LIST_DEFAULT, LIST_MAX) || LIST_DEFAULT;
  const address = query.get('recipient');
  if (address === undefined) {
    const views = await door.deps.store.events.latestMessages(principal.accountId, limit);
    return json({
      items: views.map(({ message, recipients }) => ({ ...messageFacts(message), recipients: recipients.map(recipientFacts) })),
    });
  }
  const path = parsePath(address.replace(/^<|>$/g, ''), { allowNull: false });
  if (path === undefined) throw new AppError('bad-address', { field: 'recipient' });
  const rows = await door.deps.store.events.recipientsByAddress(principal.accountId, path.address, limit);
  return json({ items: rows.flatMap(rowFacts) });
}

function rowFacts({ message, recipient }: EventView): object[] {
  return message === undefined || recipient === undefined ? [] : [{ ...messageFacts(message), recipients: [recipientFacts(recipient)] }];
}

function messageFacts(message: StoredMessage): object {
  const { info } = message;
  return {
    id: message.id,
    messageId: message.messageId,
    domain: message.domain,
    from: info.from,
    to: info.to,
    subject: info.subject,
    createdMs: message.createdMs,
  };
}

function recipientFacts(recipient: StoredRecipient): object {
  const isDone = recipient.state === 'done';
  return {
    address: recipient.address,
    state: recipient.ending ?? recipient.state,
    attempts: recipient.attempts,
    ...(!isDone && { wait: recipient.wait, nextMs: recipient.dueAtMs }),
  };
}

async function cancel(door: Door, call: Call): Promise<Answer> {
  const { message } = await find(door, call);
  const count = await door.deps.store.mail.cancel(message.accountId, message.domainId, message.id, door.deps.clock.nowMs());
  return json({ message: count === 0 ? 'Nothing was left to cancel' : 'Cancelled', cancelled: count });
}
