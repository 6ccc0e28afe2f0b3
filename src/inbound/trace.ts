/**
 * What is added to mail that comes in, and what is taken out because only we may say it: forged results with our authserv-id (RFC 8601 §5), and fields that tell
 * receivers of routes what we found. The rest of the message stays octet for octet.
 */
import type { Buffer } from 'node:buffer';
import { prepended, roomFor } from '#base/large.ts';
import { editHeader, foldHeader, rawValue } from '#mail/header.ts';
import type { Header, RawField } from '#mail/header.ts';
import { receivedField } from '#mail/received-field.ts';
import type { Authentication, InboundRcpt, SpamCheck } from '#model/inbound.ts';
import type { Envelope } from '#model/submission.ts';

export interface TraceFacts {
  readonly hostname: string;
  readonly envelope: Envelope;
  readonly recipients: readonly InboundRcpt[];
  readonly client: { readonly address: string; readonly helo?: string; readonly tls?: string };
  readonly isEsmtp: boolean;
  readonly id: string;
  readonly nowMs: number;
  /** Absent: nothing was checked. */
  readonly authentication?: Authentication;
  readonly spam?: SpamCheck;
}

/** Only we write these. */
const OURS: ReadonlySet<string> = new Set([
  'return-path',
  'x-envelope-from',
  'x-mailgun-incoming',
  'x-mailgun-spf',
  'x-mailgun-dkim-check-result',
  'x-mailgun-sflag',
  'x-mailgun-sscore',
  'x-mailgun-spam-rules',
]);
const SPAM_RULES_MAX = 100;

/** The message as it is kept, in memory of its own. The one that was given must not be used afterwards. */
export function withTrace(header: Header, facts: TraceFacts): Buffer {
  const added = addedFields(facts);
  const isForged = (field: RawField): boolean => OURS.has(field.name) || claimsToBeOurs(header, field, facts.hostname);
  // What a client sends with SMTPUTF8 may stand in our fields too; Latin-1 would not do for it.
  const isAscii = /^[\0-\x7f]*$/.test(added);
  if (isAscii && !header.fields.some(isForged)) return prepended(added, header.bytes);
  const chunks = editHeader(header, { prepend: added, remove: isForged });
  const whole = roomFor(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(whole, at);
  return whole;
}

function addedFields(facts: TraceFacts): string {
  const { envelope, client, authentication, spam, recipients } = facts;
  const base = envelope.smtputf8 ? 'UTF8SMTP' : facts.isEsmtp ? 'ESMTP' : 'SMTP';
  const only = recipients.length === 1 ? recipients[0]?.address : undefined;
  return [
    foldHeader('Return-Path', `<${envelope.sender}>`),
    // Above the other fields of this hop (RFC 8601 §4.1).
    authentication === undefined ? '' : foldHeader('Authentication-Results', authentication.results),
    receivedField({
      from: { helo: client.helo, address: client.address },
      by: facts.hostname,
      protocol: client.tls === undefined ? base : `${base}S`,
      id: facts.id,
      ...(only !== undefined && { for: only }),
      atMs: facts.nowMs,
    }),
    foldHeader('X-Mailgun-Incoming', 'Yes'),
    foldHeader('X-Envelope-From', `<${envelope.sender}>`),
    authentication === undefined ? '' : resultFields(authentication),
    spam === undefined ? '' : spamFields(spam),
  ].join('');
}

const SPF_WORDS: Readonly<Record<Authentication['spf']['result'], string | undefined>> = {
  pass: 'Pass',
  neutral: 'Neutral',
  none: 'Neutral',
  fail: 'Fail',
  softfail: 'SoftFail',
  permerror: 'Neutral',
  temperror: undefined,
};

/** The words that receivers of routes know. Mail without a signature has no result. */
function resultFields({ spf, dkim }: Authentication): string {
  const word = SPF_WORDS[spf.result];
  const isUnknown = dkim.every(({ result }) => result === 'temperror' || result === 'none');
  const dkimWord = dkim.some(({ result }) => result === 'pass') ? 'Pass' : 'Fail';
  return [
    word === undefined ? '' : foldHeader('X-Mailgun-Spf', word),
    isUnknown ? '' : foldHeader('X-Mailgun-Dkim-Check-Result', dkimWord),
  ].join('');
}

function spamFields({ isSpam, score, rules }: SpamCheck): string {
  return [
    foldHeader('X-Mailgun-Sflag', isSpam ? 'Yes' : 'No'),
    foldHeader('X-Mailgun-Sscore', String(Math.round(score * 100) / 100)),
    rules.length === 0 ? '' : foldHeader('X-Mailgun-Spam-Rules', rules.slice(0, SPAM_RULES_MAX).join(', ')),
  ].join('');
}

/** Results under our name that came from outside, in any spelling: comments, quotes, a version behind the name (RFC 8601 §2.2). */
function claimsToBeOurs(header: Header, field: RawField, hostname: string): boolean {
  if (field.name !== 'authentication-results') return false;
  const value = withoutComments(rawValue(header, field)).trim();
  const [, quoted, plain = ''] = /^(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))/.exec(value) ?? [];
  const id = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
  return id.trim().toLowerCase().replace(/\.$/, '') === hostname.toLowerCase();
}

/** Without what stands in parentheses, which nest, outside of quotes. */
function withoutComments(text: string): string {
  let result = '';
  let depth = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '\\' && (isQuoted || depth > 0)) {
      if (depth === 0) result += text.slice(at, at + 2);
      at++;
    } else if (character === '"' && depth === 0) {
      isQuoted = !isQuoted;
      result += character;
    } else if (character === '(' && !isQuoted) depth++;
    else if (character === ')' && depth > 0) depth--;
    else if (depth === 0) result += character;
  }
  return result;
}
