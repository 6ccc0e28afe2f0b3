import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Submission } from '#model/submission.ts';
import { NO_OPTIONS, parseOptions } from './options.ts';
import { ACCOUNT_KEY, byApi, bySmtp, kept, MIME, NOW_MS, refused, TEMPLATE, text } from './submit-kit.ts';

// ---- parts -----------------------------------------------------------------------------------------------------------

test('parts are composed once, with an id in the service’s form', async () => {
  const message = await kept(byApi({ headers: [['X-Own', 'yes']] }), ACCOUNT_KEY);
  assert.match(message.messageId, /^20261123140509\.[0-9a-f]{16}@example\.org$/);
  assert.match(text(message), /^From: Shop <shop@example\.org>\r\nTo: bob@example\.net\r\nSubject: Hi\r\n/);
  assert.match(text(message), /X-Own: yes\r\n/);
  assert.deepEqual([message.info.keyId, message.info.subject, message.info.sizeBytes], ['k1', 'Hi', message.content.byteLength]);
});

test('h:Message-Id is used, and refused when it is none', async () => {
  const message = await kept(byApi({ headers: [['message-id', '<my.own@example.org>']] }));
  assert.equal(message.messageId, 'my.own@example.org');
  assert.equal(text(message).match(/Message-ID: <my\.own@example\.org>\r\n/gi)?.length, 1);
  await refused('bad-parameter', byApi({ headers: [['Message-Id', 'no id']] }));
  await refused('bad-parameter', byApi({ headers: [['Message-Id', '<a@b>\r\nX: y']] }));
});

test('headers that are ours, or for nobody’s eyes, are not taken from the caller', async () => {
  const headers = ['Bcc', 'Return-Path', 'Received', 'Content-Type', 'MIME-Version', 'X-Mailgun-Variables', 'DKIM-Signature'].map(
    (name): [string, string] => [name, 'injected'],
  );
  assert.doesNotMatch(text(await kept(byApi({ headers }))), /injected/);
});

test('line ends in a header value are refused', async () => {
  await refused('bad-parameter', byApi({ headers: [['X-Own', 'a\r\nBcc: x@example.net']] }));
  await refused('bad-parameter', byApi({ subject: 'a\r\nBcc: x@example.net' }));
});

test('a batch is kept once, with its placeholders and each recipient’s values', async () => {
  const recipients = [
    { address: 'a@example.net', name: 'Ann', variables: { id: 1 } },
    { address: 'b@example.net', variables: { id: 2 } },
  ];
  const message = await kept(byApi({ to: ['%recipient%'], subject: 'For %recipient.id%' }, { batch: true }, { recipients }));
  assert.match(text(message), /To: %recipient%\r\n/);
  assert.deepEqual(
    message.recipients.map(({ name, variables }) => [name, variables]),
    [
      ['Ann', { id: 1 }],
      [undefined, { id: 2 }],
    ],
  );
  assert.ok(message.info.batchId);
});

test('in a batch, one address may be copied for each addressee, but no oftener', async () => {
  const copy = (addressee: string): { address: string; variables: { recipient_email: string } } => ({
    address: 'boss@example.net',
    variables: { recipient_email: addressee },
  });
  const recipients = [copy('a@example.net'), copy('b@example.net'), copy('a@example.net')];
  assert.equal((await kept(byApi({}, { batch: true }, { recipients }))).recipients.length, 2);
});

test('From of a batch cannot depend on the recipient', async () => {
  await refused('bad-parameter', byApi({ from: '"%recipient.name%" <shop@example.org>' }, { batch: true }));
  for (const from of [
    '"%recipient.name%" <shop@example.org>',
    '%recipient.x%@example.org',
    '=?utf-8?q?=25recipient.x=25?= <shop@example.org>',
  ]) {
    await refused('bad-parameter', bySmtp(`From: ${from}\r\n\r\n`, { batch: true }));
  }
});

// ---- templates -------------------------------------------------------------------------------------------------------

function withTemplate(...pairs: [string, string][]): Partial<Submission> {
  return { options: parseOptions([['template', 'welcome'], ...pairs], { nowMs: NOW_MS, horizonMs: 0, tagsMax: 3 }) };
}

const NO_TEXT = { text: undefined, subject: undefined };

test('a template is rendered with v: and t: variables, and gives missing headers', async () => {
  const message = await kept(byApi(NO_TEXT, withTemplate(['v:name', 'nobody'], ['t:variables', '{"name": "Ann"}'], ['t:text', 'yes'])));
  assert.match(text(message), /Subject: Welcome Ann\r\n/);
  assert.match(text(message), /Reply-To: help@example\.org\r\n/);
  assert.match(text(message), /\r\n\r\n<p>Hello Ann<\/p>\r\n/);
  assert.match(text(message), /text\/plain[^]*\r\n\r\nHello Ann\r\n/);
  assert.equal(message.info.subject, 'Welcome Ann');
  assert.deepEqual(message.info.options.template, { name: 'welcome', variables: {}, text: true });
  assert.equal(message.info.renderLate, undefined);
});

test('what the message says itself wins over the template’s headers', async () => {
  const message = await kept(byApi({ text: undefined, subject: 'Own', headers: [['reply-to', 'own@example.org']] }, withTemplate()));
  assert.match(text(message), /Subject: Own\r\n/);
  assert.match(text(message), /Reply-To: own@example\.org\r\n/);
  assert.doesNotMatch(text(message), /help@/);
});

test('a template whose values differ by recipient is kept as source', async () => {
  const batch = { batch: true, ...withTemplate(['v:name', '%recipient.name%']) };
  const message = await kept(byApi({ ...NO_TEXT, text: 'Literal {{name}}' }, batch));
  assert.deepEqual(message.info.renderLate, { name: 'welcome', version: 'initial' });
  assert.match(text(message), /<p>Hello \{\{name\}\}<\/p>/);
  assert.match(text(message), /Subject: Welcome \{\{name\}\}\r\n/);
  assert.ok(text(message).includes('Literal {{{"{{"}}}name}}'), 'what is no template is protected from being rendered');
  assert.equal(message.info.options.variables['name'], '%recipient.name%');
  const own = await kept(byApi({ subject: 'Own {{x}}', text: undefined }, batch));
  assert.equal(own.info.subject, 'Own {{x}}');
});

test('a template that does not exist or cannot be rendered is refused at once', async () => {
  await refused('template-not-found', byApi({}, { options: { ...NO_OPTIONS, template: { name: 'none', variables: {}, text: false } } }));
  const templates = { version: async () => ({ ...TEMPLATE, source: '{{broken' }) };
  assert.match(
    await refused('template-failed', byApi({}, withTemplate()), ACCOUNT_KEY, { templates }),
    /template welcome cannot be rendered: it is broken/,
  );
});

test('a template replaces the body of MIME and keeps its headers', async () => {
  const message = await kept(bySmtp(MIME.replace('Subject:', 'X-Own: yes\r\nSubject:'), withTemplate(['v:name', 'Ann'])));
  assert.match(text(message), /X-Own: yes\r\n/);
  assert.match(text(message), /Subject: =\?utf-8\?q\?Gr/i);
  assert.match(text(message), /<p>Hello Ann<\/p>/);
  assert.doesNotMatch(text(message), /\r\nHi\r\n/);
  assert.equal(message.messageId, 'a@b');
});

test('what cannot become a message within the limits is refused before it is encoded', async () => {
  const file = { filename: 'a.bin', contentType: 'application/octet-stream', bytes: Buffer.alloc(76_000) };
  await refused('message-too-large', byApi({ attachments: [file] }));
  await refused('message-too-large', byApi({ text: 'x'.repeat(60_000), html: 'x'.repeat(60_000) }));
  const forwarded = { filename: 'a.eml', contentType: 'message/rfc822', bytes: Buffer.from(`Subject: x\r\n\r\n${'x\r\n'.repeat(26_000)}`) };
  await kept(byApi({ attachments: [forwarded] }));
});

test('a header over the limit is refused, whichever field makes it so', async () => {
  const long = 'x'.repeat(20_001);
  assert.match(await refused('bad-content', byApi({ subject: long })), /header of the message is larger than 20000 bytes/);
  await refused('bad-content', byApi({ headers: [['X-Own', long]] }));
  await refused('bad-content', byApi({ to: [`"${long}" <bob@example.net>`] }));
});
