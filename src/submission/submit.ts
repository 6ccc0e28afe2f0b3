/**
 * The only way mail comes in, whichever door it came by: who may send this, from whom, to how many; content made complete; then one
 * transaction. Throws AppError for everything that is the caller's mistake, before anything is kept. Resolves when the message is
 * durable (P1) with all its recipients (P2).
 *
 * A null reverse-path is accepted over SMTP from a caller whose From is in order, as applications send receipts and notices that must not bounce.
 * Cost on the hot path (SMTP, 10 KB, one recipient): about 12 µs beside the accepting commit.
 */
import { isAscii } from 'node:buffer';
import { LargeTurns } from '#base/large.ts';
import type { Clock } from '#base/clock.ts';
import { randomHex } from '#base/random.ts';
import { domainOfAddress } from '#mail/address.ts';
import { splitMessage } from '#mail/header.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { MessageTracking, MessageUnsubscribe, Priority } from '#model/message.ts';
import type { Principal } from '#model/principal.ts';
import type { EnvelopeRecipient, Submission, SubmissionOptions, Submit, SubmitResult } from '#model/submission.ts';
import { accountTemplates } from '#store/template-store.ts';
import type { AcceptMessage, AcceptRecipient, AcceptResult, Domain } from '#store/store.ts';
import type { TemplateStore, TemplateVersion } from '#store/template-store.ts';
import { type DueTimes, dueTimes } from './due-times.ts';
import { checkedLines, prepareMime } from './mime.ts';
import { checkParts, partsOfMime, prepareParts, refuseVariables } from './parts.ts';
import type { PartsContext } from './parts.ts';
import type { Prepared } from './prepared.ts';
import { receivedHeader } from './received.ts';
import { maySendAs } from './senders.ts';
import type { DomainFor } from './senders.ts';

export interface SubmitLimits {
  readonly messageBytesMax: number;
  readonly headerBytesMax: number;
  readonly recipientsMax: number;
  /** Copies of a batch: recipients × (1 + cc + bcc). */
  readonly batchCopiesMax: number;
  /** Received headers, more of which are taken for a loop. */
  readonly receivedMax: number;
  /** How long API and SMTP mail is tried, from the time it is due. */
  readonly apiLifetimeMs: number;
  readonly smtpLifetimeMs: number;
  readonly idempotencyMs: number;
}

/** One commit. Throws AppError when the store cannot take it now, or the account's quota is used up. */
export type Accept = (
  message: Omit<AcceptMessage, 'recipients'> & { readonly recipients: Omit<AcceptRecipient, 'isLeased'>[] },
) => Promise<AcceptResult>;

export interface SubmitDeps {
  readonly domainFor: DomainFor;
  readonly accept: Accept;
  readonly clock: Clock;
  /** Our name in Received. */
  readonly hostname: string;
  readonly limits: SubmitLimits;
  /** A domain sends only once it is verified. */
  readonly requireVerification: boolean;
  /** Of recipients for whom o:time-zone-localize finds none. */
  readonly timeZone: string;
  readonly templates: Pick<TemplateStore, 'version'>;
  readonly render: PartsContext['render'];
  readonly htmlToText: PartsContext['htmlToText'];
  /** o:sending-ip: the account may send from this address. */
  readonly maySendFrom: (accountId: number, ip: string) => boolean;
  /** Why the account may not send now; undefined: it may. Absent: every account may. */
  readonly refusalOf?: (accountId: number) => Promise<AppError | undefined>;
  /** A sandbox domain of the account may send to all of these addresses. Absent: to any. */
  readonly maySandboxSendTo?: (accountId: number, addresses: readonly string[]) => Promise<boolean>;
  /** How recipients of a message of the domain unsubscribe; its octets with what is added to them for that. Absent: they cannot. */
  readonly unsubscribing?: (
    domain: Domain,
    message: { readonly options: SubmissionOptions; readonly isBatch: boolean; readonly isLate: boolean },
    bytes: Uint8Array,
  ) => { readonly bytes: Uint8Array; readonly unsubscribe?: MessageUnsubscribe };
  /** What of a message of the domain is to be counted; undefined: nothing. Absent: never anything. */
  readonly trackingOf?: (domain: Domain, options: SubmissionOptions) => MessageTracking | undefined;
  /** o:sending-ip-pool: there is such a pool for the account. */
  readonly mayUsePool: (accountId: number, pool: string) => boolean | Promise<boolean>;
}

export function createSubmit(deps: SubmitDeps): Submit {
  const turns = new LargeTurns();

  return (principal, submission) => turns.run(sizeOf(submission), () => submit(principal, submission));

  async function submit(principal: Principal, submission: Submission): Promise<SubmitResult> {
    const nowMs = deps.clock.nowMs();
    const domain = await authorisedDomain(deps, principal, submission.domain);
    const recipients = distinctRecipients(submission);
    checkCounts(deps.limits, submission, recipients.length);
    await checkAccount(deps, principal, domain, recipients);
    const content = await prepare(deps, principal, submission, domain, nowMs);
    // MIME that was handed in was measured as it came: the fields that we add are not its sender's, who was told this limit (RFC 1870).
    if (isMadeHere(submission) && content.bytes.length > deps.limits.messageBytesMax)
      throw new AppError('message-too-large', { max: deps.limits.messageBytesMax });
    await checkSenders(deps, principal, submission, domain, content);
    checkArchive(submission, domain);
    const due = dueTimes(submission.options, recipients, nowMs, lifetimeOf(deps.limits, submission), deps.timeZone);
    return keep(
      deps,
      principal,
      submission,
      domain,
      withUnsubscribing(deps, principal, submission, domain, content),
      recipients,
      due,
      nowMs,
    );
  }
}

/** Roughly what it takes while it is made and written. */
function sizeOf({ content }: Submission): number {
  if (content.kind === 'mime') return content.bytes.length;
  return content.attachments.reduce((sum, { bytes }) => sum + bytes.length, (content.text?.length ?? 0) + (content.html?.length ?? 0));
}

// ---- who and how many ------------------------------------------------------------------------------------------------

/** Another account's domain is answered as one that does not exist (P10). */
async function authorisedDomain(deps: SubmitDeps, principal: Principal, name: string): Promise<Domain> {
  const domain = await deps.domainFor(name);
  const isBoundElsewhere = domain !== undefined && principal.domainId !== undefined && principal.domainId !== domain.id;
  if (domain === undefined || domain.accountId !== principal.accountId || isBoundElsewhere) {
    throw new AppError('domain-not-found', { domain: name });
  }
  if (principal.kind === 'system') return domain;
  if (domain.state === 'disabled') throw new AppError('domain-disabled', { domain: name });
  if (deps.requireVerification && domain.state !== 'active') throw new AppError('domain-unverified', { domain: name });
  return domain;
}

async function checkAccount(
  deps: SubmitDeps,
  principal: Principal,
  domain: Domain,
  recipients: readonly EnvelopeRecipient[],
): Promise<void> {
  if (principal.kind === 'system') return;
  const refusal = await deps.refusalOf?.(principal.accountId);
  if (refusal !== undefined) throw refusal;
  if (domain.type !== 'sandbox' || deps.maySandboxSendTo === undefined) return;
  const addresses = recipients.map(({ address }) => address);
  if (!(await deps.maySandboxSendTo(principal.accountId, addresses))) throw new AppError('sandbox-recipient', { domain: domain.name });
}

/** Local parts are compared as they are written: two spellings may be two mailboxes, and losing one is worse than a double. */
function distinctRecipients({ envelope, batch }: Submission): readonly EnvelopeRecipient[] {
  const { recipients } = envelope;
  if (recipients.length < 2) return recipients;
  const seen = new Map<string, EnvelopeRecipient>();
  for (const recipient of recipients) {
    // A batch may copy one address for each addressee.
    const key = batch ? `${recipient.address}\n${String(recipient.variables?.['recipient_email'] ?? '')}` : recipient.address;
    if (!seen.has(key)) seen.set(key, recipient);
  }
  return seen.size === recipients.length ? recipients : [...seen.values()];
}

function checkCounts(limits: SubmitLimits, submission: Submission, count: number): void {
  if (count === 0) throw badParameter('to parameter is missing');
  const max = submission.batch ? Math.max(limits.recipientsMax, limits.batchCopiesMax) : limits.recipientsMax;
  if (count > max) throw new AppError('too-many-recipients', { max });
}

async function checkSenders(
  deps: SubmitDeps,
  principal: Principal,
  submission: Submission,
  domain: Domain,
  content: Prepared,
): Promise<void> {
  if (principal.kind === 'system') return;
  for (const author of content.authors) await checkSender(deps, principal, domain, author.domain);
  const { sender } = submission.envelope;
  if (sender !== '') await checkSender(deps, principal, domain, domainOfAddress(sender));
  const { sendingIp: ip, sendingIpPool: pool } = submission.options;
  if (ip !== undefined && !deps.maySendFrom(principal.accountId, ip)) throw new AppError('sending-ip-not-yours', { ip });
  if (pool !== undefined && !(await deps.mayUsePool(principal.accountId, pool))) throw new AppError('sending-pool-unknown', { pool });
}

/** A copy is made again from the content, which such a domain does not keep. */
function checkArchive({ options }: Submission, { settings }: Domain): void {
  if (options.archiveTo === undefined || settings?.zeroContent !== true) return;
  throw badParameter('o:archive-to cannot be used with a domain that keeps no content');
}

async function checkSender(deps: SubmitDeps, principal: Principal, domain: Domain, name: string): Promise<void> {
  if (name !== domain.name && !(await maySendAs(deps, principal, domain, name))) throw new AppError('sender-not-allowed', { domain: name });
}

// ---- content ---------------------------------------------------------------------------------------------------------

function isMadeHere({ content, options }: Submission): boolean {
  return content.kind === 'parts' || options.template !== undefined;
}

async function prepare(deps: SubmitDeps, principal: Principal, submission: Submission, domain: Domain, nowMs: number): Promise<Prepared> {
  const { content, options } = submission;
  if (content.kind === 'parts') {
    checkParts(content, deps.limits);
    return prepareParts(content, await partsContext(deps, submission, domain, nowMs));
  }
  if (content.bytes.length > deps.limits.messageBytesMax) throw new AppError('message-too-large', { max: deps.limits.messageBytesMax });
  const mime = submission.method === 'SMTP' ? content.bytes : checkedLines(content.bytes);
  if (splitMessage(mime).headerEnd > deps.limits.headerBytesMax) {
    throw new AppError('bad-content', { reason: `The header of the message is larger than ${deps.limits.headerBytesMax} bytes` });
  }
  const received = receivedHeader(principal, submission, deps.hostname, nowMs);
  const { receivedMax } = deps.limits;
  const prepared = prepareMime(mime, { nowMs, domain: domain.name, received, receivedMax, sender: submission.envelope.sender });
  if (submission.batch) refuseVariables(prepared.from);
  if (options.template === undefined) return prepared;
  if (prepared.attachments.length > 0)
    throw new AppError('bad-content', { reason: 'A template cannot be used with MIME that has attachments' });
  return prepareParts(partsOfMime(mime), await partsContext(deps, submission, domain, nowMs));
}

/** What we write ourselves is no mail of the domain's owner, to which its footers belong. */
function withUnsubscribing(deps: SubmitDeps, principal: Principal, submission: Submission, domain: Domain, content: Prepared): Prepared {
  if (deps.unsubscribing === undefined || principal.kind === 'system') return content;
  const message = { options: askedOptions(submission, content), isBatch: submission.batch, isLate: content.renderLate !== undefined };
  return { ...content, ...deps.unsubscribing(domain, message, content.bytes) };
}

/** What a submitter signed is changed only if the message itself asks for that, not because its domain does. */
function askedOptions({ options }: Submission, { isSigned }: Prepared): SubmissionOptions {
  if (isSigned !== true) return options;
  return { ...options, tracking: options.tracking ?? 'no', trackingUnsubscribe: options.trackingUnsubscribe ?? 'no' };
}

async function partsContext(deps: SubmitDeps, submission: Submission, domain: Domain, nowMs: number): Promise<PartsContext> {
  const { options, batch } = submission;
  const version = options.template === undefined ? undefined : await templateVersion(deps, domain, options.template);
  return {
    nowMs,
    domain: domain.name,
    isBatch: batch,
    options,
    ...(version !== undefined && { version }),
    render: deps.render,
    htmlToText: deps.htmlToText,
  };
}

/** The domain's own, or one that all domains of the account share. */
async function templateVersion(
  deps: SubmitDeps,
  { id, accountId }: Domain,
  { name, version: tag }: NonNullable<SubmissionOptions['template']>,
): Promise<TemplateVersion> {
  const version = (await deps.templates.version(id, name, tag)) ?? (await deps.templates.version(accountTemplates(accountId), name, tag));
  if (version === undefined) throw new AppError('template-not-found', { name });
  return version;
}

// ---- keeping ---------------------------------------------------------------------------------------------------------

async function keep(
  deps: SubmitDeps,
  principal: Principal,
  submission: Submission,
  domain: Domain,
  content: Prepared,
  recipients: readonly EnvelopeRecipient[],
  due: DueTimes,
  nowMs: number,
): Promise<SubmitResult> {
  const { idempotency } = submission;
  const message = {
    accountId: principal.accountId,
    domainId: domain.id,
    domain: domain.name,
    messageId: content.messageId,
    sender: submission.envelope.sender,
    createdMs: nowMs,
    ...due.message,
    priority: priorityOf(submission, recipients.length),
    info: infoOf(principal, submission, domain, content, recipients, {
      isUnoptimized: due.isUnoptimized,
      tracking: deps.trackingOf?.(domain, askedOptions(submission, content)),
    }),
    content: content.bytes,
    recipients: recipients.map((recipient) =>
      due.own === undefined ? acceptRecipient(recipient) : { ...acceptRecipient(recipient), ...due.own(recipient) },
    ),
    ...(idempotency !== undefined && { idempotency: { ...idempotency, untilMs: nowMs + deps.limits.idempotencyMs } }),
  };
  return result(await deps.accept(message), content.messageId, recipients.length);
}

function lifetimeOf(limits: SubmitLimits, { method, options }: Submission): number {
  return options.deliverWithinMs ?? (method === 'HTTP' ? limits.apiLifetimeMs : limits.smtpLifetimeMs);
}

function result(answer: AcceptResult, messageId: string, recipientCount: number): SubmitResult {
  switch (answer.kind) {
    case 'accepted':
      return { messageId, id: answer.id, recipientCount, repeated: false };
    case 'repeat':
      return { messageId: answer.messageId, id: answer.id, recipientCount: answer.recipientCount, repeated: true };
    case 'conflict':
      throw new AppError('idempotency-conflict');
  }
}

/** A receipt is not behind a newsletter: alone 0, a few 1, a batch 2. */
function priorityOf(submission: Submission, recipientCount: number): Priority {
  if (submission.batch) return recipientCount === 1 ? 1 : 2;
  return recipientCount === 1 ? 0 : 1;
}

function infoOf(
  principal: Principal,
  submission: Submission,
  domain: Domain,
  content: Prepared,
  recipients: readonly EnvelopeRecipient[],
  decided: { readonly isUnoptimized: true | undefined; readonly tracking: MessageTracking | undefined },
): AcceptMessage['info'] {
  const { isUnoptimized, tracking } = decided;
  const { envelope, origin } = submission;
  return {
    from: content.from,
    to: content.to,
    subject: content.subject,
    sizeBytes: content.bytes.length,
    attachments: content.attachments,
    method: submission.method,
    origin,
    keyId: principal.keyId,
    login: principal.login,
    options: keptOptions(submission.options, domain, content.renderLate !== undefined),
    ret: envelope.ret,
    envid: envelope.envid,
    smtputf8: needsUtf8(submission, content, recipients),
    // What the octets are, whatever was declared: a sender that says 7BIT and means UTF-8 is carried all the same.
    body: isAscii(content.bytes) ? '7BIT' : '8BITMIME',
    ...(submission.batch && { batchId: randomHex(12) }),
    ...(content.renderLate !== undefined && { renderLate: content.renderLate }),
    ...(isUnoptimized === true && { isUnoptimized }),
    ...(tracking !== undefined && { tracking }),
    ...(content.unsubscribe !== undefined && { unsubscribe: content.unsubscribe }),
  };
}

/** The domain's own demands where the message makes none. A template that is rendered needs its variables no longer. */
function keptOptions(options: SubmissionOptions, domain: Domain, isLate: boolean): SubmissionOptions {
  const wantsTls = domain.requireTls && options.requireTls === undefined;
  const wantsSkip = domain.skipVerification && options.skipVerification === undefined;
  const isRendered = options.template !== undefined && !isLate;
  const archiveTo = options.archiveTo ?? domain.settings?.archiveTo;
  const isArchived = options.archiveTo === undefined && archiveTo !== undefined && archiveTo !== '';
  if (!wantsTls && !wantsSkip && !isRendered && !isArchived) return options;
  return {
    ...options,
    ...(wantsTls && { requireTls: true }),
    ...(wantsSkip && { skipVerification: true }),
    ...(isArchived && { archiveTo }),
    ...(isRendered && { template: { ...options.template, variables: {} } as NonNullable<SubmissionOptions['template']> }),
  };
}

/** RFC 6531 §3.4: announced by many clients for all their mail, needed only for addresses or headers beyond ASCII. */
function needsUtf8({ envelope }: Submission, content: Prepared, recipients: readonly EnvelopeRecipient[]): boolean {
  if (!isPlain(envelope.sender) || recipients.some((recipient) => !isPlain(recipient.address))) return true;
  if (!envelope.smtputf8) return false;
  const bytes = content.bytes as Buffer;
  return !isAscii(bytes.subarray(0, splitMessage(bytes).headerEnd));
}

function isPlain(text: string): boolean {
  return !/[\u0080-\uffff]/.test(text);
}

function acceptRecipient(recipient: EnvelopeRecipient): Omit<AcceptRecipient, 'isLeased'> {
  const { address, name, variables, notify, orcpt } = recipient;
  return { address, domain: domainOfAddress(address), name, variables, notify, orcpt };
}
