import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { Submission } from '#model/submission.ts';
import { NO_OPTIONS } from './options.ts';
import {
  ACCOUNT_KEY,
  byApi,
  bySmtp,
  DOMAIN_KEY,
  HOUR_MS,
  house,
  kept,
  LOGIN,
  MIME,
  NOW_MS,
  rawByApi,
  refused,
  text,
} from './submit-kit.ts';

// ---- SMTP ------------------------------------------------------------------------------------------------------------

test('a complete message gets a Received header and keeps every other octet', async () => {
  const odd =
    'X-Odd:  two  spaces \r\nFROM:shop@example.org\r\nDate: x\r\nMessage-ID: <a@b>\r\nX-Folded: a\r\n\tb\r\n\r\n\xff\xfe body\r\n..\r\n';
  const message = await kept(bySmtp(Buffer.from(odd, 'latin1')));
  const content = Buffer.from(message.content).toString('latin1');
  assert.ok(content.endsWith(odd));
  assert.match(
    content.slice(0, -odd.length),
    /^Received: from app\.example\.org \(\[198\.51\.100\.9\]\)\r\n\tby mx\.postrider\.example with ESMTPSA\r\n\tid [0-9a-f]{16}; Mon, 23 Nov 2026 14:05:09 \+0000\r\n$/,
  );
});

test('the content owns its memory', async () => {
  for (const submission of [bySmtp(), byApi(), bySmtp(`Bcc: x@example.net\r\n${MIME}`), rawByApi(MIME.replaceAll('\r\n', '\n'))]) {
    const { content } = await kept(submission);
    assert.equal(content.byteLength, content.buffer.byteLength);
  }
});

test('a missing Date and Message-ID are added', async () => {
  const message = await kept(bySmtp('From: shop@example.org\r\n\r\nHi\r\n'));
  assert.match(message.messageId, /^20261123140509\.[0-9a-f]{16}@example\.org$/);
  assert.ok(
    text(message).includes(
      `\r\nDate: Mon, 23 Nov 2026 14:05:09 +0000\r\nMessage-ID: <${message.messageId}>\r\nFrom: shop@example.org\r\n\r\nHi\r\n`,
    ),
  );
});

test('an empty Message-ID is replaced', async () => {
  const message = await kept(bySmtp('Message-ID: \r\nFrom: shop@example.org\r\n\r\nHi\r\n'));
  assert.deepEqual(text(message).match(/Message-ID: .*/gi), [`Message-ID: <${message.messageId}>`]);
});

test('Bcc, Resent-Bcc and Return-Path are taken out wherever they stand, folded lines included', async () => {
  const message = await kept(
    bySmtp(
      'Bcc: secret@example.net,\r\n more@example.net\r\nFrom: shop@example.org\r\nbcc : x@example.net\r\nReturn-Path: <a@b>\r\nResent-Bcc: y@example.net\r\n\r\nBcc: body\r\n',
    ),
  );
  assert.ok(text(message).endsWith('From: shop@example.org\r\n\r\nBcc: body\r\n'));
  assert.doesNotMatch(text(message), /secret|more@|x@example|y@example|Return-Path/);
});

test('what the client called itself cannot break out of Received', async () => {
  const origin = { address: '2001:db8::1', helo: 'evil\r\nX-Injected: yes (' };
  const message = await kept(bySmtp(MIME, { origin }, { smtputf8: true }), { ...LOGIN, kind: 'trusted' });
  assert.match(
    text(message),
    /^Received: from evilX-Injected:yes \(\[IPv6:2001:db8::1\]\)\r\n\tby mx\.postrider\.example with UTF8SMTP\r\n/,
  );
});

test('facts for events are decoded and bounded', async () => {
  const { info, messageId } = await kept(bySmtp(MIME));
  assert.deepEqual([info.subject, info.from, info.to, messageId], ['Grüße', 'Shop <shop@example.org>', 'bob@example.net', 'a@b']);
  assert.deepEqual([info.method, info.login, info.body, info.smtputf8], ['SMTP', 'app@example.org', '7BIT', false]);
  const long = await kept(bySmtp(`From: shop@example.org\r\nSubject: ${'x'.repeat(900)}\r\n\r\n`));
  assert.equal(long.info.subject.length, 500);
});

test('attachments are told by name, type and size', async () => {
  const mime = `From: shop@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.alloc(57).toString('base64')}\r\n--b--\r\n`;
  const { info } = await kept(bySmtp(mime));
  assert.deepEqual(info.attachments, [{ filename: 'a.pdf', 'content-type': 'application/pdf', size: 57 }]);
});

test('the octets decide whether a message is 8-bit, and addresses or headers whether it needs SMTPUTF8', async () => {
  const umlaut = await kept(bySmtp('From: shop@example.org\r\n\r\nGrüße\r\n', {}, { body: '7BIT', smtputf8: true }));
  assert.deepEqual([umlaut.info.body, umlaut.info.smtputf8], ['8BITMIME', false]);
  const header = await kept(bySmtp('From: shop@example.org\r\nSubject: Grüße\r\n\r\n', {}, { smtputf8: true }));
  assert.equal(header.info.smtputf8, true);
  assert.equal((await kept(bySmtp('From: shop@example.org\r\nSubject: Grüße\r\n\r\n'))).info.smtputf8, false);
  const address = await kept(bySmtp(MIME, {}, { smtputf8: true, recipients: [{ address: 'jürgen@example.net' }] }));
  assert.equal(address.info.smtputf8, true);
});

test('a missing From is made from the envelope, and a missing empty line before the body, as scripts that send a line of text expect', async () => {
  for (const [mime, rest] of [
    ['Subject: x\r\n\r\nHi\r\n', 'Subject: x\r\n\r\nHi\r\n'],
    ['\r\nHi\r\n', '\r\nHi\r\n'],
    ['Hi\r\nSubject: no header any more\r\n', '\r\nHi\r\nSubject: no header any more\r\n'],
    ['', '\r\n'],
    ['Subject: x\r\nHi\r\n\r\nthere\r\n', 'Subject: x\r\n\r\nHi\r\n\r\nthere\r\n'],
    ['Subject: x\r\n: y\r\n', 'Subject: x\r\n\r\n: y\r\n'],
  ] as const) {
    const { content, info } = await kept(bySmtp(mime, {}, { sender: 'app@example.org' }));
    const text = Buffer.from(content).toString();
    assert.ok(text.endsWith(`\r\nFrom: <app@example.org>\r\n${rest}`), text);
    assert.equal(info.from, 'app@example.org');
  }
  for (const sender of ['', 'jürgen@example.org']) {
    assert.match(await refused('bad-content', bySmtp('Subject: x\r\n\r\nHi\r\n', {}, { sender })), /no From header/);
  }
  assert.match(await refused('bad-content', bySmtp('From app@example.org Mon Nov 23\r\nSubject: x\r\n\r\n')), /not a header field/);
});

test('a message without exactly one readable From is refused', async () => {
  assert.match(await refused('bad-content', bySmtp('From: shop@example.org\r\nfrom : ceo@other.example\r\n\r\n')), /more than one From/);
  for (const from of [
    '',
    'shop',
    'undisclosed:;',
    'a@example.org@other.example',
    '"a@other.example x"@example.org, b',
    'ceo@other.example, <shop@example.org',
  ]) {
    await refused('bad-address', bySmtp(`From: ${from}\r\n\r\n`));
  }
});

test('Sender must be the account’s too, wherever it is said, and readable in one way', async () => {
  const from = 'From: shop@example.org\r\n';
  await refused('sender-not-allowed', bySmtp(`${from}Sender: Boss <ceo@other.example>\r\n\r\n`));
  await refused('sender-not-allowed', byApi({ headers: [['SENDER', 'ceo@other.example']] }));
  await refused('bad-content', bySmtp(`${from}Sender: shop@example.org\r\nsender : ceo@other.example\r\n\r\n`));
  for (const sender of ['<ceo@other.example', 'ceo@other.example, shop@example.org', 'shop@example.org <ceo@other.example>']) {
    await refused('bad-address', bySmtp(`${from}Sender: ${sender}\r\n\r\n`));
  }
  for (const sender of ['Shop <orders@example.org>', '']) await kept(bySmtp(`${from}Sender: ${sender}\r\n\r\n`));
});

test('a From that stands behind a line that is no field is text, not a second author', async () => {
  const { content, info } = await kept(bySmtp('From: shop@example.org\r\nnot a field\r\nFrom: ceo@other.example\r\n'));
  assert.equal(info.from, 'shop@example.org');
  assert.match(Buffer.from(content).toString(), /\r\n\r\nnot a field\r\nFrom: ceo@other.example\r\n$/);
});

test('the first line of a mailbox file is refused', async () => {
  await refused('bad-content', bySmtp('From shop Mon Nov 23\r\nFrom: shop@example.org\r\n\r\n'));
});

test('a message that has gone round too often is a loop', async () => {
  const received = 'Received: from x by y; Mon, 23 Nov 2026 14:00:00 +0000\r\n';
  await kept(bySmtp(received.repeat(5) + MIME));
  assert.match(await refused('mail-loop', bySmtp(received.repeat(6) + MIME)), /6/);
});

test('headers and messages have a largest size', async () => {
  await refused('bad-content', bySmtp(`From: shop@example.org\r\n${`X: ${'y'.repeat(900)}\r\n`.repeat(25)}\r\n`));
  await refused('message-too-large', bySmtp(`From: shop@example.org\r\n\r\n${'y'.repeat(100_001)}`));
  await refused('message-too-large', byApi({ text: 'y'.repeat(100_001) }));
});

// ---- who may send what -----------------------------------------------------------------------------------------------

test('a domain of another account does not exist for the caller', async () => {
  await refused('domain-not-found', bySmtp(MIME, { domain: 'other.example' }));
  await refused(
    'domain-not-found',
    byApi({ from: 'a@other.example' }, { domain: 'other.example' }, { sender: 'a@other.example' }),
    ACCOUNT_KEY,
  );
  await refused('domain-not-found', bySmtp(MIME, { domain: 'nobody.example' }));
});

test('a key or login that is bound to a domain submits through that one only', async () => {
  await refused('domain-not-found', byApi({}, { domain: 'second.example' }), DOMAIN_KEY);
  await kept(byApi({ from: 'a@second.example' }, { domain: 'second.example' }, { sender: 'a@second.example' }), ACCOUNT_KEY);
});

test('a disabled or unverified domain does not send', async () => {
  await refused('domain-disabled', byApi({ from: 'a@disabled.example' }, { domain: 'disabled.example' }), ACCOUNT_KEY);
  const unverified = byApi({ from: 'a@unverified.example' }, { domain: 'unverified.example' }, { sender: 'a@unverified.example' });
  await refused('domain-unverified', unverified, ACCOUNT_KEY);
  await kept(unverified, ACCOUNT_KEY, { requireVerification: false });
});

test('From and reverse-path must be the account’s', async () => {
  const from = (address: string): Submission => bySmtp(`From: ${address}\r\n\r\n`);
  assert.match(await refused('sender-not-allowed', from('ceo@other.example')), /other\.example/);
  await refused('sender-not-allowed', from('x@gmail.com'));
  await refused('sender-not-allowed', from('shop@example.org, ceo@other.example'));
  await refused('sender-not-allowed', bySmtp(MIME, {}, { sender: 'x@other.example' }));
  await refused('sender-not-allowed', from('x@[192.0.2.1]'));
  await kept(from('a@second.example'));
});

test('relatives of the domain may be used, unless somebody else has registered them', async () => {
  const from = (address: string): Submission => bySmtp(`From: ${address}\r\n\r\n`);
  await kept(from('news@news.example.org'));
  await refused('sender-not-allowed', from('x@theirs.example.org'));
  await refused('sender-not-allowed', from('x@below.theirs.example.org'));
  await refused('sender-not-allowed', from('x@example.org.evil.example'));
  await refused('sender-not-allowed', from('x@org'));
});

test('a domain key may not use another domain of its account', async () => {
  await refused('sender-not-allowed', byApi({ from: 'a@second.example' }), DOMAIN_KEY);
  await kept(byApi({ from: 'a@second.example' }), ACCOUNT_KEY);
});

test('an own header that replaces From is checked instead of it', async () => {
  await refused('sender-not-allowed', byApi({ headers: [['from', 'ceo@other.example']] }), ACCOUNT_KEY);
});

test('a null reverse-path is accepted when From is in order', async () => {
  assert.equal((await kept(bySmtp(MIME, {}, { sender: '' }))).sender, '');
  await refused('sender-not-allowed', bySmtp('From: x@other.example\r\n\r\n', {}, { sender: '' }));
});

test('o:sending-ip-pool must be a pool that there is', async () => {
  await refused('sending-pool-unknown', byApi({}, { options: { ...NO_OPTIONS, sendingIpPool: 'receipt' } }));
  await kept(byApi({}, { options: { ...NO_OPTIONS, sendingIpPool: 'receipts' } }));
});

test('o:sending-ip must be an address of the account', async () => {
  await refused('sending-ip-not-yours', byApi({}, { options: { ...NO_OPTIONS, sendingIp: '192.0.2.2' } }));
  await kept(byApi({}, { options: { ...NO_OPTIONS, sendingIp: '192.0.2.1' } }));
});

// ---- recipients ------------------------------------------------------------------------------------------------------

test('a recipient named twice is one, and its domain is the part after the last @', async () => {
  const recipients = [{ address: 'bob@example.net' }, { address: '"a@b"@example.com' }, { address: 'bob@example.net' }];
  const message = await kept(bySmtp(MIME, {}, { recipients }));
  assert.deepEqual(
    message.recipients.map(({ address, domain }) => [address, domain]),
    [
      ['bob@example.net', 'example.net'],
      ['"a@b"@example.com', 'example.com'],
    ],
  );
});

test('none and too many recipients are refused', async () => {
  await refused('bad-parameter', bySmtp(MIME, {}, { recipients: [] }));
  const recipients = ['a', 'b', 'c', 'd'].map((local) => ({ address: `${local}@example.net` }));
  assert.match(await refused('too-many-recipients', bySmtp(MIME, {}, { recipients })), /max is 3/);
});

test('one recipient is urgent, several are normal, a batch is bulk', async () => {
  const two = [{ address: 'a@example.net' }, { address: 'b@example.net' }];
  assert.equal((await kept(bySmtp())).priority, 0);
  assert.equal((await kept(bySmtp(MIME, {}, { recipients: two }))).priority, 1);
  assert.equal((await kept(byApi({ to: ['%recipient%'] }, { batch: true }, { recipients: two }))).priority, 2);
});

test('mail is tried for eight hours from the API, five days from SMTP, or as the sender says', async () => {
  assert.equal((await kept(byApi())).expiresAtMs, NOW_MS + 8 * HOUR_MS);
  assert.equal((await kept(bySmtp())).expiresAtMs, NOW_MS + 120 * HOUR_MS);
  assert.equal((await kept(byApi({}, { options: { ...NO_OPTIONS, deliverWithinMs: HOUR_MS } }))).expiresAtMs, NOW_MS + HOUR_MS);
  const scheduled = await kept(byApi({}, { options: { ...NO_OPTIONS, deliverAtMs: NOW_MS + HOUR_MS } }));
  assert.deepEqual([scheduled.dueAtMs, scheduled.wait, scheduled.expiresAtMs], [NOW_MS + HOUR_MS, 'scheduled', NOW_MS + 9 * HOUR_MS]);
});

test('a time of day is kept for each recipient as it comes where the recipient is', async () => {
  // It is 14:05:09 UTC.
  const message = await kept(
    byApi(
      {},
      { batch: true, options: { ...NO_OPTIONS, timeZoneLocalize: '16:00', variables: { timezone: 'Europe/Berlin' } } },
      {
        recipients: [
          { address: 'tokyo@example.net', variables: { timezone: 'Asia/Tokyo' } },
          { address: 'york@example.net', variables: { time_zone: 'America/New_York' } },
          { address: 'anywhere@example.net' },
        ],
      },
    ),
    ACCOUNT_KEY,
  );
  const at = (day: number, hour: number): number => Date.UTC(2026, 10, day, hour);
  const own = (dueAtMs: number, timeZone: string): object => ({ dueAtMs, timeZone, expiresAtMs: dueAtMs + 8 * HOUR_MS });
  assert.deepEqual(
    message.recipients.map(({ dueAtMs, timeZone, expiresAtMs }) => ({ dueAtMs, timeZone, expiresAtMs })),
    [own(at(24, 7), 'Asia/Tokyo'), own(at(23, 21), 'America/New_York'), own(at(23, 15), 'Europe/Berlin')],
  );
  assert.deepEqual([message.dueAtMs, message.wait, message.expiresAtMs], [at(23, 15), 'scheduled', at(24, 15)]);
});

test('a time of day comes after o:deliverytime, and in the default time zone where none is known', async () => {
  const options = { ...NO_OPTIONS, timeZoneLocalize: '16:00', deliverAtMs: NOW_MS + 3 * HOUR_MS };
  const { submit, kept: messages } = house({ timeZone: 'Asia/Kolkata' });
  await submit(byApi({}, { options }));
  assert.deepEqual(
    messages[0]?.recipients.map(({ dueAtMs, timeZone }) => [dueAtMs, timeZone]),
    [[Date.UTC(2026, 10, 24, 10, 30), 'Asia/Kolkata']],
  );
});

test('a time zone that is none is refused before anything is kept', async () => {
  const { submit, kept: messages } = house();
  const options = { ...NO_OPTIONS, timeZoneLocalize: '16:00', variables: { timezone: 'Berlin' } };
  await assert.rejects(submit(byApi({}, { options })), (error) => error instanceof AppError && error.code === 'bad-parameter');
  assert.equal(messages.length, 0);
  // Without the option it is a variable like any other.
  await submit(byApi({}, { options: { ...options, timeZoneLocalize: undefined } }));
});

test('nobody waits for a best hour of which nothing is known, and that is kept with the message', async () => {
  const message = await kept(byApi({}, { options: { ...NO_OPTIONS, optimizePeriodMs: 24 * HOUR_MS } }));
  assert.deepEqual([message.dueAtMs, message.wait, message.info.isUnoptimized], [NOW_MS, 'due', true]);
  assert.equal((await kept(byApi())).info.isUnoptimized, undefined);
});

test('the domain’s demand for TLS stands where the message makes none', async () => {
  const strict = (options = NO_OPTIONS): Submission =>
    byApi({ from: 'a@strict.example' }, { domain: 'strict.example', options }, { sender: 'a@strict.example' });
  assert.equal((await kept(strict(), ACCOUNT_KEY)).info.options.requireTls, true);
  assert.equal((await kept(strict({ ...NO_OPTIONS, requireTls: false }), ACCOUNT_KEY)).info.options.requireTls, false);
});

// ---- raw MIME by the API ---------------------------------------------------------------------------------------------

test('raw MIME with other line ends becomes CRLF and ends with one', async () => {
  const message = await kept(rawByApi('From: shop@example.org\nDate: x\nMessage-ID: <a@b>\n\nline\n.\r\nmore\rend'));
  assert.ok(text(message).endsWith('From: shop@example.org\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nline\r\n.\r\nmore\r\nend\r\n'));
  assert.match(text(message), /^Received: by mx\.postrider\.example with HTTP\r\n\tid /);
  assert.doesNotMatch(text(message), /198\.51\.100/);
});

test('raw MIME with a NUL, or nothing in it, is refused', async () => {
  await refused('bad-content', rawByApi('From: shop@example.org\r\n\r\na\0b'));
  await refused('bad-content', rawByApi('From: shop@example.org\n\na\0b'));
  await refused('bad-content', rawByApi(''));
});

test('a line of any length is kept as it is: delivery encodes what no server would take', async () => {
  const long = `From: shop@example.org\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\n${'x'.repeat(5000)}\r\n`;
  assert.ok(text(await kept(rawByApi(long))).endsWith(long));
});

// ---- the answer ------------------------------------------------------------------------------------------------------

test('a repeated Idempotency-Key gives the first answer; another request under it is a conflict', async () => {
  const idempotency = { key: 'k', fingerprint: 'f' };
  const repeat = house({}, { kind: 'repeat', id: 9, messageId: 'first@example.org', recipientCount: 4 });
  const answer = await repeat.submit(byApi({}, { idempotency }));
  assert.deepEqual({ ...answer }, { messageId: 'first@example.org', id: 9, recipientCount: 4, repeated: true });
  assert.equal(repeat.kept[0]?.idempotency?.untilMs, NOW_MS + 24 * HOUR_MS);
  await assert.rejects(house({}, { kind: 'conflict' }).submit(byApi({}, { idempotency })), { code: 'idempotency-conflict' });
});

test('mail of our own is not asked for its sender', async () => {
  const system: Principal = { accountId: 1, kind: 'system', role: 'sending' };
  const message = await kept(
    bySmtp('From: MAILER-DAEMON@mx.postrider.example\r\n\r\n', { domain: 'disabled.example' }, { sender: '' }),
    system,
  );
  assert.equal(message.sender, '');
});
