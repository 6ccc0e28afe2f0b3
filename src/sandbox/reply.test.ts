import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { readMail } from '#mail/read-mail.ts';
import { replyTo } from './reply.ts';

const FACTS = { from: 'reply+7@example.com', messageId: 'a1@sandbox.mx.test', host: 'sandbox.mx.test', dateMs: Date.UTC(2026, 10, 23) };

function answerTo(lines: readonly string[]): ReturnType<typeof readMail> & { readonly to: string } {
  const made = replyTo(Buffer.from(lines.join('\r\n')), FACTS);
  assert.ok(made);
  return { ...readMail(made.bytes), to: made.to };
}

test('an answer quotes the text, stands in the thread and looks like that of a person', () => {
  const mail = answerTo([
    'From: Shop <shop@ours.test>',
    'Reply-To: help@ours.test',
    'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=',
    'Message-ID: <one@ours.test>',
    'References: <zero@ours.test>',
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Hello Anna,',
    '',
    '> quoted before',
  ]);
  assert.equal(mail.to, 'help@ours.test');
  assert.equal(mail.header('from'), 'reply+7@example.com');
  assert.equal(mail.header('subject'), 'Re: Grüße');
  assert.equal(mail.header('in-reply-to'), '<one@ours.test>');
  assert.equal(mail.header('references'), '<zero@ours.test> <one@ours.test>');
  assert.equal(mail.header('auto-submitted'), undefined);
  assert.match(
    mail.text ?? '',
    /^Thank you.*\n\nOn Mon, 23 Nov 2026 10:00:00 \+0000, help@ours\.test wrote:\n> Hello Anna,\n>\n>> quoted before\n$/,
  );
});

test('without Reply-To the author is answered, and a subject has one Re:', () => {
  const mail = answerTo(['From: shop@ours.test', 'Subject: Re: You', '', 'x']);
  assert.equal(mail.to, 'shop@ours.test');
  assert.equal(mail.header('subject'), 'Re: You');
  assert.equal(mail.header('in-reply-to'), undefined);
});

test('what answers our answer is not answered, and neither is mail of nobody', () => {
  const to = (lines: readonly string[]): unknown => replyTo(Buffer.from([...lines, '', 'x'].join('\r\n')), FACTS);
  assert.equal(to(['From: shop@ours.test', 'References: <one@ours.test> <a0@sandbox.mx.test>']), undefined);
  assert.equal(to(['From: shop@ours.test', 'In-Reply-To: <a0@sandbox.mx.test>']), undefined);
  assert.equal(to(['Subject: none']), undefined);
});

test('a long text is quoted in part', () => {
  const mail = answerTo(['From: shop@ours.test', '', 'word '.repeat(40_000)]);
  assert.ok((mail.text ?? '').length < 20_000);
});
