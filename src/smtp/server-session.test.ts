/** The order and the words of commands, over real sockets: what is offered, what is refused and how, and what is never obeyed. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { AppError } from '#model/errors.ts';
import { greeted, ready, startReceiver, until } from '../../test/kit/smtp-receiver.ts';
import { SmtpTalk } from '../../test/kit/smtp-talk.ts';

test('EHLO offers what is switched on', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await receiver.open();
  assert.equal(
    await talk.say('EHLO client.test'),
    [
      '250-mx.test greets client.test',
      '250-PIPELINING',
      '250-8BITMIME',
      '250-SMTPUTF8',
      '250-CHUNKING',
      '250-DSN',
      '250-ENHANCEDSTATUSCODES',
      '250 SIZE 26214400',
    ].join('\r\n'),
  );
});

test('what is switched off is neither offered nor understood', async (t) => {
  const extensions = {
    CHUNKING: false,
    DSN: false,
    SMTPUTF8: false,
    '8BITMIME': false,
    SIZE: false,
    ENHANCEDSTATUSCODES: false,
    PIPELINING: false,
  };
  const receiver = await startReceiver(t, {}, { extensions });
  const talk = await receiver.open();
  assert.equal(await talk.say('EHLO client.test'), '250 mx.test greets client.test');
  for (const parameter of ['SIZE=1', 'BODY=8BITMIME', 'SMTPUTF8', 'RET=FULL', 'ENVID=x']) {
    assert.match(await talk.say(`MAIL FROM:<a@from.test> ${parameter}`), /^555 (?!5)/);
  }
  assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^250 Ok$/);
  assert.match(await talk.say('RCPT TO:<b@to.test> NOTIFY=NEVER'), /^555 /);
  talk.send('BDAT 4 LAST\r\nRSET\r\n');
  assert.match(await talk.rest(), /^502 [^\n]*\n$/);
});

test('commands out of order are refused and change nothing', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await receiver.open();
  assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^503 5\.5\.1 /);
  await talk.say('EHLO client.test');
  assert.match(await talk.say('RCPT TO:<b@to.test>'), /^503 5\.5\.1 /);
  assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^250 /);
  assert.match(await talk.say('MAIL FROM:<c@from.test>'), /^503 5\.5\.1 /);
  await talk.say('RCPT TO:<b@to.test>');
  await talk.say('DATA');
  await talk.say('x\r\n.');
  assert.equal(receiver.messages[0]?.envelope.sender, 'a@from.test');
});

test('EHLO, HELO and RSET end a transaction', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  for (const command of ['EHLO again.test', 'HELO again.test', 'RSET']) {
    assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^250 /);
    assert.match(await talk.say(command), /^250/);
    assert.match(await talk.say('RCPT TO:<b@to.test>'), /^503 /);
  }
});

test('small commands', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  assert.equal(await talk.say('NOOP'), '250 2.0.0 Ok');
  assert.equal(await talk.say('noop whatever'), '250 2.0.0 Ok');
  assert.match(await talk.say('VRFY root'), /^252 2\.5\.0 /);
  assert.match(await talk.say('EXPN staff'), /^502 5\.5\.1 /);
  assert.match(await talk.say('HELP'), /^214 2\.0\.0 /);
  assert.match(await talk.say('TURN'), /^502 5\.5\.1 /);
  assert.match(await talk.say('XYZZY'), /^500 5\.5\.1 /);
  assert.match(await talk.say(''), /^500 5\.5\.1 /);
  assert.match(await talk.say('RSET now'), /^501 5\.5\.4 /);
  assert.match(await talk.say('QUIT now'), /^501 5\.5\.4 /);
  talk.send('QUIT\r\nNOOP\r\n');
  assert.equal(await talk.rest(), '221 2.0.0 Bye\r\n');
});

test('a host name that is none is refused', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await receiver.open();
  for (const name of ['', 'two words', 'a<b>', 'x(y)', '\u00e9\u00e9', 'x'.repeat(256)])
    assert.match(await talk.say(`EHLO ${name}`), /^50[01] /, name);
  for (const name of ['[127.0.0.1]', '[IPv6:::1]', 'my_host', 'localhost']) assert.match(await talk.say(`EHLO ${name}`), /^250/, name);
});

const BAD_MAIL: readonly [argument: string, code: RegExp][] = [
  ['MAIL', /^501 5\.5\.4 /],
  ['MAIL FROM', /^501 5\.5\.4 /],
  ['MAIL TO:<a@from.test>', /^501 5\.5\.4 /],
  ['MAIL FROM:a@from.test', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test>SIZE=1', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> SIZE=1 SIZE=1', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> SIZE=-1', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> SIZE=1e3', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> SIZE', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> SIZE=123456789012345678901', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> =1', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> BODY=9BIT', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> BODY=BINARYMIME', /^555 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> SMTPUTF8=yes', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> RET=ALL', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> ENVID=', /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> ENVID=a+zz', /^501 5\.5\.4 /],
  [`MAIL FROM:<a@from.test> ENVID=${'x'.repeat(101)}`, /^501 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> AUTH=<>', /^555 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> FROBNICATE=1', /^555 5\.5\.4 /],
  ['MAIL FROM:<a@from.test> NOTIFY=NEVER', /^555 5\.5\.4 /],
  ['MAIL FROM:<a>', /^553 5\.1\.7 /],
  ['MAIL FROM:<@relay.test:a@from.test>', /^553 5\.1\.7 /],
  ['MAIL FROM:<a@b@from.test>', /^553 5\.1\.7 /],
  ['MAIL FROM:<\u00c3\u00a9@from.test>', /^553 5\.6\.7 /],
];

test('a bad MAIL is refused and opens nothing', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { errorsSoft: 100, errorsHard: 100, unauthenticatedCommands: 100 } });
  const talk = await greeted(receiver);
  for (const [command, code] of BAD_MAIL) assert.match(await talk.say(command), code, command);
  assert.match(await talk.say('RCPT TO:<b@to.test>'), /^503 /);
});

const BAD_RCPT: readonly [argument: string, code: RegExp][] = [
  ['', /^553 5\.1\.3 /],
  ['b', /^553 5\.1\.3 /],
  ['@relay.test:b@to.test', /^553 5\.1\.3 /],
  ['@a,@b:c@to.test', /^553 5\.1\.3 /],
  ['b@to.test@evil.test', /^553 5\.1\.3 /],
  ['b@to.test,c@to.test', /^553 5\.1\.3 /],
  ['b@to.test (comment)', /^553 5\.1\.3 /],
  ['"b@to.test', /^501 5\.5\.4 /],
  ['b@[to.test]', /^553 5\.1\.3 /],
  ['b@to..test', /^553 5\.1\.3 /],
  ['b@to.test\t', /^500 5\.5\.2 /],
  ['b\u0000@to.test', /^500 5\.5\.2 /],
  ['b@to.test> <c@to.test', /^501 5\.5\.4 /],
  ['b@to.test> NOTIFY=NEVER,SUCCESS', /^501 5\.5\.4 /],
  ['b@to.test> NOTIFY=SUCCESS,SUCCESS', /^501 5\.5\.4 /],
  ['b@to.test> NOTIFY=', /^501 5\.5\.4 /],
  ['b@to.test> NOTIFY=NEVER NOTIFY=NEVER', /^501 5\.5\.4 /],
  ['b@to.test> ORCPT=rfc822', /^501 5\.5\.4 /],
  ['b@to.test> ORCPT=;b@to.test', /^501 5\.5\.4 /],
  [`b@to.test> ORCPT=rfc822;${'b'.repeat(500)}`, /^501 5\.5\.4 /],
  ['b@to.test> SIZE=1', /^555 5\.5\.4 /],
  ['b@to.test> X', /^555 5\.5\.4 /],
];

test('a bad RCPT is refused and adds no recipient', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { errorsSoft: 100, errorsHard: 100 } });
  const talk = await greeted(receiver);
  await talk.say('MAIL FROM:<a@from.test>');
  for (const [inside, code] of BAD_RCPT) {
    const command = inside.includes('> ') ? `RCPT TO:<${inside}` : `RCPT TO:<${inside}>`;
    assert.match(await talk.say(command), code, command);
  }
  assert.match(await talk.say('DATA'), /^554 5\.5\.1 /);
});

test('envelope parameters arrive as they were given', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  talk.send(
    Buffer.from(
      'MAIL FROM:<é@from.test> SIZE=500 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=id+2Bx\r\n' +
        'RCPT TO: <"b>c"@To.Test> NOTIFY=success,DELAY ORCPT=rfc822;b+2Bc@to.test\r\nRCPT TO:<d@to.test>\r\nDATA\r\n',
    ),
  );
  assert.deepEqual(await talk.codes(4), ['250', '250', '250', '354']);
  await talk.say('x\r\n.');
  const envelope = receiver.messages[0]?.envelope;
  assert.deepEqual(
    { ...envelope, recipients: envelope?.recipients.map((recipient) => ({ ...recipient })) },
    {
      sender: 'é@from.test',
      smtputf8: true,
      body: '8BITMIME',
      ret: 'HDRS',
      envid: 'id+2Bx',
      recipients: [
        { address: '"b>c"@to.test', notify: ['SUCCESS', 'DELAY'], orcpt: 'rfc822;b+2Bc@to.test' },
        { address: 'd@to.test', notify: undefined, orcpt: undefined },
      ],
    },
  );
});

test('after HELO, parameters are refused: nothing was offered', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await receiver.open();
  assert.equal(await talk.say('HELO client.test'), '250 mx.test');
  assert.match(await talk.say('MAIL FROM:<a@from.test> SIZE=1'), /^555 /);
  assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^250 /);
});

test('control characters, NUL, 8-bit rubbish and bare line ends in commands are refused', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  for (const line of ['NO\u0000OP', 'NOOP \u0007', 'NOOP \u00ff', 'RSET\rQUIT', '\u001b[2J']) {
    assert.match(await talk.say(line), /^500 5\.5\.2 /, JSON.stringify(line));
  }
  talk.send('RSET\n');
  assert.match(await talk.reply(), /^500 5\.5\.2 .*CRLF/);
  talk.send('MAIL FROM:<a@from.test>\nRCPT TO:<b@to.test>\r\n');
  assert.deepEqual(await talk.codes(2), ['500', '503']);
});

test('where stray line ends are made right, LF ends a command', async (t) => {
  const receiver = await startReceiver(t, {}, { bareNewlines: 'normalise' });
  const talk = await receiver.open();
  talk.send('HELO client.test\n');
  assert.match(await talk.reply(), /^250 /);
});

test('a command that is too long is refused, one without end closes the connection', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  assert.match(await talk.say(`NOOP ${'x'.repeat(3000)}`), /^500 5\.5\.6 /);
  assert.match(await talk.say('NOOP'), /^250 /);
  talk.send('x'.repeat(20_000));
  assert.match(await talk.rest(), /^500 5\.5\.6 [^\n]*\n$/);
});

test('HTTP is shown the door, and nothing in its body is obeyed', async (t) => {
  const receiver = await startReceiver(t);
  for (const verb of ['GET', 'POST', 'PUT', 'CONNECT', 'OPTIONS']) {
    const talk = await receiver.open();
    talk.send(`${verb} / HTTP/1.1\r\nHost: mx.test\r\n\r\nEHLO evil.test\r\n`);
    assert.match(await talk.rest(), /^554 [^\n]*\n$/);
  }
});

test('a TLS handshake at a plaintext port is cut', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await receiver.open();
  talk.send(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0a, 0x0d]));
  assert.equal(await talk.rest(), '');
});

for (const command of ['EHLO a.test', 'HELO a.test', 'NOOP', 'VRFY a', 'EXPN a', 'HELP', 'DATA', 'AUTH PLAIN']) {
  test(`nothing is obeyed that was sent behind ${command} without waiting`, async (t) => {
    const receiver = await startReceiver(t, { onAuth: () => undefined, allowPlainAuth: true });
    const talk = await ready(receiver);
    talk.send(`${command}\r\nRSET\r\n`);
    assert.match(await talk.rest(), /^554 5\.5\.0 [^\n]*\n$/);
  });
}

test('a group of commands is answered in one write', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  let reads = 0;
  talk.socket.on('data', () => reads++);
  talk.send('RSET\r\nMAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nRCPT TO:<c@to.test>\r\nDATA\r\n');
  assert.deepEqual(await talk.codes(5), ['250', '250', '250', '250', '354']);
  assert.equal(reads, 1);
});

test('hooks may be slow; commands still go one by one', async (t) => {
  const seen: string[] = [];
  const later = (name: string) => () =>
    new Promise<undefined>((resolve) => {
      setImmediate(() => {
        seen.push(name);
        resolve(undefined);
      });
    });
  const receiver = await startReceiver(t, {
    onMail: later('mail'),
    onRcpt: later('rcpt'),
    onData: later('data'),
    onMessage: later('message'),
  });
  const talk = await greeted(receiver);
  const group = 'MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nRCPT TO:<c@to.test>\r\nBDAT 3 LAST\r\nx\r\n';
  talk.send(group + group);
  assert.deepEqual(await talk.codes(8), Array(8).fill('250'));
  assert.deepEqual(seen, ['mail', 'rcpt', 'rcpt', 'data', 'message', 'mail', 'rcpt', 'rcpt', 'data', 'message']);
});

test('a hook refuses with a reply, an AppError, or an error of ours, which is told as temporary and logged', async (t) => {
  const receiver = await startReceiver(t, {
    onMail: ({ path }) => {
      if (path.local === 'reply') return { code: 450, enhanced: '4.7.1', text: 'later\r\n250 forged' };
      if (path.local === 'caller') throw new AppError('domain-disabled', { domain: path.domain });
      if (path.local === 'async') return Promise.reject(new AppError('unauthenticated'));
      if (path.local === 'bug') throw new TypeError('secret detail');
      return { code: 250, enhanced: '2.1.0', text: 'fine' };
    },
  });
  const talk = await greeted(receiver);
  assert.equal(await talk.say('MAIL FROM:<reply@from.test>'), '450-4.7.1 later\r\n450 4.7.1 250 forged');
  assert.match(await talk.say('MAIL FROM:<caller@from.test>'), /^550 5\.7\.1 Domain from\.test /);
  assert.match(await talk.say('MAIL FROM:<async@from.test>'), /^530 5\.7\.0 /);
  assert.equal(await talk.say('MAIL FROM:<bug@from.test>'), '451 4.3.0 Local trouble; try again later');
  assert.deepEqual(receiver.errors, ['an SMTP command failed inside']);
  assert.equal(await talk.say('MAIL FROM:<other@from.test>'), '250 2.1.0 fine');
});

test('a hook may cut the connection', async (t) => {
  const receiver = await startReceiver(t, { onMessage: () => 'drop' });
  const talk = await ready(receiver);
  await talk.say('DATA');
  talk.send('x\r\n.\r\n');
  assert.equal(await talk.rest(), '');
  await until(() => receiver.closed === 1);
});

test('a connection may be refused before the greeting', async (t) => {
  const receiver = await startReceiver(t, { onConnect: () => ({ code: 554, enhanced: '5.7.1', text: 'not you' }) });
  const talk = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  assert.equal(await talk.rest(), '554 5.7.1 not you\r\n');
  await until(() => receiver.closed === 1);
});

test('the signal of a session tells when the client is gone', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  const { signal } = receiver.sessions[0] ?? assert.fail();
  assert.equal(signal.aborted, false);
  talk.destroy();
  await until(() => signal.aborted);
});
