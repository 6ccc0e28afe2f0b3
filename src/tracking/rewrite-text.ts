/**
 * A plain text with its links led through us. A URL ends at white space, at quotes and angle brackets, and before punctuation that more likely belongs to the sentence; one that
 * goes on with letters beyond ASCII stays as it is, because nobody can say where it ends.
 */
import { TARGET_MAX } from './link-target.ts';

const URL_START = /https?:\/\//gi;
/** Printable ASCII except quotes, angle brackets, backslash and backtick (RFC 3986 Appendix C); braces stay, so that what is left of a template is seen. */
const NOT_IN_URL = /[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x5f\x61-\x7e]/g;
/** Octets that one character may take. */
const CHARACTER_MAX = 4;

/** `link`: where a link leads → what is to stand in its place; undefined: it stays. */
export function rewriteText(text: string, link: (target: string) => string | undefined, decode: (octets: string) => string): string {
  let result = '';
  let from = 0;
  URL_START.lastIndex = 0;
  for (let match = URL_START.exec(text); match !== null; match = URL_START.exec(text)) {
    const start = match.index;
    const stop = stopOf(text, URL_START.lastIndex);
    // Each stretch is looked at once, whatever it holds.
    URL_START.lastIndex = stop;
    if (stop - start > TARGET_MAX || isGoingOn(text, stop, decode) || (start > 0 && /\w/.test(text.charAt(start - 1)))) continue;
    const url = withoutSentence(text.slice(start, stop));
    const by = link(url);
    if (by === undefined) continue;
    result += text.slice(from, start) + by;
    from = start + url.length;
  }
  return from === 0 ? text : result + text.slice(from);
}

function stopOf(text: string, from: number): number {
  NOT_IN_URL.lastIndex = from;
  return NOT_IN_URL.exec(text)?.index ?? text.length;
}

function isGoingOn(text: string, stop: number, decode: (octets: string) => string): boolean {
  return text.charCodeAt(stop) > 0x7f && /^[\p{L}\p{M}\p{N}]/u.test(decode(text.slice(stop, stop + CHARACTER_MAX)));
}

/** Without punctuation at its end, and closing brackets that were not opened in it. */
function withoutSentence(url: string): string {
  let end = url.length;
  let [round, square] = [balance(url, '(', ')'), balance(url, '[', ']')];
  for (; end > 0; end--) {
    const last = url.charAt(end - 1);
    if (last === ')' && round < 0) round++;
    else if (last === ']' && square < 0) square++;
    else if (!".,;:!?'*".includes(last)) break;
  }
  return url.slice(0, end);
}

/** How many more open than close. */
function balance(url: string, open: string, close: string): number {
  let found = 0;
  for (const character of url) found += character === open ? 1 : character === close ? -1 : 0;
  return found;
}
