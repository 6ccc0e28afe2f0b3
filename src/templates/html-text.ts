/** The plain text of an HTML document (t:text=yes), by the library html-to-text; bounded, since the document is a stranger's. */
import { convert } from 'html-to-text';

const INPUT_MAX = 512 * 1024;

export function htmlToText(html: string): string {
  return convert(html.slice(0, INPUT_MAX), {
    wordwrap: 78,
    limits: { maxInputLength: INPUT_MAX, maxDepth: 100, maxChildNodes: 20_000 },
    selectors: [
      { selector: 'img', format: 'skip' },
      { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    ],
  });
}
