/** Which reverse-path mail leaves with, and what its header says for complaints, where it really leaves. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { headerValue, readHeader } from '#mail/header.ts';
import { DOMAIN, Installation, type Server, submit } from '../kit/installation.ts';
import type { SinkTransaction } from '../kit/sink.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const HOST = 'mail.ours.test';
const home = await Installation.make(
  { after },
  {
    'smtp.inbound': '127.0.0.1:0',
    'inbound.greeting_delay': '0s',
    'inbound.authentication': 'false',
    'dkim.sign': 'true',
    // An MX is looked for once, and in this process.
    'dns.timeout': '30s',
  },
  { zone: { [`bounces.${DOMAIN}`]: { MX: [[10, HOST]] }, 'other.test': { A: ['127.0.0.1'] } } },
);
let server = await home.start();

async function restarted(settings: Readonly<Record<string, string>>): Promise<Server> {
  await server.stop();
  server = await home.start(settings);
  return server;
}

async function leaves(to: string, fields: Readonly<Record<string, string>> = {}): Promise<SinkTransaction & { readonly id: string }> {
  const id = await server.send(to, fields);
  const done = await until(
    () => home.sink.transactions.find(({ recipients }) => recipients.some(({ address }) => address === to)),
    `the delivery to ${to}`,
  );
  return { ...done, id };
}

function field({ bytes }: SinkTransaction, name: string): string | undefined {
  return headerValue(readHeader(bytes), name);
}

test('a domain that does not lead here keeps its sender, and gets the Feedback-ID alone', async () => {
  const mail = await leaves('a1@x.test', { 'o:tag': 'Spring sale!' });
  assert.equal(mail.sender, `app@${DOMAIN}`);
  assert.match(field(mail, 'feedback-id') ?? '', /^Spring_sale_:ours\.test:single:[0-9a-f]{12}$/);
  assert.equal(field(mail, 'cfbl-address'), undefined);
});

test('the host that the owner chose is used once its MX was seen, and its records are shown', async () => {
  await server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { mailfrom_host: 'bounces' });
  assert.equal((await leaves('a2@x.test')).sender, `app@${DOMAIN}`);
  const { body } = await server.mustCall('PUT', `/v4/domains/${DOMAIN}/verify`);
  const names = [...(body['sending_dns_records'] as { name: string }[]), ...(body['receiving_dns_records'] as { name: string }[])];
  assert.equal(names.filter(({ name }) => name === `bounces.${DOMAIN}`).length, 2);
  const mail = await until(async () => {
    const next = await leaves(`a3-${performance.now()}@x.test`.replace('.', '-'));
    return next.sender !== `app@${DOMAIN}` && next;
  }, 'a return path of ours');
  assert.match(mail.sender, /^bounce\+[a-z2-7]+@bounces\.ours\.test$/);
  assert.match(field(mail, 'cfbl-address') ?? '', /^complaints\+[a-z2-7]+@bounces\.ours\.test; report=arf$/);
  const signed = (field(mail, 'dkim-signature') ?? '').replace(/\s+/g, '');
  for (const name of ['feedback-id', 'cfbl-address', 'cfbl-feedback-id']) assert.match(signed, new RegExp(`[=:]${name}:`));
});

test('mail with the null sender keeps it', async () => {
  const talk = await server.smtp();
  assert.match(await submit(talk, ['a4@x.test'], `From: app@${DOMAIN}\r\nSubject: x\r\n\r\nx`, ''), /^250/);
  const mail = await until(() => home.sink.transactions.find(({ recipients }) => recipients[0]?.address === 'a4@x.test'), 'the delivery');
  assert.equal(mail.sender, '');
  assert.equal(field(mail, 'feedback-id'), undefined);
});

test('what the sender wrote or does not want is left alone', async () => {
  assert.equal(field(await leaves('a5@x.test', { 'h:Feedback-ID': 'mine:here' }), 'feedback-id'), 'mine:here');
  const bare = await leaves('a6@x.test', { 'o:suppress-headers': 'all' });
  assert.equal(field(bare, 'feedback-id'), undefined);
});

test('switched off, or without a door for mail from elsewhere, mail keeps its sender', async () => {
  await restarted({ 'bounces.return_path': 'off', 'bounces.feedback_id': 'false' });
  const off = await leaves('b1@x.test');
  assert.equal(off.sender, `app@${DOMAIN}`);
  assert.equal(field(off, 'feedback-id'), undefined);
  await restarted({ 'smtp.inbound': '[]' });
  assert.equal((await leaves('b2@x.test')).sender, `app@${DOMAIN}`);
});

test('bounces.domain is for domains that do not lead here themselves; a flood of reports is put off', async () => {
  await restarted({ 'bounces.domain': 'back.test', 'bounces.rate_per_source': '3/m' });
  await server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { mailfrom_host: '' });
  const mail = await until(async () => {
    const next = await leaves(`c1-${performance.now()}@x.test`.replace('.', '-'));
    return next.sender.endsWith('@back.test') && next;
  }, 'the common return path');
  // An address for complaints that is not of the author's domain is believed by nobody.
  assert.equal(field(mail, 'cfbl-address'), undefined);
  assert.notEqual(field(mail, 'cfbl-feedback-id'), undefined);

  const talk = await SmtpTalk.open(Number(server.program.doors.get('inbound')?.[0]?.split(':').at(-1)));
  const say = async (line: string): Promise<string> => {
    talk.send(`${line}\r\n`);
    return talk.reply();
  };
  await say('EHLO mx.x.test');
  const replies: string[] = [];
  for (let report = 0; report < 4; report++) {
    await say('MAIL FROM:<>');
    replies.push((await say(`RCPT TO:<${mail.sender}>`)).slice(0, 3));
    await say('RSET');
  }
  talk.socket.destroy();
  assert.deepEqual(replies, ['250', '250', '250', '450']);
});
