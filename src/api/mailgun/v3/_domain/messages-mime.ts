/** POST /v3/{domain}/messages.mime: a message that is MIME already. `to` is the envelope; the header's To is cosmetic. */
import { Buffer, isAscii } from 'node:buffer';
import { parseAddressList } from '#mail/address.ts';
import type { Mailbox } from '#mail/address.ts';
import { findField, rawValue, readHeader } from '#mail/header.ts';
import { AppError, badParameter } from '#model/errors.ts';
import { takeMailgunHeaders } from '#submission/mailgun-headers.ts';
import { readRecipients } from '#api/conventions/addresses.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { toCrlf } from '#api/conventions/crlf.ts';
import type { Form } from '#api/conventions/form.ts';
import { envelopeOf, handIn, optionPairs, readOptions, readRecipientVariables } from '#api/conventions/sending.ts';
import { sendingDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { mimeForm, queuedAnswer } from '#api/shapes/sending.ts';

export function sendMime(door: Door): Endpoint {
  return {
    method: 'POST',
    url: '/v3/:domain/messages.mime',
    summary: 'Send a message given as MIME',
    right: 'send',
    form: mimeForm,
    answer: queuedAnswer,
    handle: (call) => send(door, call),
  };
}

async function send(door: Door, call: Call): Promise<Answer> {
  const domain = await sendingDomain(door.deps.accounts, call.principal, call.param('domain'));
  const { form } = call.body;
  const recipients = readRecipients(form, door.limits.recipients);
  if (recipients.to.length === 0) throw badParameter('to parameter is missing');
  const given = messageBytes(form);
  if (given.length > door.limits.messageBytes) throw new AppError('message-too-large', { max: door.limits.messageBytes });
  const taken = takeMailgunHeaders(toCrlf(given));
  const sender = senderOf(taken.mime);
  const variables = readRecipientVariables(door, form) ?? taken.recipientVariables;
  // Parameters of the call stand behind those of the header, so they win.
  const options = readOptions(door, [...taken.pairs, ...optionPairs(form)]);
  const body = isAscii(taken.mime) ? '7BIT' : '8BITMIME';
  const envelope = envelopeOf(sender, recipients, variables, body, door.limits.batchCopies);
  return handIn(door, call, domain, { envelope, content: { kind: 'mime', bytes: taken.mime }, options, batch: variables !== undefined });
}

function messageBytes(form: Form): Buffer {
  const file = form.filesNamed('message')[0];
  const text = file === undefined ? form.get('message') : undefined;
  if (file === undefined && text === undefined) throw badParameter('message parameter is missing');
  return file?.bytes ?? Buffer.from(text ?? '', 'utf8');
}

/** The first mailbox of From (RFC 5322 §3.6.2). */
function senderOf(mime: Buffer): Mailbox {
  const header = readHeader(mime);
  const from = findField(header, 'from');
  if (from === undefined) throw badParameter('from parameter is missing');
  // As written: a decoded display name may hold commas and quotes that no longer stand in an encoded word.
  const sender = parseAddressList(rawValue(header, from), 20)?.[0];
  if (sender === undefined) throw new AppError('bad-address', { field: 'from' });
  return sender;
}
