import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMail } from './parsed-mail.ts';

const MIXED = 'From: shop@example.org\r\nSubject: Hi\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n';

test('a file name keeps only the last step of its path', async () => {
  const part = (name: string): string => `--b\r\nContent-Disposition: attachment; filename="${name}"\r\n\r\nx\r\n`;
  const { attachments } = await parseMail(Buffer.from(`${MIXED}${part('../../etc/passwd')}${part('C:\\\\x\\\\y.txt')}--b--\r\n`));
  assert.deepEqual(
    attachments.map(({ filename }) => filename),
    ['passwd', 'y.txt'],
  );
});

test('mail that would take the parser seconds is not parsed', async () => {
  const parts = Buffer.from(`${MIXED}${'--b\r\n\r\nx\r\n'.repeat(20_000)}--b--\r\n`);
  await assert.rejects(parseMail(parts), { message: /too many parts/ });
  const html = Buffer.from(`From: shop@example.org\r\nContent-Type: text/html\r\n\r\n${'<b>x</b>\r\n'.repeat(900_000)}`);
  await assert.rejects(parseMail(html), { message: /too much HTML/ });
});

test('an attached page is a file like any other', async () => {
  const file = `--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=a.html\r\n\r\n${'x'.repeat(70)}\r\n`;
  const { attachments } = await parseMail(Buffer.from(`${MIXED}${file}--b--\r\n`));
  assert.equal(attachments.length, 1);
});
