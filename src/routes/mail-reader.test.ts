import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MailReader } from './mail-reader.ts';

const BYTES = Buffer.from('Content-Type: text/html\r\n\r\n<p>yes</p><blockquote type="cite">no</blockquote>');

function counting(): { reader: MailReader; made: () => number } {
  let made = 0;
  const reader = new MailReader((html) => {
    made++;
    return `text of ${html.slice(0, 6)}`;
  });
  return { reader, made: () => made };
}

test('the texts of a message are made once, however many posts ask for them at once and after', async () => {
  const { reader, made } = counting();
  const [first] = await Promise.all([1, 2, 3].map(() => reader.read(7, BYTES)));
  await reader.read(7, BYTES);
  assert.equal(made(), 1);
  assert.deepEqual(first?.texts, { plain: 'text of <p>yes', strippedText: 'text of <p>yes', signature: '', strippedHtml: '<p>yes</p>' });
});

test('another message has texts of its own', async () => {
  const { reader, made } = counting();
  await reader.read(7, BYTES);
  const { texts } = await reader.read(8, Buffer.from('Subject: x\r\n\r\nother'));
  assert.deepEqual([texts.plain, made()], ['other', 1]);
});

test('what was made is not held for long', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { reader, made } = counting();
  await reader.read(7, BYTES);
  t.mock.timers.tick(30_000);
  await reader.read(7, BYTES);
  assert.equal(made(), 2);
});

test('a message that would fill the memory is read for each post', async () => {
  const { reader, made } = counting();
  const large = Buffer.concat([BYTES, Buffer.alloc(64 * 1024 * 1024)]);
  await reader.read(7, large);
  await reader.read(7, large);
  assert.equal(made(), 2);
});
