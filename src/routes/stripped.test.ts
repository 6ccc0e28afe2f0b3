/** Every sample of test/corpus/replies says behind its body what is to be left of it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { strippedHtml } from './stripped-html.ts';
import { strippedText } from './stripped-text.ts';

const CORPUS = new URL('../../test/corpus/replies/', import.meta.url);

function sample(file: string): { body: string; text: string; signature: string } {
  const [body = '', rest = ''] = readFileSync(new URL(file, CORPUS), 'utf8').split('\n%%% text\n');
  const [text = '', signature = ''] = rest.replace(/\n$/, '').split('\n%%% signature\n');
  return { body, text, signature };
}

for (const file of readdirSync(CORPUS)) {
  test(`${file}: what was written is told from what was quoted and signed`, () => {
    const { body, text, signature } = sample(file);
    if (file.endsWith('.html')) return assert.equal(strippedHtml(body).trim(), text);
    assert.deepEqual(strippedText(body.replaceAll('\n', '\r\n')), { text, signature });
  });
}

test('marks are looked for near the top, and a document of too many tags stays whole', () => {
  const quote = '<blockquote type="cite">quoted</blockquote>';
  assert.equal(strippedHtml(`<p>${'x'.repeat(500_000)}</p>${quote}`).includes('quoted'), false);
  assert.equal(strippedHtml(`<p>${'x'.repeat(530_000)}</p>${quote}`).includes('quoted'), true);
  assert.equal(strippedHtml(`x${quote}<p>${'y'.repeat(530_000)}`).includes('quoted'), false);
  assert.equal(strippedHtml(`x<blockquote type="cite">quoted${'<i>'.repeat(60_000)}</blockquote>`).includes('quoted'), true);
  assert.equal(strippedHtml(`${'<i>'.repeat(60_000)}${quote}`).includes('quoted'), true);
});

test('what is made to be slow to read is read at once', () => {
  const texts = [
    'On ',
    'On 2026 ',
    'From: a\n',
    '\n',
    '> ',
    '> x\ny\n',
    '-- \n',
    '____\n',
    'Am 12.10.2026 10:00 <a@b> ',
    'thanks\n',
    '-----Original ',
  ];
  const htmls = ['<', '<div class="gmail_quote">', '<a x="', '<!--', '</', '<script>', '<div class="gmail_quote"></div>', "<b '"];
  const blankMs = threadCpuMs();
  for (const tag of [`<p${' '.repeat(1990)}>`, `<p a${' '.repeat(1980)}>`, `<p a=${' '.repeat(1980)}>`]) strippedHtml(tag.repeat(250));
  const blankTookMs = threadCpuMs() - blankMs;
  assert.ok(blankTookMs < 500, `${Math.round(blankTookMs)} ms`);
  const startMs = threadCpuMs();
  for (const text of texts) strippedText(text.repeat(1_000_000 / text.length));
  for (const html of htmls) strippedHtml(html.repeat(1_000_000 / html.length));
  const tookMs = threadCpuMs() - startMs;
  assert.ok(tookMs < 5000, `${Math.round(tookMs)} ms`);
});
