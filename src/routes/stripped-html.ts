/**
 * HTML without what the mail program quoted and without the signature, by the marks that programs put on them. Reads tags as browsers do, in one pass, and builds no tree; where nothing
 * would be left to read, or a mark is missing, the document stays whole.
 */
import { FORWARDED } from './reply-words.ts';

interface Mark {
  readonly tag?: string;
  /** In its attributes. */
  readonly has: readonly string[];
  /** element: it goes. rest: it, and everything behind it. */
  readonly goes: 'element' | 'rest';
}

const MARKS: readonly Mark[] = [
  {
    has: ['gmail_quote', 'gmail_extra', 'yahoo_quoted', 'protonmail_quote', 'zmail_extra', '__quoted_text__', 'moz-cite-prefix'],
    goes: 'element',
  },
  { tag: 'blockquote', has: ['type="cite"'], goes: 'element' },
  {
    has: [
      'gmail_signature',
      'moz-signature',
      'protonmail_signature',
      'id="signature"',
      'id="ms-outlook-mobile-signature"',
      'applemailsignature',
    ],
    goes: 'element',
  },
  {
    has: ['id="divrplyfwdmsg"', 'id="appendonsend"', 'id="mail-editor-reference-message-container"', 'id="olk_src_body_section"'],
    goes: 'rest',
  },
  // Outlook's line above what it quotes.
  {
    tag: 'div',
    has: ['border:none;border-top:solid #e1e1e1', 'border:none;border-top:solid #b5c4df', 'border: none; border-top: 1pt solid'],
    goes: 'rest',
  },
];

const RAW = new Set(['script', 'style', 'textarea', 'title']);
/** Of a tag that is looked at. */
const TAG_MAX = 2000;
const ANNOUNCED_WITHIN = 600;
/** Marks stand near the top; those of a tag that begins behind this are not looked for. */
const MARKS_WITHIN = 512 * 1024;
/** Of a document that has more of them too much is in doubt: it stays whole. */
const TAGS_MAX = 50_000;

export function strippedHtml(html: string): string {
  const kept: string[] = [];
  let from = 0;
  let dropped: { readonly name: string; depth: number } | undefined;
  let tags = 0;
  for (const tag of tagsOf(html)) {
    if (++tags > TAGS_MAX) return html;
    if (dropped !== undefined) {
      if (tag.name !== dropped.name) continue;
      dropped.depth += tag.isEnd ? -1 : 1;
      if (dropped.depth > 0) continue;
      dropped = undefined;
      from = tag.end;
      continue;
    }
    if (tag.start > MARKS_WITHIN) break;
    if (tag.isEnd) continue;
    const goes = markOf(html, tag);
    if (goes === undefined) continue;
    kept.push(html.slice(from, tag.start));
    from = html.length;
    if (goes === 'rest') {
      // What the document ends with stays.
      const end = Math.max(html.lastIndexOf('</body'), html.lastIndexOf('</BODY'));
      if (end > tag.start) from = end;
      break;
    }
    dropped = { name: tag.name, depth: 1 };
  }
  if (kept.length === 0) return html;
  const rest = [...kept, dropped === undefined ? html.slice(from) : ''].join('');
  return hasText(rest) ? rest : html;
}

function markOf(html: string, { name, start, end }: Tag): Mark['goes'] | undefined {
  const text = marking(html.slice(start + 1 + name.length, Math.min(end, start + TAG_MAX)));
  const mark = MARKS.find(({ tag, has }) => (tag === undefined || tag === name) && has.some((words) => text.includes(words)));
  if (mark === undefined) return undefined;
  const below = html.slice(end, end + ANNOUNCED_WITHIN).toLowerCase();
  return FORWARDED.some((words) => below.includes(words)) ? undefined : mark.goes;
}

/** Whether white space is followed by a name is not asked again from each octet of it: a tag of nothing else would cost the square of its length. */
const ATTRIBUTE = /([^\s=>"'/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?|\s+|[^]/gy;
const MARKING = new Set(['class', 'id', 'type', 'style', 'data-marker', 'data-smartmail']);

/** Those attributes of a tag that marks are in, each as `name="value"`, in lower case. */
function marking(attributes: string): string {
  let text = '';
  for (const [, name, double, single, bare] of attributes.matchAll(ATTRIBUTE)) {
    const lower = name?.toLowerCase() ?? '';
    if (MARKING.has(lower)) text += `${lower}="${(double ?? single ?? bare ?? '').toLowerCase()}" `;
  }
  return text;
}

function hasText(html: string): boolean {
  let from = 0;
  let tags = 0;
  for (const { start, end, raw } of tagsOf(html)) {
    if (++tags > TAGS_MAX) return false;
    if (/[^\s]/.test(html.slice(from, start).replaceAll('&nbsp;', ''))) return true;
    from = raw ?? end;
  }
  return /[^\s]/.test(html.slice(from));
}

interface Tag {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly isEnd: boolean;
  /** Where what it holds as text ends. */
  readonly raw?: number;
}

const NAME = /[a-z][^\s/>]{0,30}/iy;

function* tagsOf(html: string): Generator<Tag> {
  let at = 0;
  for (;;) {
    const start = html.indexOf('<', at);
    if (start === -1) return;
    if (html.startsWith('<!--', start)) {
      const end = html.indexOf('-->', start + 4);
      if (end === -1) return;
      yield { name: '', start, end: end + 3, isEnd: true };
      at = end + 3;
      continue;
    }
    const isEnd = html[start + 1] === '/';
    const nameAt = start + (isEnd ? 2 : 1);
    NAME.lastIndex = nameAt;
    const name = isLetter(html.charCodeAt(nameAt)) ? NAME.exec(html)?.[0].toLowerCase() : undefined;
    if (name === undefined) {
      at = start + 1;
      continue;
    }
    const end = tagEnd(html, NAME.lastIndex);
    if (end === -1) return;
    const raw = !isEnd && RAW.has(name) ? rawEnd(html, name, end) : undefined;
    if (raw === -1) return;
    yield { name, start, end, isEnd, ...(raw !== undefined && { raw }) };
    at = raw ?? end;
  }
}

/** Where `</name` begins, which is a name of `RAW`; -1: nowhere. */
function rawEnd(html: string, name: string, from: number): number {
  const end = new RegExp(`</${name}`, 'gi');
  end.lastIndex = from;
  return end.exec(html)?.index ?? -1;
}

function isLetter(code: number): boolean {
  const lower = code | 32;
  return lower >= 97 && lower <= 122;
}

/** After its ">", which does not count inside of quotes; -1: it has none. */
function tagEnd(html: string, from: number): number {
  for (let at = from; at < html.length; at++) {
    const sign = html[at];
    if (sign === '>') return at + 1;
    if ((sign === '"' || sign === "'") && html[at - 1] === '=') {
      const close = html.indexOf(sign, at + 1);
      if (close === -1) return -1;
      at = close;
    }
  }
  return -1;
}
