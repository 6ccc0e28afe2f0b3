/**
 * What a receiving server's reply means for a recipient: delivered, failed or deferred, and the bounce class that says why.
 *
 * The reply's first digit decides between failed and deferred, unless a rule of the table (`classify-rules.ts`) knows better; the
 * table gives the class. What is not understood (a code that fits nowhere, 2xx before the end of the message) is deferred (P5),
 * and so is whatever is said before MAIL: it is about the connection, not about the recipient.
 */
import type { BounceClass, Disposition, Reply } from '#model/outcome.ts';
import { RULES } from './classify-rules.ts';
import type { Rule } from './classify-rule.ts';
import type { Stage } from './classify-rule.ts';
import type { Provider } from './provider.ts';
import { retryHintMs } from './retry-hint.ts';

export interface ReplyContext {
  readonly provider?: Provider;
  /** Recipients of the transaction: a reply to DATA or to the message is about one address only when it was alone. */
  readonly recipientCount: number;
}

export interface Verdict {
  readonly disposition: Disposition;
  readonly bounceClass?: BounceClass;
  readonly suppress?: true;
  readonly retryAfterMs?: number;
  /** Name of the rule that decided, and what it means in a sentence. */
  readonly rule: string;
  readonly explanation: string;
}

const DELIVERED: Verdict = { disposition: 'delivered', rule: 'delivered', explanation: 'The receiving server took responsibility for it.' };
const BEFORE_MAIL: ReadonlySet<Stage> = new Set(['connect', 'greeting', 'ehlo', 'tls', 'auth']);
const TEXT_CHARACTERS_MAX = 2000;

export function classify(reply: Reply, stage: Stage, context: ReplyContext): Verdict {
  const { code } = reply;
  if (stage === 'dot' && code >= 200 && code <= 299) return DELIVERED;
  if (code < 400 || code > 599) {
    const explanation = 'The receiving server gave a reply that has no meaning at this point.';
    return { disposition: 'deferred', bounceClass: 'protocol', rule: 'not-understood', explanation };
  }
  const text = normalised(reply.text);
  const rule = RULES.find((candidate) => matches(candidate, reply, text, stage, context.provider)) as Rule;
  const byCode: Disposition = code >= 500 ? 'failed' : 'deferred';
  const disposition = code < 500 || BEFORE_MAIL.has(stage) ? 'deferred' : (rule.disposition ?? byCode);
  const isAboutOne = stage === 'rcpt' || ((stage === 'data' || stage === 'dot') && context.recipientCount === 1);
  const retryAfterMs = disposition === 'deferred' ? retryHintMs(text) : undefined;
  return {
    disposition,
    bounceClass: rule.class,
    ...(disposition === 'failed' && rule.suppress === true && isAboutOne ? { suppress: true as const } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    rule: rule.name,
    explanation: rule.explanation,
  };
}

function normalised(text: string): string {
  return text.slice(0, TEXT_CHARACTERS_MAX).toLowerCase().replace(/\s+/g, ' ');
}

function matches(rule: Rule, reply: Reply, text: string, stage: Stage, provider: Provider | undefined): boolean {
  if (rule.provider !== undefined && rule.provider !== provider) return false;
  if (rule.codes !== undefined && !rule.codes.includes(reply.code)) return false;
  if (rule.stages !== undefined && !rule.stages.includes(stage)) return false;
  if (rule.enhanced !== undefined && !rule.enhanced.some((detail) => hasDetail(reply.enhanced, detail))) return false;
  if (rule.phrases !== undefined && !rule.phrases.some((phrase) => hasPhrase(text, phrase))) return false;
  return true;
}

/** "1.1" is subject and detail of 5.1.1 and 4.1.1; "1." is a whole subject. */
function hasDetail(enhanced: string | undefined, detail: string): boolean {
  if (enhanced === undefined) return false;
  const own = enhanced.slice(2);
  return detail.endsWith('.') ? own.startsWith(detail) : own === detail;
}

/** A phrase begins where a word begins: "locked" is not in "blocked". */
function hasPhrase(text: string, phrase: string): boolean {
  for (let at = text.indexOf(phrase); at !== -1; at = text.indexOf(phrase, at + 1)) {
    if (at === 0 || !isWordCharacter(text.charCodeAt(at - 1)) || !isWordCharacter(phrase.charCodeAt(0))) return true;
  }
  return false;
}

function isWordCharacter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code > 127;
}
