/**
 * P9 on the running program: each limit that an operator sets is the limit that a client meets, at its edge: what is allowed passes, one more does not.
 * (The limits that are no settings: server-limits.test.ts for SMTP, api-conventions.test.ts for HTTP, pattern.test.ts for templates.)
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation, submit } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const MESSAGE_SIZE = 20 * 1024;
const HEADER_SIZE = 4 * 1024;
/** Of the machine, and not among `smtp.trusted`. */
const STRANGER = '127.0.0.2';

const home = await Installation.make(
  { after },
  {
    'sandbox.capture': 'true',
    'sandbox.keep': '3',
    'smtp.trusted': JSON.stringify([{ cidr: '127.0.0.1/32', domain: DOMAIN }]),
    'smtp.auth_without_tls': 'loopback',
    'http.request_size': '64KB',
    'delivery.schedule_horizon': '1h',
    'limits.message_size': String(MESSAGE_SIZE),
    'limits.recipients_per_message': '5',
    'limits.connections': '6',
    'limits.connections_per_address': '4',
    'limits.messages_per_connection': '3',
    'limits.errors_per_connection': '4',
    'limits.login_failures_per_connection': '2',
    'limits.commands_without_auth': '5',
    'limits.header_size': String(HEADER_SIZE),
    'limits.received_hops': '5',
    'limits.tags_per_message': '2',
  },
);
const server = await home.start();

const to = (count: number): string[] => Array.from({ length: count }, (_, n) => `user${n}@x.test`);
/** A message of exactly so many bytes, with the line end that comes before the final dot. */
const sized = (bytes: number): string => {
  const head = `From: app@${DOMAIN}\r\n\r\n`;
  const lines = 'x'.repeat(98) + '\r\n';
  const whole = head + lines.repeat(Math.floor((bytes - head.length - 2) / lines.length));
  return whole + 'y'.repeat(bytes - whole.length - 2);
};

/** A client gets its reply on a connection of its own. */
async function bySmtp(recipients: readonly string[], text: string): Promise<string> {
  const talk = await server.smtp();
  try {
    return await submit(talk, recipients, text);
  } finally {
    talk.destroy();
  }
}

async function byMime(mime: string): Promise<number> {
  const body = new FormData();
  body.append('to', 'user@x.test');
  body.append('message', new File([mime], 'message.eml'));
  const response = await fetch(`${server.url}/v3/${DOMAIN}/messages.mime`, { method: 'POST', body, headers: server.authorization() });
  await response.arrayBuffer();
  return response.status;
}

async function byApi(fields: Record<string, string | readonly string[]>): Promise<number> {
  return (await server.call('POST', `/v3/${DOMAIN}/messages`, { from: `app@${DOMAIN}`, to: 'user@x.test', text: 'x', ...fields })).status;
}

test('P9: limits.message_size', async () => {
  assert.match(await bySmtp(to(1), sized(MESSAGE_SIZE)), /^250 /);
  assert.match(await bySmtp(to(1), sized(MESSAGE_SIZE + 1)), /^552 5\.3\.4 /);
  const talk = await server.smtp();
  assert.match(await talk.say(`MAIL FROM:<app@${DOMAIN}> SIZE=${MESSAGE_SIZE}`), /^250 /);
  await talk.say('RSET');
  assert.match(await talk.say(`MAIL FROM:<app@${DOMAIN}> SIZE=${MESSAGE_SIZE + 1}`), /^552 /);
  talk.destroy();
  assert.deepEqual([await byMime(`${sized(MESSAGE_SIZE)}\r\n`), await byMime(`${sized(MESSAGE_SIZE + 1)}\r\n`)], [200, 413]);
  assert.deepEqual([await byApi({ text: 'x'.repeat(MESSAGE_SIZE / 2) }), await byApi({ text: 'x'.repeat(MESSAGE_SIZE) })], [200, 413]);
});

test('P9: http.request_size', async () => {
  assert.equal(await byApi({ 'v:data': 'x'.repeat(64 * 1024) }), 413);
});

test('P9: limits.recipients_per_message', async () => {
  assert.match(await bySmtp(to(5), 'Subject: x\r\n\r\nx'), /^250 /);
  const talk = await server.smtp();
  await talk.say(`MAIL FROM:<app@${DOMAIN}>`);
  const replies: string[] = [];
  for (const address of to(6)) replies.push((await talk.say(`RCPT TO:<${address}>`)).slice(0, 9));
  assert.deepEqual(replies, [...Array.from({ length: 5 }, () => '250 2.1.5'), '452 4.5.3']);
  talk.destroy();
  assert.deepEqual([await byApi({ to: to(5) }), await byApi({ to: to(6) })], [200, 400]);
});

test('P9: limits.header_size', async () => {
  const withHeader = (bytes: number): string =>
    `From: app@${DOMAIN}\r\n${`X-Filler: ${'y'.repeat(86)}\r\n`.repeat(Math.floor(bytes / 98))}\r\nx`;
  assert.match(await bySmtp(to(1), withHeader(HEADER_SIZE - 200)), /^250 /);
  assert.match(await bySmtp(to(1), withHeader(HEADER_SIZE + 200)), /^55\d 5\./);
  assert.equal(await byMime(withHeader(HEADER_SIZE - 200)), 200);
  assert.equal(await byMime(withHeader(HEADER_SIZE + 200)), 400);
});

test('P9: limits.received_hops', async () => {
  const hops = (count: number): string =>
    `${'Received: from a by b; Mon, 1 Jan 2026 00:00:00 +0000\r\n'.repeat(count)}From: app@${DOMAIN}\r\n\r\nx`;
  assert.match(await bySmtp(to(1), hops(5)), /^250 /);
  assert.match(await bySmtp(to(1), hops(6)), /^554 5\.4\.6 /);
  assert.deepEqual([await byMime(hops(5)), await byMime(hops(6))], [200, 400]);
});

test('P9: limits.tags_per_message', async () => {
  await server.send('tagged@x.test', { 'o:tag': ['one', 'two', 'three'] });
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?recipient=tagged@x.test`);
  assert.deepEqual((body['items'] as { tags: string[] }[])[0]?.tags, ['one', 'two']);
});

test('P9: delivery.schedule_horizon', async () => {
  const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toUTCString();
  assert.deepEqual([await byApi({ 'o:deliverytime': inMinutes(59) }), await byApi({ 'o:deliverytime': inMinutes(62) })], [200, 400]);
});

test('P9: sandbox.keep', async () => {
  for (let n = 0; n < 5; n++) await server.send(`kept${n}@x.test`);
  const kept = async (): Promise<string[]> => {
    const { items } = (await server.mustCall('GET', '/v1/sandbox/messages')).body as { items: { recipients: string[] }[] };
    return items.flatMap(({ recipients }) => recipients);
  };
  await until(async () => (await kept()).some((address) => address.startsWith('kept')), 'they are captured');
  await until(async () => (await kept()).length === 3, 'the oldest go');
});

test('P9: limits.messages_per_connection', async () => {
  const talk = await server.smtp();
  for (let n = 0; n < 3; n++) assert.match(await submit(talk, to(1), 'Subject: x\r\n\r\nx'), /^250 /);
  assert.match(await talk.say(`MAIL FROM:<app@${DOMAIN}>`), /^421 4\.7\.0 /);
  await talk.rest();
});

test('P9: limits.errors_per_connection', async () => {
  const talk = await server.smtp();
  for (let n = 0; n < 4; n++) assert.match(await talk.say('NONSENSE'), /^500 /);
  assert.match(await talk.say('NONSENSE'), /^421 4\.7\.0 /);
  await talk.rest();
});

test('P9: limits.login_failures_per_connection', async () => {
  const talk = await stranger();
  const wrong = `AUTH PLAIN ${Buffer.from('\0app@ours.test\0wrong').toString('base64')}`;
  for (let n = 0; n < 2; n++) assert.match(await talk.say(wrong), /^535 /);
  assert.match(await talk.say(wrong), /^421 4\.7\.0 /);
  await talk.rest();
});

test('P9: limits.commands_without_auth', async () => {
  const talk = await stranger();
  let codes = '';
  while (!talk.isClosed && codes.length < 100) {
    const reply = await talk.say('NOOP').catch(() => 'cut');
    codes += `${reply.slice(0, 3)} `;
    if (!reply.startsWith('250')) break;
  }
  // EHLO was the first of five.
  assert.equal(codes, '250 250 250 250 421 ');
});

async function stranger(): Promise<SmtpTalk> {
  const talk = await SmtpTalk.open(server.smtpPort, { localAddress: STRANGER });
  await talk.say('EHLO stranger.test');
  return talk;
}

test('P9: limits.connections_per_address and limits.connections', async () => {
  const open: SmtpTalk[] = [];
  const greeting = async (localAddress: string): Promise<string> => {
    const talk = await SmtpTalk.open(server.smtpPort, { localAddress, expectGreeting: false });
    open.push(talk);
    return (await talk.reply()).slice(0, 9).trimEnd();
  };
  // Those of the tests before may still be closing.
  await until(async () => {
    const greetings: string[] = [];
    for (const address of [STRANGER, '127.0.0.3', '127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1'])
      greetings.push(await greeting(address));
    if (greetings.every((text) => text.startsWith('220'))) return true;
    for (const talk of open.splice(0)) talk.destroy();
    return false;
  }, 'four connections of one address and two of others are let in');
  assert.equal(await greeting('127.0.0.4'), '421 4.3.2');
  open.shift()?.destroy();
  const fifth = await until(async () => {
    const text = await greeting('127.0.0.1');
    return text !== '421 4.3.2' && text;
  }, 'there is room for one more, of another address');
  assert.equal(fifth, '421 4.7.0');
  for (const talk of open) talk.destroy();
});
