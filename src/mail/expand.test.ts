import { test } from 'node:test';
import assert from 'node:assert/strict';
import PostalMime from 'postal-mime';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { compose, type ComposeParts } from './compose.ts';
import { compileExpansion } from './expand.ts';
import { headerValue, readHeader } from './header.ts';
import { MailError } from './mail-error.ts';

const CONTEXT = { messageId: 'id@example.org', dateMs: 0 };
const BASIC: ComposeParts = {
  from: 'Shop <shop@example.org>',
  to: ['%recipient%'],
  cc: [],
  subject: 'Hi %recipient.name%',
  text: 'Hello',
  headers: [],
  attachments: [],
};
const make = (parts: Partial<ComposeParts>): Buffer => compose({ ...BASIC, ...parts }, CONTEXT);
const from =
  (values: Record<string, string>) =>
  (key: string): string | undefined =>
    Object.hasOwn(values, key) ? values[key] : undefined;
const JANE = {
  recipient: '"Doe, Jané" <jane@example.net>',
  recipient_email: 'jane@example.net',
  'recipient.name': 'Jané',
  'recipient.v:id': '7',
};

test('headers, text and HTML are filled in for each recipient', async () => {
  const mime = make({
    text: 'Dear %recipient.name%,\n\nyour id: %recipient.v:id%\n',
    html: `<p>Dear %recipient.name%</p>${'ö'.repeat(20)}`,
    headers: [['List-Unsubscribe', '<https://example.org/u/%recipient.v:id%>']],
    attachments: [{ filename: 'a.txt', contentType: 'text/plain', bytes: Buffer.from('%recipient.name%') }],
  });
  const expansion = compileExpansion(mime);
  for (const name of ['Jané', 'Bob', '日本'.repeat(50)]) {
    const email = await PostalMime.parse(expansion.expand(from({ ...JANE, 'recipient.name': name })));
    assert.equal(email.subject, `Hi ${name}`);
    assert.deepEqual(email.to, [{ address: 'jane@example.net', name: 'Doe, Jané' }]);
    assert.equal(email.text?.replaceAll('\r\n', '\n').trim(), `Dear ${name},\n\nyour id: 7`);
    assert.equal(email.html?.trim(), `<p>Dear ${name}</p>${'ö'.repeat(20)}`);
    assert.equal(email.headers.find((each) => each.key === 'list-unsubscribe')?.value, '<https://example.org/u/7>');
    assert.equal(Buffer.from(email.attachments[0]?.content as ArrayBuffer).toString(), '%recipient.name%');
  }
});

test('placeholders are found in whatever encoding they were sent', async () => {
  const encoded = Buffer.from('Größe für %recipient.name%', 'latin1').toString('base64');
  const mime = Buffer.from(
    `From: a@example.org\r\nSubject: =?utf-8?q?F=C3=BCr_=25recipient=2Ename=25?=\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n${encoded}\r\n`,
  );
  const email = await PostalMime.parse(compileExpansion(mime).expand(from({ 'recipient.name': 'Łukasz' })));
  assert.equal(email.subject, 'Für Łukasz');
  assert.equal(email.text?.trim(), 'Größe für Łukasz');
});

test('unknown keys and what is no placeholder stay as they are', () => {
  const text = '100% sure, 50% off %recipient.unknown% %sure% %recipient.% %unsubscribe_url% 5%recipient.name%';
  const out = compileExpansion(make({ text, subject: 'x' }))
    .expand(from({ 'recipient.name': 'Bob' }))
    .toString();
  assert.match(out, /100% sure, 50% off %recipient\.unknown% %sure% %recipient\.% %unsubscribe_url% 5Bob\r\n/);
});

test('a value is filled in once and never read as a placeholder or as template source', () => {
  const values = from({ ...JANE, 'recipient.name': '%recipient_email% {{secret}}' });
  const expansion = compileExpansion(make({ text: 'a %recipient.name% b {{x}}' }));
  assert.match(expansion.expand(values).toString(), /\r\n\r\na %recipient_email% \{\{secret\}\} b \{\{x\}\}\r\n/);
  const rendered = expansion.expand(values, (source) => source.replaceAll('{{x}}', 'X').replaceAll('{{secret}}', 'LEAKED'));
  assert.match(rendered.toString(), /\r\n\r\na %recipient_email% \{\{secret\}\} b X\r\n/);
});

test('late templates are rendered in headers and bodies, with their kind', () => {
  const kinds: string[] = [];
  const mime = make({ subject: 'S {{a}}', text: 'T {{a}}', html: 'H {{a}}', to: ['a@example.org'] });
  const expansion = compileExpansion(mime);
  const out = expansion.expand(
    () => undefined,
    (source, kind) => {
      kinds.push(kind);
      return source.replaceAll('{{a}}', 'ä');
    },
  );
  assert.deepEqual(kinds.sort(), ['header', 'html', 'text']);
  assert.equal(headerValue(readHeader(out), 'subject'), 'S ä');
  assert.match(out.toString(), /T =C3=A4|VCDDpA/);
  assert.equal(
    expansion.expand(() => undefined),
    mime,
  );
});

test('a value cannot end a header, add one, or add a recipient', () => {
  for (const evil of ['x\r\nBcc: evil@example.com', 'x\nX-Evil: 1', '\0', 'x\u2028y', 'y'.repeat(3000), '", <evil@example.com>', 'a, b']) {
    const mime = make({
      to: ['%recipient.name% <%recipient_email%>'],
      cc: ['"%recipient.name%" <cc@example.org>'],
      headers: [['X-Own', '%recipient.name%']],
    });
    const out = compileExpansion(mime).expand(from({ ...JANE, 'recipient.name': evil }));
    const header = readHeader(out);
    assert.deepEqual(
      header.fields.map((field) => field.name),
      readHeader(mime).fields.map((field) => field.name),
      evil,
    );
    for (const line of out.toString('latin1').split('\r\n')) assert.ok(line.length <= 998 && !/[\r\n]/.test(line));
  }
});

test('From and Sender are the same for everybody, in whatever encoding they hold a placeholder, and no template is rendered in them', () => {
  const forged = 'ceo@other.example,';
  for (const from of [
    '%recipient.name%@example.org',
    '"%recipient.name%" <a@example.org>',
    '=?utf-8?q?=7B=7Bname=7D=7D?= <a@example.org>',
  ]) {
    const mime = Buffer.from(`From: ${from}\r\nSender: ${from}\r\nSubject: %recipient.name%\r\n\r\n`);
    for (const render of [undefined, (source: string) => source.replace('{{name}}', forged)]) {
      const text = compileExpansion(mime)
        .expand((key) => (key === 'recipient.name' ? forged : undefined), render)
        .toString();
      assert.match(text, /^Subject: ceo@other\.example,\r\n/m);
      assert.ok(text.startsWith(`From: ${from}\r\nSender: ${from}\r\n`), text);
    }
  }
});

test('what an encoded word hides in a list of addresses stays a name when something else there is filled in', async () => {
  const mime = Buffer.from('To: =?utf-8?q?x=40other=2Eexample=2C?= %recipient.name% <a@example.net>\r\n\r\n');
  const email = await PostalMime.parse(compileExpansion(mime).expand(from(JANE)));
  assert.deepEqual(
    email.to?.map(({ address }) => address),
    ['a@example.net'],
  );
});

test('names with specials stay names', async () => {
  const mime = make({
    to: ['%recipient.name% <%recipient_email%>'],
    cc: ['"%recipient.name%" <cc@example.org>', 'Dr %recipient.name% <dr@example.org>'],
  });
  for (const name of ['Doe, Jane', 'Jane "JD" Doe', 'Jané; Doe', 'jane@work']) {
    const email = await PostalMime.parse(compileExpansion(mime).expand(from({ ...JANE, 'recipient.name': name })));
    assert.deepEqual(email.to, [{ name, address: 'jane@example.net' }]);
    assert.deepEqual(email.cc, [
      { name, address: 'cc@example.org' },
      { name: `Dr ${name}`, address: 'dr@example.org' },
    ]);
  }
});

test('an address made of a value stays an address', () => {
  const mime = make({ headers: [['Reply-To', 'reply+%recipient.v:id%@example.org']], to: ['%recipient_email%'] });
  const header = readHeader(compileExpansion(mime).expand(from(JANE)));
  assert.equal(headerValue(header, 'reply-to'), 'reply+7@example.org');
  assert.equal(headerValue(header, 'to'), 'jane@example.net');
});

test('a content says what differs', () => {
  const nothing = compileExpansion(make({ to: ['a@example.org'], subject: 'x' }));
  assert.deepEqual([nothing.isStatic, nothing.isBodyStatic], [true, true]);
  const headerOnly = compileExpansion(make({}));
  assert.deepEqual([headerOnly.isStatic, headerOnly.isBodyStatic], [false, true]);
  const body = compileExpansion(make({ text: '%recipient.x%' }));
  assert.deepEqual([body.isStatic, body.isBodyStatic], [false, false]);
});

test('a body that is not 7-bit after filling in says so in its own header only', () => {
  const mime = make({ text: 'plain', html: 'h %recipient.name%' });
  const out = compileExpansion(mime).expand(from(JANE)).toString();
  assert.match(out, /text\/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain/);
  assert.match(out, /text\/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nh Jan=C3=A9\r\n--/);
});

test('a message without MIME headers gets them when it is filled in', () => {
  const out = compileExpansion(Buffer.from('From: a@example.org\r\n\r\nHi %recipient.name%\r\n')).expand(from(JANE)).toString();
  assert.equal(
    out,
    'From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHi Jan=C3=A9\r\n',
  );
});

test('hostile contents compile in linear time', () => {
  const start = threadCpuMs();
  for (const text of ['%'.repeat(1_000_000), '%recipient.'.repeat(100_000), '%recipient.a%'.repeat(100_000), '{{'.repeat(500_000)]) {
    compileExpansion(Buffer.from(`From: a@example.org\r\n\r\n${text}`)).expand(() => 'x');
  }
  assert.ok(threadCpuMs() - start < 2000);
});

test('what grows beyond every message is not made, in one part or over many', () => {
  const value = from({ 'recipient.x': 'x'.repeat(3_000_000) });
  assert.throws(() => compileExpansion(make({ text: '%recipient.x%'.repeat(12) })).expand(value), MailError);
  assert.throws(
    () => compileExpansion(make({ text: '%recipient.x%'.repeat(8), html: '%recipient.x%'.repeat(8) })).expand(value),
    MailError,
  );
});
