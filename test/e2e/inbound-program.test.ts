/** Mail from elsewhere at the running program: what it takes is kept before the reply, and told; what it does not take is refused. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';
import { bring, MESSAGE } from './inbound-kit.ts';

const INBOUND = {
  'smtp.inbound': '127.0.0.1:0',
  'inbound.greeting_delay': '0s',
  // What SPF and DMARC say must not depend on how busy the machine is.
  'inbound.authentication_timeout': '1m',
};
const ZONE = {
  'sender.test': { MX: [[10, 'mx.sender.test']] as const, TXT: ['v=spf1 ip4:127.0.0.1 -all'] },
  'mx.sender.test': { A: ['192.0.2.1'] },
  '_dmarc.sender.test': { TXT: ['v=DMARC1; p=reject'] },
  '_dmarc.forged.test': { TXT: ['v=DMARC1; p=reject'] },
  'shy.test': { MX: [[0, '.']] as const },
};

function portOf(server: Server): number {
  return Number((server.program.doors.get('inbound')?.[0] ?? '').split(':').at(-1));
}

async function greeted(server: Server): Promise<SmtpTalk> {
  const talk = await SmtpTalk.open(portOf(server));
  await talk.say('EHLO client.test');
  return talk;
}

interface StoredEvent {
  readonly event: string;
  readonly message: { readonly recipients: readonly string[]; readonly headers: { readonly 'message-id': string } };
  readonly storage: { readonly key: string };
}

async function events(server: Server, kind: string): Promise<readonly StoredEvent[]> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=${kind}`);
  return body['items'] as readonly StoredEvent[];
}

test('what came in for postmaster is kept before the reply, with the results of verification, and survives a kill', async (t) => {
  const home = await Installation.make(t, INBOUND, { zone: ZONE });
  const server = await home.start();
  const talk = await greeted(server);
  assert.match(await bring(talk, MESSAGE, { to: [`postmaster@${DOMAIN}`] }), /^250 2\.0\.0 Received as /);
  await talk.say('MAIL FROM:<ann@sender.test>');
  assert.match(await talk.say(`RCPT TO:<bob@${DOMAIN}>`), /^550 5\.1\.1 /);
  assert.match(await talk.say('RCPT TO:<bob@elsewhere.test>'), /^550 5\.7\.1 /);
  assert.match(await talk.say('RCPT TO:<postmaster>'), /^250 /);
  await talk.say('QUIT');
  await server.kill();

  const again = await home.start();
  const [stored] = await until(async () => {
    const found = await events(again, 'stored');
    return found.length === 1 ? found : undefined;
  }, 'the event is there');
  assert.deepEqual(stored?.message.recipients, [`postmaster@${DOMAIN}`]);
  const kept = await again.mustCall('GET', `/v3/domains/${DOMAIN}/messages/${stored?.storage.key}`, undefined, {
    accept: 'message/rfc2822',
  });
  const mime = String(kept.body['body-mime']);
  assert.match(mime, /^Return-Path: <ann@sender\.test>\r\nAuthentication-Results: mail\.ours\.test; spf=pass smtp\.mailfrom=sender\.test;/);
  assert.match(mime, /dmarc=pass header\.from=sender\.test/);
  assert.ok(mime.endsWith(MESSAGE));
  const metrics = await again.call('GET', '/metrics');
  assert.match(metrics.text, /postrider_inbound_total\{result="received"\} 0/);
});

test('mail that fails a policy of refusal is refused where the operator wants it, and senders that cannot be answered are', async (t) => {
  const home = await Installation.make(t, { ...INBOUND, 'inbound.dmarc': 'reject' }, { zone: ZONE });
  const server = await home.start();
  const talk = await greeted(server);
  const forged = MESSAGE.replaceAll('sender.test', 'forged.test');
  const to = [`postmaster@${DOMAIN}`];
  assert.match(await bring(talk, forged, { to }), /^550 5\.7\.1 .*DMARC policy of forged\.test/);
  assert.match(await talk.say('MAIL FROM:<ann@nowhere.test>'), /^550 5\.1\.8 /);
  assert.match(await talk.say('MAIL FROM:<ann@shy.test>'), /^550 5\.7\.27 /);
  assert.match(await bring(talk, MESSAGE, { to }), /^250 /);
  const metrics = await server.call('GET', '/metrics');
  assert.match(metrics.text, /postrider_inbound_total\{result="refused"\} 1/);
  assert.match(metrics.text, /postrider_inbound_total\{result="received"\} 1/);
});

test('swaks brings mail with STARTTLS', async (t) => {
  const home = await Installation.make(t, { ...INBOUND, 'inbound.unknown_sender': 'accept' });
  const server = await home.start();
  const args = ['--server', '127.0.0.1', '--port', String(portOf(server)), '--tls', '--from', 'a@b.test', '--to', `Postmaster@${DOMAIN}`];
  const said = await promisify(execFile)('swaks', args).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (said === undefined) return t.skip('swaks is not installed');
  assert.match(said.stdout, /<~  250 2\.0\.0 Received as /);
  assert.equal((await events(server, 'stored')).length, 1);
});

test('a node that drains sends other servers elsewhere, and serves them again when it is resumed', async (t) => {
  const home = await Installation.make(t, { ...INBOUND, 'inbound.unknown_sender': 'accept', 'node.name': 'mail-1', 'store.lease': '8s' });
  const server = await home.start();
  const talk = await greeted(server);
  const greeting = async (): Promise<string> => {
    const client = await SmtpTalk.open(portOf(server), { expectGreeting: false });
    const said = await client.reply();
    client.destroy();
    return said.slice(0, 9);
  };
  await home.command('nodes', 'drain', 'mail-1');
  await until(async () => (await greeting()) === '421 4.3.2', 'new clients are sent away');
  assert.match(await talk.say('MAIL FROM:<ann@sender.test>'), /^421 4\.3\.2 /);
  await home.command('nodes', 'resume', 'mail-1');
  await until(async () => (await greeting()).startsWith('220'), 'new clients are greeted');
  assert.match(await bring(await greeted(server), MESSAGE, { to: [`postmaster@${DOMAIN}`] }), /^250 /);
});

test('a stop lets the message under way in, and no new client', async (t) => {
  const home = await Installation.make(t, { ...INBOUND, 'inbound.unknown_sender': 'accept' });
  const server = await home.start();
  const talk = await greeted(server);
  await talk.say('MAIL FROM:<a@b.test>');
  await talk.say(`RCPT TO:<postmaster@${DOMAIN}>`);
  await talk.say('DATA');
  talk.send(MESSAGE);
  const stopped = server.stop();
  await until(async () => {
    const refused = await SmtpTalk.open(portOf(server), { expectGreeting: false }).catch(() => 'closed' as const);
    if (refused === 'closed') return true;
    refused.destroy();
    return false;
  }, 'the door is closed');
  assert.match(await talk.say('.'), /^250 /);
  assert.equal((await stopped).status, 0);
  const again = await home.start();
  assert.equal((await events(again, 'stored')).length, 1);
});

test('whatever was told 250 is there after a kill at any moment, and nothing is there by half', async (t) => {
  const home = await Installation.make(t, { ...INBOUND, 'inbound.unknown_sender': 'accept', 'inbound.authentication': 'false' });
  const acknowledged: string[] = [];
  let number = 0;
  for (const afterAcknowledged of [1, 40]) {
    const server = await home.start();
    const goal = acknowledged.length + afterAcknowledged;
    const clients = Array.from({ length: 8 }, async () => {
      const talk = await greeted(server);
      for (;;) {
        const id = `${++number}@sender.test`;
        const reply = await bring(talk, MESSAGE.replace('1@sender.test', id), { to: [`postmaster@${DOMAIN}`] });
        assert.match(reply, /^250 /);
        acknowledged.push(id);
      }
    });
    const ended = Promise.allSettled(clients);
    await until(() => acknowledged.length >= goal, 'enough was taken');
    await server.kill();
    await ended;
  }
  const again = await home.start();
  const kept = (await everyEvent(again)).map(({ message }) => message.headers['message-id']);
  const known = new Set(kept);
  assert.deepEqual(
    acknowledged.filter((id) => !known.has(id)),
    [],
  );
  assert.ok(kept.length <= number, 'nothing is there twice');
  assert.equal(known.size, kept.length);
});

test('strangers who announce large messages leave memory to those who submit', async (t) => {
  const sizes = { 'limits.message_size': '5MB', 'limits.memory': '20MB' };
  const server = await (await Installation.make(t, { ...INBOUND, ...sizes }, { zone: ZONE })).start();
  const announced = async (): Promise<SmtpTalk> => {
    const talk = await greeted(server);
    t.after(() => talk.destroy());
    await talk.say('MAIL FROM:<ann@sender.test> SIZE=4900000');
    await talk.say(`RCPT TO:<postmaster@${DOMAIN}>`);
    talk.send('DATA\r\n');
    return talk;
  };
  for (const talk of [await announced(), await announced()]) assert.match(await talk.reply(), /^354 /);
  const further = [await announced(), await announced()];
  await (await greeted(server)).say('NOOP');
  await server.send('b@x.test', { text: 'x'.repeat(2_000_000) });
  assert.deepEqual(
    further.map(({ pending }) => pending),
    ['', ''],
  );
});

/** All pages. */
async function everyEvent(server: Server): Promise<readonly StoredEvent[]> {
  const found: StoredEvent[] = [];
  let url = `${server.url}/v3/${DOMAIN}/events?event=stored&limit=300`;
  for (;;) {
    const response = await fetch(url, { headers: server.authorization() });
    const body = (await response.json()) as { readonly items: readonly StoredEvent[]; readonly paging: { readonly next: string } };
    if (body.items.length === 0) return found;
    found.push(...body.items);
    url = body.paging.next;
  }
}
