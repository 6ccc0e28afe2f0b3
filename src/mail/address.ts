/**
 * Addresses of mail: RFC 5321 paths and RFC 5322 mailboxes and lists, with RFC 6531/6532 local parts beyond ASCII.
 *
 * Promises: linear in the text; one spelling of each domain; what two parsers could read as two different recipients is refused
 * (source routes, several "@", names with an unquoted "@", invisible or look-alike specials, control characters). "%" and "!" in a
 * local part are plain characters: the part after the last unquoted "@" is the only domain. Never repairs, never guesses.
 */
import { encodeWords, decodeWords } from './encoded-word.ts';
import { normalizeDomain, normalizeLiteral } from './domain.ts';

export { normalizeDomain } from './domain.ts';

export interface Path {
  /** As given; a quoted string keeps its quotes unless a dot-atom says the same. */
  readonly local: string;
  /** Lower case, A-labels; or an address literal in brackets. */
  readonly domain: string;
  /** local@domain */
  readonly address: string;
  /** The local part is beyond ASCII: the transaction needs SMTPUTF8. */
  readonly isUtf8: boolean;
}

export interface Mailbox extends Path {
  /** Display name, decoded; '' when there is none. */
  readonly name: string;
}

/** RFC 5321 §4.5.3.1, in octets. */
const LOCAL_MAX = 64;
const ADDRESS_MAX = 254;
/** Longest list that is looked at, in UTF-16 units. */
const LIST_MAX = 1_048_576;

const PLAIN = /^([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@([A-Za-z0-9.-]+)$/;
const DOT_ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+)*$/;
const CONTROL = /[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/;
const NON_ASCII = /[\u0080-\uffff]/;

const NULL_PATH: Path = { local: '', domain: '', address: '', isUtf8: false };

/** What stands between < and > in MAIL and RCPT. `allowNull`: '' is the null reverse-path. Source routes are refused (RFC 5321 appendix F.2 permits it). */
export function parsePath(text: string, options: { readonly allowNull: boolean }): Path | undefined {
  if (text === '') return options.allowNull ? NULL_PATH : undefined;
  const plain = parsePlain(text);
  if (plain !== undefined) return plain;
  if (text.length > ADDRESS_MAX + 2 || CONTROL.test(text) || text.includes('\t')) return undefined;
  const cursor: Cursor = { text, at: 0 };
  const local = readLocal(cursor);
  if (local === undefined || text[cursor.at] !== '@') return undefined;
  return makePath(local, text.slice(cursor.at + 1));
}

/** What stands after the last "@" of an address that was read before. Without an "@": all of it. */
export function domainOfAddress(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/** One mailbox, with or without a display name. */
export function parseMailbox(text: string): Mailbox | undefined {
  const plain = parsePlain(text);
  if (plain !== undefined) return { name: '', ...plain };
  if (text.length > LIST_MAX || CONTROL.test(text)) return undefined;
  const cursor: Cursor = { text, at: 0 };
  const element = readElement(cursor);
  return typeof element === 'object' && cursor.at === text.length ? element : undefined;
}

/**
 * Mailboxes of an address-list; members of groups stand in line with the others, empty elements are skipped, an empty text is an empty list.
 * Stops one mailbox after `max`: a result longer than `max` means "too many". Undefined when any part is malformed or ambiguous.
 */
export function parseAddressList(text: string, max: number): Mailbox[] | undefined {
  const plain = parsePlain(text);
  if (plain !== undefined) return [{ name: '', ...plain }];
  if (text.length > LIST_MAX || CONTROL.test(text)) return undefined;
  const cursor: Cursor = { text, at: 0 };
  const found: Mailbox[] = [];
  let inGroup = false;
  while (found.length <= max) {
    const element = readElement(cursor);
    if (element === undefined) return undefined;
    if (element === 'group') {
      if (inGroup) return undefined;
      inGroup = true;
      continue;
    }
    if (element !== 'empty') found.push(element);
    const delimiter = text[cursor.at++];
    if (delimiter === undefined) return inGroup ? undefined : found;
    if (delimiter === ';') {
      if (!inGroup) return undefined;
      inGroup = false;
      // What follows a group is the end or the next element.
      if (!skipBlank(cursor)) return undefined;
      if (cursor.at < text.length && text[cursor.at++] !== ',') return undefined;
    }
  }
  return found;
}

/** The mailbox as a header shows it: name as atoms, quoted string or encoded words, then the address in angle brackets. */
export function formatMailbox(name: string, address: string): string {
  if (name === '') return address;
  if (NON_ASCII.test(name)) return `${encodeWords(name)} <${address}>`;
  return `${quoteName(name)} <${address}>`;
}

/** The same without encoding: for text that is encoded later, or shown to people. */
export function displayMailbox(name: string, address: string): string {
  return name === '' ? address : `${quoteName(name)} <${address}>`;
}

/** A display name as a phrase: as it is when made of atoms, else as a quoted string. */
export function quoteName(name: string): string {
  const clean = name.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ');
  if (/^[A-Za-z0-9!#$%&'*+/?^_`{|}~\u0080-\uffff-]+(?: [A-Za-z0-9!#$%&'*+/?^_`{|}~\u0080-\uffff-]+)*$/.test(clean)) return clean;
  return `"${clean.replace(/["\\]/g, '\\$&')}"`;
}

// ---- reading ---------------------------------------------------------------------------------------------------------

interface Cursor {
  readonly text: string;
  at: number;
}

/** user@example.org: nearly every recipient. Undefined: look closer. */
function parsePlain(text: string): Path | undefined {
  if (text.length > ADDRESS_MAX) return undefined;
  const match = PLAIN.exec(text);
  if (match === null) return undefined;
  const local = match[1] as string;
  const domain = normalizeDomain(match[2] as string);
  if (domain === undefined || local.length > LOCAL_MAX) return undefined;
  return { local, domain, address: `${local}@${domain}`, isUtf8: false };
}

function makePath(local: string, domainText: string): Path | undefined {
  const domain = domainText.startsWith('[') ? normalizeLiteral(domainText) : normalizeDomain(domainText);
  if (domain === undefined || local.includes('\t')) return undefined;
  const isUtf8 = NON_ASCII.test(local);
  if (isUtf8 && !isHonestUtf8(local)) return undefined;
  const octets = Buffer.byteLength(local);
  if (octets > LOCAL_MAX || octets + 1 + domain.length > ADDRESS_MAX) return undefined;
  return { local, domain, address: `${local}@${domain}`, isUtf8 };
}

/** Refuses what cannot be seen, and characters that compatibility mapping turns into ASCII specials ("＠", "․", "％"). */
function isHonestUtf8(local: string): boolean {
  if (!local.isWellFormed() || /[\p{Z}\p{Cc}\p{Cf}\p{Noncharacter_Code_Point}]/u.test(local.replace(/ /g, ''))) return false;
  const beyond = local.replace(/[\0-\x7f]/g, '');
  return !/[\0-/:-@[-`{-\x7f]/.test(beyond.normalize('NFKC'));
}

/** Dot-atom or quoted string, with nothing around it. */
function readLocal(cursor: Cursor): string | undefined {
  if (cursor.text[cursor.at] === '"') {
    const quoted = readQuoted(cursor);
    return quoted === undefined ? undefined : normalizeQuoted(quoted);
  }
  const atom = readAtom(cursor);
  return DOT_ATOM.test(atom) ? atom : undefined;
}

/** RFC 5321 §4.1.2: the shortest of the equivalent forms. */
function normalizeQuoted(content: string): string {
  return DOT_ATOM.test(content) ? content : `"${content.replace(/["\\]/g, '\\$&')}"`;
}

/** The content of the quoted string at the cursor, unescaped; undefined when it does not end. */
function readQuoted(cursor: Cursor): string | undefined {
  const { text } = cursor;
  let content = '';
  let from = cursor.at + 1;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      cursor.at = at + 1;
      return content + text.slice(from, at);
    }
    if (character === '\\') {
      content += text.slice(from, at);
      from = ++at;
    }
  }
  return undefined;
}

/** Atoms and dots, as far as they go; '' when there is none. */
function readAtom(cursor: Cursor): string {
  const { text } = cursor;
  const start = cursor.at;
  while (cursor.at < text.length && isAtomText(text.charCodeAt(cursor.at))) cursor.at++;
  return text.slice(start, cursor.at);
}

const SPECIALS = new Set('()<>[]:;@\\,"\t '.split('').map((character) => character.charCodeAt(0)));
function isAtomText(code: number): boolean {
  return !SPECIALS.has(code);
}

/** Skips white space and comments, which nest. False when a comment does not end. */
function skipBlank(cursor: Cursor): boolean {
  const { text } = cursor;
  let depth = 0;
  for (; cursor.at < text.length; cursor.at++) {
    const character = text[cursor.at];
    if (character === '(') depth++;
    else if (depth > 0) {
      if (character === ')') depth--;
      else if (character === '\\') cursor.at++;
    } else if (character !== ' ' && character !== '\t') return true;
  }
  return depth === 0;
}

interface Token {
  readonly text: string;
  readonly isQuoted: boolean;
}

/** Reads up to the "," or ";" or end after one element; 'group' when it was a group's name and colon. */
function readElement(cursor: Cursor): Mailbox | 'empty' | 'group' | undefined {
  const { text } = cursor;
  const tokens: Token[] = [];
  for (;;) {
    if (!skipBlank(cursor)) return undefined;
    const character = text[cursor.at];
    if (character === undefined || character === ',' || character === ';') return tokens.length === 0 ? 'empty' : undefined;
    if (character === '"') {
      const content = readQuoted(cursor);
      if (content === undefined) return undefined;
      tokens.push({ text: content, isQuoted: true });
    } else if (character === '<') {
      return readAngle(cursor, phrase(tokens));
    } else if (character === '@') {
      return tokens.length === 1 ? readAfterLocal(cursor, tokens[0] as Token) : undefined;
    } else if (character === ':') {
      cursor.at++;
      return tokens.length > 0 ? 'group' : undefined;
    } else {
      const atom = readAtom(cursor);
      if (atom === '') return undefined;
      tokens.push({ text: atom, isQuoted: false });
    }
  }
}

function phrase(tokens: readonly Token[]): string {
  return decodeWords(tokens.map((token) => token.text).join(' ')).toWellFormed();
}

function readAngle(cursor: Cursor, name: string): Mailbox | undefined {
  cursor.at++;
  if (!skipBlank(cursor)) return undefined;
  const local = readLocal(cursor);
  if (local === undefined || !skipBlank(cursor) || cursor.text[cursor.at] !== '@') return undefined;
  const path = readDomain(cursor, local);
  if (path === undefined || cursor.text[cursor.at] !== '>') return undefined;
  cursor.at++;
  return atDelimiter(cursor) ? { name, ...path } : undefined;
}

function readAfterLocal(cursor: Cursor, token: Token): Mailbox | undefined {
  if (!token.isQuoted && !DOT_ATOM.test(token.text)) return undefined;
  const path = readDomain(cursor, token.isQuoted ? normalizeQuoted(token.text) : token.text);
  return path !== undefined && atDelimiter(cursor) ? { name: '', ...path } : undefined;
}

/** From the "@" over the domain and blanks after it. */
function readDomain(cursor: Cursor, local: string): Path | undefined {
  cursor.at++;
  if (!skipBlank(cursor)) return undefined;
  const start = cursor.at;
  if (cursor.text[start] === '[') {
    const end = cursor.text.indexOf(']', start);
    if (end === -1) return undefined;
    cursor.at = end + 1;
  } else {
    readAtom(cursor);
  }
  const domain = cursor.text.slice(start, cursor.at);
  return skipBlank(cursor) ? makePath(local, domain) : undefined;
}

function atDelimiter(cursor: Cursor): boolean {
  if (!skipBlank(cursor)) return false;
  const character = cursor.text[cursor.at];
  return character === undefined || character === ',' || character === ';';
}
