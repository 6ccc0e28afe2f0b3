/**
 * Whether a link is one that is counted, and where it leads. http and https only; a link that was written wrong, that has something left over of a template, that holds a
 * password or that is ours already stays as the sender wrote it.
 */
import { TOKEN_PAYLOAD_MAX } from '#base/signed-token.ts';

/** Octets of a URL that is counted: beyond it, with what a token adds, programs cut URLs off. */
export const TARGET_MAX = Math.min(1500, TOKEN_PAYLOAD_MAX - 64);

/** What follows the base in our own links: clicks, opens, unsubscribes. */
const OWN = /^\/[cou]\//;
/** Placeholders that were not filled in, of ours and of the usual template languages: nobody knows what will stand there. */
const LEFT_OVER = /\{\{|\}\}|\{%|%\}|<%|\$\{|\*\||\|\*|\[\[|\]\]|%recipient[._%]|%(?:tag_|mailing_list_)?unsubscribe_(?:url|email)%/i;

/** `given`: as it stands in the text, or in the attribute after its character references were read. `base`: what our own links begin with. */
export function linkTarget(given: string, base: string): string | undefined {
  // What browsers do first (URL Standard §4.4).
  const url = given.replace(/[\t\n\r]+/g, '').replace(/^[\0- ]+|[\0- ]+$/g, '');
  if (!/^https?:\/\//i.test(url) || Buffer.byteLength(url) > TARGET_MAX || LEFT_OVER.test(url)) return undefined;
  if (url.startsWith(base) && OWN.test(url.slice(base.length))) return undefined;
  const parsed = URL.parse(url);
  return parsed === null || parsed.username !== '' || parsed.password !== '' ? undefined : url;
}

/** With the parameters that it does not have yet. `utm`: "utm_source=news&utm_medium=email". */
export function withUtm(url: string, utm: string | undefined): string {
  if (utm === undefined || utm === '') return url;
  const hash = url.indexOf('#');
  const [page, fragment] = hash === -1 ? [url, ''] : [url.slice(0, hash), url.slice(hash)];
  const mark = page.indexOf('?');
  const has = new URLSearchParams(mark === -1 ? '' : page.slice(mark + 1));
  const added = utm.split('&').filter((pair) => !has.has(pair.slice(0, pair.indexOf('='))));
  if (added.length === 0) return url;
  const joint = mark === -1 ? '?' : /[?&]$/.test(page) ? '' : '&';
  return `${page}${joint}${added.join('&')}${fragment}`;
}
