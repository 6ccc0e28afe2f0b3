/** What a client may not do without end, over real sockets: each limit has its reply, and everybody else is served meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageCollector, MessageMemory } from './server-collector.ts';
import { greeted, inData, ready, startReceiver, until } from '../../test/kit/smtp-receiver.ts';
import { SmtpTalk } from '../../test/kit/smtp-talk.ts';
import { DEFAULT_LIMITS, withDefaults } from './server-limits.ts';

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
  await receiver.open();
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
  const receiver = await startReceiver(t, {}, { limits: { idleTimeoutMs: 60 } });
  const silent = await greeted(receiver);
  assert.match(await silent.rest(), /^421 4\.4\.2 /);
  const trickle = await greeted(receiver);
  const timer = setInterval(() => trickle.send('x'), 10);
  assert.match(await trickle.rest(), /^421 4\.4\.2 /);
  clearInterval(timer);
});

test('a client that talks and never mails is not kept', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { firstMailTimeoutMs: 60 } });
  const talk = await greeted(receiver);
  assert.match(await talk.rest(), /^421 4\.4\.2 /);
});

test('silence inside a message, a message that trickles, and one that takes for ever', async (t) => {
  const silent = await inData(await startReceiver(t, {}, { limits: { dataTimeoutMs: 60 } }));
  silent.send('half');
  assert.match(await silent.rest(), /^421 4\.4\.2 Nothing/);
  for (const limits of [{ dataTimeoutMs: 60, dataBytesPerSecond: 100_000 }, { messageTimeoutMs: 60 }]) {
    const talk = await inData(await startReceiver(t, {}, { limits }));
    const timer = setInterval(() => talk.send('x'), 5);
    assert.match(await talk.rest(), /^421 4\.4\.2 The message/);
    clearInterval(timer);
  }
});

test('a hook that never answers is not waited for', async (t) => {
  const receiver = await startReceiver(t, { onMessage: () => new Promise(() => undefined) }, { limits: { hookTimeoutMs: 60 } });
  const talk = await inData(receiver);
  talk.send('x\r\n.\r\n');
  assert.match(await talk.rest(), /^421 4\.3\.0 /);
  assert.equal(receiver.errors.length, 1);
});

test('a client that never reads is left alone when its replies fill the buffer, and cut in the end', async (t) => {
  const limits = { outgoingBytes: 10_000, idleTimeoutMs: 300, recipientsPerMessage: 10 };
  const receiver = await startReceiver(t, {}, { limits });
  const talk = await ready(receiver);
  talk.socket.pause();
  let isCut = false;
  talk.socket.on('close', () => (isCut = true));
  const flood = 'RCPT TO:<b@to.test>\r\n'.repeat(5000);
  const write = (): void => {
    if (!isCut && talk.socket.writable) talk.socket.write(flood, () => setImmediate(write));
  };
  write();
  await until(() => receiver.closed === 1);
  talk.destroy();
});

test('messages under way share a memory; one too many is put off, not lost, and the memory comes back', () => {
  const memory = new MessageMemory(10);
  const one = new MessageCollector(100, memory);
  const other = new MessageCollector(100, memory);
  one.add(Buffer.from('123456'));
  other.add(Buffer.from('123456'));
  assert.equal(other.take(0), 'no-memory');
  assert.equal(one.take(0).toString(), '123456');
  assert.equal(memory.heldBytes, 6);
  one.release();
  one.release();
  other.release();
  assert.equal(memory.heldBytes, 0);
});

test('a message in pieces of one octet is kept in few pieces', () => {
  const collector = new MessageCollector(1_000_000, new MessageMemory(1_000_000));
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 300_000; i++) collector.add(Buffer.from('x'));
  assert.ok(process.memoryUsage().heapUsed - before < 40_000_000);
  assert.equal(collector.take(0).toString(), 'x'.repeat(300_000));
});

test('draining: idle clients are told, running messages finish, newcomers are refused', async (t) => {
  const receiver = await startReceiver(t);
  const idle = await greeted(receiver);
  const running = await inData(receiver);
  const open = await ready(receiver);
  const drained = receiver.server.drain(5000);
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
  assert.ok(performance.now() - startedMs < 2000);
});

test('limits that contradict each other are a bug', () => {
  assert.deepEqual(withDefaults({ idleTimeoutMs: undefined }), DEFAULT_LIMITS);
  assert.throws(() => withDefaults({ errorsHard: 1 }), /errorsHard/);
  assert.throws(() => withDefaults({ commandLineBytes: 10 }), /commandLineBytes/);
});
