/**
 * Mail that came in as it is posted to a URL: the form fields that receivers of Mailgun's routes know, their JSON where an operator chose that, or the MIME as it is. Everything that a
 * stranger wrote is a value here: names of fields are checked, and no value can end a part of a multipart form.
 */
import { randomHex } from '#base/random.ts';
import type { MailFile, ReadMail } from '#mail/read-mail.ts';
import type { MadeMail } from './mail-reader.ts';

/** A signature that its receiver checks: texts all of them. */
export interface PostedSignature {
  readonly timestamp: string;
  readonly token: string;
  readonly signature: string;
}

export interface PostedFacts extends MadeMail {
  readonly recipient: string;
  readonly sender: string;
  readonly signature: PostedSignature;
}

export type Field = readonly [name: string, value: string];

/** Where the files of kept mail are read. */
export interface StoredPlace {
  readonly domain: string;
  readonly messageUrl: string;
}

export interface PostedBody {
  readonly contentType: string;
  readonly body: readonly Buffer[];
}

const HEADERS_MAX = 500;
const NAME = /^[\x21-\x39\x3b-\x7e]{1,100}$/;
/** Ours, which a field of the message must not take the place of. */
const RESERVED =
  /^(?:recipients?|sender|from|subject|body-.*|stripped-.*|attachment-.*|attachments|content-id-map|message-headers|message-url|domain|timestamp|token|signature)$/;

/** What all forms begin with, in their order. */
function beginning({ mail, recipient, sender }: PostedFacts): Field[] {
  return [
    ['recipient', recipient],
    ['sender', sender],
    ['from', mail.header('from') ?? ''],
    ['subject', mail.header('subject') ?? ''],
  ];
}

export function textFields({ mail: { html }, texts }: MadeMail): Field[] {
  return [
    ['body-plain', texts.plain],
    ['stripped-text', texts.strippedText],
    ...(texts.signature === '' ? [] : [['stripped-signature', texts.signature] as const]),
    ...(html === undefined
      ? []
      : ([
          ['body-html', html],
          ['stripped-html', texts.strippedHtml ?? html],
        ] as const)),
  ];
}

/** Every field of the header as its own, as it was written; what is spelt as one of ours is left out. */
export function headerFields({ headers }: ReadMail): Field[] {
  return headers.slice(0, HEADERS_MAX).filter(([name]) => NAME.test(name) && !RESERVED.test(name));
}

function ending(signature: PostedSignature): Field[] {
  return [
    ['timestamp', signature.timestamp],
    ['token', signature.token],
    ['signature', signature.signature],
  ];
}

/** forward("https://…") */
export function forwardFields(facts: PostedFacts): readonly Field[] {
  const { mail, signature } = facts;
  const ids = mail.files.flatMap(({ contentId }, index) =>
    contentId === undefined ? [] : [[`<${contentId}>`, `attachment-${index + 1}`] as const],
  );
  return [
    ...beginning(facts),
    ...textFields(facts),
    ...headerFields(mail),
    ['message-headers', JSON.stringify(mail.headers.slice(0, HEADERS_MAX))],
    ...(mail.files.length === 0 ? [] : [['attachment-count', String(mail.files.length)] as const]),
    ...(ids.length === 0 ? [] : [['content-id-map', JSON.stringify(Object.fromEntries(ids))] as const]),
    ...ending(signature),
  ];
}

/** store(notify="https://…"): files are told by the URLs where they are read. */
export function notifyFields(facts: PostedFacts, { domain, messageUrl }: StoredPlace): readonly Field[] {
  const { mail, signature } = facts;
  const shown = attachmentsShown(mail.files, messageUrl);
  return [
    ['domain', domain],
    ...beginning(facts),
    ...textFields(facts),
    ...headerFields(mail),
    ['message-headers', JSON.stringify(mail.headers.slice(0, HEADERS_MAX))],
    ['message-url', messageUrl],
    ...(shown.length === 0 ? [] : [['attachments', JSON.stringify(shown)] as const]),
    ['content-id-map', JSON.stringify(contentIdMap(mail.files, messageUrl))],
    ...ending(signature),
  ];
}

export interface ShownFile {
  readonly url: string;
  readonly 'content-type': string;
  readonly name: string;
  readonly size: number;
}

export function attachmentsShown(files: readonly MailFile[], messageUrl: string): readonly ShownFile[] {
  return files.map((file, index) => ({
    url: `${messageUrl}/attachments/${index}`,
    'content-type': file.contentType,
    name: file.filename,
    size: file.octets().length,
  }));
}

/** By Content-ID in brackets. */
export function contentIdMap(files: readonly MailFile[], messageUrl: string): Record<string, ShownFile> {
  const shown = attachmentsShown(files, messageUrl);
  return Object.fromEntries(
    files.flatMap(({ contentId }, index) => (contentId === undefined ? [] : [[`<${contentId}>`, shown[index] as ShownFile]])),
  );
}

/** A URL that ends in "mime" gets the message as it is. */
export function mimeFields(facts: PostedFacts, bytes: Buffer): readonly Field[] {
  return [...beginning(facts), ['body-mime', bytes.toString('utf8')], ...ending(facts.signature)];
}

// ---- as octets -----------------------------------------------------------------------------------------------------------

/** Beyond this percent-encoding makes a form several times as large as it is. */
const URLENCODED_MAX = 256 * 1024;

/** urlencoded; multipart with files, and where the texts are large. */
export function asForm(fields: readonly Field[], files: readonly MailFile[]): PostedBody {
  const characters = fields.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (files.length > 0 || characters > URLENCODED_MAX) return asMultipart(fields, files);
  const text = fields.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&');
  return { contentType: 'application/x-www-form-urlencoded', body: [Buffer.from(text, 'latin1')] };
}

/** The boundary is chosen at random, so nobody who writes mail can know it. */
function asMultipart(fields: readonly Field[], files: readonly MailFile[]): PostedBody {
  const boundary = randomHex(24);
  const body: Buffer[] = [];
  for (const [name, value] of fields) {
    body.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${quoted(name)}"\r\n\r\n${value.toWellFormed()}\r\n`));
  }
  for (const [index, file] of files.entries()) {
    const name = `name="attachment-${index + 1}"; filename="${quoted(file.filename)}"`;
    body.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${name}\r\nContent-Type: ${typeOf(file)}\r\n\r\n`));
    body.push(file.octets(), CRLF);
  }
  body.push(Buffer.from(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, body };
}

const CRLF = Buffer.from('\r\n');

/** With names that occur more than once as arrays, and files in base64. */
export function asJson(fields: readonly Field[], files: readonly MailFile[]): PostedBody {
  const values = new Map<string, string | string[]>();
  for (const [name, value] of fields) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : [before, value].flat());
  }
  const attachments = files.map((file) => ({
    name: file.filename,
    'content-type': file.contentType,
    ...(file.contentId !== undefined && { 'content-id': file.contentId }),
    content: file.octets().toString('base64'),
  }));
  const whole = { ...Object.fromEntries(values), ...(attachments.length > 0 && { attachments }) };
  return { contentType: 'application/json', body: [Buffer.from(JSON.stringify(whole))] };
}

/** As browsers write forms (URL Standard §5.2). */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll('%20', '+')
    .replace(/[!'()~]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** As browsers write names in a multipart form (HTML Standard §4.10.21.8). */
function quoted(text: string): string {
  return text.toWellFormed().replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function typeOf({ contentType }: MailFile): string {
  return /^[\w!#$&^.+-]{1,100}\/[\w!#$&^.+-]{1,100}$/.test(contentType) ? contentType : 'application/octet-stream';
}
