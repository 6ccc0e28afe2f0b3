/** Mail that came in as the store keeps it: a message whose recipients are done, with the event that tells their owner of it. */
import { attachmentFacts, parseMime } from '#mail/mime.ts';
import { headerValue } from '#mail/header.ts';
import type { EventDetail, InboundRecord } from '#model/event.ts';
import type { Authentication, InboundMail } from '#model/inbound.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import type { Reception } from '#store/fact-store.ts';
import type { CounterKey } from '#store/store.ts';

export interface ReceivingDomain {
  readonly id: number;
  readonly accountId: number;
  readonly name: string;
}

const NO_OPTIONS: SubmissionOptions = { tags: [], variables: {}, testMode: false };
const TEXT_MAX = 1000;
const MESSAGE_ID_MAX = 250;

/** Kept, and told as `stored` for each recipient; nothing is sent on. */
export function receptionOf(mail: InboundMail, domain: ReceivingDomain, madeMessageId: string): Reception {
  const { receivedMs, recipients } = mail;
  const { accountId, id: domainId } = domain;
  const detail: EventDetail = { inbound: inboundRecord(mail.authentication) };
  const stored: CounterKey = { accountId, domainId, kind: 'stored', provider: '', tag: '' };
  return {
    message: {
      accountId,
      domainId,
      domain: domain.name,
      messageId: messageIdOf(mail) ?? madeMessageId,
      sender: mail.envelope.sender,
      createdMs: receivedMs,
      dueAtMs: receivedMs,
      wait: 'due',
      expiresAtMs: receivedMs,
      priority: 1,
      info: infoOf(mail),
      content: mail.bytes,
      recipients: recipients.map(({ address, domain: host }) => ({ address, domain: host, isLeased: false })),
      counters: [{ ...stored, count: recipients.length }],
    },
    events: recipients.map((_, recipient) => ({
      recipient,
      event: { kind: 'stored', atUs: receivedMs * 1000, accountId, domainId, detail },
    })),
    outbox: [],
    forwards: [],
  };
}

function inboundRecord({ spf, dkim, dmarc }: Authentication): InboundRecord {
  return { spf: spf.result, dkim: dkim.find(({ result }) => result === 'pass')?.result ?? dkim[0]?.result ?? 'none', dmarc: dmarc.result };
}

function messageIdOf({ header }: InboundMail): string | undefined {
  const [, id] = /^<([\x21-\x3b\x3d\x3f-\x7e]+)>/.exec(headerValue(header, 'message-id') ?? '') ?? [];
  return id === undefined || id.length > MESSAGE_ID_MAX ? undefined : id;
}

function infoOf({ header, bytes, recipients, client, envelope }: InboundMail): Reception['message']['info'] {
  const text = (name: string): string => (headerValue(header, name) ?? '').slice(0, TEXT_MAX).toWellFormed();
  return {
    from: text('from'),
    to: header.fields.some(({ name }) => name === 'to') ? text('to') : (recipients[0]?.address ?? ''),
    subject: text('subject'),
    sizeBytes: bytes.length,
    attachments: attachmentFacts(parseMime(bytes)),
    method: 'SMTP',
    origin: {
      address: client.address,
      ...(client.helo !== undefined && { helo: client.helo }),
      ...(client.tls !== undefined && { tls: client.tls }),
    },
    options: NO_OPTIONS,
    smtputf8: envelope.smtputf8,
    body: envelope.body,
  };
}
