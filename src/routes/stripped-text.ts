/**
 * What somebody wrote in answer, without what the mail program quoted below it and without the signature. Works on lines, of which the beginning is looked at, so it is linear whatever a
 * stranger wrote. Where answers stand between what is quoted, the quotes stay: without them the answers say nothing. What is in doubt stays.
 */
import { ATTRIBUTIONS, CLOSINGS, DEVICE_LINES, FIELD_NAMES, FORWARDED, ORIGINALS } from './reply-words.ts';

export interface StrippedText {
  readonly text: string;
  /** '' where there is none. */
  readonly signature: string;
}

/** Lines that are looked at; what stands below belongs to the text. */
const LINES_MAX = 5000;
/** Of a line. */
const LOOKED_AT = 400;
/** An attribution may be broken over so many lines. */
const ATTRIBUTION_LINES = 4;
const SIGNATURE_LINES = 15;
const CLOSING_LINES = 6;

export function strippedText(whole: string): StrippedText {
  const lines = whole.replaceAll('\r\n', '\n').split('\n');
  if (lines.length > LINES_MAX) return { text: whole.trim(), signature: '' };
  const answer = withoutQuotes(lines);
  const at = signatureAt(answer);
  if (at === undefined) return { text: joined(answer), signature: '' };
  return { text: joined(answer.slice(0, at)), signature: joined(answer.slice(at)) };
}

function joined(lines: readonly string[]): string {
  return lines
    .join('\n')
    .replace(/^(?:[ \t]*\n)+/, '')
    .trimEnd();
}

// ---- quotes --------------------------------------------------------------------------------------------------------------

function withoutQuotes(lines: readonly string[]): readonly string[] {
  const cut = lines.findIndex((_, at) => isConversation(lines, at));
  const upper = cut === -1 ? lines : lines.slice(0, cut);
  const blocks = quotedBlocks(upper);
  const inBlock = new Set(blocks.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index)));
  const lastText = upper.findLastIndex((line, at) => line.trim() !== '' && !inBlock.has(at));
  // Blocks behind everything that was written are below the answer; what is left of them stands between.
  const between = blocks.filter(({ start }) => start <= lastText);
  const upTo = lastText === -1 ? upper.length : lastText + 1;
  const [only] = between;
  const isInline =
    between.length > 1 || (only !== undefined && upper.slice(0, only.start).some((line) => line.trim() !== '') && !only.isIntroduced);
  if (isInline || only === undefined) return lastText === -1 ? upper.filter((line) => !isQuoted(line)) : upper.slice(0, upTo);
  // One block above the answer.
  return [...upper.slice(0, only.start), ...upper.slice(only.end, upTo)];
}

interface Block {
  readonly start: number;
  readonly end: number;
  readonly isIntroduced: boolean;
}

/** Runs of quoted lines, each with the line that introduces it and empty lines in between. */
function quotedBlocks(lines: readonly string[]): readonly Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const introduced = isQuoted(lines[at]) ? 0 : attributionAt(lines, at);
    let from = at + introduced;
    if (introduced > 0) while (from < lines.length && (lines[from] as string).trim() === '') from++;
    if (!isQuoted(lines[from])) {
      // Introduced, and nothing quoted behind it that could be told: all below is.
      continue;
    }
    let end = from;
    for (let look = from; look < lines.length && (isQuoted(lines[look]) || (lines[look] as string).trim() === ''); look++) {
      if (isQuoted(lines[look])) end = look + 1;
    }
    blocks.push({ start: at, end, isIntroduced: introduced > 0 });
    at = end - 1;
  }
  return blocks;
}

function isQuoted(line: string | undefined): boolean {
  return line !== undefined && /^ {0,3}>/.test(line);
}

/** From here on everything is an older message: the program did not mark it line by line. */
function isConversation(lines: readonly string[], at: number): boolean {
  const line = plain(lines[at]);
  if (line === '' || isQuoted(lines[at])) return false;
  if (isOriginal(line)) return true;
  if (/^_{8,}$/.test(line) || /^-{8,}$/.test(line)) return isFieldBlock(lines, nextText(lines, at + 1), lines, at);
  if (isFieldBlock(lines, at, lines, at)) return true;
  if (isAttributionWithText(line)) return true;
  const introduced = attributionAt(lines, at);
  return introduced > 0 && !isQuoted(lines[nextText(lines, at + introduced)]);
}

function nextText(lines: readonly string[], from: number): number {
  let at = from;
  while (at < lines.length && (lines[at] as string).trim() === '') at++;
  return at;
}

function isOriginal(line: string): boolean {
  const [, inner] = /^[-_=*\s]{0,40}([^-_=*].{3,60}?)[-_=*\s:]{0,40}$/.exec(line.slice(0, 120)) ?? [];
  return inner !== undefined && /^[-_=*]/.test(line) && ORIGINALS.has(inner.replaceAll('’', "'").trim());
}

/** "From: … Sent: … To: … Subject: …", in any language; not what is sent on. */
function isFieldBlock(lines: readonly string[], from: number, all: readonly string[], blockStart: number): boolean {
  if (fieldKind(plain(lines[from])) !== 'from') return false;
  const kinds = new Set<string>();
  for (let at = from + 1, seen = 0; at < lines.length && seen < 8; at++) {
    const line = plain(lines[at]);
    if (line === '' && kinds.size > 0) break;
    seen++;
    const kind = fieldKind(line);
    if (kind !== undefined && kind !== 'from' && kind !== 'other') kinds.add(kind);
  }
  return kinds.size >= 2 && !isAnnounced(all, blockStart);
}

/** A line not far above says that the message is sent on. */
function isAnnounced(lines: readonly string[], at: number): boolean {
  for (let above = at, seen = 0; above >= 0 && seen < 3; above--) {
    const line = plain(lines[above]);
    if (line === '') continue;
    seen++;
    if (FORWARDED.some((words) => line.includes(words))) return true;
  }
  return false;
}

function fieldKind(line: string): string | undefined {
  const [, name] = /^\*{0,2}([^:：*]{1,20}?)\s?\*{0,2}[:：]/.exec(line) ?? [];
  return name === undefined || !Object.hasOwn(FIELD_NAMES, name.trim()) ? undefined : FIELD_NAMES[name.trim()];
}

/** How many lines it takes; 0: it is none. */
function attributionAt(lines: readonly string[], at: number): number {
  let text = '';
  for (let count = 1; count <= ATTRIBUTION_LINES; count++) {
    const line = plain(lines[at + count - 1]);
    if (line === '' || (count > 1 && isQuoted(lines[at + count - 1]))) return 0;
    text = count === 1 ? line : `${text} ${line}`;
    if (text.length > LOOKED_AT) return 0;
    if (/[:：]$/.test(text)) return isAttribution(text.replace(/\s*[:：]$/, (end) => (end.startsWith(' ') ? ' :' : ':'))) ? count : 0;
  }
  return 0;
}

/** What is quoted begins on the very line that introduces it. */
function isAttributionWithText(line: string): boolean {
  const [, introduction] =
    /^(.{10,300}?(?: wrote| a écrit| escribió| ha scritto| escreveu| schrieb[^:]{0,80}| schreef[^:]{0,80}) ?:)\s/.exec(line) ?? [];
  return introduction !== undefined && introduction.includes('@') && /20\d\d/.test(introduction) && isAttribution(introduction);
}

function isAttribution(text: string): boolean {
  if (
    ATTRIBUTIONS.some(
      ({ begins, has }) => (begins?.some((word) => text.startsWith(word)) ?? true) && has.some((word) => text.includes(word)),
    )
  )
    return /\d|@/.test(text);
  // A date, a time, an address and a colon: nobody writes this by hand.
  return (
    /(?:19|20)\d\d/.test(text) && /\d{1,2}[:.h時]\s?\d{2}/.test(text) && /[<(＜][^<>()\s]{1,100}@[^<>()\s]{1,100}[>)＞]\s?:$/.test(text)
  );
}

/** As the tables have it. */
function plain(line: string | undefined): string {
  return (line ?? '').slice(0, LOOKED_AT).replaceAll('\u00a0', ' ').replaceAll('\u202f', ' ').trim().toLowerCase();
}

// ---- signatures ----------------------------------------------------------------------------------------------------------

/** Where the signature begins; undefined: there is none, or nothing would be left. */
function signatureAt(lines: readonly string[]): number | undefined {
  const end = lines.findLastIndex((line) => line.trim() !== '') + 1;
  const hasTextAbove = (at: number): boolean => lines.slice(0, at).some((line) => line.trim() !== '');
  const found = [markedAt(lines, end), closingAt(lines, end), deviceAt(lines, end)].filter((at) => at !== undefined && hasTextAbove(at));
  return found.length === 0 ? undefined : Math.min(...(found as number[]));
}

/** RFC 3676 §4.3, and what became of it on the way. */
function markedAt(lines: readonly string[], end: number): number | undefined {
  for (let at = end - 1; at >= Math.max(0, end - SIGNATURE_LINES); at--)
    if (/^(?:-- ?|—|__)$/.test((lines[at] as string).trimStart())) return at;
  return undefined;
}

function deviceAt(lines: readonly string[], end: number): number | undefined {
  for (let at = end - 1; at >= Math.max(0, end - 3); at--) {
    const line = plain(lines[at]);
    if (line.length < 120 && DEVICE_LINES.some((words) => line.startsWith(words))) return at;
  }
  return undefined;
}

/** "Best regards," with a name and few short lines below. */
function closingAt(lines: readonly string[], end: number): number | undefined {
  let below = 0;
  for (let at = end - 1; at >= 0 && below <= CLOSING_LINES; at--) {
    const line = plain(lines[at]);
    if (line === '') continue;
    if (CLOSINGS.has(line.replace(/[\s,.!:;。、-]+$/, ''))) return at;
    if (line.length > 80) return undefined;
    below++;
  }
  return undefined;
}
