import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { htmlToText } from './html-text.ts';

test('paragraphs, headings and lists are kept apart, and words stay as they are written', () => {
  const html =
    '<html><head><title>T</title><style>p {}</style></head><body><h1>Hello</h1>\n<p>One\n  two<br>three</p><ul><li>a</li><li>b</li></ul>end</body></html>';
  assert.equal(htmlToText(html), 'Hello\n\nOne two\nthree\n\n * a\n * b\n\nend');
});

test('a link is followed by its address unless its text is the address', () => {
  assert.equal(
    htmlToText('<p>See <a class="x" href="https://example.org/?a=1&amp;b=2">the page</a>.</p>'),
    'See the page (https://example.org/?a=1&b=2).',
  );
  assert.equal(htmlToText('<a href="https://example.org/">https://example.org/</a>'), 'https://example.org/');
  assert.equal(htmlToText('<a href="%unsubscribe_url%">leave</a>'), 'leave (%unsubscribe_url%)');
});

test('placeholders and template tags stay in one piece however long the line', () => {
  const long = `${'word '.repeat(30)}%recipient.first name% {{#if (equal a "b c")}}yes{{/if}} ${'word '.repeat(30)}`.trim();
  assert.equal(htmlToText(`<p>${long}</p>`), long);
});

test('scripts, styles, comments and images are left out', () => {
  assert.equal(htmlToText('a<script>var x = "<p>no</p>"</script><!-- <p>no</p> --><img alt="Logo" src=x>b'), 'ab');
});

test('hostile documents of any length are cut, and stop nothing for long', () => {
  const hostile = [
    '<',
    '<a ',
    '<!--',
    '<style>',
    '&',
    '<p a="',
    '<div>',
    '<table><tr><td>',
    '<ul><li>',
    '<b>x',
    '<b>',
    '<b></p>',
    '<q>',
    '<a href="x">',
  ];
  for (const piece of hostile) {
    const startMs = threadCpuMs();
    htmlToText(piece.repeat(Math.floor(2_000_000 / piece.length)));
    const spentMs = threadCpuMs() - startMs;
    assert.ok(spentMs < 500, `${piece}: ${Math.round(spentMs)} ms`);
  }
});
