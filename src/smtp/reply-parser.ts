/**
 * Octets of a receiving server into `Reply` values. A reply is attacker input: its length, its lines and its line length are
 * bounded, its text is made printable, and what is not a reply (RFC 5321 §4.2) ends the parsing with a sentence that says why.
 * Lenient where real servers are sloppy and nothing is at stake: lines may end with LF, and the space after the code may be missing.
 */
import type { Reply } from '#model/outcome.ts';

/** Octets of one line. RFC 5321 §4.5.3.1.5 says 512; real servers write longer ones. */
export const REPLY_LINE_OCTETS_MAX = 8192;
export const REPLY_LINES_MAX = 500;
/** Octets of one reply, all its lines together. */
export const REPLY_OCTETS_MAX = 65_536;
/** Characters of text that are kept. */
export const REPLY_TEXT_MAX = 2000;

const ENHANCED = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/;

export class ReplyParser {
  #partial = '';
  #code = 0;
  #enhanced: string | undefined;
  #lines = 0;
  #octets = 0;
  #text = '';
  #trouble: string | undefined;

  /** True when octets of an unfinished reply are held. */
  get isMidReply(): boolean {
    return this.#partial !== '' || this.#lines > 0;
  }

  /** Calls `take` for each reply that is complete. Returns what is wrong once the octets are no reply; nothing is parsed after that. */
  push(octets: Buffer, length: number, take: (reply: Reply) => void): string | undefined {
    if (this.#trouble !== undefined) return this.#trouble;
    const text = this.#partial + octets.toString('latin1', 0, length);
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const stop = end > start && text.charCodeAt(end - 1) === 13 ? end - 1 : end;
      this.#line(text.slice(start, stop), take);
      if (this.#trouble !== undefined) return this.#trouble;
      start = end + 1;
    }
    this.#partial = text.slice(start);
    if (this.#partial.length > REPLY_LINE_OCTETS_MAX) this.#trouble = `a reply line of more than ${REPLY_LINE_OCTETS_MAX} octets`;
    return this.#trouble;
  }

  #line(line: string, take: (reply: Reply) => void): void {
    const code = codeOf(line);
    const separator = line.charCodeAt(3);
    const isLast = line.length === 3 || separator === 32;
    if (code === undefined || (!isLast && separator !== 45)) {
      this.#trouble = `a malformed reply: "${printable(line.slice(0, 80))}"`;
      return;
    }
    this.#lines++;
    this.#octets += line.length;
    if (this.#lines === 1) {
      this.#code = code;
    } else if (code !== this.#code) {
      this.#trouble = `a reply with two codes: ${this.#code} and ${code}`;
      return;
    }
    if (line.length > REPLY_LINE_OCTETS_MAX || this.#lines > REPLY_LINES_MAX || this.#octets > REPLY_OCTETS_MAX) {
      this.#trouble = `a reply of more than ${REPLY_LINES_MAX} lines or ${REPLY_OCTETS_MAX} octets`;
      return;
    }
    this.#addText(line.slice(4));
    if (!isLast) return;
    take({ code, ...(this.#enhanced === undefined ? {} : { enhanced: this.#enhanced }), text: this.#text });
    this.#lines = 0;
    this.#octets = 0;
    this.#enhanced = undefined;
    this.#text = '';
  }

  #addText(raw: string): void {
    if (this.#text.length >= REPLY_TEXT_MAX) return;
    let rest = raw;
    const match = ENHANCED.exec(raw);
    if (match !== null) {
      const enhanced = match[1] as string;
      this.#enhanced ??= enhanced;
      if (enhanced === this.#enhanced) rest = raw.slice(enhanced.length + 1);
    }
    const clean = printable(rest);
    this.#text = (this.#lines === 1 ? clean : `${this.#text}\n${clean}`).slice(0, REPLY_TEXT_MAX);
  }
}

function codeOf(line: string): number | undefined {
  let code = 0;
  for (let i = 0; i < 3; i++) {
    const digit = line.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return undefined;
    code = code * 10 + digit;
  }
  return code < 100 ? undefined : code;
}

/**
 * Text that is safe to log and to lay out: `latin1` holds octets, read as UTF-8. Control characters (C0, C1), bidirectional and
 * invisible format characters and line separators become "?", octets that are not UTF-8 become U+FFFD. Markup is the page's concern.
 */
export function printable(latin1: string): string {
  if (/^[\x20-\x7e]*$/.test(latin1)) return latin1;
  return Buffer.from(latin1, 'latin1')
    .toString('utf8')
    .replaceAll('\t', ' ')
    .replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb]/g, '?');
}
