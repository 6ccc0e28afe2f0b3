/** /v1/sandbox/messages: what the sandbox captured: the list, one parsed with its DKIM result, raw, attachments, and clearing it. */
import { badParameter } from '#model/errors.ts';
import type { CapturedMail } from '#store/sandbox-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { download } from '#api/conventions/download.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { parseMail } from '#api/conventions/parsed-mail.ts';
import { countOf } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { cleared, sandboxList, sandboxMessage, sandboxQuery } from '#api/shapes/messages.ts';
import { captured, dkimResults, listCaptured } from './captured.ts';

const LIST_DEFAULT = 50;
const LIST_MAX = 300;

export function sandboxMessages(door: Door): Endpoint[] {
  const url = '/v1/sandbox/messages';
  return [
    {
      method: 'GET',
      url,
      summary: 'What the sandbox captured',
      right: 'read',
      query: sandboxQuery,
      answer: sandboxList,
      handle: (call) => list(door, call),
    },
    { method: 'DELETE', url, summary: 'Forget all that was captured', right: 'operate', answer: cleared, handle: () => clear(door) },
    {
      method: 'GET',
      url: `${url}/:id`,
      summary: 'One captured message, parsed',
      right: 'read',
      answer: sandboxMessage,
      handle: (call) => show(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:id/raw`,
      summary: 'One captured message as it arrived',
      right: 'read',
      handle: (call) => raw(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:id/attachments/:number`,
      summary: 'One attachment',
      right: 'read',
      handle: (call) => attachment(door, call),
    },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const limit = countOf(call, 'limit', LIST_DEFAULT, LIST_MAX) || LIST_DEFAULT;
  return json({ items: await listCaptured(door.deps.store, call.principal.accountId, limit, numberOf(call.query.get('before'))) });
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

async function find(door: Door, call: Call): Promise<CapturedMail & { readonly bytes: Uint8Array }> {
  const mail = await captured(door.deps.store, call.principal.accountId, call.param('id'));
  if (mail === undefined) throw new NotFound('Message not found');
  return mail;
}

async function show(door: Door, call: Call): Promise<Answer> {
  const { bytes, ...facts } = await find(door, call);
  const [mail, dkim] = await Promise.all([parseMail(bytes), dkimResults(door.deps.store, bytes)]);
  return json({
    ...facts,
    headers: mail.headers,
    ...(mail.text !== undefined && { text: mail.text }),
    ...(mail.html !== undefined && { html: mail.html }),
    attachments: mail.attachments.map((item, number) => ({
      number,
      filename: item.filename,
      contentType: item.contentType,
      sizeBytes: item.sizeBytes,
    })),
    dkim,
  });
}

async function raw(door: Door, call: Call): Promise<Answer> {
  const mail = await find(door, call);
  return download(mail.bytes, `message-${mail.id}.eml`, 'message/rfc822');
}

async function attachment(door: Door, call: Call): Promise<Answer> {
  const mail = await parseMail((await find(door, call)).bytes);
  const item = /^\d{1,4}$/.test(call.param('number')) ? mail.attachments[Number(call.param('number'))] : undefined;
  if (item === undefined) throw new NotFound('Attachment not found');
  return download(item.bytes, item.filename, item.contentType);
}

/** The capture belongs to the whole installation: where several accounts share it, none may empty it for the others (P10). */
async function clear(door: Door): Promise<Answer> {
  const accounts = await door.deps.store.accounts.listAccounts();
  if (accounts.length > 1) throw badParameter(`the sandbox is shared by ${accounts.length} accounts and cannot be cleared by one`);
  return json({ message: 'The sandbox is empty', deleted: await door.deps.store.sandbox.clear() });
}
