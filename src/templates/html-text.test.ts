import assert from 'node:assert/strict';
import { test } from 'node:test';
import { htmlToText } from './html-text.ts';

test('paragraphs, headings and lists are kept apart', () => {
  const html =
    '<html><head><title>T</title><style>p {}</style></head><body><h1>Hello</h1>\n<p>One\n  two<br>three</p><ul><li>a</li><li>b</li></ul>end</body></html>';
  assert.equal(htmlToText(html), 'Hello\n\nOne two\nthree\n\n- a\n- b\n\nend\n');
});

test('a link is followed by its address unless its text is the address', () => {
  assert.equal(
    htmlToText('<p>See <a class="x" href="https://example.org/?a=1&amp;b=2">the page</a>.</p>'),
    'See the page (https://example.org/?a=1&b=2).\n',
  );
  assert.equal(htmlToText('<a href="https://example.org/">https://example.org/</a>'), 'https://example.org/\n');
  assert.equal(htmlToText("<a href='javascript:alert(1)'>x</a> <a href='#top'>y</a>"), 'x y\n');
  assert.equal(htmlToText('<a href="%unsubscribe_url%">leave</a>'), 'leave (%unsubscribe_url%)\n');
});

test('entities become characters, but no control characters', () => {
  assert.equal(htmlToText('a &amp; b&nbsp;&lt;c&gt; &#233;&#xe9; &unknown; &#10;&#0;x'), 'a & b <c> éé &unknown; x\n');
});

test('scripts, styles and comments are left out; an image shows its alternative', () => {
  assert.equal(htmlToText('a<script>var x = "<p>no</p>"</script><!-- <p>no</p> --><img alt="Logo &amp; co" src=x>b'), 'aLogo & cob\n');
});

test('what is no tag is text, and broken markup ends with the text', () => {
  assert.equal(htmlToText('1 < 2 and 3 <4'), '1 < 2 and 3 <4\n');
  assert.equal(htmlToText('text <a href="x'), 'text\n');
  assert.equal(htmlToText('<style>never closed'), '');
  assert.equal(htmlToText(''), '');
});

test('hostile input takes linear time', () => {
  for (const html of [
    '<'.repeat(200_000),
    '<a '.repeat(60_000),
    '<!--'.repeat(50_000),
    '<style>'.repeat(30_000),
    '&'.repeat(200_000),
    '<p a="'.repeat(30_000),
  ]) {
    const start = performance.now();
    htmlToText(html);
    assert.ok(performance.now() - start < 1000, html.slice(0, 10));
  }
});
