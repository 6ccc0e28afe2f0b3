/** What a client may not do without end, over real sockets: each limit has its reply, and everybody else is served meanwhile. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { siteOf } from './server-admission.ts';
import { ByteBudget } from '#base/byte-budget.ts';
import { MessageCollector } from './server-collector.ts';
import { greeted, inData, ready, startReceiver, until } from '../../test/kit/smtp-receiver.ts';
import { SmtpTalk } from '../../test/kit/smtp-talk.ts';
import { DEFAULT_LIMITS, withDefaults } from './server-limits.ts';

/** A clock that stands until the state that a limit is about is reached: on a loaded machine, getting there takes longer than the limit. */
function heldClock(t: TestContext): HeldClock & { pass(): void } {
  const clock = new HeldClock(0);
  return Object.assign(clock, {
    pass() {
      const timer = setInterval(() => clock.advance(5), 5);
      t.after(() => clearInterval(timer));
    },
  });
}

test('too many recipients are refused one by one; those before them get the message', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { recipientsPerMessage: 2 } });
  const talk = await ready(receiver);
  assert.match(await talk.say('RCPT TO:<c@to.test>'), /^250 /);
  assert.match(await talk.say('RCPT TO:<d@to.test>'), /^452 4\.5\.3 /);
  await talk.say('DATA');
  await talk.say('x\r\n.');
  assert.equal(receiver.messages[0]?.envelope.recipients.length, 2);
});

test('a connection carries so many messages and then must be made anew', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { messagesPerConnection: 1 } });
  const talk = await inData(receiver);
  await talk.say('x\r\n.');
  talk.send('MAIL FROM:<a@from.test>\r\n');
  assert.match(await talk.rest(), /^421 4\.7\.0 /);
});

test('errors are slowed down and then end the connection', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { errorsSoft: 1, errorsHard: 3, errorDelayMs: 40 } });
  const talk = await greeted(receiver);
  await talk.say('A');
  const startedMs = performance.now();
  await talk.say('B');
  await talk.say('C');
  assert.ok(performance.now() - startedMs >= 75);
  talk.send('D\r\n');
  assert.match(await talk.rest(), /^421 4\.7\.0 /);
});

test('refusals of a client whose mail was accepted are no misuse: a list may have many bad addresses', async (t) => {
  const receiver = await startReceiver(
    t,
    { onRcpt: () => ({ code: 550, enhanced: '5.1.1', text: 'nobody' }) },
    { limits: { errorsSoft: 1, errorsHard: 2 } },
  );
  const talk = await greeted(receiver);
  await talk.say('MAIL FROM:<a@from.test>');
  for (let i = 0; i < 50; i++) assert.match(await talk.say(`RCPT TO:<b${i}@to.test>`), /^550 /);
  for (let i = 0; i < 50; i++) assert.match(await talk.say(`RCPT TO:<b${i}@to..test>`), /^553 /);
});

test('commands that bring no mail, and commands before any mail, are counted', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { junkCommands: 3, unauthenticatedCommands: 5 } });
  const junk = await ready(receiver);
  await junk.say('RSET');
  await junk.say('NOOP');
  await junk.say('NOOP');
  junk.send('NOOP\r\n');
  assert.match(await junk.rest(), /^421 4\.7\.0 /);
  const early = await startReceiver(
    t,
    { onMail: () => ({ code: 530, enhanced: '5.7.0', text: 'log in' }) },
    { limits: { unauthenticatedCommands: 5 } },
  );
  const talk = await greeted(early);
  for (let i = 0; i < 4; i++) assert.match(await talk.say('MAIL FROM:<a@from.test>'), /^530 /);
  talk.send('MAIL FROM:<a@from.test>\r\n');
  assert.match(await talk.rest(), /^421 4\.7\.0 /);
});

test('too many chunks end the connection', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { chunksPerMessage: 3 } });
  const talk = await ready(receiver);
  talk.send('BDAT 0\r\n'.repeat(5));
  assert.match(await talk.rest(), /552 5\.5\.1 [^\n]*\n$/);
});

test('connections of one address are limited, and of all; a closed one makes room', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { connections: 3, connectionsPerAddress: 2 } });
  const first = await receiver.open();
  await receiver.open();
  const third = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  assert.match(await third.rest(), /^421 4\.7\.0 /);
  await SmtpTalk.open(receiver.port, { localAddress: '127.0.0.2' });
  const fourth = await SmtpTalk.open(receiver.port, { localAddress: '127.0.0.3', expectGreeting: false });
  assert.match(await fourth.rest(), /^421 4\.3\.2 /);
  first.destroy();
  await until(() => receiver.closed === 1);
  const after = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  assert.match(await after.reply(), /^220 /);
});

test('hundreds of silent connections harm nobody', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { connectionsPerAddress: 400 } });
  const silent = await Promise.all(Array.from({ length: 300 }, () => receiver.open()));
  const talk = await inData(receiver);
  assert.match(await talk.say('x\r\n.'), /^250 /);
  for (const one of silent) one.destroy();
  await until(() => receiver.server.connectionCount === 1);
});

test('silence between commands ends the connection, also when a command trickles', async (t) => {
  const clock = heldClock(t);
  const receiver = await startReceiver(t, {}, { clock, limits: { idleTimeoutMs: 60 } });
  const silent = await greeted(receiver);
  clock.pass();
  assert.match(await silent.rest(), /^421 4\.4\.2 /);
  const again = heldClock(t);
  const trickle = await greeted(await startReceiver(t, {}, { clock: again, limits: { idleTimeoutMs: 60 } }));
  again.pass();
  const timer = setInterval(() => trickle.send('x'), 10);
  assert.match(await trickle.rest(), /^421 4\.4\.2 /);
  clearInterval(timer);
});

test('a client that talks and never mails is not kept', async (t) => {
  const clock = heldClock(t);
  const receiver = await startReceiver(t, {}, { clock, limits: { firstMailTimeoutMs: 60 } });
  const talk = await greeted(receiver);
  clock.pass();
  assert.match(await talk.rest(), /^421 4\.4\.2 /);
});

test('silence inside a message, a message that trickles, and one that takes for ever', async (t) => {
  const clock = heldClock(t);
  const silent = await inData(await startReceiver(t, {}, { clock, limits: { dataTimeoutMs: 60, dataBytesPerSecond: 0 } }));
  silent.send('half');
  clock.pass();
  assert.match(await silent.rest(), /^421 4\.4\.2 Nothing/);
  for (const limits of [{ dataTimeoutMs: 60, dataBytesPerSecond: 100_000 }, { messageTimeoutMs: 60 }]) {
    const its = heldClock(t);
    const talk = await inData(await startReceiver(t, {}, { clock: its, limits }));
    its.pass();
    const timer = setInterval(() => talk.send('x'), 5);
    assert.match(await talk.rest(), /^421 4\.4\.2 The message/);
    clearInterval(timer);
  }
});

test('a hook that does not answer is not waited for, and not heard when it does', async (t) => {
  let isAsked = false;
  let answer: () => void = () => undefined;
  const asked = (): Promise<undefined> => {
    isAsked = true;
    return new Promise((resolve) => (answer = () => resolve(undefined)));
  };
  const clock = heldClock(t);
  const receiver = await startReceiver(t, { onMessage: asked }, { clock, limits: { hookTimeoutMs: 60 } });
  const talk = await inData(receiver);
  talk.send('x\r\n.\r\n');
  await until(() => isAsked);
  clock.pass();
  assert.match(await talk.rest(), /^421 4\.3\.0 /);
  assert.equal(receiver.errors.length, 1);
  answer();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(receiver.sessions[0]?.messageCount, 0);
});

test('while a hook thinks, no more is read than fits into a few packets', async (t) => {
  let isWritten = false;
  const thinking = (): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), 400));
  const receiver = await startReceiver(t, { onMail: thinking });
  const talk = await greeted(receiver);
  talk.send('MAIL FROM:<a@from.test>\r\n');
  talk.socket.write(Buffer.alloc(14_000_000, 'RSET\r\n'), () => (isWritten = true));
  assert.match(await talk.reply(), /^250 /);
  assert.equal(isWritten, false);
});

test('replies that nobody reads stop the commands behind them', async (t) => {
  let asked = 0;
  const onRcpt = (): { code: number; text: string } => {
    asked++;
    return { code: 450, text: 'x'.repeat(9000).replaceAll('x'.repeat(450), `${'x'.repeat(449)}\n`) };
  };
  const receiver = await startReceiver(t, { onRcpt }, { limits: { outgoingBytes: 20_000, recipientsPerMessage: 10 } });
  const talk = await ready(receiver);
  asked = 0;
  talk.socket.pause();
  talk.send('RCPT TO:<b@to.test>\r\n'.repeat(1500));
  await until(() => asked > 0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(asked < 1400, `${asked} were answered`);
  talk.socket.removeAllListeners('data').resume();
  await until(() => asked === 1500);
});

test('a client that does not close behind our last word is cut', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { lingerMs: 50 } });
  const socket = connect({ port: receiver.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.write('QUIT\r\n');
  socket.resume();
  await until(() => receiver.closed === 1);
  socket.destroy();
});

test('an IPv6 site is a /64, however its address is written', () => {
  assert.equal(siteOf('192.0.2.1'), '192.0.2.1');
  assert.equal(siteOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(siteOf('2001:db8:1:2::6'), '2001:db8:1:2::/64');
  assert.equal(siteOf('2001:db8::6'), '2001:db8:0:0::/64');
  assert.equal(siteOf('2001:db8::9:9:9:9'), '2001:db8:0:0::/64');
  assert.equal(siteOf('::1'), '0:0:0:0::/64');
  assert.equal(siteOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
});

test('a client that never reads is left alone when its replies fill the buffer, and cut in the end', async (t) => {
  const limits = { outgoingBytes: 10_000, idleTimeoutMs: 300, recipientsPerMessage: 10 };
  const clock = heldClock(t);
  const receiver = await startReceiver(t, {}, { clock, limits });
  const talk = await ready(receiver);
  talk.socket.pause();
  let isCut = false;
  talk.socket.on('close', () => (isCut = true));
  const flood = 'RCPT TO:<b@to.test>\r\n'.repeat(5000);
  const write = (): void => {
    if (!isCut && talk.socket.writable) talk.socket.write(flood, () => setImmediate(write));
  };
  write();
  clock.pass();
  await until(() => receiver.closed === 1);
  talk.destroy();
});

test('messages under way share a memory; one too many is put off, not lost, and the memory comes back', () => {
  const memory = new ByteBudget(10);
  const one = new MessageCollector(100, memory, 0);
  const other = new MessageCollector(100, memory, 0);
  one.add(Buffer.from('123456'));
  other.add(Buffer.from('123456'));
  assert.equal(other.take(0), 'no-memory');
  assert.equal(one.take(0).toString(), '123456');
  assert.equal(memory.usedBytes, 6);
  one.release();
  one.release();
  other.release();
  assert.equal(memory.usedBytes, 0);
});

test('a message that was announced and does not come loses its place when others are refused for want of it', async (t) => {
  const clock = heldClock(t);
  const memory = new ByteBudget(4_000_000);
  const receiver = await startReceiver(t, {}, { clock, limits: { lingerMs: 40 } }, { memory });
  const silent = await greeted(receiver);
  await silent.say('MAIL FROM:<a@from.test> SIZE=4000000');
  await silent.say('RCPT TO:<b@to.test>');
  assert.match(await silent.say('DATA'), /^354 /);
  const between = await ready(receiver);
  assert.match(await between.say('BDAT 1 LAST\r\nx'), /^451 4\.3\.2 /, 'all memory is kept for what does not come');
  const later = await greeted(receiver);
  await later.say('MAIL FROM:<a@from.test> SIZE=2000000');
  await later.say('RCPT TO:<b@to.test>');
  later.send('DATA\r\n');
  await until(() => {
    clock.advance(100);
    return silent.isClosed;
  });
  assert.match(await silent.rest(), /^421 4\.4\.2 The message came too slowly, and others wait/);
  assert.match(await later.reply(), /^354 /);
});

test('a message has its time as a whole, in however many chunks it comes', async (t) => {
  const clock = heldClock(t);
  const receiver = await startReceiver(t, {}, { clock, limits: { messageTimeoutMs: 1000 } });
  const talk = await ready(receiver);
  clock.advance(900);
  talk.send('BDAT 1\r\nx');
  assert.match(await talk.reply(), /^250 /);
  clock.advance(900);
  talk.send('BDAT 1\r\nx');
  assert.match(await talk.reply(), /^250 /);
  clock.advance(100);
  assert.match(await talk.rest(), /^421 4\.4\.2 The message took too long/);
});

test('a message in pieces of one octet is kept in few pieces', () => {
  const collector = new MessageCollector(1_000_000, new ByteBudget(1_000_000), 0);
  for (let i = 0; i < 300_000; i++) collector.add(Buffer.from('x'));
  assert.ok(collector.pieceCount < 1500);
  assert.equal(collector.take(0).toString(), 'x'.repeat(300_000));
});

test('draining: idle clients are told, running messages finish, newcomers are refused', async (t) => {
  const receiver = await startReceiver(t);
  const idle = await greeted(receiver);
  const running = await inData(receiver);
  const open = await ready(receiver);
  const drained = receiver.server.drain(60_000);
  assert.match(await idle.rest(), /^421 4\.3\.2 /);
  await assert.rejects(SmtpTalk.open(receiver.port));
  open.send('RCPT TO:<c@to.test>\r\n');
  assert.match(await open.rest(), /^421 4\.3\.2 /);
  running.send('x\r\n.\r\n');
  assert.match(await running.rest(), /^250 2\.0\.0 Ok\r\n421 4\.3\.2 /);
  await drained;
  assert.equal(receiver.messages.length, 1);
  assert.equal(receiver.closed, 3);
});

test('draining ends at its deadline', async (t) => {
  const receiver = await startReceiver(t);
  await inData(receiver);
  const startedMs = performance.now();
  await receiver.server.drain(50);
  // Without a deadline it would wait for the client's time-out, of minutes.
  assert.ok(performance.now() - startedMs < 60_000);
});

test('limits that contradict each other are a bug', () => {
  assert.deepEqual(withDefaults({ idleTimeoutMs: undefined }), DEFAULT_LIMITS);
  assert.equal(withDefaults({ errorsHard: 1 }).errorsSoft, 1);
  assert.throws(() => withDefaults({ errorsSoft: 2, errorsHard: 1 }), /errorsHard/);
  assert.throws(() => withDefaults({ commandLineBytes: 10 }), /commandLineBytes/);
});
