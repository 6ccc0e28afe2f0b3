/** What comes back about delivered mail, in the running program: the sandbox's own reports, and those that strangers bring to its door. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { DOMAIN, Installation, type Server, submit } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make(
  { after },
  {
    'sandbox.capture': 'true',
    'smtp.inbound': '127.0.0.1:0',
    'inbound.greeting_delay': '0s',
    'inbound.authentication': 'false',
    'inbound.unknown_sender': 'accept',
    'webhooks.allow_networks': '127.0.0.0/8',
  },
);
const server = await home.start();

interface SeenEvent {
  readonly event: string;
  readonly recipient?: string;
  readonly reason?: string;
  readonly severity?: string;
  readonly flags?: Record<string, boolean>;
  readonly 'delivery-status'?: { readonly code: number; readonly message: string; readonly 'enhanced-code'?: string };
}

async function eventsOf(messageId: string): Promise<readonly SeenEvent[]> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?ascending=yes&message-id=${encodeURIComponent(messageId)}`);
  return body['items'] as SeenEvent[];
}

async function namesOf(messageId: string): Promise<readonly string[]> {
  return (await eventsOf(messageId)).map(({ event }) => event);
}

async function results(from: Server = server): Promise<ReadonlyMap<string, number>> {
  const { text } = await from.call('GET', '/metrics');
  return new Map(
    [...text.matchAll(/^postrider_returned_total\{result="([^"]+)"\} (\d+)$/gm)].map(([, name, n]) => [String(name), Number(n)]),
  );
}

interface Captured {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly subject: string;
}

async function captured(): Promise<readonly Captured[]> {
  return (await server.mustCall('GET', '/v1/sandbox/messages?limit=100')).body['items'] as Captured[];
}

/** Sends, and resolves to the Message-ID and the reverse-path that the receiving server was given. */
async function sent(...to: string[]): Promise<{ readonly id: string; readonly returnPath: string }> {
  const id = await server.send(to);
  await until(async () => (await namesOf(id)).filter((name) => name === 'delivered').length === to.length, 'the delivery');
  const mail = (await captured()).find(({ recipients }) => to.every((address) => recipients.includes(address)));
  return { id, returnPath: mail?.sender ?? '' };
}

/** Brings a message to the door; the reply that decided. */
async function bring(to: string, message: string, sender = ''): Promise<string> {
  const talk = await SmtpTalk.open(Number(server.program.doors.get('inbound')?.[0]?.split(':').at(-1)));
  try {
    talk.send('EHLO mx.example.net\r\n');
    await talk.reply();
    talk.send(`MAIL FROM:<${sender}>\r\n`);
    await talk.reply();
    talk.send(`RCPT TO:<${to}>\r\n`);
    const rcpt = await talk.reply();
    if (!rcpt.startsWith('250')) return rcpt;
    talk.send('DATA\r\n');
    await talk.reply();
    talk.send(`${message.replaceAll('\n', '\r\n')}\r\n.\r\n`);
    return await talk.reply();
  } finally {
    talk.socket.destroy();
  }
}

function dsn(about: string, status = '5.1.1', reply = '550 5.1.1 User unknown', action = 'failed'): string {
  return `From: MAILER-DAEMON@mx.example.net
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ${about}
Action: ${action}
Status: ${status}
Diagnostic-Code: smtp; ${reply}
--b--
`;
}

async function isSuppressed(kind: 'bounces' | 'complaints', address: string): Promise<boolean> {
  return (await server.call('GET', `/v3/${DOMAIN}/${kind}/${encodeURIComponent(address)}`)).status === 200;
}

test('later-bounce@: delivered, then failed as a delayed bounce, and not written to again', async () => {
  const address = 'later-bounce+1@example.com';
  const id = await server.send(address);
  await until(async () => (await namesOf(id)).includes('failed'), 'the late bounce');
  const events = await eventsOf(id);
  assert.deepEqual(
    events.map(({ event }) => event),
    ['accepted', 'delivered', 'failed'],
  );
  const failed = events[2];
  assert.deepEqual([failed?.reason, failed?.severity, failed?.flags], ['delayed-bounce', 'permanent', { 'is-delayed-bounce': true }]);
  assert.equal(failed?.['delivery-status']?.code, 550);
  assert.ok(await isSuppressed('bounces', address));
  const [story] = await server.recipients(id);
  assert.equal(story?.status, 'delivered');
  assert.match(story?.entries.at(-1)?.text ?? '', /^accepted there, and bounced later: .*does not exist/);

  const second = await server.send(address);
  await until(async () => (await server.recipients(second))[0]?.status === 'suppressed', 'the second message to be suppressed');
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/stats/total?event=failed&duration=1d`);
  const stats = body['stats'] as { failed: { permanent: Record<string, number> } }[];
  assert.equal(
    stats.reduce((sum, { failed: counted }) => sum + (counted.permanent['delayed-bounce'] ?? 0), 0),
    1,
  );
});

test('complain@: a report by mail becomes an event and a suppression', async () => {
  const id = await server.send('complain+7@example.com');
  // What is told of the delivery and of the complaint comes on two ways.
  const names = await until(async () => {
    const now = await namesOf(id);
    return now.includes('complained') && now.includes('delivered') && now;
  }, 'the complaint');
  assert.deepEqual(names, ['accepted', 'delivered', 'complained']);
  assert.ok(await isSuppressed('complaints', 'complain+7@example.com'));
});

test('webhooks are told of both, once', async (t) => {
  const hooks = await startHttpReceiver();
  t.after(() => hooks.close());
  for (const id of ['permanent_fail', 'complained'])
    await server.mustCall('POST', `/v3/domains/${DOMAIN}/webhooks`, { id, url: `http://127.0.0.1:${hooks.port}/${id}` });
  const { id, returnPath } = await sent('walter@example.net');
  for (const _ of [1, 2]) await bring(returnPath, dsn('walter@example.net'));
  await until(() => hooks.received.length > 0, 'the first post');
  const complained = await server.send('complain+hook@example.com');
  await until(() => hooks.received.length === 2, 'two posts');
  const told = hooks.received.map(({ path, body }) => {
    const { event, message } = (
      JSON.parse(body.toString()) as { 'event-data': { event: string; message: { headers: Record<string, string> } } }
    )['event-data'];
    return [path, event, message.headers['message-id']];
  });
  assert.deepEqual(told, [
    ['/permanent_fail', 'failed', id],
    ['/complained', 'complained', complained],
  ]);
  for (const type of ['permanent_fail', 'complained']) await server.mustCall('DELETE', `/v3/domains/${DOMAIN}/webhooks/${type}`);
});

test('a report that comes twice, or by two servers, counts once', async () => {
  const { id, returnPath } = await sent('alice@example.net');
  const before = (await results()).get('repeated') ?? 0;
  assert.match(await bring(returnPath, dsn('alice@example.net')), /^250/);
  assert.match(await bring(returnPath.toUpperCase().replace(DOMAIN.toUpperCase(), DOMAIN), dsn('alice@example.net')), /^250/);
  assert.deepEqual(await namesOf(id), ['accepted', 'delivered', 'failed']);
  assert.equal((await results()).get('repeated'), before + 1);
  assert.ok(await isSuppressed('bounces', 'alice@example.net'));
});

test('a forged return path is refused at RCPT, counted, and changes nothing', async () => {
  const { id, returnPath } = await sent('bob@example.net');
  const before = (await results()).get('unproven') ?? 0;
  const at = returnPath.indexOf('@') - 1;
  const forged = `${returnPath.slice(0, at)}${returnPath[at] === 'a' ? 'b' : 'a'}${returnPath.slice(at + 1)}`;
  assert.match(await bring(forged, dsn('bob@example.net')), /^550 5\.1\.1/);
  assert.match(await bring(`bounce+bob@${DOMAIN}`, dsn('bob@example.net')), /^550 5\.1\.1/);
  assert.equal((await results()).get('unproven'), before + 2);
  // A report at an address for complaints that proves nothing is taken, and not believed.
  assert.match(await bring(`abuse@${DOMAIN}`, dsn('bob@example.net')), /^250/);
  assert.equal((await results()).get('unproven'), before + 3);
  assert.deepEqual(await namesOf(id), ['accepted', 'delivered']);
  assert.equal(await isSuppressed('bounces', 'bob@example.net'), false);
});

test('who has the token of one recipient suppresses no other', async () => {
  const { id, returnPath } = await sent('mallory@example.net');
  await bring(returnPath, dsn('innocent@example.net'));
  assert.equal(await isSuppressed('bounces', 'innocent@example.net'), false);
  assert.equal(await isSuppressed('bounces', 'mallory@example.net'), false);
  assert.equal((await eventsOf(id)).find(({ event }) => event === 'failed')?.recipient, 'mallory@example.net');
});

test('of a transaction for several the report says whose it is; that is told, and suppresses nobody', async () => {
  const { id, returnPath } = await sent('carl@one.example', 'cora@one.example');
  assert.match(await bring(returnPath, dsn('CORA@one.example')), /^250/);
  const failed = (await eventsOf(id)).filter(({ event }) => event === 'failed');
  assert.deepEqual(
    failed.map(({ recipient }) => recipient),
    ['cora@one.example'],
  );
  assert.equal(await isSuppressed('bounces', 'cora@one.example'), false);
});

test('a full mailbox that bounces is an event and no suppression; a delay is neither', async () => {
  const full = await sent('full-later@example.net');
  await bring(full.returnPath, dsn('full-later@example.net', '5.2.2', '552 5.2.2 Mailbox full'));
  assert.ok((await namesOf(full.id)).includes('failed'));
  assert.equal(await isSuppressed('bounces', 'full-later@example.net'), false);
  const late = await sent('late@example.net');
  assert.match(await bring(late.returnPath, dsn('late@example.net', '4.4.1', '451 4.4.1 try later', 'delayed')), /^250/);
  assert.deepEqual(await namesOf(late.id), ['accepted', 'delivered']);
});

test('absence notes and receipts change nothing, and a letter is refused', async () => {
  const { id, returnPath } = await sent('dora@example.net');
  const before = (await results()).get('auto-reply') ?? 0;
  const note = `From: dora@example.net\nSubject: Automatic reply: A test\nAuto-Submitted: auto-replied\n\nI am away.`;
  assert.match(await bring(returnPath, note), /^250/);
  assert.match(await bring(returnPath, 'From: dora@example.net\nSubject: Re: A test\n\nThank you!', 'dora@example.net'), /^550 5\.7\.1/);
  assert.equal((await results()).get('auto-reply'), before + 1);
  assert.deepEqual(await namesOf(id), ['accepted', 'delivered']);
});

test('a submitter by SMTP is told by mail at its own address, once; nobody is told about that mail', async () => {
  const talk = await server.smtp();
  const text = `From: app@${DOMAIN}\r\nTo: later-bounce+smtp@example.com\r\nSubject: By SMTP\r\nMessage-ID: <by-smtp@${DOMAIN}>\r\n\r\nHello.`;
  assert.match(await submit(talk, ['later-bounce+smtp@example.com'], text, `later-bounce@${DOMAIN}`), /^250/);
  const told = await until(
    async () => (await captured()).find(({ recipients }) => recipients.includes(`later-bounce@${DOMAIN}`)),
    'the notification',
  );
  assert.deepEqual([told.sender, told.subject], ['', 'Your mail could not be delivered']);
  const mail = (await captured()).find(({ recipients }) => recipients.includes('later-bounce+smtp@example.com'));
  await bring(mail?.sender ?? '', dsn('later-bounce+smtp@example.com'));
  assert.equal((await captured()).filter(({ recipients }) => recipients.includes(`later-bounce@${DOMAIN}`)).length, 1);
  await until(async () => {
    const [story] = await server.recipients(`by-smtp@${DOMAIN}`);
    return story?.entries.some(({ text: said }) => said?.startsWith('the sender was notified (failed)'));
  }, 'the story tells of it');
});

test('an abuse report that encloses our mail is proven by its header; another is counted', async () => {
  const { id } = await sent('erin@example.net');
  const list = (await server.mustCall('GET', '/v1/sandbox/messages?limit=100')).body['items'] as { id: number; recipients: string[] }[];
  const number = list.find(({ recipients }) => recipients.includes('erin@example.net'))?.id;
  const { text } = await server.mustCall('GET', `/v1/sandbox/messages/${number}/raw`);
  const header = text.slice(0, text.indexOf('\r\n\r\n')).replaceAll('\r\n', '\n');
  assert.match(header, /^CFBL-Address: complaints\+[a-z2-7]+@ours\.test;\s+report=arf$/m);
  const report = (enclosed: string): string =>
    `From: fbl@example.net\nSubject: Complaint\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n` +
    `--b\nContent-Type: text/plain\n\nSpam.\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: T/1\nVersion: 1\n` +
    `--b\nContent-Type: message/rfc822\n\n${enclosed}\n\nHello.\n--b--\n`;
  const foreign = `From: app@${DOMAIN}\nMessage-ID: <${id}>\nCFBL-Feedback-ID: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`;
  const before = (await results()).get('unproven') ?? 0;
  assert.match(await bring(`abuse@${DOMAIN}`, report(foreign)), /^250/);
  assert.equal((await results()).get('unproven'), before + 1);
  assert.deepEqual(await namesOf(id), ['accepted', 'delivered']);
  assert.match(await bring(`abuse@${DOMAIN}`, report(header)), /^250/);
  assert.deepEqual(await namesOf(id), ['accepted', 'delivered', 'complained']);
  assert.ok(await isSuppressed('complaints', 'erin@example.net'));
});
