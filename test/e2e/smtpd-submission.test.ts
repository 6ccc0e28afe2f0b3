/** Mail in by SMTP on the real store, by real clients: who may, from which sender, and what is kept. */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { after, before, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { AppError } from '#model/errors.ts';
import { silentLog } from '#base/log.ts';
import { createSecureContext } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { TEST_CERTIFICATE, TEST_KEY } from '../kit/sink-certificate.ts';
import { until } from '../kit/smtp-receiver.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { LOGIN, openDoor, openWorld, PASSWORD, plainAuth } from './smtpd-kit.ts';
import type { World } from './smtpd-kit.ts';

const AUTH = { user: LOGIN, pass: PASSWORD };
const MESSAGE = 'From: app@ours.test\r\nTo: b@to.test\r\nSubject: one\r\n\r\nhello\r\n';

let world: World;
before(async () => {
  world = await openWorld();
});
after(() => world.close());

function accountTransport(port: number, more: object = {}): ReturnType<typeof createTransport> {
  return createTransport({ host: '127.0.0.1', port, auth: AUTH, tls: { rejectUnauthorized: false }, ...more } as object);
}

async function give(talk: SmtpTalk, message: string, from = LOGIN, to = 'b@to.test'): Promise<string> {
  talk.send(`MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
  assert.deepEqual(await talk.codes(3), ['250', '250', '354']);
  return talk.say(`${message}.`);
}

test('nodemailer submits with STARTTLS and a login; the message is kept before the 250', async (t) => {
  const door = await openDoor(t, world, { authWithoutTls: 'never' });
  const transport = accountTransport(door.port(), { requireTLS: true });
  const sent = await transport.sendMail({
    from: 'Ours <app@ours.test>',
    to: ['b@to.test', 'c@to.test'],
    bcc: 'd@to.test',
    subject: 'Grüße',
    text: '.dot\n..two\nlast line ä',
  });
  assert.match(sent.response, /^250 2\.0\.0 Great success: queued as <[^>]+>$/);
  const { principal, submission } = door.accepted[0] ?? assert.fail();
  assert.deepEqual(principal, {
    accountId: world.domain.accountId,
    kind: 'credential',
    role: 'sending',
    domainId: world.domain.id,
    login: LOGIN,
  });
  assert.equal(submission.domain, 'ours.test');
  assert.match(submission.origin.tls ?? '', /^TLSv1\.3/);
  assert.equal(submission.origin.address, '127.0.0.1');
  const id = /queued as <([^>]+)>/.exec(sent.response)?.[1] ?? '';
  const kept = await world.store.events.messageByMessageId(world.domain.accountId, id);
  assert.ok(kept !== undefined, 'in the store');
  assert.deepEqual(
    submission.envelope.recipients.map(({ address }) => address),
    ['b@to.test', 'c@to.test', 'd@to.test'],
  );
  transport.close();
});

test('nodemailer with TLS from the first octet sends many messages over few connections', async (t) => {
  const door = await openDoor(t, world);
  const transport = accountTransport(door.port('submissions'), { secure: true, pool: true, maxConnections: 2 });
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      transport.sendMail({ from: LOGIN, to: `b${index}@to.test`, subject: 's', text: `text ${index}` }),
    ),
  );
  assert.equal(door.accepted.length, 20);
  transport.close();
});

test('without a login there is no mail, whatever the recipient looks like', async (t) => {
  const door = await openDoor(t, world, { limits: { unauthenticatedCommands: 100, errorsSoft: 100, errorsHard: 100 } });
  const talk = await door.greeted();
  for (const from of ['', 'app@ours.test', 'postmaster@ours.test', 'app@mail.ours.test']) {
    assert.match(await talk.say(`MAIL FROM:<${from}>`), /^530 5\.7\.0 Authentication required/, from);
  }
  for (const to of [
    'b@to.test',
    'b%to.test@ours.test',
    '@ours.test:b@to.test',
    'to.test!b@ours.test',
    '"b@to.test"@ours.test',
    'b@to.test@ours.test',
    'b@[127.0.0.1]',
    '',
  ]) {
    assert.match(await talk.say(`RCPT TO:<${to}>`), /^50[13] /, to);
  }
  assert.match(await talk.say('DATA'), /^503 /);
  assert.equal(door.accepted.length, 0);
});

test('a recipient that could be read as another one is refused; % and ! mean nothing', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  await talk.say(`MAIL FROM:<${LOGIN}>`);
  for (const to of ['@ours.test:b@to.test', 'b@to.test@evil.test', 'b@to.test,c@to.test', 'b(c)@to.test', 'b @to.test']) {
    assert.match(await talk.say(`RCPT TO:<${to}>`), /^5\d\d /, to);
  }
  for (const to of ['b%evil.test@to.test', 'evil.test!b@to.test', '"b@evil.test"@to.test'])
    assert.match(await talk.say(`RCPT TO:<${to}>`), /^250 /, to);
  await talk.say('DATA');
  await talk.say(`${MESSAGE}.`);
  const domains = door.accepted[0]?.submission.envelope.recipients.map(({ address }) => address.slice(address.lastIndexOf('@') + 1));
  assert.deepEqual(domains, ['to.test', 'to.test', 'to.test']);
});

test('wrong password, unknown login and unknown domain sound the same', async (t) => {
  const door = await openDoor(t, world);
  const replies = new Set<string>();
  for (const [login, password] of [
    [LOGIN, 'wrong'],
    ['nobody@ours.test', PASSWORD],
    ['app@nowhere.test', PASSWORD],
    ['app', PASSWORD],
  ] as const) {
    // Guesses are remembered by address.
    const talk = await door.greeted('127.0.0.5');
    replies.add(await talk.say(plainAuth(login, password)));
  }
  assert.deepEqual([...replies], ['535 5.7.8 Authentication failed']);
});

test('the answer to a wrong password is kept back, and nobody else waits for it', async (t) => {
  let [delayMs, asked] = [60_000, 0];
  const accounts = {
    authenticateLogin: () => {
      asked++;
      return Promise.resolve({ kind: 'refused' as const, error: new AppError('bad-credentials'), delayMs });
    },
    stillStands: () => Promise.resolve(true),
    domainFor: () => Promise.resolve(undefined),
  };
  const door = await openDoor(t, world, {}, { accounts });
  const guesser = await door.greeted();
  guesser.send(`${plainAuth(LOGIN, 'wrong')}\r\n`);
  await until(() => asked === 1);
  const other = await door.greeted();
  await other.say('NOOP');
  assert.equal(guesser.pending, '', 'not answered yet');
  guesser.destroy();
  delayMs = 300;
  const startedMs = performance.now();
  assert.match(await other.say(plainAuth(LOGIN, 'wrong')), /^535 /);
  assert.ok(performance.now() - startedMs >= delayMs - 5);
});

test('too many guesses end the connection', async (t) => {
  const accounts = {
    authenticateLogin: () =>
      Promise.resolve({ kind: 'refused' as const, error: new AppError('too-many-guesses', { seconds: 7 }), delayMs: 0 }),
    stillStands: () => Promise.resolve(true),
    domainFor: () => Promise.resolve(undefined),
  };
  const door = await openDoor(t, world, {}, { accounts });
  const talk = await door.greeted();
  talk.send(`${plainAuth(LOGIN, 'wrong')}\r\n`);
  assert.match(await talk.rest(), /^421 4\.7\.0 .*7 seconds\r\n$/);
});

test('a sender of another account, or of nobody, is refused at MAIL; relatives of the own domain and the null path are not', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  for (const from of ['app@theirs.test', 'a@sub.theirs.test', 'a@unknown.test', 'a@ours.test.evil.test', 'a@evilours.test']) {
    assert.match(await talk.say(`MAIL FROM:<${from}>`), /^550 5\.7\.1 /, from);
  }
  for (const from of ['other@ours.test', 'a@OURS.test', '']) {
    assert.match(await talk.say(`MAIL FROM:<${from}>`), /^250 /, from);
    await talk.say('RSET');
  }
});

test('a forged From in the header is refused at the end of the message', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  assert.match(await give(talk, MESSAGE.replace('app@ours.test', 'boss@theirs.test')), /^550 5\.7\.1 /);
  assert.match(await give(talk, MESSAGE), /^250 /);
  assert.equal(door.accepted.length, 1);
});

test('a login that is taken away ends on open connections', async (t) => {
  const door = await openDoor(t, world);
  await world.accounts.putCredential(world.domain, 'leaver', PASSWORD);
  const talk = await door.loggedIn('leaver@ours.test');
  await give(talk, MESSAGE);
  await world.accounts.deleteCredential(world.domain, 'leaver');
  talk.send(`MAIL FROM:<${LOGIN}>\r\n`);
  assert.match(await talk.rest(), /^421 4\.7\.0 /);
});

test('trusted networks submit for their domain, and only that', async (t) => {
  const trusted = [
    { cidr: '192.0.2.0/24', domain: 'theirs.test' },
    { cidr: '127.0.0.0/8', domain: 'ours.test' },
  ];
  const door = await openDoor(t, world, { trusted });
  const talk = await door.greeted();
  assert.match(await talk.say('MAIL FROM:<app@theirs.test>'), /^550 5\.7\.1 /);
  assert.match(await give(talk, MESSAGE, 'anything@ours.test'), /^250 /);
  const { principal, submission } = door.accepted[0] ?? assert.fail();
  assert.deepEqual(principal, { accountId: world.domain.accountId, kind: 'trusted', role: 'sending', domainId: world.domain.id });
  assert.equal(submission.domain, 'ours.test');
});

test('a trusted network for a domain that does not exist is trusted with nothing', async (t) => {
  const door = await openDoor(t, world, { trusted: [{ cidr: '127.0.0.1', domain: 'gone.test' }] });
  const talk = await door.greeted();
  assert.match(await talk.say('MAIL FROM:<a@gone.test>'), /^530 /);
});

test('behind a proxy, trust and trace follow the client', async (t) => {
  const door = await openDoor(t, world, { proxyFrom: ['127.0.0.1'], trusted: [{ cidr: '192.0.2.0/24', domain: 'ours.test' }] });
  const talk = async (client: string): Promise<SmtpTalk> => {
    const opened = await SmtpTalk.open(door.port(), { expectGreeting: false });
    opened.send(`PROXY TCP4 ${client} 192.0.2.9 4000 587\r\n`);
    await opened.reply();
    await opened.say('EHLO client.test');
    return opened;
  };
  assert.match(await give(await talk('192.0.2.77'), MESSAGE), /^250 /);
  assert.equal(door.accepted[0]?.submission.origin.address, '192.0.2.77');
  assert.match(await (await talk('198.51.100.1')).say('MAIL FROM:<app@ours.test>'), /^530 /);
});

test('a proxied client is not on loopback: AUTH needs TLS for it', async (t) => {
  const door = await openDoor(t, world, { proxyFrom: ['127.0.0.0/8'] });
  const talk = await SmtpTalk.open(door.port(), { expectGreeting: false });
  talk.send('PROXY TCP4 198.51.100.1 192.0.2.9 4000 587\r\n');
  await talk.reply();
  assert.doesNotMatch(await talk.say('EHLO client.test'), /AUTH/);
  assert.match(await talk.say(plainAuth(LOGIN, PASSWORD)), /^538 /);
});

test('X-Mailgun headers do what the API options do, and are removed', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  const headers = 'X-Mailgun-Tag: receipts\r\nX-Mailgun-Variables: {"order": 17}\r\nx-mailgun-drop-message: yes\r\n';
  assert.match(await give(talk, headers + MESSAGE), /^250 /);
  const { submission } = door.accepted[0] ?? assert.fail();
  assert.deepEqual(submission.options.tags, ['receipts']);
  assert.equal(submission.options.testMode, true);
  assert.deepEqual({ ...submission.options.variables }, { order: 17 });
  assert.ok(submission.content.kind === 'mime');
  assert.equal(submission.content.bytes.toString(), MESSAGE);
  assert.match(await give(talk, `X-Mailgun-Deliver-By: whenever\r\n${MESSAGE}`), /^501 5\.5\.4 /);
});

test('recipient variables make a batch: each recipient has its own', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  await talk.say(`MAIL FROM:<${LOGIN}>`);
  for (const to of ['B@to.test', 'c@to.test']) await talk.say(`RCPT TO:<${to}>`);
  await talk.say('DATA');
  const header = 'X-Mailgun-Recipient-Variables: {"b@to.test": {"n": 1}}\r\n';
  assert.match(await talk.say(`${header}${MESSAGE}.`), /^250 /);
  const { submission } = door.accepted[0] ?? assert.fail();
  assert.equal(submission.batch, true);
  assert.deepEqual(
    submission.envelope.recipients.map(({ address, variables }) => [address, { ...variables }]),
    [
      ['B@to.test', { n: 1 }],
      ['c@to.test', {}],
    ],
  );
});

test('the envelope goes on with its encoding and its wishes for notification', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  talk.send(
    Buffer.from(
      `MAIL FROM:<${LOGIN}> BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=e1\r\nRCPT TO:<ü@to.test> NOTIFY=NEVER ORCPT=rfc822;u@to.test\r\nDATA\r\n`,
    ),
  );
  assert.deepEqual(await talk.codes(3), ['250', '250', '354']);
  await talk.say(`${MESSAGE}.`);
  const { envelope } = door.accepted[0]?.submission ?? assert.fail();
  assert.deepEqual(
    { ...envelope, recipients: [...envelope.recipients] },
    {
      sender: LOGIN,
      smtputf8: true,
      body: '8BITMIME',
      ret: 'FULL',
      envid: 'e1',
      recipients: [{ address: 'ü@to.test', notify: ['NEVER'], orcpt: 'rfc822;u@to.test' }],
    },
  );
});

test('when the store cannot take it, the client is told to come again', async (t) => {
  const codes = ['store-unavailable', 'store-full', 'overloaded'] as const;
  let call = 0;
  const submit = (): Promise<never> => {
    const code = codes[call++];
    return Promise.reject(code === undefined ? new Error('disk on fire') : new AppError(code));
  };
  const door = await openDoor(t, world, {}, { submit });
  const talk = await door.loggedIn();
  for (const reply of [/^451 4\.3\.0 /, /^452 4\.3\.1 /, /^451 4\.3\.2 /, /^451 4\.3\.0 Local/])
    assert.match(await give(talk, MESSAGE), reply);
});

test('messages under way share one memory; what does not fit is put off and nothing leaks', async (t) => {
  const door = await openDoor(t, world, { memoryBytes: 100_000 });
  const talk = await door.loggedIn();
  assert.match(await give(talk, `${MESSAGE}${'x'.repeat(70)}\r\n`.repeat(1000)), /^451 4\.3\.2 /);
  assert.match(await give(talk, MESSAGE), /^250 /);
  assert.equal(door.smtpd.memoryBytes, 0);
  const vanishing = await door.loggedIn();
  vanishing.send(`MAIL FROM:<${LOGIN}>\r\nRCPT TO:<b@to.test>\r\nDATA\r\n`);
  await vanishing.codes(3);
  vanishing.send('half a message');
  await until(() => door.smtpd.memoryBytes > 0);
  vanishing.destroy();
  await until(() => door.smtpd.memoryBytes === 0);
});

test('IPv6, several listeners, and an address that is taken', async (t) => {
  // There are machines without IPv6.
  const other = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1')) ? '::1' : '127.0.0.2';
  const first = await openDoor(t, world, {
    submission: [
      { host: '127.0.0.1', port: 0 },
      { host: other, port: 0 },
    ],
  });
  const six = first.smtpd.listeners.find(({ address }) => address === other) ?? assert.fail();
  await SmtpTalk.open(six.port, { host: other });
  const taken = { host: '127.0.0.1', port: first.port() };
  await assert.rejects(openDoor(t, world, { submission: [{ host: '127.0.0.1', port: 0 }, taken] }), /EADDRINUSE/);
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, sentence: string) => void warnings.push(sentence) };
  const second = await openDoor(
    t,
    world,
    { submission: [{ ...taken, isOptional: true }], submissions: [{ host: '127.0.0.1', port: 0 }] },
    { log },
  );
  assert.deepEqual(
    second.smtpd.listeners.map(({ kind }) => kind),
    ['submissions'],
  );
  assert.equal(warnings.length, 1);
});

test('the certificate is asked for at every handshake, so that a new one is used at once', async (t) => {
  let asked = 0;
  const context = createSecureContext({ cert: TEST_CERTIFICATE, key: TEST_KEY });
  const secureContext = (): typeof context => {
    asked++;
    return context;
  };
  const door = await openDoor(t, world, {}, { secureContext });
  const talks = [await SmtpTalk.openTls(door.port('submissions')), await SmtpTalk.openTls(door.port('submissions'))];
  assert.equal(asked, 2);
  for (const talk of talks) assert.match((talk.socket as TLSSocket).getPeerCertificate().subject.CN?.toString() ?? '', /mx\.test/);
});

test('a drain lets the running message in and lets nobody else in', async (t) => {
  const door = await openDoor(t, world);
  const talk = await door.loggedIn();
  talk.send(`MAIL FROM:<${LOGIN}>\r\nRCPT TO:<b@to.test>\r\nDATA\r\n`);
  await talk.codes(3);
  const drained = door.smtpd.drain(60_000);
  talk.send(`${MESSAGE}.\r\n`);
  assert.match(await talk.rest(), /^250 2\.0\.0 Great success[^\n]*\n421 4\.3\.2 /);
  await drained;
  assert.equal(door.accepted.length, 1);
});
