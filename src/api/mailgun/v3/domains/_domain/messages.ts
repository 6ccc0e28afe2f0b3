/**
 * /v3/domains/{domain}/messages/{key}: the content of a message while it is kept: as JSON, as JSON with its MIME
 * (Accept: message/rfc2822), its attachments, sent again, deleted. The key gives no right: the account and domain must be the message's.
 */
import { Buffer, isAscii } from 'node:buffer';
import { messageOfKey } from '#events/storage-key.ts';
import { type ReadMail, readMail } from '#mail/read-mail.ts';
import { badParameter } from '#model/errors.ts';
import { MailReader, type MadeMail } from '#routes/mail-reader.ts';
import { attachmentsShown, contentIdMap, headerFields, textFields } from '#routes/posted-mail.ts';
import { htmlToText } from '#templates/html-text.ts';
import type { Domain, MessageView } from '#store/store.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import { readRecipients } from '#api/conventions/addresses.ts';
import type { Recipients } from '#api/conventions/addresses.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { download } from '#api/conventions/download.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { ownCopy } from '#api/conventions/own-copy.ts';
import { handIn, plainRecipients, queued, readOptions } from '#api/conventions/sending.ts';
import { ownedDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { queuedAnswer, resendForm, storedMessage } from '#api/shapes/sending.ts';

const NOT_FOUND = 'Message not found';
/** Recipients that a huge batch shows. */
const RECIPIENTS_MAX = 1000;

export function storedMessages(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain/messages/:key';
  const reader = new MailReader(htmlToText);
  return [
    { method: 'GET', url, summary: 'A stored message', right: 'read', answer: storedMessage, handle: (call) => show(door, reader, call) },
    {
      method: 'POST',
      url,
      summary: 'Send a stored message again',
      right: 'send',
      form: resendForm,
      answer: queuedAnswer,
      handle: (call) => resend(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Delete a stored message',
      right: 'write',
      answer: messageAnswer,
      handle: (call) => remove(door, call),
    },
    {
      method: 'GET',
      url: `${url}/attachments/:number`,
      summary: 'One attachment',
      right: 'read',
      handle: (call) => attachment(door, call),
    },
  ];
}

interface Stored {
  readonly domain: Domain;
  readonly view: MessageView;
  readonly bytes: Buffer;
}

async function find(door: Door, call: Call): Promise<Stored> {
  const domain = await ownedDomain(door.deps.accounts, call.principal, call.param('domain'));
  const id = messageOfKey(call.param('key'));
  const view =
    domain === undefined || id === undefined ? undefined : await door.deps.store.events.messageById(domain.accountId, id, RECIPIENTS_MAX);
  if (domain === undefined || view === undefined || view.message.domainId !== domain.id) throw new NotFound(NOT_FOUND);
  await call.hold(view.message.info.sizeBytes);
  const bytes = view.message.contentId === 0 ? undefined : await door.deps.store.mail.content(view.message.contentId);
  if (bytes === undefined) throw new NotFound(NOT_FOUND);
  return { domain, view, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

async function show(door: Door, reader: MailReader, call: Call): Promise<Answer> {
  const { view, bytes } = await find(door, call);
  const envelope = { recipients: view.recipients.map((recipient) => recipient.address).join(', '), sender: view.message.sender };
  if (/message\/rfc2822/i.test(call.header('accept') ?? '')) {
    return json({ ...envelope, ...namesOf(readMail(bytes)), 'body-mime': bytes.toString('utf8') });
  }
  const made = await reader.read(view.message.contentId, bytes);
  const { mail } = made;
  return json({
    ...fieldsOf(mail),
    ...serviceFields(view.message),
    ...envelope,
    ...bodiesOf(made),
    ...attachmentsOf(call, mail),
    'message-headers': mail.headers,
  });
}

/** What stands above the content only when it goes out. */
function serviceFields({ info: { options } }: StoredMessage): Record<string, string> {
  const { tags, template } = options;
  return {
    ...(tags.length > 0 && { 'X-Mailgun-Tag': tags.at(-1) as string }),
    ...(template !== undefined && {
      'X-Mailgun-Template-Name': template.name,
      'X-Mailgun-Template-Variables': JSON.stringify(template.variables),
    }),
  };
}

/** As the hosted service spells them, whose clients look for these names; the message itself may spell them otherwise. */
const SPELLINGS = new Map([
  ['message-id', 'Message-Id'],
  ['mime-version', 'Mime-Version'],
]);

/** Every header is a key of its own, as it is spelt and as clients expect it; the last of a name stands. What is spelt as one of our keys is left out. */
function fieldsOf(mail: ReadMail): Record<string, unknown> {
  const expected = mail.headers.flatMap(([name, value]) => {
    const spelling = SPELLINGS.get(name.toLowerCase());
    return spelling === undefined ? [] : [[spelling, value] as const];
  });
  return Object.fromEntries([...headerFields(mail), ...expected]);
}

function namesOf(mail: ReadMail): Record<string, string> {
  return { from: mail.header('from') ?? '', subject: mail.header('subject') ?? '' };
}

function bodiesOf(made: MadeMail): Record<string, unknown> {
  return { ...namesOf(made.mail), 'stripped-signature': '', ...Object.fromEntries(textFields(made)) };
}

function attachmentsOf(call: Call, { files }: ReadMail): Record<string, unknown> {
  const url = `${call.publicUrl}/v3/domains/${call.param('domain')}/messages/${call.param('key')}`;
  return { attachments: attachmentsShown(files, url), 'content-id-map': contentIdMap(files, url) };
}

async function attachment(door: Door, call: Call): Promise<Answer> {
  const { bytes } = await find(door, call);
  const number = /^\d{1,4}$/.test(call.param('number')) ? Number(call.param('number')) : -1;
  const item = readMail(bytes).files[number];
  if (item === undefined) throw new NotFound('Attachment not found');
  return download(item.octets(), item.filename, item.contentType);
}

async function resend(door: Door, call: Call): Promise<Answer> {
  const { domain, view, bytes } = await find(door, call);
  const recipients = readRecipients(call.body.form, door.limits.recipients);
  if (recipients.to.length === 0) throw badParameter('to parameter is missing');
  const { message } = view;
  if (door.deps.sendAgain !== undefined && view.recipients.some(({ ending }) => ending === 'received')) {
    // Its author is somebody else, who has no part in this.
    await door.deps.sendAgain(
      message,
      bytes,
      plainRecipients(recipients).map(({ address }) => address),
    );
    return queued(message.messageId, {});
  }
  const content = ownCopy(door, message, whoseCopy(view, recipients), Buffer.from(bytes));
  const envelope = {
    sender: message.sender,
    smtputf8: message.info.smtputf8 || recipients.to.some((mailbox) => mailbox.isUtf8),
    body: isAscii(content) ? ('7BIT' as const) : ('8BITMIME' as const),
    recipients: plainRecipients(recipients),
  };
  return handIn(door, call, domain, {
    envelope,
    content: { kind: 'mime', bytes: content },
    options: resendOptions(door, message),
    batch: false,
  });
}

/** Each recipient of a batch has a copy of its own, which is nobody else's: whoever is named gets its own, and others get the first one's, one at a time. */
function whoseCopy({ message, recipients }: MessageView, { to, cc, bcc }: Recipients): StoredRecipient {
  const named = [...to, ...cc, ...bcc].map(({ address }) => recipients.find((recipient) => recipient.address === address));
  const isMixed = new Set(named).size > 1;
  if (message.info.batchId !== undefined && isMixed) {
    throw badParameter('the message is of a batch, in which each recipient has a copy of its own: send one at a time again');
  }
  const own = named[0] ?? recipients[0];
  if (own === undefined) throw new NotFound(NOT_FOUND);
  return own;
}

/** The tags and variables that the message was sent with; when, by which way and with what tracking it goes is decided anew. */
function resendOptions(door: Door, { info: { options } }: StoredMessage): SubmissionOptions {
  const { tags, variables, requireTls, skipVerification } = options;
  return {
    ...readOptions(door, []),
    tags,
    variables,
    ...(requireTls !== undefined && { requireTls }),
    ...(skipVerification !== undefined && { skipVerification }),
  };
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const { domain, view } = await find(door, call);
  const isDeleted = await door.deps.store.mail.deleteContent(domain.accountId, view.message.id);
  if (!isDeleted) throw badParameter('the message is still being delivered: cancel it first');
  return json({ message: 'Message has been deleted' });
}
