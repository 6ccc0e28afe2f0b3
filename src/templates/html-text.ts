/**
 * The plain text of an HTML document (t:text=yes), by the library html-to-text; bounded, since the document is a stranger's.
 * Lines are not wrapped: a placeholder or template tag must stay in one piece, and the encoder keeps lines short anyway.
 */
import { convert } from 'html-to-text';

/** What follows is left out. Deep nesting costs the library quadratic time: a tenth of a second for this much of the worst. */
const INPUT_MAX = 192 * 1024;
const TAGS_MAX = 20_000;
const AS_WRITTEN = { uppercase: false } as const;

export function htmlToText(html: string): string {
  return convert(beginningOf(html), {
    wordwrap: false,
    limits: { maxInputLength: INPUT_MAX, maxDepth: 100, maxChildNodes: 20_000 },
    selectors: [
      { selector: 'img', format: 'skip' },
      { selector: 'a', options: { hideLinkHrefIfSameAsText: true, linkBrackets: ['(', ')'] } },
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: AS_WRITTEN })),
    ],
  });
}

function beginningOf(html: string): string {
  let tags = 0;
  for (const { index } of html.slice(0, INPUT_MAX).matchAll(/<\/?[a-z]/gi)) {
    if (++tags > TAGS_MAX) return html.slice(0, index);
  }
  return html.slice(0, INPUT_MAX);
}
