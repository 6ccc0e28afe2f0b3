/**
 * What a reported failure means, by the same rules as a reply that we got ourselves. A report of failure is final whatever its code says: the reporter has given up. Only what the rules
 * call a mailbox that does not exist suppresses an address.
 */
import type { BounceClass, Reply } from '#model/outcome.ts';
import type { ReportedRecipient } from '#mail/status-report.ts';

/** The rules about replies; `host`: who said it, as far as that is known. */
export type ClassifyReply = (reply: Reply, host: string | undefined) => { readonly bounceClass?: BounceClass; readonly suppress?: true };

export interface BounceVerdict {
  readonly code: number;
  readonly enhanced?: string;
  readonly text: string;
  readonly bounceClass: BounceClass;
  /** It says clearly that there is no such mailbox. */
  readonly isNoMailbox: boolean;
}

const TEXT_MAX = 1000;
/** Codes of RFC 5321 and its extensions; other numbers in a text are ports, years and sizes. */
const REPLY = /(?:^|[\s:;('"<])(4[2-5]\d|471|5[0-57]\d)(?=[\s:-]|$)(?:[\s-]+#?([45]\.\d{1,3}\.\d{1,3}))?[\s:-]*/;
const UNTOLD = 'The receiving side reported later that it could not deliver the message';

export function verdictOf(reported: ReportedRecipient, reportingMta: string | undefined, classify: ClassifyReply): BounceVerdict {
  const reply = replyOf(reported);
  const { bounceClass = 'unclassified', suppress } = classify(reply, reported.remoteMta ?? reportingMta);
  // RFC 3463 §3.5: delivery time expired, whatever the last reply was about.
  const isExpired = reported.status?.endsWith('.4.7') === true;
  return {
    code: reply.code,
    text: reply.text,
    ...(reply.enhanced !== undefined && { enhanced: reply.enhanced }),
    bounceClass: isExpired ? 'expired' : bounceClass,
    isNoMailbox: suppress === true && !isExpired,
  };
}

/** The reply that is quoted; without one, what the status says. */
export function replyOf({ diagnostic = '', status }: ReportedRecipient): Reply {
  const match = REPLY.exec(diagnostic.slice(0, TEXT_MAX));
  // A status that says nothing but "permanent" yields to the one that was quoted.
  const said = status === undefined || /^[245]\.0\.0$/.test(status) ? (match?.[2] ?? status) : status;
  const enhanced = said !== undefined && /^[45]\./.test(said) ? said : undefined;
  // A code that says no more than what kind of failure it is.
  if (match === null) return made(enhanced?.startsWith('4.') === true ? 451 : enhanced === undefined ? 554 : 550, enhanced, diagnostic);
  return made(Number(match[1]), enhanced, withoutRepeats(diagnostic.slice(match.index + match[0].length), match[1] as string));
}

function made(code: number, enhanced: string | undefined, text: string): Reply {
  return { code, ...(enhanced !== undefined && { enhanced }), text: text.trim() === '' ? UNTOLD : text.trim().slice(0, TEXT_MAX) };
}

/** The lines of a reply were joined, each with its code: "550-5.1.1 The account 550-5.1.1 that you …". */
function withoutRepeats(text: string, code: string): string {
  return text.split(new RegExp(` ${code}[ -](?:[45]\\.\\d{1,3}\\.\\d{1,3} ?)?`)).join(' ');
}
