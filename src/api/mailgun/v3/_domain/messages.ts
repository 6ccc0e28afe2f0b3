/** POST /v3/{domain}/messages: a message in parts, composed by us. */
import { displayMailbox } from '#mail/address.ts';
import type { Mailbox } from '#mail/address.ts';
import { badParameter } from '#model/errors.ts';
import type { Attachment, Content } from '#model/submission.ts';
import { accountTemplates } from '#store/template-store.ts';
import type { Domain } from '#store/store.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { readFrom, readRecipients } from '#api/conventions/addresses.ts';
import type { Recipients } from '#api/conventions/addresses.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Form } from '#api/conventions/form.ts';
import { headerLine, readHeaders } from '#api/conventions/header-fields.ts';
import { envelopeOf, handIn, optionPairs, readOptions, readRecipientVariables } from '#api/conventions/sending.ts';
import { sendingDomain } from '#api/conventions/tenant.ts';
import { messageForm, queuedAnswer } from '#api/shapes/sending.ts';

export function sendMessage(door: Door): Endpoint {
  return {
    method: 'POST',
    url: '/v3/:domain/messages',
    summary: 'Send a message given in parts',
    right: 'send',
    form: messageForm,
    answer: queuedAnswer,
    handle: (call) => send(door, call),
  };
}

async function send(door: Door, call: Call): Promise<Answer> {
  const domain = await sendingDomain(door.deps.accounts, call.principal, call.param('domain'));
  const { form } = call.body;
  const from = readFrom(await fromValues(door, domain, form));
  const recipients = readRecipients(form, door.limits.recipients);
  const [sender] = from;
  if (sender === undefined) throw badParameter('from parameter is missing');
  if (recipients.to.length === 0) throw badParameter('to parameter is missing');
  const variables = readRecipientVariables(door, form);
  const content = contentOf(form, from, recipients, variables !== undefined);
  const options = readOptions(door, optionPairs(form));
  const envelope = envelopeOf(sender, recipients, variables, '8BITMIME', door.limits.batchCopies);
  return handIn(door, call, domain, { envelope, content, options, batch: variables !== undefined });
}

/** A template may bring the sender. */
async function fromValues(door: Door, domain: Domain, form: Form): Promise<readonly string[]> {
  const given = form.all('from');
  const template = form.get('template');
  if (given.length > 0 || template === undefined) return given;
  const { templates } = door.deps.store;
  const [name, tag] = [template.toLowerCase(), form.get('t:version')?.toLowerCase()];
  const version =
    (await templates.version(domain.id, name, tag)) ?? (await templates.version(accountTemplates(domain.accountId), name, tag));
  const from = Object.entries(version?.headers ?? {}).find(([name]) => name.toLowerCase() === 'from')?.[1];
  return from === undefined ? [] : [from];
}

function contentOf(form: Form, from: readonly Mailbox[], recipients: Recipients, isBatch: boolean): Content {
  const text = form.text('text');
  const html = form.text('html');
  const ampHtml = form.text('amp-html');
  const hasTemplate = form.get('template') !== undefined;
  if (html !== undefined && hasTemplate) throw badParameter("Only one parameters 'html' or 'template' is allowed");
  if (text === undefined && html === undefined && ampHtml === undefined && !hasTemplate) {
    throw badParameter("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified.");
  }
  const subject = form.get('subject');
  return {
    kind: 'parts',
    from: written(from).join(', '),
    // Each recipient of a batch sees only itself.
    to: isBatch ? ['%recipient%'] : written(recipients.to),
    cc: written(recipients.cc),
    ...(subject !== undefined && { subject: headerLine('subject', subject) }),
    ...(text !== undefined && { text }),
    ...(html !== undefined && { html }),
    ...(ampHtml !== undefined && { ampHtml }),
    headers: readHeaders(form),
    attachments: form.files.length === 0 ? [] : attachmentsOf(form),
  };
}

function written(mailboxes: readonly Mailbox[]): string[] {
  return mailboxes.map((mailbox) => displayMailbox(mailbox.name, mailbox.address));
}

function attachmentsOf(form: Form): Attachment[] {
  const result: Attachment[] = [];
  for (const file of form.files) {
    // A browser sends an empty file for a file input that was left alone.
    if (file.filename === '' && file.bytes.length === 0) continue;
    const attachment = { filename: file.filename || 'attachment', contentType: headerLine(file.name, file.contentType), bytes: file.bytes };
    if (file.name === 'attachment') result.push(attachment);
    else if (file.name === 'inline') result.push({ ...attachment, contentId: attachment.filename });
  }
  return result;
}
