/**
 * Footers with which a domain lets its mail be unsubscribed from: put below the first text and the first HTML of a message, when neither says itself where that is done. HTML is
 * extended at the end of its body, and nowhere else.
 */
import type { LeafPass, TextLeaf } from '#mail/text-leaves.ts';
import type { DomainSettings } from '#store/domain-store.ts';

export interface Footers {
  readonly html: string;
  readonly text: string;
}

const HTML_FOOTER = '\n<br>\n<p><a href="%unsubscribe_url%">unsubscribe</a></p>\n';
const TEXT_FOOTER = '\n\nTo unsubscribe click: <%unsubscribe_url%>\n\n';

/** The domain's, or the usual ones. */
export function footersOf({ unsubscribeHtml = HTML_FOOTER, unsubscribeText = TEXT_FOOTER }: DomainSettings): Footers {
  return { html: unsubscribeHtml, text: unsubscribeText };
}

/** `endOfBody`: where what is put in is shown below an HTML document. */
export function footerPass({ html, text }: Footers, endOfBody: (html: string) => number): LeafPass {
  const inHtml = lines(
    Array.from(html, (character) => (character > '\x7f' ? `&#${character.codePointAt(0) as number};` : character)).join(''),
  );
  return (octets, leaf) => {
    if (leaf.position !== 0) return octets;
    if (leaf.kind === 'text') return octets + octetsOf(lines(text), leaf);
    const end = endOfBody(octets);
    return octets.slice(0, end) + inHtml + octets.slice(end);
  };
}

function lines(text: string): string {
  return text.replace(/\r?\n/g, '\r\n');
}

/** In the leaf's charset, which nobody tells: as what is read back as the same. Where nothing is, letters lose their marks. */
function octetsOf(text: string, leaf: TextLeaf): string {
  for (const octets of [Buffer.from(text).toString('latin1'), text]) if (isOctets(octets) && leaf.decode(octets) === text) return octets;
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^\0-\x7f]/g, '?');
}

function isOctets(text: string): boolean {
  return !/[^\0-\xff]/.test(text);
}
