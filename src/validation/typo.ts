/** What somebody may have meant: the domain of a large mailbox provider that is one slip of the finger away. Never offered for such a domain itself. */
import { distance } from 'fastest-levenshtein';

/** Those whose users are many enough that a near miss is more likely a slip than a domain of its own. */
const LARGE = [
  'gmail.com',
  'googlemail.com',
  'yahoo.com',
  'yahoo.co.uk',
  'yahoo.fr',
  'ymail.com',
  'hotmail.com',
  'hotmail.co.uk',
  'hotmail.fr',
  'outlook.com',
  'live.com',
  'msn.com',
  'icloud.com',
  'me.com',
  'aol.com',
  'proton.me',
  'protonmail.com',
  'fastmail.com',
  'zoho.com',
  'gmx.com',
  'gmx.de',
  'gmx.net',
  'web.de',
  't-online.de',
  'orange.fr',
  'wanadoo.fr',
  'free.fr',
  'comcast.net',
  'verizon.net',
  'att.net',
  'sbcglobal.net',
  'yandex.ru',
  'mail.ru',
  'mail.com',
  'qq.com',
  '163.com',
  'naver.com',
  'libero.it',
];
const EXACT: ReadonlySet<string> = new Set(LARGE);
/** Two slips only in names that are long enough that little else is so near. */
const TWO_SLIPS_FROM = 9;
/** Nothing longer is near any of them. */
const LENGTH_MAX = 20;

/** `domain` in lower case; undefined: no suggestion. */
export function suggestDomain(domain: string): string | undefined {
  if (domain.length > LENGTH_MAX || EXACT.has(domain)) return undefined;
  let best: string | undefined;
  let bestSlips = 3;
  for (const candidate of LARGE) {
    const slips = distance(domain, candidate);
    // Short names lie close together by chance: "gmx.at" and "me.co" are no slips.
    const allowed = candidate.length >= TWO_SLIPS_FROM ? 2 : candidate.length >= 8 ? 1 : 0;
    if (slips <= allowed && slips < bestSlips) [best, bestSlips] = [candidate, slips];
  }
  return best;
}
