/**
 * Mail that came in and is sent on, as it is accepted: what came, with the mark of where it was (Delivered-To), sealed (ARC) with a key of the domain that it came to. Its reverse-path is the
 * sender's inside ours; a list's mail has the list's.
 */
import { domainOfAddress } from '#mail/address.ts';
import { arcFields } from '#mail/arc.ts';
import type { DkimSigner } from '#mail/dkim.ts';
import { editHeader, foldHeader, readHeader } from '#mail/header.ts';
import type { InboundMail, InboundRcpt } from '#model/inbound.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import type { MessageInfo, StoredMessage } from '#model/message.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import { countersOf } from '#store/counters-of.ts';
import type { MailingList } from '#store/list-store.ts';
import type { AcceptMessage } from '#store/store.ts';
import type { Srs } from './srs.ts';

export interface SendOnDeps {
  signingKeys(domainId: number): Promise<readonly DkimSigner[]>;
  readonly srs: Srs;
  /** How long what is sent on is tried. */
  readonly lifetimeMs: number;
}

export interface SendOn {
  /** What is kept of it, as a message of the domain that it came to. */
  readonly kept: AcceptMessage;
  readonly mail: InboundMail;
  readonly rcpt: InboundRcpt;
  readonly routes: MessageInfo['routes'];
}

/** It is another's message: nothing of ours is added to it. */
const UNTOUCHED: SubmissionOptions = { tags: [], variables: {}, testMode: false, dkim: false, tracking: 'no', suppressHeaders: ['all'] };
/** Every node knows of a list by then. */
const LIST_KNOWN_MS = 2000;
const FOR_LISTS: SubmissionOptions = { tags: [], variables: {}, testMode: false };

/** By `forward("address")`. */
export async function toAddresses(deps: SendOnDeps, part: SendOn, addresses: readonly string[]): Promise<AcceptMessage> {
  const { rcpt, mail } = part;
  // Without room for the sender nobody can be told of a failure; a foreign reverse-path would be refused.
  const sender = deps.srs.forward(mail.envelope.sender, rcpt.domain, mail.receivedMs) ?? '';
  return accepted(deps, part, sender, addresses, UNTOUCHED);
}

/** To a mailing list, which is made into mail to its members when it is tried. */
export async function toList(deps: SendOnDeps, part: SendOn, { address, createdMs }: MailingList): Promise<AcceptMessage> {
  const message = await accepted(deps, part, address, [address], FOR_LISTS);
  return { ...message, dueAtMs: Math.max(message.dueAtMs, createdMs + LIST_KNOWN_MS) };
}

async function accepted(
  deps: SendOnDeps,
  { kept, mail, rcpt, routes }: SendOn,
  sender: string,
  addresses: readonly string[],
  options: SubmissionOptions,
): Promise<AcceptMessage> {
  const content = await sealed(deps, kept.domainId, mail, rcpt.address);
  const info = { ...kept.info, ...(routes !== undefined && { routes }) };
  return acceptable(deps, { ...kept, info }, sender, addresses, options, content);
}

type Kept = Pick<AcceptMessage, 'accountId' | 'domainId' | 'domain' | 'messageId' | 'createdMs' | 'info'>;

function acceptable(
  { lifetimeMs }: Pick<SendOnDeps, 'lifetimeMs'>,
  { accountId, domainId, domain, messageId, createdMs, info }: Kept,
  sender: string,
  addresses: readonly string[],
  options: SubmissionOptions,
  content: Uint8Array,
): AcceptMessage {
  const recipients = addresses.map((address) => ({ address, domain: domainOfAddress(address), isLeased: false }));
  return {
    accountId,
    domainId,
    domain,
    messageId,
    sender,
    createdMs,
    dueAtMs: createdMs,
    wait: 'due',
    expiresAtMs: createdMs + lifetimeMs,
    priority: 1,
    info: { ...info, options, sizeBytes: content.length },
    content,
    recipients,
    counters: recipients
      .flatMap(({ domain: receiver }) =>
        countersOf({ accountId, domainId, kind: 'accepted', provider: providerOf(receiver) ?? '', receiver }, options.tags),
      )
      .map((key) => ({ ...key, count: 1 })),
  };
}

/** Mail that came in, sent on once more at its owner's wish. What was found out about its sender stands in it; it is too late for a seal. */
export function sentAgain(
  deps: Pick<SendOnDeps, 'srs' | 'lifetimeMs'>,
  message: StoredMessage,
  bytes: Buffer,
  addresses: readonly string[],
  nowMs: number,
): AcceptMessage {
  const content = Buffer.concat(editHeader(readHeader(bytes), { remove: ({ name }) => name === 'return-path' }));
  const { accountId, domainId, domain, messageId, info } = message;
  const sender = deps.srs.forward(message.sender, domain, nowMs) ?? '';
  const kept = { accountId, domainId, domain, messageId, createdMs: nowMs, info };
  return acceptable(deps, kept, sender, addresses, UNTOUCHED, new Uint8Array(content));
}

async function sealed(deps: SendOnDeps, domainId: number, mail: InboundMail, address: string): Promise<Buffer> {
  // The next server writes its own Return-Path.
  const marked = Buffer.concat(
    editHeader(mail.header, { prepend: foldHeader('Delivered-To', address), remove: ({ name }) => name === 'return-path' }),
  );
  const { arc, results } = mail.authentication;
  const signer = (await deps.signingKeys(domainId)).find(({ algorithm }) => algorithm === 'rsa');
  const fields =
    signer === undefined || results === '' ? undefined : await arcFields(marked, { signer, chain: arc, results, atMs: mail.receivedMs });
  const above = Buffer.from(fields ?? '');
  const content = Buffer.allocUnsafeSlow(above.length + marked.length);
  marked.copy(content, above.copy(content));
  return content;
}
