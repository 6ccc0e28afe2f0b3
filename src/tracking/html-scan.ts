/**
 * Where the links of an HTML document stand, and where a picture may be put in. Tokenizes as browsers do (HTML Standard §13.2.5: comments, raw text, quoted and unquoted
 * attributes, of which the first of a name counts), and builds no tree: what is not a link is not looked at twice. Works on text or on octets as characters.
 *
 * Links are `href` of `<a>` and `<area>`, also in conditional comments, which Outlook reads as HTML. Nothing that stands in other comments, in scripts, styles,
 * titles or text areas is one.
 *
 * Linear: what is searched for and not found ends the scan, as it ends the document for a browser (an attribute or comment that is never closed has swallowed the rest).
 * 10 KB with 30 links cost 20 µs.
 */

export interface HtmlLink {
  /** Of the value, inside its quotes when it has some. */
  readonly start: number;
  readonly end: number;
  /** The sender's wish: `disable-tracking=true`. */
  readonly isDisabled: boolean;
}

export interface HtmlScan {
  /** In order. */
  readonly links: readonly HtmlLink[];
  /** Where the body's content begins: what is put there is shown above it. */
  readonly top: number;
  /** Where it ends. Before anything that is never closed. */
  readonly bottom: number;
}

/** Links beyond are left as they are (P9). */
export const LINKS_MAX = 2000;

export function scanHtml(html: string): HtmlScan {
  const scan = new Scan(html, 0, []);
  scan.run();
  return { links: scan.links, top: scan.top(), bottom: scan.bottom() };
}

/** What these contain is text up to their own end tag. */
const RAW = new Set(['script', 'style', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes', 'plaintext']);

const GT = 0x3e;
const SLASH = 0x2f;
const EQUALS = 0x3d;

class Scan {
  readonly #html: string;
  /** In the document, when this is a piece of it. */
  readonly #offset: number;
  readonly links: HtmlLink[];
  /** Where what is never closed begins. */
  #unfinished = -1;
  #nextBang = -2;
  /** Of the last element that holds text up to its end tag: where it begins, and where that tag does. */
  #rawOpen = -1;
  #rawEndAt = -1;
  #places: Readonly<Partial<Record<'doctype' | 'html' | 'head' | 'headEnd' | 'body' | 'bodyEnd' | 'htmlEnd', number>>> = {};
  /** Of the tag that was read last. */
  #hrefStart = -1;
  #hrefEnd = -1;
  #isDisabled = false;

  constructor(html: string, offset: number, links: HtmlLink[]) {
    this.#html = html;
    this.#offset = offset;
    this.links = links;
  }

  run(): void {
    const html = this.#html;
    let at = 0;
    for (;;) {
      const open = html.indexOf('<', at);
      if (open === -1 || open + 1 >= html.length) return;
      at = this.#markup(open, html.charCodeAt(open + 1));
      if (at === -1) {
        // An end tag that never ends leaves what it was to end open.
        this.#unfinished = open === this.#rawEndAt ? this.#rawOpen : open;
        return;
      }
    }
  }

  /** After <body>; without one, after the head; with neither, at the beginning. A head that does not end leaves only the bottom. */
  top(): number {
    const { body, headEnd, head, html, doctype } = this.#places;
    return body ?? headEnd ?? (head === undefined ? (html ?? doctype ?? 0) : this.bottom());
  }

  bottom(): number {
    const { bodyEnd, htmlEnd } = this.#places;
    return bodyEnd ?? htmlEnd ?? (this.#unfinished === -1 ? this.#html.length : this.#unfinished);
  }

  /** Returns where to go on; -1: the document ends inside. */
  #markup(open: number, next: number): number {
    if (isLetter(next)) return this.#startTag(open);
    if (next === SLASH) return this.#endTag(open);
    if (next === 0x21) return this.#declaration(open);
    return next === 0x3f ? this.#after('>', open + 2) : open + 1;
  }

  #startTag(open: number): number {
    const nameEnd = this.#nameEnd(open + 1);
    const name = this.#html.slice(open + 1, Math.min(nameEnd, open + 20)).toLowerCase();
    const isLink = name === 'a' || name === 'area';
    const end = this.#attributes(nameEnd, isLink);
    if (end === -1) return -1;
    if (isLink) {
      if (this.#hrefStart !== -1 && this.links.length < LINKS_MAX)
        this.links.push({ start: this.#hrefStart + this.#offset, end: this.#hrefEnd + this.#offset, isDisabled: this.#isDisabled });
      return end;
    }
    if (name === 'body' || name === 'head' || name === 'html') this.#place(name, end);
    if (!RAW.has(name)) return end;
    this.#rawOpen = open;
    this.#rawEndAt = this.#rawEnd(name, end);
    return this.#rawEndAt;
  }

  #endTag(open: number): number {
    const next = this.#html.charCodeAt(open + 2);
    if (next === GT) return open + 3;
    if (!isLetter(next)) return this.#after('>', open + 2);
    const nameEnd = this.#nameEnd(open + 2);
    const name = this.#html.slice(open + 2, Math.min(nameEnd, open + 20)).toLowerCase();
    const end = this.#attributes(nameEnd, false);
    if (end === -1) return -1;
    // A browser goes on after </body>: the last one is where the content ends.
    if (name === 'body' || name === 'html') this.#places = { ...this.#places, [`${name}End`]: open };
    else if (name === 'head') this.#place('headEnd', end);
    return end;
  }

  #place(name: 'doctype' | 'html' | 'head' | 'headEnd' | 'body', at: number): void {
    if (this.#places[name] === undefined) this.#places = { ...this.#places, [name]: at };
  }

  #declaration(open: number): number {
    const html = this.#html;
    if (!html.startsWith('--', open + 2)) {
      const end = this.#after('>', open + 2);
      if (end !== -1 && html.slice(open + 2, open + 9).toLowerCase() === 'doctype') this.#place('doctype', end);
      return end;
    }
    const from = open + 4;
    if (html.charCodeAt(from) === GT) return from + 1;
    if (html.startsWith('->', from)) return from + 2;
    const dashes = html.indexOf('-->', from);
    // "--!>" ends a comment too. It is rare, so it is not searched for again before where it was found.
    if (this.#nextBang !== -1 && this.#nextBang < from) this.#nextBang = html.indexOf('--!>', from);
    const isBang = this.#nextBang !== -1 && (dashes === -1 || this.#nextBang < dashes);
    const end = isBang ? this.#nextBang : dashes;
    if (end === -1) return -1;
    if (html.startsWith('[if', from)) this.#conditional(from, end);
    return isBang ? end + 4 : end + 3;
  }

  /** `<!--[if mso]> … <![endif]-->`: a document of its own to who reads it, which ends with the comment whatever it leaves open. */
  #conditional(from: number, end: number): void {
    const start = this.#html.slice(from, Math.min(end, from + 200)).indexOf(']>');
    if (start === -1) return;
    const at = from + start + 2;
    new Scan(this.#html.slice(at, end), at + this.#offset, this.links).run();
  }

  #after(text: string, from: number): number {
    const found = this.#html.indexOf(text, from);
    return found === -1 ? -1 : found + text.length;
  }

  /** Where `</name` begins that ends it. */
  #rawEnd(name: string, from: number): number {
    const html = this.#html;
    if (name === 'plaintext') return -1;
    for (let at = html.indexOf('</', from); at !== -1; at = html.indexOf('</', at + 2)) {
      const end = at + 2 + name.length;
      if (html.slice(at + 2, end).toLowerCase() === name && (end === html.length || isNameEnd(html.charCodeAt(end)))) return at;
    }
    return -1;
  }

  #nameEnd(from: number): number {
    let at = from;
    while (at < this.#html.length && !isNameEnd(this.#html.charCodeAt(at))) at++;
    return at;
  }

  /** Reads the attributes of a tag up to its ">". Returns where it goes on after that. */
  #attributes(from: number, isLink: boolean): number {
    const html = this.#html;
    this.#hrefStart = -1;
    this.#isDisabled = false;
    let isDisabledKnown = false;
    let at = from;
    for (;;) {
      while (at < html.length && (isSpace(html.charCodeAt(at)) || html.charCodeAt(at) === SLASH)) at++;
      if (at >= html.length) return -1;
      if (html.charCodeAt(at) === GT) return at + 1;
      const nameStart = at;
      // A "=" where a name begins is its first character.
      at++;
      while (at < html.length && !isNameEnd(html.charCodeAt(at)) && html.charCodeAt(at) !== EQUALS) at++;
      const nameEnd = at;
      while (at < html.length && isSpace(html.charCodeAt(at))) at++;
      let start = nameEnd;
      let end = nameEnd;
      if (html.charCodeAt(at) === EQUALS) {
        at++;
        while (at < html.length && isSpace(html.charCodeAt(at))) at++;
        const quote = html.charCodeAt(at);
        if (quote === 0x22 || quote === 0x27) {
          start = at + 1;
          end = html.indexOf(quote === 0x22 ? '"' : "'", start);
          if (end === -1) return -1;
          at = end + 1;
        } else {
          start = at;
          while (at < html.length && !isSpace(html.charCodeAt(at)) && html.charCodeAt(at) !== GT) at++;
          end = at;
        }
      }
      if (!isLink) continue;
      const length = nameEnd - nameStart;
      if (length === 4 && this.#hrefStart === -1 && html.slice(nameStart, nameEnd).toLowerCase() === 'href') {
        this.#hrefStart = start;
        this.#hrefEnd = end;
      } else if (length === 16 && !isDisabledKnown && html.slice(nameStart, nameEnd).toLowerCase() === 'disable-tracking') {
        isDisabledKnown = true;
        this.#isDisabled =
          html
            .slice(start, Math.min(end, start + 8))
            .trim()
            .toLowerCase() !== 'false';
      }
    }
  }
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d && code !== 0x0b);
}

/** Of a tag's name, and of an attribute's beside "=". */
function isNameEnd(code: number): boolean {
  return isSpace(code) || code === SLASH || code === GT;
}
