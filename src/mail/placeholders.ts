/**
 * The placeholders of batch mail: %recipient.KEY%, %recipient%, %recipient_email% and its kin, and the unsubscribe family. A closed list of
 * names: "100% sure, 50%" is text. A text is cut once and filled for each recipient.
 */
import { MailError } from './mail-error.ts';

/** Characters that one text may grow to: a long value in many places would take more than memory has. */
export const FILLED_MAX = 32 * 1024 * 1024;

/** Keys may hold anything but "%" and line ends ("v:user", "first name"). */
const PLACEHOLDER =
  /%(recipient(?:\.[^%\r\n]{1,128}|_(?:email|name|fname|lname))?|(?:tag_|mailing_list_)?unsubscribe_url|(?:tag_)?unsubscribe_email)%/g;

/** Those of them that stand for addresses to unsubscribe at. */
export const UNSUBSCRIBE_PLACEHOLDER = /%(?:(?:tag_|mailing_list_)?unsubscribe_url|(?:tag_)?unsubscribe_email)%/;

/** Literal and key alternate; `literals` has one more than `keys`. */
export interface Template {
  readonly literals: readonly string[];
  readonly keys: readonly string[];
}

/** The value of a key; undefined leaves the placeholder as it is. */
export type Values = (key: string) => string | undefined;

export function hasPlaceholder(text: string): boolean {
  return text.includes('%') && text.search(PLACEHOLDER) !== -1;
}

export function cutPlaceholders(text: string): Template {
  const literals: string[] = [];
  const keys: string[] = [];
  let from = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    literals.push(text.slice(from, match.index));
    keys.push(match[1] as string);
    from = match.index + match[0].length;
  }
  literals.push(text.slice(from));
  return { literals, keys };
}

/** One pass: a value that looks like a placeholder is not looked at again. Throws MailError when it grows beyond `max`. */
export function fill(template: Template, values: Values, max = FILLED_MAX): string {
  const { literals, keys } = template;
  let result = literals[0] as string;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    result += (values(key) ?? `%${key}%`) + (literals[i + 1] as string);
    if (result.length > max) throw new MailError(`The message grows beyond ${max} characters when its variables are filled in`);
  }
  return result;
}

export function fillText(text: string, values: Values, max = FILLED_MAX): string {
  return text.includes('%') ? fill(cutPlaceholders(text), values, max) : text;
}

/** For where a text is only shown: as it was written when it would grow beyond `max`. */
export function fillShown(text: string, values: Values, max: number): string {
  try {
    return fillText(text, values, max);
  } catch (error) {
    if (error instanceof MailError) return text;
    throw error;
  }
}
