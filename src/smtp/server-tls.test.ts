/** TLS and logins over real sockets: what survives STARTTLS (nothing), what AUTH takes, and what it takes to be allowed to ask. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { AppError } from '#model/errors.ts';
import { greeted, startReceiver, TEST_CONTEXT, until } from '../../test/kit/smtp-receiver.ts';
import { SmtpTalk } from '../../test/kit/smtp-talk.ts';
import type { Credentials, SessionHooks } from './server-hooks.ts';

const TLS = { secureContext: () => TEST_CONTEXT };
const base64 = (text: string): string => Buffer.from(text).toString('base64');

function logins(): { seen: Credentials[]; hooks: Partial<SessionHooks> } {
  const seen: Credentials[] = [];
  return {
    seen,
    hooks: {
      onAuth: (credentials) => {
        seen.push(credentials);
        if (credentials.password !== 'right') throw new AppError('bad-credentials');
      },
    },
  };
}

test('STARTTLS forgets what was said before it, and AUTH appears', async (t) => {
  const receiver = await startReceiver(t, logins().hooks, TLS);
  const talk = await receiver.open();
  const before = await talk.say('EHLO client.test');
  assert.match(before, /250 STARTTLS$/);
  assert.doesNotMatch(before, /AUTH/);
  await talk.say('MAIL FROM:<a@from.test>');
  assert.match(await talk.say('STARTTLS'), /^220 2\.0\.0 /);
  await talk.startTls();
  assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^503 /);
  const after = await talk.say('EHLO client.test');
  assert.match(after, /AUTH PLAIN LOGIN$/);
  assert.doesNotMatch(after, /STARTTLS/);
  assert.match(receiver.sessions[0]?.tls ?? '', /^TLSv1\.3 TLS_/);
  assert.match(await talk.say('STARTTLS'), /^503 /);
});

test('plaintext that was sent behind STARTTLS is not obeyed', async (t) => {
  const receiver = await startReceiver(t, {}, TLS);
  const talk = await greeted(receiver);
  talk.send('STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@from.test>\r\n');
  assert.match(await talk.rest(), /^554 5\.5\.0 [^\n]*\n$/);
});

test('plaintext that arrives in the place of a handshake ends the connection', async (t) => {
  const receiver = await startReceiver(t, {}, TLS);
  const talk = await greeted(receiver);
  await talk.say('STARTTLS');
  talk.send('EHLO evil.test\r\n');
  assert.doesNotMatch(await talk.rest(), /250/);
  await until(() => receiver.closed === 1);
});

test('STARTTLS where there is no certificate, or with an argument', async (t) => {
  const without = await greeted(await startReceiver(t));
  assert.match(await without.say('STARTTLS'), /^502 /);
  const withOne = await greeted(await startReceiver(t, {}, TLS));
  assert.match(await withOne.say('STARTTLS now'), /^501 /);
});

test('TLS from the first octet', async (t) => {
  const receiver = await startReceiver(t, {}, { ...TLS, implicitTls: true });
  const talk = await SmtpTalk.openTls(receiver.port);
  assert.doesNotMatch(await talk.say('EHLO client.test'), /STARTTLS/);
  assert.match(receiver.sessions[0]?.tls ?? '', /^TLSv1\.3/);
});

test('TLS below 1.2 is refused, and so is plaintext on a TLS port', async (t) => {
  const receiver = await startReceiver(t, {}, { ...TLS, implicitTls: true });
  const old = connectTls({
    port: receiver.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'ALL:@SECLEVEL=0',
  });
  const error = await new Promise<Error>((resolve) => old.on('error', resolve));
  assert.match(error.message, /protocol version|alert|ECONNRESET|disconnected/i);
  const plain = connect(receiver.port, '127.0.0.1');
  let answer = '';
  plain.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('error', () => undefined);
  plain.write('EHLO client.test\r\n');
  await new Promise((resolve) => plain.on('close', resolve));
  assert.doesNotMatch(answer, /220|250/);
});

test('a handshake that never goes on is cut', async (t) => {
  const receiver = await startReceiver(t, {}, { ...TLS, implicitTls: true, limits: { handshakeTimeoutMs: 60 } });
  const silent = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  assert.equal(await silent.rest(), '');
  const half = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  half.send(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
  assert.equal(await half.rest(), '');
  await until(() => receiver.server.connectionCount === 0);
});

test('AUTH without TLS is refused, unless it is allowed', async (t) => {
  const strict = await greeted(await startReceiver(t, logins().hooks, TLS));
  assert.match(await strict.say(`AUTH PLAIN ${base64('\0ann@from.test\0right')}`), /^538 5\.7\.11 /);
  const receiver = await startReceiver(t, { ...logins().hooks, allowPlainAuth: true });
  const talk = await receiver.open();
  assert.match(await talk.say('EHLO client.test'), /AUTH PLAIN LOGIN/);
  assert.match(await talk.say(`AUTH PLAIN ${base64('\0ann@from.test\0right')}`), /^235 2\.7\.0 /);
  assert.equal(receiver.sessions[0]?.login, 'ann@from.test');
});

test('PLAIN and LOGIN, with and without an initial response', async (t) => {
  const { seen, hooks } = logins();
  const receiver = await startReceiver(t, { ...hooks, allowPlainAuth: true });
  const wanted = { login: 'ann@from.test', password: 'right' };
  const dialogues: readonly (readonly [said: string, code: string])[][] = [
    [[`AUTH PLAIN ${base64('\0ann@from.test\0right')}`, '235']],
    [[`auth plain ${base64('ann@from.test\0ann@from.test\0right')}`, '235']],
    [
      ['AUTH PLAIN', '334'],
      [base64('\0ann@from.test\0right'), '235'],
    ],
    [
      ['AUTH LOGIN', '334'],
      [base64('ann@from.test'), '334'],
      [base64('right'), '235'],
    ],
    [
      [`AUTH LOGIN ${base64('ann@from.test')}`, '334'],
      [base64('right'), '235'],
    ],
  ];
  for (const dialogue of dialogues) {
    const talk = await greeted(receiver);
    for (const [said, code] of dialogue) assert.equal((await talk.say(said)).slice(0, 3), code, said);
  }
  assert.equal(seen.length, dialogues.length);
  for (const credentials of seen) assert.deepEqual({ ...credentials, mechanism: undefined }, { ...wanted, mechanism: undefined });
});

test('a login that goes wrong is refused and can be tried again; one that went right cannot', async (t) => {
  const receiver = await startReceiver(
    t,
    { ...logins().hooks, allowPlainAuth: true },
    { limits: { authFailures: 100, errorsSoft: 100, errorsHard: 100 } },
  );
  const talk = await greeted(receiver);
  const refusals: readonly (readonly [said: readonly string[], reply: RegExp])[] = [
    [['AUTH PLAIN', '*'], /^501 /],
    [['AUTH LOGIN', base64('ann'), '*'], /^501 /],
    [['AUTH PLAIN !!!!'], /^501 5\.5\.2 /],
    [['AUTH PLAIN YQ'], /^501 5\.5\.2 /],
    [['AUTH PLAIN ='], /^501 5\.5\.2 /],
    [[`AUTH PLAIN ${base64('a\0b')}`], /^501 5\.5\.2 /],
    [[`AUTH PLAIN ${base64('a\0b\0c\0d')}`], /^501 5\.5\.2 /],
    [[`AUTH PLAIN ${base64('bob\0ann\0right')}`], /^535 5\.7\.8 /],
    [[`AUTH PLAIN ${base64('\0\0')}`], /^535 5\.7\.8 /],
    [[`AUTH PLAIN ${Buffer.from([0, 0xff, 0, 0x61]).toString('base64')}`], /^501 5\.5\.2 /],
    [[`AUTH PLAIN ${base64(`\0ann\0${'x'.repeat(2000)}`)}`], /^501 5\.5\.2 /],
    [[`AUTH PLAIN ${base64('\0ann\0wrong')}`], /^535 5\.7\.8 /],
    [['AUTH'], /^501 5\.5\.4 /],
    [['AUTH CRAM-MD5'], /^504 5\.5\.4 /],
    [['AUTH PLAIN a b'], /^501 5\.5\.4 /],
  ];
  for (const [said, reply] of refusals) {
    let last = '';
    for (const line of said) last = await talk.say(line);
    assert.match(last, reply, said.join(' / '));
  }
  assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^250 /);
  assert.match(await talk.say(`AUTH PLAIN ${base64('\0ann\0right')}`), /^503 /);
  await talk.say('RSET');
  assert.match(await talk.say(`AUTH PLAIN ${base64('\0ann\0right')}`), /^235 /);
  assert.match(await talk.say(`AUTH PLAIN ${base64('\0ann\0right')}`), /^503 /);
  assert.doesNotMatch(await talk.say('EHLO client.test'), /AUTH/);
});

test('STARTTLS after a login is refused: a login cannot be forgotten', async (t) => {
  const receiver = await startReceiver(t, { ...logins().hooks, allowPlainAuth: true }, TLS);
  const talk = await greeted(receiver);
  assert.match(await talk.say(`AUTH PLAIN ${base64('\0ann\0right')}`), /^235 /);
  assert.match(await talk.say('STARTTLS'), /^503 /);
});

test('AUTH needs EHLO, and ends after some failures', async (t) => {
  const receiver = await startReceiver(t, { ...logins().hooks, allowPlainAuth: true }, { limits: { authFailures: 2 } });
  const talk = await receiver.open();
  assert.match(await talk.say('AUTH PLAIN'), /^503 /);
  await talk.say('EHLO client.test');
  const wrong = `AUTH PLAIN ${base64('\0ann\0wrong')}`;
  assert.match(await talk.say(wrong), /^535 /);
  assert.match(await talk.say(wrong), /^535 /);
  talk.send(`${wrong}\r\n`);
  assert.match(await talk.rest(), /^421 4\.7\.0 /);
});

test('what is sent behind a response of a login is not obeyed', async (t) => {
  const receiver = await startReceiver(t, { ...logins().hooks, allowPlainAuth: true });
  const talk = await greeted(receiver);
  await talk.say('AUTH PLAIN');
  talk.send(`${base64('\0ann\0right')}\r\nMAIL FROM:<a@from.test>\r\n`);
  assert.match(await talk.rest(), /^554 5\.5\.0 /);
});

test('a message over TLS in many records is whole', async (t) => {
  const receiver = await startReceiver(t, {}, TLS);
  const talk = await greeted(receiver);
  await talk.say('STARTTLS');
  await talk.startTls();
  await talk.say('EHLO client.test');
  talk.send('MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nDATA\r\n');
  await talk.codes(3);
  const body = `${'0123456789'.repeat(7)}\r\n`.repeat(20_000);
  assert.match(await talk.say(`${body}.`), /^250 /);
  assert.equal(receiver.messages[0]?.text, body);
});
