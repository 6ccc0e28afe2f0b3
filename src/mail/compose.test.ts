import { test } from 'node:test';
import assert from 'node:assert/strict';
import PostalMime from 'postal-mime';
import { compose, type ComposeParts } from './compose.ts';
import { MailError } from './mail-error.ts';

const CONTEXT = { messageId: '20261104090503.0123456789abcdef@example.org', dateMs: Date.UTC(2026, 10, 4, 9, 5, 3) };
const BASIC: ComposeParts = {
  from: 'Shop <shop@example.org>',
  to: ['Jane Doe <jane@example.net>'],
  cc: [],
  subject: 'Receipt',
  text: 'Hello',
  headers: [],
  attachments: [],
};
const file = (filename: string, contentType: string, text: string, contentId?: string): ComposeParts['attachments'][number] => ({
  filename,
  contentType,
  bytes: Buffer.from(text),
  ...(contentId === undefined ? {} : { contentId }),
});
const make = (parts: Partial<ComposeParts>): Buffer => compose({ ...BASIC, ...parts }, CONTEXT);
const text = (parts: Partial<ComposeParts>): string => make(parts).toString();

test('a plain message is exactly this', () => {
  assert.equal(
    text({}),
    [
      'From: Shop <shop@example.org>',
      'To: Jane Doe <jane@example.net>',
      'Subject: Receipt',
      'Date: Wed, 04 Nov 2026 09:05:03 +0000',
      'Message-ID: <20261104090503.0123456789abcdef@example.org>',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Hello',
      '',
    ].join('\r\n'),
  );
});

test('the same parts and seed give the same octets in memory of their own', () => {
  const parts = { html: '<p>Hi</p>', attachments: [file('a.txt', 'text/plain', 'x')] };
  const one = make(parts);
  assert.deepEqual(one, make(parts));
  assert.equal(one.buffer.byteLength, one.length);
});

test('an independent parser reads back text, HTML, AMP, inline and attached files', async () => {
  const mime = make({
    subject: 'Grüße – 日本',
    from: 'Jörg Müller <joerg@example.org>',
    text: 'Zeile ä\n\nzwei',
    html: `<p>Zeile ä</p>${'<img src="cid:logo.png">'.repeat(100)}`,
    ampHtml: '<html amp4email></html>',
    attachments: [
      file('logo.png', 'image/png', 'PNG', 'logo.png'),
      file('Übersicht "2026".pdf', 'application/pdf', 'PDF\r\n\0'),
      file('c.csv', 'text/csv; charset=utf-8; name=z', 'ä;b'),
    ],
  });
  const email = await PostalMime.parse(mime);
  assert.equal(email.subject, 'Grüße – 日本');
  assert.equal(email.from?.name, 'Jörg Müller');
  assert.equal(email.text?.trim(), 'Zeile ä\n\nzwei');
  assert.match(email.html ?? '', /^<p>Zeile ä<\/p><img src="cid:logo.png">/);
  const attachments = email.attachments.map((each) => [
    each.filename,
    each.mimeType,
    each.contentId,
    Buffer.from(each.content as ArrayBuffer).toString(),
  ]);
  assert.deepEqual(
    attachments.filter((each) => each[1] !== 'text/x-amp-html'),
    [
      ['logo.png', 'image/png', '<logo.png>', 'PNG'],
      ['Übersicht "2026".pdf', 'application/pdf', undefined, 'PDF\r\n\0'],
      ['c.csv', 'text/csv', undefined, 'ä;b'],
    ],
  );
});

test('the structure has no more levels than the parts need', () => {
  const types = (parts: Partial<ComposeParts>): string[] =>
    [...text(parts).matchAll(/^Content-Type: ([^;\r]+)/gm)].map((match) => match[1] as string);
  assert.deepEqual(types({ text: undefined, html: 'h' }), ['text/html']);
  assert.deepEqual(types({ html: 'h' }), ['multipart/alternative', 'text/plain', 'text/html']);
  assert.deepEqual(types({ html: 'h', ampHtml: 'a' }), ['multipart/alternative', 'text/plain', 'text/x-amp-html', 'text/html']);
  assert.deepEqual(types({ html: 'h', attachments: [file('i', 'image/png', 'x', 'i')] }), [
    'multipart/alternative',
    'text/plain',
    'multipart/related',
    'text/html',
    'image/png',
  ]);
  assert.deepEqual(types({ attachments: [file('i', 'image/png', 'x', 'i')] }), ['multipart/mixed', 'text/plain', 'image/png']);
  assert.deepEqual(types({ text: undefined }), ['text/plain']);
});

test('own headers are added, ours to set are ignored, and those we write are replaced', () => {
  const mime = text({
    headers: [
      ['X-Custom', 'Wert ä'],
      ['content-type', 'text/evil'],
      ['MIME-Version', '2.0'],
      ['Content-Transfer-Encoding', '8bit'],
      ['Bcc', 'secret@example.net'],
      ['Reply-To', 'Jörg <j@example.org>'],
      ['subject', 'Other'],
    ],
  });
  assert.match(mime, /\r\nX-Custom: Wert =\?UTF-8\?/);
  assert.match(mime, /\r\nReply-To: =\?UTF-8\?B\?SsO2cmc=\?= <j@example.org>\r\n/);
  assert.match(mime, /\r\nSubject: Other\r\n/);
  assert.doesNotMatch(mime, /evil|2\.0|8bit|secret|Receipt/);
});

test('CR, LF and NUL are refused in everything that becomes a header', () => {
  for (const bad of ['\r', '\n', '\0', '\r\n', '\r\nBcc: x@example.net']) {
    for (const parts of [
      { from: `a${bad}@example.org` },
      { to: [`a${bad}@example.org`] },
      { cc: [`a${bad}@example.org`] },
      { subject: `x${bad}y` },
      { headers: [['X-A', `x${bad}y`]] as const },
      { headers: [[`X${bad}A`, 'x']] as const },
      { attachments: [file(`a${bad}.txt`, 'text/plain', 'x')] },
      { attachments: [file('a.txt', `text/plain${bad}`, 'x')] },
      { html: 'h', attachments: [file('a.txt', 'text/plain', 'x', `i${bad}d`)] },
    ] satisfies Partial<ComposeParts>[]) {
      assert.throws(() => make(parts), MailError, JSON.stringify(parts));
    }
  }
});

test('a header name must be ASCII without spaces or colons', () => {
  for (const name of ['X-Ä', 'X A', 'X:A', '']) assert.throws(() => make({ headers: [[name, 'v']] }), MailError);
  assert.throws(() => make({ headers: [['X-Ä', 'v']] }), { message: 'Header name must be pure ASCII: X-Ä' });
});

test('every line is ASCII and within 998 characters, whatever the parts', () => {
  const mime = make({
    subject: 'x'.repeat(3000),
    to: Array.from({ length: 1000 }, (_, i) => `"Nämé ${i}, ${'n'.repeat(i % 90)}" <u${i}@example.net>`),
    text: 'y'.repeat(5000),
    html: `<p>${'ö'.repeat(3000)}</p>`,
    headers: [
      ['List-Unsubscribe', `<https://example.org/${'u'.repeat(600)}>, <mailto:ü@example.org>`],
      ['X-Long', 'z '.repeat(2000)],
    ],
    attachments: [file('ü'.repeat(250), 'application/x-thing', 'x'), file('f'.repeat(250), 'nonsense', 'x')],
  });
  for (const line of mime.toString('latin1').split('\r\n')) {
    assert.ok(line.length <= 998, String(line.length));
    assert.match(line, /^[\t\x20-\x7e]*$/);
  }
});

test('long and foreign file names read back', async () => {
  for (const name of ['ü'.repeat(120), 'f'.repeat(200), "it's (a) *file*!.txt", '日本語 ファイル.pdf', 'back\\slash "q".txt', '100%.txt']) {
    const email = await PostalMime.parse(make({ attachments: [file(name, 'application/pdf', 'x')] }));
    assert.equal(email.attachments[0]?.filename, name);
  }
});

test('a message inside is not encoded unless it must be', async () => {
  const inner = 'From: a@example.org\r\nSubject: inner\r\n\r\nhello\r\n';
  assert.match(text({ attachments: [file('m.eml', 'message/rfc822', inner)] }), /Content-Type: message\/rfc822;[^]*Subject: inner/);
  assert.match(text({ attachments: [file('m.eml', 'message/rfc822', `${inner}ü`)] }), /Content-Type: application\/octet-stream[^]*base64/);
  assert.match(text({ attachments: [file('m.eml', 'multipart/mixed; boundary=x', inner)] }), /Content-Type: application\/octet-stream/);
});

test('content that contains the boundary does not end its part', async () => {
  const boundary = /boundary="([^"]+)"/.exec(text({ html: 'h' }))?.[1] as string;
  const email = await PostalMime.parse(make({ text: `a\n--${boundary}--\nb`, html: 'h' }));
  assert.match(email.text ?? '', /--\nb/);
});

test('placeholders stay readable for the expansion of a batch', () => {
  const mime = text({ to: ['%recipient%'], subject: 'Hi %recipient.name%', headers: [['Reply-To', 'reply+%recipient.id%@example.org']] });
  assert.match(mime, /\r\nTo: %recipient%\r\nSubject: Hi %recipient.name%\r\n/);
  assert.match(mime, /\r\n?Reply-To: reply\+%recipient.id%@example.org\r\n/);
});

test('a local part beyond ASCII stays UTF-8, its domain becomes A-labels', () => {
  assert.match(text({ to: ['Jörg <用户@bücher.example>'] }), /To: =\?UTF-8\?B\?SsO2cmc=\?= <用户@xn--bcher-kva.example>\r\n/);
});
