/** The door for mail from elsewhere: what it offers, whom it takes mail for, and whom it turns away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js';
import { AppError } from '#model/errors.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';
import { bring, MESSAGE, openInboundDoor } from './inbound-kit.ts';

test('it offers what a mail server needs, and no login', async (t) => {
  const { port } = await openInboundDoor(t);
  const talk = await SmtpTalk.open(port);
  const offer = await talk.say('EHLO client.test');
  for (const keyword of ['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'STARTTLS', 'ENHANCEDSTATUSCODES'])
    assert.match(offer, new RegExp(`250[- ]${keyword}`), keyword);
  assert.doesNotMatch(offer, /AUTH|DSN/);
  assert.match(await talk.say('AUTH PLAIN AGEAYg=='), /^502 /);
  assert.match(await talk.say('MAIL FROM:<a@b.test> RET=HDRS'), /^555 /);
});

test('a message goes to its taker with our trace on top, and the rest as it came', async (t) => {
  const { greeted, taken, counts } = await openInboundDoor(t);
  const talk = await greeted();
  assert.match(await bring(talk), /^250 2\.0\.0 Received as [0-9a-f]{16}$/);
  const [mail] = taken;
  const text = mail?.bytes.toString() ?? '';
  assert.ok(text.endsWith(MESSAGE), text);
  assert.match(
    text,
    /^Return-Path: <ann@sender\.test>\r\nReceived: from client\.test \(\[127\.0\.0\.1\]\)\r\n\tby mx\.ours\.test with ESMTP\r\n/,
  );
  assert.match(text, /for <bob@ours\.test>; /);
  assert.match(text, /X-Mailgun-Incoming: Yes\r\nX-Envelope-From: <ann@sender\.test>\r\n/);
  assert.deepEqual(
    mail?.recipients.map(({ address }) => address),
    ['bob@ours.test'],
  );
  assert.equal(counts.received, 1);
});

test('nodemailer brings mail with STARTTLS, in UTF-8, to several recipients', async (t) => {
  const { port, taken } = await openInboundDoor(t);
  const connection = new SMTPConnection({ host: '127.0.0.1', port, requireTLS: true, tls: { rejectUnauthorized: false } });
  await new Promise<void>((resolve, reject) => {
    connection.once('error', reject);
    connection.connect(() => resolve());
  });
  const envelope = { from: 'jörg@sender.test', to: ['bob@ours.test', 'zoë@ours.test'] };
  await new Promise<void>((resolve, reject) => connection.send(envelope, MESSAGE, (error) => (error === null ? resolve() : reject(error))));
  connection.quit();
  assert.deepEqual(
    taken[0]?.recipients.map(({ address }) => address),
    ['bob@ours.test', 'zoë@ours.test'],
  );
  assert.match(taken[0]?.bytes.toString() ?? '', /^Return-Path: <jörg@sender\.test>\r\n[^]* with UTF8SMTPS\r\n/);
  assert.match(taken[0]?.client.tls ?? '', /^TLSv1\.3 /);
});

test('CHUNKING: the chunks are one message', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  await talk.say('MAIL FROM:<>');
  await talk.say('RCPT TO:<bob@ours.test>');
  const half = 40;
  talk.send(`BDAT ${half}\r\n${MESSAGE.slice(0, half)}`);
  assert.match(await talk.reply(), /^250 /);
  talk.send(`BDAT ${MESSAGE.length - half} LAST\r\n${MESSAGE.slice(half)}`);
  assert.match(await talk.reply(), /^250 /);
  assert.ok(taken[0]?.bytes.toString().endsWith(MESSAGE));
  assert.equal(taken[0]?.envelope.sender, '');
});

test('nothing is relayed: no spelling of a recipient elsewhere is taken', async (t) => {
  const { greeted, taken, counts } = await openInboundDoor(t);
  const talk = await greeted();
  await talk.say('MAIL FROM:<bob@ours.test>');
  const spellings = [
    'v@foreign.test',
    'v%foreign.test@ours.test',
    'v%foreign.test',
    'foreign.test!v@ours.test',
    'foreign.test!v',
    '"v@foreign.test"@ours.test',
    '"v%foreign.test"@ours.test',
    '"foreign.test!v"@ours.test',
    'v@foreign.test@ours.test',
    'v@ours.test@foreign.test',
    '@ours.test:v@foreign.test',
    '@foreign.test:v@ours.test',
    '@ours.test,@foreign.test:v@ours.test',
    'v@[127.0.0.1]',
    'v@[IPv6:::1]',
    'v@127.0.0.1',
    'v@localhost',
    'v',
    '"v"@foreign.test',
    'v(@ours.test)@foreign.test',
    'v@foreign.test(@ours.test)',
    'v@ours.test.foreign.test',
    'v@foreign.test,bob@ours.test',
    'v@foreign.test>,<bob@ours.test',
    'v@foreign.test bob@ours.test',
    'v@ours.test.',
    'v@оurs.test',
    'v＠foreign.test@ours.test',
    'v@foreign。test',
    'v@ours.test\u0000@foreign.test',
    '',
    '@',
    'v@',
    '@foreign.test',
  ];
  for (const address of spellings) {
    const reply = await talk.say(Buffer.from(`RCPT TO:<${address}>`));
    assert.match(reply, /^5\d\d /, `${address}: ${reply}`);
  }
  assert.match(await talk.say('RCPT TO:<v@foreign.test>'), /^550 5\.7\.1 Relaying is not offered: foreign\.test/);
  assert.match(await talk.say('DATA'), /^554 /);
  assert.equal(taken.length, 0);
  assert.ok(counts.relayAttempts > 5);
});

test('a recipient that nobody answers for is unknown; one that its taker does not want is refused in its words', async (t) => {
  const { greeted } = await openInboundDoor(t);
  const talk = await greeted();
  await talk.say('MAIL FROM:<>');
  assert.match(await talk.say('RCPT TO:<nobody@ours.test>'), /^550 5\.1\.1 /);
  assert.match(await talk.say('RCPT TO:<moved@ours.test>'), /^551 5\.1\.6 Gone elsewhere/);
  assert.match(await talk.say('RCPT TO:<bob@shut.test>'), /^550 5\.7\.1 /);
  assert.match(await talk.say('RCPT TO:<bob@OURS.Test>'), /^250 /);
});

test('one transaction has one taker: others are asked to come again, and nothing is said of them', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  await talk.say('MAIL FROM:<a@b.test>');
  assert.match(await talk.say('RCPT TO:<bob@ours.test>'), /^250 /);
  assert.match(await talk.say('RCPT TO:<eve@other.test>'), /^452 4\.5\.3 /);
  assert.match(await talk.say('RCPT TO:<amy@ours.test>'), /^250 /);
  assert.match(await talk.say('RCPT TO:<bob@ours.test>'), /^250 /);
  await talk.say('DATA');
  assert.match(await talk.say(`${MESSAGE}.`), /^250 /);
  assert.deepEqual(
    taken[0]?.recipients.map(({ address }) => address),
    ['bob@ours.test', 'amy@ours.test'],
  );
  assert.match(await bring(talk, MESSAGE, { to: ['eve@other.test'] }), /^250 /);
  assert.equal(taken.length, 2);
});

test('the recipients of a message that was given up do not come back in the next', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  await talk.say('MAIL FROM:<a@b.test>');
  await talk.say('RCPT TO:<amy@ours.test>');
  await talk.say('RSET');
  assert.match(await bring(talk), /^250 /);
  assert.deepEqual(
    taken[0]?.recipients.map(({ address }) => address),
    ['bob@ours.test'],
  );
});

test('a taker that fails for now is heard as that, and the client may come again', async (t) => {
  let isFull = true;
  const { greeted, counts } = await openInboundDoor(t, {
    take: async () => {
      if (isFull) throw new AppError('store-full');
    },
  });
  const talk = await greeted();
  assert.match(await bring(talk), /^452 4\.3\.1 /);
  isFull = false;
  assert.match(await bring(talk), /^250 /);
  assert.deepEqual([counts.deferred, counts.received], [1, 1]);
});

test('a taker that breaks is a temporary failure', async (t) => {
  const { greeted } = await openInboundDoor(t, { take: () => Promise.reject(new Error('a bug')) });
  assert.match(await bring(await greeted()), /^451 4\.3\.0 /);
});

test('250 is said only when the taker has it', async (t) => {
  const safe = Promise.withResolvers<void>();
  const { greeted } = await openInboundDoor(t, { take: () => safe.promise });
  const talk = await greeted();
  await talk.say('MAIL FROM:<>');
  await talk.say('RCPT TO:<bob@ours.test>');
  await talk.say('DATA');
  talk.send(`${MESSAGE}.\r\nNOOP\r\n`);
  // Another client's round trip is proof enough that ours would have been heard by now.
  const other = await greeted();
  await other.say('NOOP');
  assert.equal(talk.pending, '');
  safe.resolve();
  assert.match(await talk.reply(), /^250 2\.0\.0 Received/);
});

test('while no mail is taken, clients are told so when they come and when they begin', async (t) => {
  let refusal: AppError | undefined;
  const { greeted, port } = await openInboundDoor(t, { deps: { refusal: () => refusal } });
  const talk = await greeted();
  refusal = new AppError('store-unavailable');
  assert.match(await talk.say('MAIL FROM:<>'), /^451 4\.3\.0 /);
  const other = await SmtpTalk.open(port, { expectGreeting: false });
  assert.match(await other.reply(), /^421 4\.3\.0 /);
});

test('a client that speaks before the greeting is sent away; one that waits is served', async (t) => {
  const { port, counts } = await openInboundDoor(t, { options: { greetingDelayMs: 200 } });
  const early = connect(port, '127.0.0.1');
  early.on('error', () => undefined);
  early.write('EHLO spam.test\r\nMAIL FROM:<>\r\nRCPT TO:<bob@ours.test>\r\nDATA\r\n');
  const heard: Buffer[] = [];
  early.on('data', (chunk: Buffer) => heard.push(chunk));
  await once(early, 'close');
  assert.match(Buffer.concat(heard).toString(), /^554 5\.5\.0 You spoke before the greeting\r\n$/);
  assert.equal(counts.earlyTalkers, 1);
  const polite = await SmtpTalk.open(port);
  assert.match(await polite.say('EHLO client.test'), /^250/);
});

test('a client that speaks before the greeting is found out though the server stood still meanwhile', async (t) => {
  const delayMs = 200;
  const { port, counts } = await openInboundDoor(t, { options: { greetingDelayMs: delayMs } });
  const early = connect(port, '127.0.0.1');
  early.on('error', () => undefined);
  early.once('connect', () => {
    early.write('EHLO spam.test\r\n');
    const sinceMs = performance.now();
    while (performance.now() - sinceMs < 2 * delayMs);
  });
  const heard: Buffer[] = [];
  early.on('data', (chunk: Buffer) => heard.push(chunk));
  await once(early, 'end');
  assert.match(Buffer.concat(heard).toString(), /^554 5\.5\.0 /);
  assert.equal(counts.earlyTalkers, 1);
});

test('a client that goes away while it waits for the greeting leaves nothing behind', async (t) => {
  const { port, door, counts } = await openInboundDoor(t, { options: { greetingDelayMs: 300 } });
  const socket = connect(port, '127.0.0.1');
  await until(() => door.connectionCount === 1, 'the connection is there');
  socket.destroy();
  await until(() => door.connectionCount === 0, 'the connection is gone');
  assert.equal(counts.earlyTalkers, 0);
});

test('messages of one address have a rate; others are not concerned', async (t) => {
  const { greeted, counts } = await openInboundDoor(t, { options: { rate: { count: 2, perMs: 3_600_000 } } });
  const talk = await greeted();
  assert.match(await bring(talk), /^250 /);
  assert.match(await bring(talk), /^250 /);
  assert.match(await talk.say('MAIL FROM:<>'), /^450 4\.7\.1 .*limit exceeded/);
  assert.equal(counts.rateLimited, 1);
  const other = await greeted({ localAddress: '127.0.0.2' });
  assert.match(await bring(other), /^250 /);
});

test('who guesses recipients is cut off', async (t) => {
  const { greeted } = await openInboundDoor(t, { options: { refusedRecipientsMax: 3 } });
  const talk = await greeted();
  await talk.say('MAIL FROM:<>');
  for (const name of ['nobody1', 'nobody2', 'nobody3']) assert.match(await talk.say(`RCPT TO:<${name}@ours.test>`), /^550 /);
  assert.match(await talk.say('RCPT TO:<nobody4@ours.test>'), /^421 4\.7\.0 /);
  assert.equal(await talk.rest(), '');
});

test('connections of one address are limited, and freed when they end', async (t) => {
  const { greeted, port } = await openInboundDoor(t, { options: { limits: { connectionsPerAddress: 2 } } });
  const first = await greeted();
  await greeted();
  const third = await SmtpTalk.open(port, { expectGreeting: false });
  assert.match(await third.reply(), /^421 4\.7\.0 /);
  await first.say('QUIT');
  first.destroy();
  await until(async () => {
    const next = await SmtpTalk.open(port, { expectGreeting: false });
    const isIn = (await next.reply()).startsWith('220');
    next.destroy();
    return isIn;
  }, 'there is room again');
});

test('hundreds of connections at once are served', async (t) => {
  const { port, taken } = await openInboundDoor(t, { options: { limits: { connectionsPerAddress: 1000, connections: 1000 } } });
  const replies = await Promise.all(
    Array.from({ length: 300 }, async () => {
      const talk = await SmtpTalk.open(port);
      await talk.say('EHLO client.test');
      const reply = await bring(talk);
      talk.destroy();
      return reply;
    }),
  );
  assert.ok(replies.every((reply) => reply.startsWith('250')));
  assert.equal(taken.length, 300);
});

test('no second message is smuggled in behind an end that is none, and bare newlines are refused', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const ends = ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r\n.\r', '\r.\r\n', '\n.\r', '\r\n\0.\r\n', '\r\n.\0\r\n'];
  for (const end of ends) {
    const talk = await greeted();
    await talk.say('MAIL FROM:<>');
    await talk.say('RCPT TO:<bob@ours.test>');
    await talk.say('DATA');
    const inner = `MAIL FROM:<bill@bank.test>\r\nRCPT TO:<bob@ours.test>\r\nDATA\r\nFrom: bill@bank.test\r\n\r\nPay.\r\n`;
    talk.send(`${MESSAGE}more${end}${inner}.\r\n`);
    assert.match(await talk.reply(), /^550 5\.6\.0 /, JSON.stringify(end));
    assert.match(await talk.say('NOOP'), /^250 /, JSON.stringify(end));
    talk.destroy();
  }
  const talk = await greeted();
  await talk.say('MAIL FROM:<>');
  await talk.say('RCPT TO:<bob@ours.test>');
  const body = 'Subject: x\r\n\r\na\n.\nb\r\n';
  talk.send(`BDAT ${body.length} LAST\r\n${body}`);
  assert.match(await talk.reply(), /^550 5\.6\.0 /);
  assert.equal(taken.length, 0);
});

test('plaintext behind STARTTLS is not obeyed', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  talk.send('STARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<bob@ours.test>\r\n');
  assert.match(await talk.reply(), /^554 /);
  assert.equal(await talk.rest(), '');
  assert.equal(taken.length, 0);
});

test('a message over the limit is refused, announced or not, and memory is given back', async (t) => {
  const { greeted, door } = await openInboundDoor(t, { options: { limits: { messageBytes: 10_000, errorsHard: 1000, errorsSoft: 1000 } } });
  const talk = await greeted();
  assert.match(await talk.say('MAIL FROM:<> SIZE=10001'), /^552 5\.3\.4 /);
  assert.match(await bring(talk, `${MESSAGE}${'x'.repeat(70)}\r\n`.padEnd(11_000, 'y\r\n').replace(/\r?\n?$/, '\r\n')), /^55\d /);
  assert.match(await bring(talk), /^250 /);
  assert.equal(door.memoryBytes, 0);
});

test('messages being received share one memory: what does not fit is put off', async (t) => {
  const { greeted, door } = await openInboundDoor(t, { memoryBytes: 5000 });
  const talk = await greeted();
  assert.match(await bring(talk, `${MESSAGE}${'word '.repeat(2000)}\r\n`), /^451 4\.3\.2 /);
  assert.match(await bring(talk), /^250 /);
  assert.equal(door.memoryBytes, 0);
});

test("postmaster without a domain is the host's", async (t) => {
  const asked: string[] = [];
  const { greeted } = await openInboundDoor(t, {
    deps: {
      findAddressee: async ({ address }) => {
        asked.push(address);
        return { kind: 'x', take: async () => undefined };
      },
    },
  });
  const talk = await greeted();
  await talk.say('MAIL FROM:<>');
  assert.match(await talk.say('RCPT TO:<Postmaster>'), /^250 /);
  assert.deepEqual(asked, ['postmaster@mx.ours.test']);
});

test('behind a proxy, limits and trace follow the client', async (t) => {
  const { port, taken } = await openInboundDoor(t, { options: { proxyFrom: ['127.0.0.0/8'] } });
  const talk = await SmtpTalk.open(port, { expectGreeting: false });
  talk.send('PROXY TCP4 192.0.2.77 192.0.2.1 4000 25\r\n');
  await talk.reply();
  await talk.say('EHLO client.test');
  assert.match(await bring(talk), /^250 /);
  assert.equal(taken[0]?.client.address, '192.0.2.77');
  assert.match(taken[0]?.bytes.toString() ?? '', /from client\.test \(\[192\.0\.2\.77\]\)/);
});
