/**
 * A plain text version of HTML, for `t:text=yes`: paragraphs and lists kept apart, links with their address, no markup. One pass, no
 * document tree; what is malformed is taken as text. Meant to be read by people whose programs show no HTML, and by filters.
 */
const BREAKS = /^(?:p|div|tr|table|ul|ol|h[1-6]|blockquote|section|article|header|footer|pre)$/;
const SKIPPED = /^(?:style|script|head|title|template)$/;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  copy: '©',
  reg: '®',
  trade: '™',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  bull: '•',
  middot: '·',
  euro: '€',
  pound: '£',
  times: '×',
  laquo: '«',
  raquo: '»',
  zwnj: '',
};

export function htmlToText(html: string): string {
  const out = new Writer();
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf('<', at);
    if (open < 0) break;
    out.words(html.slice(at, open));
    at = afterTag(html, open, out);
  }
  if (at < html.length) out.words(html.slice(at));
  return out.text();
}

/** Writes what the tag means and returns where it ends. A "<" that starts no tag is text. */
function afterTag(html: string, open: number, out: Writer): number {
  if (html.startsWith('<!--', open)) return endOf(html, '-->', open + 4);
  const match = /^<(\/?)([a-z][a-z0-9]*)(?=[\s/>])/i.exec(html.slice(open, open + 24));
  if (match === null) {
    if (/^<[!?]/.test(html.slice(open, open + 2))) return endOf(html, '>', open);
    out.words('<');
    return open + 1;
  }
  const name = (match[2] as string).toLowerCase();
  const end = tagEnd(html, open + match[0].length);
  const isClosing = match[1] === '/';
  if (!isClosing && SKIPPED.test(name)) return skipElement(html, name, end);
  if (name === 'br') out.newline(1);
  else if (name === 'hr') out.rule();
  else if (name === 'li' && !isClosing) out.item();
  else if ((name === 'td' || name === 'th') && isClosing) out.words(' ');
  else if (name === 'a') out.link(isClosing ? undefined : hrefOf(html.slice(open, end)));
  else if (name === 'img' && !isClosing) out.words(attributeOf(html.slice(open, end), 'alt') ?? '');
  else if (BREAKS.test(name)) out.newline(/^(?:p|h[1-6]|ul|ol|blockquote|table)$/.test(name) ? 2 : 1);
  return end;
}

/** After the ">" that ends a tag; quoted attribute values may hold ">". */
function tagEnd(html: string, from: number): number {
  let quote = '';
  for (let at = from; at < html.length; at++) {
    const char = html[at] as string;
    if (quote !== '') {
      if (char === quote) quote = '';
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '>') return at + 1;
  }
  return html.length;
}

function skipElement(html: string, name: string, from: number): number {
  const close = html.slice(from).search(new RegExp(`</${name}[\\s>]`, 'i'));
  return close < 0 ? html.length : endOf(html, '>', from + close);
}

function endOf(html: string, mark: string, from: number): number {
  const found = html.indexOf(mark, from);
  return found < 0 ? html.length : found + mark.length;
}

/** Addresses worth showing; fragments and scripts are not. */
function hrefOf(tag: string): string | undefined {
  const href = attributeOf(tag, 'href')?.trim();
  return href !== undefined && /^(?:https?:|mailto:|tel:|%|\{\{)/i.test(href) ? href.replace(/^mailto:/i, '') : undefined;
}

function attributeOf(tag: string, name: string): string | undefined {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>"']+))`, 'i').exec(tag);
  const value = match?.[1] ?? match?.[2] ?? match?.[3];
  return value === undefined ? undefined : decodeEntities(value);
}

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return Object.hasOwn(ENTITIES, name.toLowerCase()) ? (ENTITIES[name.toLowerCase()] as string) : whole;
    const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
    return code >= 32 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && (code < 127 || code > 159)
      ? String.fromCodePoint(code)
      : ' ';
  });
}

/** Collects text: runs of white space are one space, line ends are remembered until a word follows. */
class Writer {
  readonly #parts: string[] = [];
  #newlines = 0;
  #needsSpace = false;
  #href: string | undefined;
  #linkText = '';

  words(html: string): void {
    if (html === '') return;
    const text = decodeEntities(html).replace(/[ \t\r\n\f\u00a0]+/g, ' ');
    if (text.startsWith(' ')) this.#needsSpace = true;
    const trimmed = text.trim();
    if (trimmed !== '') this.#push(trimmed);
    if (trimmed !== '' && text.endsWith(' ')) this.#needsSpace = true;
  }

  newline(count: number): void {
    this.#newlines = Math.max(this.#newlines, count);
  }

  item(): void {
    this.newline(1);
    this.#push('-');
    this.#needsSpace = true;
  }

  rule(): void {
    this.newline(1);
    this.#push('----------');
    this.newline(1);
  }

  /** With an address: a link begins. Without: it ends, and its address follows unless the text says it already. */
  link(href: string | undefined): void {
    if (href === undefined && this.#href !== undefined && !this.#linkText.includes(this.#href)) {
      this.#needsSpace = true;
      this.#push(`(${this.#href})`);
    }
    this.#href = href;
    this.#linkText = '';
  }

  text(): string {
    return this.#parts.length === 0 ? '' : `${this.#parts.join('')}\n`;
  }

  #push(text: string): void {
    if (this.#parts.length > 0) {
      if (this.#newlines > 0) this.#parts.push('\n'.repeat(this.#newlines));
      else if (this.#needsSpace) this.#parts.push(' ');
    }
    this.#newlines = 0;
    this.#needsSpace = false;
    this.#parts.push(text);
    if (this.#href !== undefined && this.#linkText.length < 2048) this.#linkText += text;
  }
}
