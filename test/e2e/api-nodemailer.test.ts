/**
 * nodemailer over the API: a transport that hands what nodemailer was given to mailgun.js, in the spellings of the transport that most projects use for it (addresses in one text without a space after the
 * comma, Reply-To and Message-Id as h: parameters, files with a cid as inline, a base URL with a slash at its end).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { createTransport, type SendMailOptions, type Transport } from 'nodemailer';
import { startRig } from './api-kit.ts';

type MessageData = Parameters<ReturnType<Mailgun['client']>['messages']['create']>[1];

interface Address {
  readonly name?: string;
  readonly address: string;
}

function spelled(given: unknown): string {
  const list = [given ?? []].flat() as unknown as readonly (string | Address)[];
  return list.map((one) => (typeof one === 'string' ? one : one.name === undefined ? one.address : `${one.name} <${one.address}>`)).join();
}

/** As the transport's list of parameters that go on. */
function parametersOf(mail: SendMailOptions): MessageData {
  const files = (mail.attachments ?? []).map(({ content, filename, cid, contentType }) => ({
    isInline: cid !== undefined,
    file: { data: Buffer.from(String(content)), filename: cid ?? filename, contentType, knownLength: undefined },
  }));
  const [attachment, inline] = [false, true].map((isInline) => files.filter((each) => each.isInline === isInline).map(({ file }) => file));
  const others = Object.entries(mail).filter(([name]) => /^(?:[hv]:|o:|subject$|text$|html$|template$)/.test(name));
  return {
    ...Object.fromEntries(others),
    from: spelled(mail.from),
    to: spelled(mail.to),
    cc: spelled(mail.cc),
    'h:Reply-To': spelled(mail.replyTo),
    'h:Message-Id': mail.messageId,
    attachment,
    inline,
  } as unknown as MessageData;
}

function apiTransport(url: string, key: string, domain: string): Transport<{ readonly messageId: string }> {
  const { messages } = new Mailgun(FormData).client({ username: 'api', key, url: new URL(url).href });
  return {
    name: 'Mailgun',
    version: '2',
    send(mail, done) {
      messages.create(domain, parametersOf(mail.data)).then(
        ({ id = '' }) => done(null, { messageId: id }),
        (error: Error) => done(error, { messageId: '' }),
      );
    },
  };
}

test('a transport of nodemailer that sends by the API hands over addresses, header fields, options and files', async () => {
  await using rig = await startRig();
  const transport = createTransport(apiTransport(rig.url, rig.tenant.key, 'example.org'));
  const mail = {
    from: { name: 'Shop', address: 'shop@example.org' },
    to: [{ name: 'Bob', address: 'bob@example.net' }, 'carol@example.net'],
    cc: 'dan@example.net',
    replyTo: 'help@example.org',
    messageId: 'order-4711@example.org',
    subject: 'Grüße',
    text: 'Thank you.',
    html: '<p>Thank you. <img src="cid:logo.png"></p>',
    'o:tag': ['order', 'paid'],
    'v:order': '4711',
    'h:X-Shop': 'yes',
    attachments: [
      { filename: 'receipt.txt', content: 'total: 12.00', contentType: 'text/plain' },
      { cid: 'logo.png', content: 'picture', contentType: 'image/png' },
    ],
  };
  const { messageId } = await transport.sendMail(mail as SendMailOptions);
  assert.equal(messageId, '<order-4711@example.org>');
  const [submission] = rig.submissions;
  assert.ok(submission?.content.kind === 'parts');
  const { content, envelope, options } = submission;
  assert.deepEqual(
    envelope.recipients.map(({ address }) => address),
    ['bob@example.net', 'carol@example.net', 'dan@example.net'],
  );
  assert.deepEqual([options.tags, options.variables], [['order', 'paid'], { order: '4711' }]);
  assert.deepEqual(
    content.attachments.map(({ filename, bytes, contentId }) => [filename, String(bytes), contentId]),
    [
      ['receipt.txt', 'total: 12.00', undefined],
      ['logo.png', 'picture', 'logo.png'],
    ],
  );
  const stored = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
  const mime = Buffer.from((await rig.store.mail.content(stored[0]?.message.contentId ?? 0)) ?? []).toString();
  assert.match(mime, /^Reply-To: help@example\.org\r$/m);
  assert.match(mime, /^X-Shop: yes\r$/m);
  assert.match(mime, /^From: Shop <shop@example\.org>\r$/m);
});

test('what the API refuses is an error of the transport, with its status', async () => {
  await using rig = await startRig();
  const transport = createTransport(apiTransport(rig.url, rig.tenant.key, 'example.org'));
  await assert.rejects(
    transport.sendMail({ from: 'shop@example.org', to: 'no address', subject: 'S', text: 'T' }),
    (error: { status?: number }) => error.status === 400,
  );
});
