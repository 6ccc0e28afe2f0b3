/** What is found out about who sent mail that comes in, against a DNS of the test's own, with mail that the authors of the verifier and we ourselves sign. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { dkimSign, sealMessage } from 'mailauth';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createResolver } from '#dns/resolver.ts';
import { createVerifier } from '#inbound/verifier.ts';
import type { Verifier } from '#inbound/verifier.ts';
import { processCpuMs, threadCpuMs } from '../kit/cpu-time.ts';
import { startDnsZone } from '../kit/dns-zone.ts';
import type { DnsZone, ZoneNode } from '../kit/dns-zone.ts';
import { bring, HOSTNAME, MESSAGE, openInboundDoor } from './inbound-kit.ts';
import type { InboundDoorRig } from './inbound-kit.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'der' },
});
const KEY = `v=DKIM1; k=rsa; p=${publicKey.toString('base64')}`;

const ZONE: Record<string, ZoneNode> = {
  'sender.test': { TXT: ['v=spf1 ip4:127.0.0.1 -all'] },
  's._domainkey.sender.test': { TXT: [[KEY.slice(0, 200), KEY.slice(200)]] },
  '_dmarc.sender.test': { TXT: ['v=DMARC1; p=reject'] },
  'closed.test': { TXT: ['v=spf1 -all'] },
  '_dmarc.closed.test': { TXT: ['v=DMARC1; p=reject'] },
  'soft.test': { TXT: ['v=spf1 ~all'] },
  'macro.test': { TXT: ['v=spf1 exists:%{ir}.%{l}.macro.test -all'] },
  '1.0.0.127.ann.macro.test': { A: ['127.0.0.2'] },
  'loop.test': { TXT: ['v=spf1 include:loop.test -all'] },
  'deep.test': { TXT: [`v=spf1 ${Array.from({ length: 12 }, (_, i) => `include:d${i}.test`).join(' ')} -all`] },
  ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`d${i}.test`, { TXT: ['v=spf1 ip4:192.0.2.1'] }])),
  'broken.test': { refusal: 'SERVFAIL' },
  '_dmarc.broken.test': { refusal: 'SERVFAIL' },
  'silent.test': { refusal: 'silent' },
  '_dmarc.silent.test': { refusal: 'silent' },
  'relay.test': { TXT: ['v=spf1 ip4:192.0.2.1 -all'] },
  's._domainkey.relay.test': { TXT: [[KEY.slice(0, 200), KEY.slice(200)]] },
  'client.test': { TXT: ['v=spf1 ip4:127.0.0.1 -all'] },
};

let zone: DnsZone;
/** Patient: what is found out does not depend on how busy the machine is. */
let verifier: Verifier;
/** For what is not to be found out in time. */
let impatient: Verifier;
const closers: (() => Promise<void> | void)[] = [];

before(async () => {
  zone = await startDnsZone(ZONE);
  const make = (dnsMs: number, timeoutMs: number): Verifier => {
    const resolver = createResolver({ servers: [zone.server], timeoutMs: dnsMs, tries: 1, cacheMax: 1000, clock: systemClock });
    const made = createVerifier({ resolver, hostname: HOSTNAME, timeoutMs, log: silentLog });
    closers.push(async () => {
      await made.close();
      resolver.close();
    });
    return made;
  };
  verifier = make(20_000, 50_000);
  impatient = make(1000, 3000);
});
after(async () => {
  for (const close of closers) await close();
  await zone.close();
});

const door = (t: TestContext, dmarc: 'record' | 'reject' = 'record', by = verifier): Promise<InboundDoorRig> =>
  openInboundDoor(t, { receive: { verifier: by, dmarc } });

async function signed(message: string, domain = 'sender.test'): Promise<string> {
  const key = { signingDomain: domain, selector: 's', privateKey };
  const { signatures } = await dkimSign(message, { ...key, signatureData: [key] });
  assert.notEqual(signatures, '');
  return signatures + message;
}

/** The results as the message has them, unfolded. */
function resultsOf(text: string): string {
  return /^Authentication-Results: ([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)/m.exec(text)?.[1]?.replace(/\r\n/g, '') ?? '';
}

test('mail that is what it says passes everything, and says so in the words that receivers know', async (t) => {
  const { greeted, taken } = await door(t, 'reject');
  assert.match(await bring(await greeted(), await signed(MESSAGE)), /^250 /);
  const [mail] = taken;
  const text = mail?.bytes.toString() ?? '';
  assert.match(
    resultsOf(text),
    /^mx\.ours\.test; spf=pass smtp\.mailfrom=sender\.test; dkim=pass header\.d=sender\.test header\.s=s header\.b=\S{8,10}; dmarc=pass header\.from=sender\.test policy\.dmarc=reject; arc=none$/,
  );
  assert.match(text, /^X-Mailgun-Spf: Pass\r$/m);
  assert.match(text, /^X-Mailgun-Dkim-Check-Result: Pass\r$/m);
  assert.deepEqual(mail?.authentication.spf, { result: 'pass', domain: 'sender.test' });
  assert.deepEqual(mail?.authentication.dkim, [{ result: 'pass', domain: 'sender.test', selector: 's' }]);
  assert.deepEqual(mail?.authentication.dmarc, { result: 'pass', domain: 'sender.test', policy: 'reject' });
  assert.equal(mail?.authentication.results, resultsOf(text));
});

test('a signature over a body that was changed does not pass', async (t) => {
  const { greeted, taken } = await door(t);
  await bring(await greeted(), (await signed(MESSAGE)).replace('Hello, Bob', 'Hello, Eve'));
  assert.match(taken[0]?.bytes.toString() ?? '', /^X-Mailgun-Dkim-Check-Result: Fail\r$/m);
  assert.notEqual(taken[0]?.authentication.dkim[0]?.result, 'pass');
  // SPF alone is enough for DMARC.
  assert.equal(taken[0]?.authentication.dmarc.result, 'pass');
});

test('a forged sender fails, and is refused only where that is asked for', async (t) => {
  const forged = MESSAGE.replaceAll('sender.test', 'closed.test');
  const recording = await door(t);
  assert.match(await bring(await recording.greeted(), forged, { from: 'ann@closed.test' }), /^250 /);
  assert.match(resultsOf(recording.taken[0]?.bytes.toString() ?? ''), /spf=fail .*dkim=none; dmarc=fail header\.from=closed\.test/);
  assert.match(recording.taken[0]?.bytes.toString() ?? '', /^X-Mailgun-Spf: Fail\r$/m);
  assert.doesNotMatch(recording.taken[0]?.bytes.toString() ?? '', /Dkim-Check-Result/);
  const refusing = await door(t, 'reject');
  assert.match(await bring(await refusing.greeted(), forged, { from: 'ann@closed.test' }), /^550 5\.7\.1 .*closed\.test/);
  assert.equal(refusing.counts.refused, 1);
});

test("what was added behind a signature that leaves the end of the body out is nobody's", async (t) => {
  const { greeted, taken } = await door(t, 'reject');
  const key = { signingDomain: 'sender.test', selector: 's', privateKey, maxBodyLength: 12 };
  const { signatures } = await dkimSign(MESSAGE, { ...key, signatureData: [key] });
  assert.match(signatures, / l=12;/);
  const talk = await greeted();
  const longer = `${signatures}${MESSAGE}Send money.\r\n`;
  assert.match(await bring(talk, longer, { from: 'eve@nothing.test' }), /^550 5\.7\.1 .*DMARC policy of sender\.test/);
  // SPF speaks for the whole message.
  assert.match(await bring(talk, longer), /^250 /);
  assert.equal(taken[0]?.authentication.dkim[0]?.result, 'policy');
});

test('a second From, which a reader may show, is no way around a policy', async (t) => {
  const { greeted } = await door(t, 'reject');
  assert.match(await bring(await greeted(), await signed(`From: bill@closed.test\r\n${MESSAGE}`)), /^550 5\.7\.1 .*more than one From/);
});

test('an unrelated pass proves nothing about From', async (t) => {
  const { greeted, taken } = await door(t);
  const forged = MESSAGE.replaceAll('sender.test', 'closed.test');
  await bring(await greeted(), await signed(forged, 'sender.test'), { from: 'ann@sender.test' });
  const results = taken[0]?.authentication;
  assert.deepEqual([results?.spf.result, results?.dkim[0]?.result, results?.dmarc.result], ['pass', 'pass', 'fail']);
});

test('the results of SPF: softfail, macros, the HELO name of the null sender, nothing published', async (t) => {
  const { greeted, taken } = await door(t);
  const talk = await greeted();
  for (const from of ['ann@soft.test', 'ann@macro.test', 'bob@macro.test', '', 'ann@nothing.test']) await bring(talk, MESSAGE, { from });
  assert.deepEqual(
    taken.map(({ authentication }) => authentication.spf),
    [
      { result: 'softfail', domain: 'soft.test' },
      { result: 'pass', domain: 'macro.test' },
      { result: 'fail', domain: 'macro.test' },
      { result: 'pass', domain: 'client.test' },
      { result: 'none', domain: 'nothing.test' },
    ],
  );
  assert.match(taken[3]?.authentication.results ?? '', /spf=pass smtp\.helo=client\.test/);
});

test('lookups are limited: policies that include themselves or too many are errors', async (t) => {
  const { greeted, taken } = await door(t);
  const talk = await greeted();
  await bring(talk, MESSAGE, { from: 'ann@deep.test' });
  await bring(talk, MESSAGE, { from: 'ann@loop.test' });
  assert.deepEqual(
    taken.map(({ authentication }) => authentication.spf.result),
    ['permerror', 'permerror'],
  );
});

test('DNS that fails or does not answer makes a temporary error, and no refusal', async (t) => {
  const { greeted, taken } = await door(t, 'reject', impatient);
  const talk = await greeted();
  for (const domain of ['broken.test', 'silent.test']) {
    assert.match(await bring(talk, MESSAGE.replaceAll('sender.test', domain), { from: `ann@${domain}` }), /^250 /);
  }
  assert.deepEqual(
    taken.map(({ authentication: { spf, dmarc } }) => [spf.result, dmarc.result]),
    [
      ['temperror', 'temperror'],
      ['temperror', 'temperror'],
    ],
  );
});

test('forged results under our name are taken out in every spelling; those of others stay', async (t) => {
  const { greeted, taken } = await door(t);
  const forged = [
    `${HOSTNAME}; dkim=pass`,
    `${HOSTNAME} 1; dkim=pass`,
    `MX.Ours.Test; dkim=pass`,
    `${HOSTNAME}.; dkim=pass`,
    `(a (nested) comment) ${HOSTNAME} (another); dkim=pass`,
    `"${HOSTNAME}"; dkim=pass`,
    `"mx\\.ours\\.test"; dkim=pass`,
    `\r\n ${HOSTNAME}\r\n ;dkim=pass`,
    `${HOSTNAME}`,
  ];
  const fields = forged.map((value) => `Authentication-Results: ${value}\r\n`).join('');
  const others = 'Authentication-Results: mx.other.test; dkim=pass\r\nAUTHENTICATION-RESULTS: sub.mx.ours.test; dkim=pass\r\n';
  const words =
    'X-Mailgun-Spf: Pass\r\nx-mailgun-sflag: No\r\nX-Mailgun-Incoming: maybe\r\nReturn-Path: <x@y.test>\r\nX-Envelope-From: <x@y.test>\r\n';
  await bring(await greeted(), `${fields}${words}${others}${MESSAGE}`, { from: 'ann@closed.test' });
  const text = taken[0]?.bytes.toString() ?? '';
  assert.equal(text.match(/^Authentication-Results: mx\.ours\.test/gim)?.length, 1);
  assert.equal(text.match(/dkim=pass/g)?.length, 2, text);
  assert.doesNotMatch(text, /y\.test|maybe|Sflag|X-Mailgun-Spf: Pass/i);
  assert.ok(text.endsWith(others + MESSAGE), text);
});

test('a chain of seals is followed: intact it passes, broken it fails', async (t) => {
  const { greeted, taken } = await door(t);
  const talk = await greeted();
  const original = await signed(MESSAGE);
  const seal = await sealMessage(original, {
    signingDomain: 'relay.test',
    selector: 's',
    privateKey,
    authResults: 'relay.test; dkim=pass header.d=sender.test',
    cv: 'none',
  });
  const sealed = seal.toString() + original;
  await bring(talk, sealed, { from: 'list@relay.test' });
  await bring(talk, sealed.replace('Hello, Bob', 'Hello, Eve'), { from: 'list@relay.test' });
  assert.deepEqual(
    taken.map(({ authentication }) => authentication.arc),
    [
      { result: 'pass', instance: 1 },
      { result: 'fail', instance: 1 },
    ],
  );
  assert.match(taken[0]?.authentication.results ?? '', /arc=pass$/);
});

test('what strangers write cannot become a result', async (t) => {
  const { greeted, taken } = await door(t);
  const hostile = MESSAGE.replace('ann@sender.test', 'ann@"x; dmarc=pass".test');
  const signature =
    'DKIM-Signature: v=1; a=rsa-sha256; d=evil.test\\; dkim=pass header.d=bank.test; s=a b(c)"; h=from; bh=x; b=y; dmarc=pass\r\n';
  await bring(await greeted(), signature + hostile, { from: '"a; spf=pass smtp.mailfrom=bank.test"@closed.test' });
  const results = taken[0]?.authentication.results ?? '';
  // Quoted strings out of the way, what is left are the results.
  const said = results
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .split('; ')
    .slice(1)
    .map((part) => part.split(' ')[0]);
  assert.ok(!said.includes('spf=pass') && !said.includes('dkim=pass') && !said.includes('dmarc=pass'), results);
});

test('hostile mail holds up nobody: others are served while it is verified', async (t) => {
  const { greeted } = await openInboundDoor(t, { receive: { verifier: impatient, headerBytesMax: 600_000 } });
  const hostile = [
    `From: ${'a,'.repeat(250_000)}\r\n${MESSAGE}`,
    `${'X: y\r\n'.repeat(900)}DKIM-Signature: ${'a=b;'.repeat(100_000)}\r\n${MESSAGE}`,
    `${`DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.test; s=s; h=from; l=1; bh=x; b=x\r\n`.repeat(900)}${MESSAGE}${`${'x'.repeat(900)}\r\n`.repeat(5000)}`,
    `Content-Type: multipart/mixed; boundary="${'('.repeat(300_000)}"\r\n${MESSAGE}`,
  ];
  const talks = await Promise.all(hostile.map(() => greeted()));
  const replies = Promise.all(hostile.map(async (message, index) => bring(talks[index] as Awaited<ReturnType<typeof greeted>>, message)));
  const state = { isOver: false };
  const over = replies.finally(() => (state.isOver = true));
  const other = await greeted();
  // What a client waits for is work of this thread, whatever else the machine does meanwhile.
  let slowestMs = 0;
  while (!state.isOver) {
    const startedMs = threadCpuMs();
    await other.say('NOOP');
    await other.say('RSET');
    slowestMs = Math.max(slowestMs, threadCpuMs() - startedMs);
    // The limit on commands that bring no mail is not what is tested.
    await bring(other);
  }
  for (const reply of await over) assert.match(reply, /^(?:250|550) /);
  assert.ok(slowestMs < 1000, `a client waited ${Math.round(slowestMs)} ms`);
});

test('so many signatures are looked at, from the top', async (t) => {
  const { greeted, taken } = await door(t);
  let message = MESSAGE;
  for (let i = 0; i < 12; i++) message = await signed(message);
  await bring(await greeted(), message);
  assert.equal(taken[0]?.authentication.dkim.length, 8);
  assert.ok(taken[0]?.authentication.dkim.every(({ result }) => result === 'pass'));
  assert.ok(taken[0]?.bytes.toString().endsWith(message), 'the message itself keeps them all');
});

test('a message of 20 MB is verified, and others do not wait for it', async (t) => {
  const { greeted, taken, door: opened } = await door(t);
  const large = await signed(`${MESSAGE}${`${'x'.repeat(76)}\r\n`.repeat(256_000)}`);
  const [talk, other] = await Promise.all([greeted(), greeted()]);
  await talk.say(`MAIL FROM:<ann@sender.test> SIZE=${large.length}`);
  await talk.say('RCPT TO:<bob@ours.test>');
  await talk.say('DATA');
  const state = { isOver: false };
  const reply = talk.say(`${large}.`).finally(() => (state.isOver = true));
  // Whoever waited for it would wait for work of this process, in whichever thread.
  let slowestMs = 0;
  while (!state.isOver) {
    const startedMs = processCpuMs();
    await bring(other);
    slowestMs = Math.max(slowestMs, processCpuMs() - startedMs);
  }
  assert.match(await reply, /^250 /);
  const mail = taken.find(({ bytes }) => bytes.length > 1_000_000);
  assert.equal(mail?.authentication.dkim[0]?.result, 'pass');
  assert.ok(mail?.bytes.subarray(-large.length).equals(Buffer.from(large)));
  assert.equal(opened.memoryBytes, 0);
  assert.ok(slowestMs < 1500, `a client waited ${Math.round(slowestMs)} ms`);
});
