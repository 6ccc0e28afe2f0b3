/**
 * What both sending endpoints share: reading recipients and options into a `Submission`, the hourly quota, and the answer. The order
 * of checks is the hosted service's: key, domain, addresses, body, then (in `submit`) the domain's policy.
 */
import { displayMailbox } from '#mail/address.ts';
import type { Mailbox } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { Content, Envelope, EnvelopeRecipient, Submission, SubmissionOptions } from '#model/submission.ts';
import { parseOptions, parseRecipientVariables } from '#submission/options.ts';
import type { Domain } from '#store/store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { allowanceHeaders } from './allowance.ts';
import { json } from './answer.ts';
import type { Answer } from './answer.ts';
import type { Recipients } from './addresses.ts';
import type { Form } from './form.ts';
import { readIdempotency } from './idempotency.ts';
import { isWanted, nullPrototype } from './json.ts';

/** Values of each recipient, by address in lower case. */
export type RecipientVariables = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

export function readOptions(door: Door, pairs: Iterable<readonly [string, string]>): SubmissionOptions {
  return parseOptions(pairs, {
    nowMs: door.deps.clock.nowMs(),
    horizonMs: door.limits.scheduleHorizonMs,
    tagsMax: door.limits.tagsPerMessage,
  });
}

export function optionPairs(form: Form): (readonly [string, string])[] {
  return form.pairs.filter(([name, value]) => value !== '' && (name[1] === ':' || name === 'template'));
}

/** Present (even `{}`): batch mode. */
export function readRecipientVariables(door: Door, form: Form): RecipientVariables | undefined {
  const text = form.text('recipient-variables');
  if (text === undefined) return undefined;
  if (!isWanted(text, door.limits)) throw badParameter("'recipient-variables' parameter is not a valid JSON");
  return parseRecipientVariables(text);
}

export function envelopeOf(
  sender: Mailbox,
  recipients: Recipients,
  variables: RecipientVariables | undefined,
  body: Envelope['body'],
  copiesMax: number,
): Envelope {
  const all = variables === undefined ? plainRecipients(recipients) : batchRecipients(recipients, variables, copiesMax);
  const everyone = [sender, ...recipients.to, ...recipients.cc, ...recipients.bcc];
  return { sender: sender.address, smtputf8: everyone.some((mailbox) => mailbox.isUtf8), body, recipients: all };
}

export function plainRecipients({ to, cc, bcc }: Recipients): EnvelopeRecipient[] {
  return [...to, ...cc, ...bcc].map((mailbox) => ({ address: mailbox.address, ...(mailbox.name !== '' && { name: mailbox.name }) }));
}

/** One message per `to`; who is in cc and bcc gets a copy of each, made with that recipient's values. */
function batchRecipients({ to, cc, bcc }: Recipients, variables: RecipientVariables, copiesMax: number): EnvelopeRecipient[] {
  const copies = [...cc, ...bcc];
  if (to.length * (1 + copies.length) > copiesMax) throw new AppError('too-many-recipients', { max: copiesMax });
  return to.flatMap((mailbox) => {
    const values = nullPrototype(variables.get(mailbox.address.toLowerCase()) ?? {});
    const own = { address: mailbox.address, variables: values, ...(mailbox.name !== '' && { name: mailbox.name }) };
    // `recipient` and its parts keep naming whom the message is to, also in the copies.
    return [own, ...copies.map((copy) => ({ address: copy.address, name: mailbox.name, variables: { ...values, ...addressee(mailbox) } }))];
  });
}

function addressee(mailbox: Mailbox): Record<string, string> {
  return { recipient: displayMailbox(mailbox.name, mailbox.address), recipient_email: mailbox.address, recipient_name: mailbox.name };
}

export async function handIn(
  door: Door,
  call: Call,
  domain: Domain,
  parts: { readonly envelope: Envelope; readonly content: Content; readonly options: SubmissionOptions; readonly batch: boolean },
): Promise<Answer> {
  const idempotency = readIdempotency(call.header('idempotency-key'), domain.name, call.body.form);
  const quota = door.quota.take(call.principal.accountId, domain.name, parts.envelope.recipients.length);
  const submission: Submission = {
    method: 'HTTP',
    domain: domain.name,
    ...parts,
    origin: { address: call.address, ...(call.userAgent !== undefined && { helo: call.userAgent.slice(0, 200) }) },
    ...(idempotency !== undefined && { idempotency }),
  };
  const result = await door.deps.submit(call.principal, submission);
  door.counters.accepted(result.repeated ? 0 : result.recipientCount);
  const recipients = door.deps.quotaOf?.(call.principal.accountId);
  const headers = { ...quota, ...(recipients !== undefined && allowanceHeaders('recipient', recipients)) };
  return queued(result.messageId, result.repeated ? { ...headers, 'idempotency-replayed': 'true' } : headers);
}

export function queued(messageId: string, headers: Readonly<Record<string, string>>): Answer {
  return json({ id: `<${messageId}>`, message: 'Queued. Thank you.' }, 200, headers);
}
