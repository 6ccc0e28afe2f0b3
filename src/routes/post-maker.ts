/**
 * Posts mail that came in to the URLs of rules: made of what is kept when it is posted, each attempt with a signature of its own. A URL that ends in "mime" gets the message as it is. What
 * came of `forward` is told as a delivery over HTTP; a `notify` that never arrived is told as a webhook's would be.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '#base/clock.ts';
import { toSevenBit } from '#mail/eight-bit.ts';
import type { EventDetail, EventKind, PostRecord } from '#model/event.ts';
import type { StoredMessage } from '#model/message.ts';
import type { OutboxItem } from '#store/outbox-store.ts';
import type { MailReader } from './mail-reader.ts';
import { asForm, asJson, forwardFields, mimeFields, notifyFields, type PostedFacts, type PostedSignature } from './posted-mail.ts';

export interface PostMakerDeps {
  readonly giveUpAfterMs: number;
  readonly format: 'form' | 'json';
  readonly clock: Clock;
  content(contentId: number): Promise<Uint8Array | undefined>;
  /** Signed afresh with the account's key. */
  sign(accountId: number, nowMs: number): Promise<PostedSignature>;
  /** Where kept mail is read. */
  messageUrl(message: StoredMessage): string;
  readonly reader: MailReader;
}

type Request = { readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly body: readonly Buffer[] };

const GONE = { gone: 'the message was deleted meanwhile' } as const;
const FORM_BYTES = 64 * 1024;

export function createForwardMaker(deps: PostMakerDeps) {
  return {
    giveUpAfterMs: deps.giveUpAfterMs,
    isLogged: true,
    isTold: true,
    sizeBytes,
    make: (item: OutboxItem) => made(deps, item, (facts, bytes) => forwarded(deps, item, facts, bytes)),
    eventKind: ({ result }: PostRecord): EventKind => (result === 'done' ? 'delivered' : result),
    event: (item: OutboxItem, record: PostRecord, text: string): EventDetail => ({
      ...(record.status !== undefined && { code: record.status }),
      ...(record.result !== 'done' && { reason: 'generic' as const }),
      ...(record.nextAtMs !== undefined && { nextAtMs: record.nextAtMs }),
      forward: { ...record, ...ruleOf(item) },
      text,
    }),
  };
}

export function createNotifyMaker(deps: PostMakerDeps) {
  return {
    giveUpAfterMs: deps.giveUpAfterMs,
    isLogged: true,
    sizeBytes,
    make: (item: OutboxItem) => made(deps, item, (facts) => notified(deps, item, facts)),
    eventKind: 'untold' as const,
    event: (_item: OutboxItem, record: PostRecord, text: string): EventDetail | undefined =>
      record.result === 'failed' ? { webhook: { ...record, event: 'stored' }, text } : undefined,
  };
}

/** Decoded texts and files beside what they were read from. */
function sizeBytes({ message }: OutboxItem): number {
  return (message?.info.sizeBytes ?? 0) * 2 + FORM_BYTES;
}

function ruleOf({ payload }: OutboxItem): { readonly rule?: string } {
  const { rule } = JSON.parse(payload) as { readonly rule?: string };
  return rule === undefined ? {} : { rule };
}

async function made(
  deps: PostMakerDeps,
  item: OutboxItem,
  body: (facts: PostedFacts, bytes: Buffer) => { readonly contentType: string; readonly body: readonly Buffer[] },
): Promise<Request | { readonly gone: string }> {
  const { message, recipient } = item;
  if (message === undefined || recipient === undefined || message.contentId === 0) return GONE;
  const content = await deps.content(message.contentId);
  if (content === undefined) return GONE;
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const facts: PostedFacts = {
    ...(await deps.reader.read(message.contentId, bytes)),
    recipient: recipient.address,
    sender: message.sender,
    signature: await deps.sign(item.accountId, deps.clock.nowMs()),
  };
  const { contentType, body: octets } = await deps.reader.turn(() => body(facts, bytes));
  return {
    url: item.target,
    headers: {
      'content-type': contentType,
      'user-agent': 'Postrider',
      'x-postrider-delivery': String(item.id),
      'x-postrider-attempt': String(item.attempts + 1),
    },
    body: octets,
  };
}

function forwarded({ format }: PostMakerDeps, { target }: OutboxItem, facts: PostedFacts, bytes: Buffer) {
  // A form holds text; what is in no charset that text could have is written with ASCII alone.
  if (wantsMime(target)) return written(format, mimeFields(facts, isUtf8(bytes) ? bytes : toSevenBit(bytes)), []);
  return written(format, forwardFields(facts), facts.mail.files);
}

function notified({ format, messageUrl }: PostMakerDeps, { message }: OutboxItem, facts: PostedFacts) {
  const place = message === undefined ? { domain: '', messageUrl: '' } : { domain: message.domain, messageUrl: messageUrl(message) };
  return written(format, notifyFields(facts, place), []);
}

function written(format: PostMakerDeps['format'], fields: Parameters<typeof asForm>[0], files: Parameters<typeof asForm>[1]) {
  return format === 'json' ? asJson(fields, files) : asForm(fields, files);
}

function wantsMime(url: string): boolean {
  return /mime$/i.test(url) || (URL.canParse(url) && /mime\/?$/i.test(new URL(url).pathname));
}
