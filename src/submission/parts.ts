/**
 * A message given in parts, made ready to be kept: the template rendered (or left for delivery, when its values differ by recipient), its
 * own headers sorted out, composed once by `mail/compose`. A batch is composed once too: its placeholders are filled in at delivery.
 */
import { compose } from '#mail/compose.ts';
import { rawValue, readHeader } from '#mail/header.ts';
import { MailError } from '#mail/mail-error.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { Content, SubmissionOptions } from '#model/submission.ts';
import type { TemplateVersion } from '#store/template-store.ts';
import { newMessageId, readMessageId } from './message-id.ts';
import { bounded, parseAuthors, parseSender } from './mime.ts';
import type { Prepared } from './prepared.ts';

export type Parts = Content & { readonly kind: 'parts' };
type Template = NonNullable<SubmissionOptions['template']>;

export interface PartsContext {
  readonly nowMs: number;
  readonly domain: string;
  readonly isBatch: boolean;
  readonly options: SubmissionOptions;
  /** Set when `options.template` is: the version to use. */
  readonly version?: TemplateVersion;
  render(source: string, context: Readonly<Record<string, unknown>>, kind: 'text' | 'html' | 'header'): string;
  /** For t:text=yes. */
  htmlToText(html: string): string;
}

const SUBJECT_MAX = 500;
const ADDRESSES_MAX = 1000;
/** Structure is ours to write, and so is what a relay adds. */
const OURS =
  /^(?:mime-version|content-.*|received|return-path|bcc|resent-bcc|message-id|dkim-signature|x-mailgun-(?:variables|recipient-variables))$/i;

export interface PartsLimits {
  readonly messageBytesMax: number;
  readonly headerBytesMax: number;
}

/**
 * Refuses what cannot come out within the limits, before anything is encoded: seconds of work otherwise, for a refusal.
 * What is written is never shorter than what is counted here.
 */
export function checkParts(given: Parts, limits: PartsLimits): void {
  const files = given.attachments.reduce((sum, file) => sum + leastBytes(file), 0);
  const texts = (given.text?.length ?? 0) + (given.html?.length ?? 0) + (given.ampHtml?.length ?? 0);
  if (files + texts > limits.messageBytesMax) throw new AppError('message-too-large', { max: limits.messageBytesMax });
  const total = (values: readonly string[]): number => values.reduce((sum, value) => sum + value.length, 0);
  const fields = given.headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (total([given.from, given.subject ?? '', ...given.to, ...given.cc]) + fields > limits.headerBytesMax) {
    throw new AppError('bad-content', { reason: `The header of the message is larger than ${limits.headerBytesMax} bytes` });
  }
}

/** In base64; only messages may go as they are. */
function leastBytes({ contentType, bytes }: Parts['attachments'][number]): number {
  return /^\s*message\//i.test(contentType) ? bytes.length : Math.ceil(bytes.length / 3) * 4;
}

/** Throws AppError. */
export function prepareParts(given: Parts, context: PartsContext): Prepared {
  const wantedId = lastHeader(given, 'message-id');
  const messageId = wantedId === undefined ? newMessageId(context.domain, context.nowMs) : givenMessageId(wantedId);
  const { template } = context.options;
  const isLate = template !== undefined && context.isBatch && mentionsRecipient(context.options, template);
  const filled =
    template === undefined || context.version === undefined ? given : applyTemplate(given, context, template, context.version, isLate);
  const parts = { ...filled, headers: filled.headers.filter(([name]) => !OURS.test(name)) };
  const from = lastHeader(parts, 'from') ?? parts.from;
  if (context.isBatch) refuseVariables(from);
  return {
    bytes: composed(parts, messageId, context.nowMs),
    messageId,
    authors: [...parseAuthors(from), ...parseSender(lastHeader(parts, 'sender') ?? '')],
    from: bounded(from, ADDRESSES_MAX),
    to: bounded(parts.to.join(', '), ADDRESSES_MAX),
    // As the sender wrote it, not as it is protected from late rendering.
    subject: bounded(lastHeader(given, 'subject') ?? given.subject ?? parts.subject ?? '', SUBJECT_MAX),
    attachments: inOrder(parts).map(({ filename, contentType, bytes }) => ({
      filename,
      'content-type': contentType,
      size: bytes.length,
    })),
    ...(isLate && context.version !== undefined && { renderLate: { name: context.version.name, version: context.version.tag } }),
  };
}

/** As the message has them: what its HTML shows stands beside that, before what is attached. */
function inOrder({ html, attachments }: Parts): Parts['attachments'] {
  if (html === undefined) return attachments;
  return attachments.toSorted((a, b) => Number(b.contentId !== undefined) - Number(a.contentId !== undefined));
}

/** The parts of complete MIME whose body a template replaces. Its attachments would be lost, so it must have none. */
export function partsOfMime(mime: Buffer): Parts {
  const header = readHeader(mime);
  const values = new Map<string, string[]>();
  const headers: [string, string][] = [];
  for (const field of header.fields) {
    const value = rawValue(header, field);
    if (field.name === 'from' || field.name === 'to' || field.name === 'cc' || field.name === 'subject') {
      values.set(field.name, [...(values.get(field.name) ?? []), value]);
    } else if (field.name === 'message-id' || !OURS.test(field.name)) {
      headers.push([header.bytes.toString('latin1', field.start, field.start + field.name.length), value]);
    }
  }
  const subject = values.get('subject')?.[0];
  return {
    kind: 'parts',
    from: values.get('from')?.[0] ?? '',
    to: values.get('to') ?? [],
    cc: values.get('cc') ?? [],
    ...(subject !== undefined && { subject }),
    headers,
    attachments: [],
  };
}

function applyTemplate(given: Parts, context: PartsContext, template: Template, version: TemplateVersion, isLate: boolean): Parts {
  const values = { ...context.options.variables, ...template.variables };
  const named = (render: () => string): string => withTemplateName(version.name, render);
  const fill = (source: string, kind: 'text' | 'html' | 'header'): string => named(() => context.render(source, values, kind));
  const html = fill(version.source, 'html');
  const defaults = Object.entries(version.headers).filter(([name]) => lastHeader(given, name) === undefined);
  const subject = given.subject ?? defaults.find(([name]) => name.toLowerCase() === 'subject')?.[1];
  const source = (text: string, kind: 'text' | 'header'): string => (isLate ? text : fill(text, kind));
  const literal = isLate ? unrendered : (text: string): string => text;
  const text = given.text ?? (template.text ? context.htmlToText(isLate ? version.source : html) : undefined);
  return {
    ...given,
    from: given.from.includes('{{') ? fill(given.from, 'header') : given.from,
    ...(subject !== undefined && { subject: given.subject === undefined ? source(subject, 'header') : literal(subject) }),
    html: isLate ? version.source : html,
    ...(text !== undefined && { text: given.text === undefined ? text : literal(text) }),
    ...(given.ampHtml !== undefined && { ampHtml: literal(given.ampHtml) }),
    headers: [
      ...given.headers.map(([name, value]) => [name, literal(value)] as const),
      ...defaults.filter(([name]) => !/^(?:from|subject)$/i.test(name)).map(([name, value]) => [name, source(value, 'header')] as const),
    ],
  };
}

/** What is rendered with the template at delivery, but is no template itself, must come out as it is. */
function unrendered(text: string): string {
  return text.replaceAll('{{', '{{{"{{"}}}');
}

/** A template's variable names a recipient's value: recipient values are filled in first, so rendering waits for delivery. */
function mentionsRecipient(options: SubmissionOptions, template: Template): boolean {
  return JSON.stringify([options.variables, template.variables]).includes('%recipient');
}

function withTemplateName(name: string, render: () => string): string {
  try {
    return render();
  } catch (error) {
    if (error instanceof AppError && error.code === 'template-failed')
      throw new AppError('template-failed', { ...error.details, name }, error);
    throw error;
  }
}

function givenMessageId(text: string): string {
  const id = readMessageId(text);
  if (id === undefined) throw badParameter('h:Message-Id is not a valid message id');
  return id;
}

function composed(parts: Parts, messageId: string, dateMs: number): Uint8Array {
  try {
    return compose(parts, { messageId, dateMs });
  } catch (error) {
    if (error instanceof MailError) throw new AppError('bad-parameter', { reason: error.message }, error);
    throw error;
  }
}

/** The last one counts, as `mail/compose` has it. */
function lastHeader(parts: Parts, name: string): string | undefined {
  return parts.headers.findLast(([header]) => header.toLowerCase() === name.toLowerCase())?.[1];
}

/** Of a batch: what is filled in later could make another sender of it. `from` is decoded, or as the sender wrote it. */
export function refuseVariables(from: string): void {
  if (from.includes('%recipient')) throw badParameter('from parameter cannot hold %recipient% variables');
}
