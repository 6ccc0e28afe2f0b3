/** Mail that is sent on by the running program: to whom, under which reverse-path, sealed, and what becomes of its bounces and loops. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, test } from 'node:test';
import { authenticate } from 'mailauth';
import { dkimPublicValue, dkimRecord, dkimSignature, dkimBodyHash } from '#mail/dkim.ts';
import { readHeader } from '#mail/header.ts';
import { DOMAIN } from '../kit/installation.ts';
import type { SinkTransaction } from '../kit/sink.ts';
import { until } from '../kit/until.ts';
import { bringTo, ours, startRoutes } from './inbound-routes-kit.ts';

const AUTHOR = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rig = await startRoutes({ after }, { 'bounces.return_path': 'off' });
const { home } = rig;
home.zone.zone['key1._domainkey.sender.test'] = { TXT: [strings(dkimRecord('rsa', dkimPublicValue(AUTHOR.publicKey)))] };
const { body: shown } = await rig.server.mustCall('GET', `/v4/domains/${DOMAIN}`);
for (const { name, value, record_type: type } of shown['sending_dns_records'] as Record<'name' | 'value' | 'record_type', string>[])
  if (type === 'TXT') home.zone.zone[name] = { TXT: [strings(value)] };

/** RFC 1035 §3.3. */
function strings(text: string): string[] {
  return text.match(/.{1,200}/gs) ?? [];
}

const LETTER = `From: Ann <ann@sender.test>\r\nTo: bob@${DOMAIN}\r\nSubject: On\r\nMessage-ID: <on@sender.test>\r\n\r\nGo on.\r\n`;

async function signed(letter: string): Promise<string> {
  const bytes = Buffer.from(letter);
  const header = readHeader(bytes);
  const signer = { domain: 'sender.test', selector: 'key1', algorithm: 'rsa', key: AUTHOR.privateKey } as const;
  return (await dkimSignature(header, dkimBodyHash(bytes.subarray(header.bodyStart)), signer, Date.now())) + letter;
}

async function sentTo(address: string): Promise<SinkTransaction> {
  return until(
    () => home.sink.transactions.find(({ recipients }) => recipients.some((each) => each.address === address)),
    `mail to ${address}`,
  );
}

/** As the next server would ask. */
async function resolver(name: string, type: string): Promise<unknown[]> {
  const records = type === 'TXT' ? home.zone.zone[name]?.TXT : undefined;
  if (records === undefined) throw Object.assign(new Error(name), { code: 'ENOTFOUND' });
  return records.map((record) => [record].flat());
}

test('forward to addresses sends the message on, sealed, with a reverse-path of ours that SPF holds for', async () => {
  await rig.routes(['match_recipient("(.*)@")', 'forward("\\1@x.test, second@x.test")']);
  assert.match(await bringTo(rig.server, ours('bob'), await signed(LETTER)), /^250 /);
  const { sender, recipients, bytes } = await sentTo('bob@x.test');
  await sentTo('second@x.test');
  assert.equal(recipients.length, 2);
  assert.match(sender, new RegExp(`^SRS0=[a-z2-7]{8}=[a-z2-7]{2}=sender\\.test=ann@${DOMAIN}$`));
  const text = bytes.toString();
  assert.ok(text.endsWith('\r\n\r\nGo on.\r\n'));
  assert.match(text, new RegExp(`^Delivered-To: bob@${DOMAIN}\r$`, 'm'));
  assert.doesNotMatch(text, /^Return-Path:/m);
  assert.match(text, /^ARC-Seal: i=1; a=rsa-sha256; t=\d+; cv=none;/m);
  assert.match(text, /^ARC-Authentication-Results: i=1; mail\.ours\.test; spf=pass/m);
  const verified = await authenticate(bytes, { ip: '127.0.0.1', helo: 'mail.ours.test', sender, mta: 'next.test', resolver } as Parameters<
    typeof authenticate
  >[1]);
  assert.equal(verified.arc === false ? '' : verified.arc.status.result, 'pass');
  assert.equal(verified.dkim.results[0]?.status.result, 'pass', 'what the author signed is whole');

  // A second hop of ours seals over the first.
  await rig.routes(['catch_all()', 'forward("third@x.test")']);
  assert.match(await bringTo(rig.server, ours('eve'), text), /^250 /);
  const twice = await sentTo('third@x.test');
  assert.match(twice.bytes.toString(), /^ARC-Seal: i=2; a=rsa-sha256; t=\d+; cv=pass;/m);
  const again = await authenticate(twice.bytes, { ip: '127.0.0.1', helo: 'x', sender, mta: 'next.test', resolver } as Parameters<
    typeof authenticate
  >[1]);
  assert.equal(again.arc === false ? '' : again.arc.status.result, 'pass');
});

test('a bounce that comes to the rewritten address goes on to the first sender, and a forged one is refused', async () => {
  await rig.routes(['catch_all()', 'forward("bounces@x.test")']);
  assert.match(await bringTo(rig.server, ours('bob'), LETTER, 'carl@other.test'), /^250 /);
  const { sender } = await sentTo('bounces@x.test');
  const bounce = 'From: MAILER-DAEMON@x.test\r\nSubject: Undelivered\r\n\r\nNo.\r\n';
  assert.match(await bringTo(rig.server, sender, bounce, ''), /^250 /);
  const returned = await sentTo('carl@other.test');
  assert.equal(returned.sender, '');
  assert.ok(returned.bytes.toString().endsWith(bounce));
  assert.match(await bringTo(rig.server, sender.replace('carl', 'dora'), bounce, ''), /^550 5\.7\.1 /);
  assert.match(await bringTo(rig.server, sender, bounce, 'spam@sender.test'), /^550 5\.7\.1 /);
});

test('a rewritten address is of use at its own domain alone, and at one below a domain with wildcard too', async () => {
  await rig.server.mustCall('POST', '/v4/domains', { name: 'beside.test' });
  await rig.server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { wildcard: 'true' });
  await rig.routes(['catch_all()', 'forward("below@x.test")']);
  const below = `bob@deep.${DOMAIN}`;
  await until(async () => (await bringTo(rig.server, below, LETTER, 'hans@other.test')).startsWith('250'), 'it is taken');
  const { sender } = await sentTo('below@x.test');
  assert.match(sender, new RegExp(`@deep\\.${DOMAIN}$`));
  for (const other of [DOMAIN, 'beside.test'])
    assert.match(await bringTo(rig.server, sender.replace(/@.*/, `@${other}`), LETTER, ''), /^550 5\.7\.1 .*reverse-path/);
  assert.match(await bringTo(rig.server, sender, LETTER, ''), /^250 /);
  assert.equal((await sentTo('hans@other.test')).sender, '');
  await rig.server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { wildcard: 'false' });
});

test('a failure at the next server is told to the first sender, not to ourselves', async () => {
  await rig.routes(['catch_all()', 'forward("550-at-rcpt@x.test")']);
  assert.match(await bringTo(rig.server, ours('bob'), LETTER, 'gina@other.test'), /^250 /);
  const { sender, bytes } = await sentTo('gina@other.test');
  assert.equal(sender, '');
  assert.match(bytes.toString(), /Final-Recipient: rfc822; ?550-at-rcpt@x\.test/);
});

test('mail that would go round in circles is refused', async () => {
  await rig.routes([`match_recipient("self@")`, `forward("${ours('self')}")`], ['catch_all()', 'forward("round@x.test")']);
  assert.match(await bringTo(rig.server, ours('self'), LETTER), /^554 5\.4\.6 /);
  assert.match(await bringTo(rig.server, ours('bob'), `Delivered-To: ${ours('bob')}\r\n${LETTER}`), /^554 5\.4\.6 /);
  assert.match(await bringTo(rig.server, ours('bob'), `Delivered-To: round@x.test\r\n${LETTER}`), /^554 5\.4\.6 /);
});

test('mail to a mailing list is let in by its access level, and goes to its members', async () => {
  await rig.routes();
  const make = async (local: string, level: string): Promise<void> => {
    await rig.server.mustCall('POST', '/v3/lists', { address: ours(local), access_level: level, reply_preference: 'list' });
    await rig.server.mustCall('POST', `/v3/lists/${ours(local)}/members`, { address: 'ann@sender.test' });
    await rig.server.mustCall('POST', `/v3/lists/${ours(local)}/members`, { address: `reader-${local}@x.test` });
  };
  await make('closed', 'readonly');
  await make('team', 'members');
  await make('open', 'everyone');
  assert.match(await bringTo(rig.server, ours('closed'), LETTER), /^550 5\.7\.2 /);
  assert.match(await bringTo(rig.server, ours('team'), LETTER, 'stranger@other.test'), /^550 5\.7\.2 /);
  assert.match(await bringTo(rig.server, ours('open'), LETTER, ''), /^550 5\.7\.1 /);
  assert.match(await bringTo(rig.server, ours('team'), LETTER), /^250 /);
  assert.match(await bringTo(rig.server, ours('open'), LETTER, 'stranger@other.test'), /^250 /);
  const { bytes } = await sentTo('reader-team@x.test');
  assert.match(bytes.toString(), new RegExp(`^List-Id: <team\\.${DOMAIN}>\r$`, 'm'));
  assert.match(bytes.toString(), new RegExp(`^Reply-To: <${ours('team')}>\r$`, 'm'));
  const seen = await sentTo('reader-open@x.test');
  assert.match(await bringTo(rig.server, ours('open'), seen.bytes.toString()), /^554 5\.4\.6 /);
});

test('mail to a domain whose MX we are comes in here, and is sent on inside, but not in circles', async () => {
  for (const name of ['inside.test', DOMAIN]) home.zone.zone[name] = { MX: [[10, 'mail.ours.test']] };
  await rig.server.mustCall('POST', '/v4/domains', { name: 'inside.test' });
  await rig.routes(
    ['match_recipient("a@inside")', 'forward("b@inside.test")'],
    ['match_recipient("b@inside")', `forward("${rig.url('/inside')}")`],
    ['match_recipient("x@inside")', 'forward("y@inside.test")'],
    ['match_recipient("y@inside")', 'forward("x@inside.test")'],
  );
  await rig.server.send('a@inside.test', { subject: 'From within' });
  const [received] = await until(() => (rig.there.at('/inside').length > 0 ? rig.there.at('/inside') : undefined), 'it is posted');
  assert.match(received?.body.toString() ?? '', /recipient=b%40inside\.test.*subject=From\+within/);
  assert.match(await bringTo(rig.server, 'x@inside.test', LETTER, 'hugo@other.test'), /^250 /);
  const { bytes } = await sentTo('hugo@other.test');
  assert.match(bytes.toString(), /5\.4\.6 .*delivered to/);
});
