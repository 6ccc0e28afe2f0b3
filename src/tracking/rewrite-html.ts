/**
 * An HTML text with its links led through us and a pixel in it. Every octet that does not belong to a changed link, or to the pixel, is the same, and links that are ours
 * already stay.
 */
import { decodeHTMLAttribute } from 'entities/decode';
import { type HtmlLink, scanHtml } from './html-scan.ts';

export interface HtmlWishes {
  /** Where a link leads → what is to stand in its place; undefined: it stays. Absent: no links. */
  readonly link?: (target: string) => string | undefined;
  /** What the octets of an attribute say. */
  decode(octets: string): string;
  readonly pixel?: { readonly url: string; readonly place: 'top' | 'bottom' };
}

/** No URL of ours has a character that means anything in an attribute, quoted or not. */
const SAFE = /^[\w.~:/?#[\]@!$()*+,;%-]+$/;

export function rewriteHtml(html: string, wishes: HtmlWishes): string {
  const { links, top, bottom } = scanHtml(html);
  const edits: (readonly [start: number, end: number, by: string])[] = [];
  if (wishes.link !== undefined) {
    for (const link of links) {
      const by = link.isDisabled ? undefined : wishes.link(valueOf(html, link, wishes));
      if (by !== undefined) edits.push([link.start, link.end, asserted(by)]);
    }
  }
  if (wishes.pixel !== undefined) {
    const at = wishes.pixel.place === 'top' ? top : bottom;
    edits.push([at, at, pixelOf(wishes.pixel.url)]);
  }
  if (edits.length === 0) return html;
  let result = '';
  let from = 0;
  for (const [start, end, by] of edits.toSorted((a, b) => a[0] - b[0])) {
    result += html.slice(from, start) + by;
    from = end;
  }
  return result + html.slice(from);
}

function valueOf(html: string, { start, end }: HtmlLink, wishes: HtmlWishes): string {
  const octets = html.slice(start, end);
  const text = IS_ASCII.test(octets) ? octets : wishes.decode(octets);
  return text.includes('&') ? decodeHTMLAttribute(text) : text;
}

const IS_ASCII = /^[\0-\x7f]*$/;

function pixelOf(url: string): string {
  return `<img width="1" height="1" alt="" src="${asserted(url)}">`;
}

function asserted(url: string): string {
  if (!SAFE.test(url)) throw new Error('a URL of ours has a character that an attribute cannot carry');
  return url;
}
