/** The client session against the sink, over real sockets: opening, the flights it sends, and what each end of a transaction gives. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#base/clock.ts';
import type { Composed, DeliveryJob } from '#model/delivery.ts';
import { commandsHang, hangsAt, PATIENT } from '../../test/kit/client-timeouts.ts';
import { startSink } from '../../test/kit/sink.ts';
import type { Sink, SinkOptions } from '../../test/kit/sink.ts';
import { TEST_CERTIFICATE } from '../../test/kit/sink-certificate.ts';
import { openClient } from './client-session.ts';
import type { ClientTimeouts, OpenFailure, OpenOptions, SmtpClient } from './client-session.ts';

const hangsBehind = (command: string, sink: Sink): ClientTimeouts =>
  commandsHang(() => sink.commands.some((line) => line.startsWith(command)));
const CONTEXT = createSecureContext();
const TRUSTING = createSecureContext({ ca: TEST_CERTIFICATE });
const BODY = 'Subject: hello\r\n\r\nbody\r\n';

async function sinkFor(t: TestContext, options: SinkOptions = {}): Promise<Sink> {
  const sink = await startSink(options);
  t.after(() => sink.close());
  return sink;
}

function optionsFor(sink: Pick<Sink, 'address' | 'port'>, over: Partial<OpenOptions> = {}): OpenOptions {
  return {
    address: sink.address,
    port: sink.port,
    host: 'mx.test',
    ehlo: 'client.test',
    tls: 'opportunistic',
    verify: false,
    context: CONTEXT,
    timeouts: PATIENT,
    clock: systemClock,
    ...over,
  };
}

/** A server that answers each line as `answer` says. */
async function scriptedServer(
  t: TestContext,
  answer: (line: string, say: (reply: string) => void, socket: Socket) => void,
): Promise<{ address: string; port: number }> {
  const server = createServer((socket) => {
    const say = (reply: string): void => void socket.write(`${reply}\r\n`);
    let isDone = false;
    socket.on('error', () => socket.destroy());
    socket.on('data', (octets: Buffer) => {
      for (const line of isDone ? [] : octets.toString('latin1').split('\r\n').filter(Boolean)) {
        isDone ||= socket.isPaused();
        if (!isDone) answer(line, say, socket);
      }
    });
    say('220 scripted');
    t.after(() => socket.destroy());
  });
  t.after(() => server.close());
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  return { address: '127.0.0.1', port: bound.port };
}

async function open(t: TestContext, sink: Pick<Sink, 'address' | 'port'>, over: Partial<OpenOptions> = {}): Promise<SmtpClient> {
  const opened = await openClient(optionsFor(sink, over));
  if (opened.kind === 'failed') assert.fail(`${opened.step}: ${opened.trouble}`);
  t.after(() => opened.client.close());
  return opened.client;
}

async function failToOpen(sink: Sink, over: Partial<OpenOptions> = {}): Promise<OpenFailure> {
  const opened = await openClient(optionsFor(sink, over));
  if (opened.kind === 'open') {
    await opened.client.close();
    assert.fail('it opened');
  }
  return opened;
}

function job(...addresses: string[]): DeliveryJob {
  return {
    sender: 'sender@client.test',
    recipients: addresses.map((address) => ({ address })),
    tls: 'opportunistic',
    compose: () => assert.fail('the session does not compose'),
  };
}

function composed(text = BODY, body: Composed['body'] = '7BIT', smtputf8 = false): Composed {
  const bytes = Buffer.from(text);
  return { chunks: [bytes], sizeBytes: bytes.length, body, smtputf8 };
}

test('a message is delivered in two flights with PIPELINING and in one with CHUNKING', async (t) => {
  for (const [chunking, flights] of [
    [false, 2],
    [true, 2],
  ] as const) {
    const sink = await sinkFor(t, { chunking });
    const client = await open(t, sink);
    sink.flights.count = 0;
    const { results } = await client.transact(job('a@x.test'), composed());
    assert.equal(results[0]?.kind === 'reply' && results[0].stage, 'dot');
    assert.equal(sink.transactions[0]?.bytes.toString(), BODY);
    assert.equal(sink.transactions[0]?.via, chunking ? 'BDAT' : 'DATA');
    assert.equal(sink.flights.count, chunking ? 1 : flights - 1, 'reads that carried commands');
    assert.deepEqual(sink.violations, []);
  }
});

test('nothing is sent ahead, and no parameter used, that the server does not offer', async (t) => {
  const sink = await sinkFor(t, { pipelining: false, eightBitMime: false });
  const client = await open(t, sink);
  const full: DeliveryJob = {
    ...job('a@x.test', 'b@x.test'),
    ret: 'HDRS',
    envid: 'id1',
    recipients: [{ address: 'a@x.test', notify: ['FAILURE'], orcpt: 'rfc822;a@x.test' }, { address: 'b@x.test' }],
  };
  const { results } = await client.transact(full, composed());
  assert.equal(results.length, 2);
  assert.ok(results.every((result) => result.kind === 'reply' && result.reply.code === 250));
  assert.deepEqual(sink.violations, []);
});

test('a server that knows only HELO gets mail', async (t) => {
  const sink = await sinkFor(t, { heloOnly: true });
  const client = await open(t, sink);
  await client.transact(job('a@x.test'), composed());
  assert.equal(sink.transactions.length, 1);
  assert.deepEqual(sink.commands.slice(0, 2), ['EHLO client.test', 'HELO client.test']);
});

test('SIZE, BODY, SMTPUTF8 and the DSN parameters are passed on when offered', async (t) => {
  const sink = await sinkFor(t, { sizeMax: 1000, smtputf8: true, dsn: true });
  const client = await open(t, sink);
  const wishes: DeliveryJob = {
    ...job(),
    ret: 'HDRS',
    envid: 'id1',
    recipients: [{ address: 'ü@x.test', notify: ['FAILURE', 'DELAY'], orcpt: 'rfc822;u@x.test' }],
  };
  const { results } = await client.transact(wishes, composed('Subject: ü\r\n\r\nü\r\n', '8BITMIME', true));
  assert.equal(results[0]?.kind, 'reply');
  assert.equal(sink.transactions[0]?.parameters, 'SIZE=19 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id1');
  assert.equal(sink.transactions[0]?.recipients[0]?.address, 'ü@x.test');
  assert.equal(sink.transactions[0]?.recipients[0]?.parameters, 'NOTIFY=FAILURE,DELAY ORCPT=rfc822;u@x.test');
});

test('dots at line starts arrive as they were, wherever the chunks are cut', async (t) => {
  const text = '.first\r\n..second\r\nx.\r\n.\r\nmiddle\r\n.';
  for (const chunking of [false, true]) {
    const sink = await sinkFor(t, { chunking });
    const client = await open(t, sink);
    for (let cut = 0; cut <= text.length; cut++) {
      const chunks = [Buffer.from(text.slice(0, cut)), Buffer.from(text.slice(cut))];
      await client.transact(job('a@x.test'), { chunks, sizeBytes: text.length, body: '7BIT', smtputf8: false });
      assert.equal(sink.transactions.at(-1)?.bytes.toString(), `${text}\r\n`, `cut at ${cut}`);
    }
    assert.deepEqual(sink.violations, []);
  }
});

test('a message larger than one flight goes out once a recipient is accepted', async (t) => {
  const sink = await sinkFor(t, { chunking: true });
  const client = await open(t, sink);
  const large = `Subject: x\r\n\r\n${'0123456789\r\n'.repeat(60_000)}`;
  await client.transact(job('550@x.test'), composed(large));
  assert.equal(sink.commands.filter((line) => line.startsWith('BDAT')).length, 0);
  const { results } = await client.transact(job('a@x.test'), composed(large));
  assert.equal(results[0]?.kind === 'reply' && results[0].stage, 'dot');
  assert.equal(sink.transactions[0]?.bytes.length, large.length);
});

test('each recipient has its own result, in order, and the others are delivered', async (t) => {
  for (const chunking of [false, true]) {
    for (const pipelining of [false, true]) {
      const sink = await sinkFor(t, { chunking, pipelining });
      const client = await open(t, sink);
      const { results } = await client.transact(job('550-a@x.test', 'b@x.test', '450-c@x.test', 'd@x.test'), composed());
      const codes = results.map((result) => (result.kind === 'reply' ? `${result.stage} ${result.reply.code}` : result.kind));
      assert.deepEqual(codes, ['rcpt 550', 'dot 250', 'rcpt 450', 'dot 250']);
      assert.deepEqual(
        sink.transactions[0]?.recipients.map(({ address }) => address),
        ['b@x.test', 'd@x.test'],
      );
    }
  }
});

test('a session goes on after a transaction without any valid recipient', async (t) => {
  for (const chunking of [false, true]) {
    for (const pipelining of [false, true]) {
      const sink = await sinkFor(t, { chunking, pipelining });
      const client = await open(t, sink);
      const refused = await client.transact(job('550-a@x.test'), composed());
      assert.equal(refused.results[0]?.kind === 'reply' && refused.results[0].reply.code, 550);
      const sent = await client.transact(job('b@x.test'), composed());
      assert.equal(sent.results[0]?.kind === 'reply' && sent.results[0].reply.code, 250);
      assert.equal(sink.transactions.length, 1);
      assert.equal(sink.connectionCount(), 1);
      assert.deepEqual(sink.violations, []);
    }
  }
});

test('recipients beyond what the server takes at once go into further transactions, for 452 and for 552', async (t) => {
  for (const chunking of [false, true]) {
    for (const code of [452, 552]) {
      const sink = await sinkFor(t, { chunking });
      const client = await open(t, sink);
      const names = Array.from({ length: 8 }, (_, i) => `${code}-after-3-${i}@x.test`);
      const { results } = await client.transact(job(...names), composed());
      assert.ok(
        results.every((result) => result.kind === 'reply' && result.stage === 'dot'),
        JSON.stringify(results),
      );
      assert.deepEqual(
        sink.transactions.map((transaction) => transaction.recipients.length),
        [3, 3, 2],
      );
    }
  }
});

test('an address that could break out of its command is never sent', async (t) => {
  const sink = await sinkFor(t);
  const client = await open(t, sink);
  const bad = [
    'a\0@x.test',
    'a@x.test>\r\nRCPT TO:<b@x.test',
    `${'a'.repeat(1000)}@x.test`,
    'a b@x.test',
    'a@x.test> SIZE=1',
    '@',
    'ü@x.test',
  ];
  const { results } = await client.transact(job(...bad, '"a> b"@x.test'), composed());
  assert.ok(
    results.slice(0, -1).every((result) => result.kind === 'unsendable'),
    JSON.stringify(results),
  );
  assert.equal(results.at(-1)?.kind, 'reply');
  assert.equal(sink.commands.filter((line) => line.startsWith('RCPT')).length, 1);
});

test('a message larger than the announced SIZE is not sent', async (t) => {
  const sink = await sinkFor(t, { sizeMax: 10 });
  const client = await open(t, sink);
  const { results } = await client.transact(job('a@x.test'), composed());
  assert.equal(results[0]?.kind === 'unsendable' && results[0].what, 'size');
  assert.ok(!sink.commands.some((line) => line.startsWith('MAIL')));
});

test('a connection cut after the final dot is unclear, and before it is not', async (t) => {
  for (const chunking of [false, true]) {
    for (const [mailbox, isUnclear] of [
      ['drop-after-dot', true],
      ['reset-at-dot', true],
      ['hang-at-dot', true],
      ['half-at-dot', true],
      ['malformed-at-dot', true],
      ['mixed-at-dot', true],
      ['odd-code-at-dot', true],
      ['drop-at-rcpt', chunking],
      ['hang-at-rcpt', chunking],
      ['malformed-at-rcpt', chunking],
      ['drop-after-data', true],
    ] as const) {
      const sink = await sinkFor(t, { chunking });
      const timeouts = mailbox === 'hang-at-rcpt' ? hangsBehind('RCPT', sink) : /hang|half/.test(mailbox) ? hangsAt('dotMs') : PATIENT;
      const client = await open(t, sink, { timeouts });
      const { results } = await client.transact(job(`${mailbox}@x.test`), composed());
      assert.deepEqual([mailbox, results[0]?.kind, results[0]?.kind === 'lost' && results[0].isUnclear], [mailbox, 'lost', isUnclear]);
      assert.equal(client.isUsable, false);
    }
  }
});

test('an acknowledgement that comes before the message is not believed', async (t) => {
  const sink = await sinkFor(t);
  const client = await open(t, sink);
  const { results } = await client.transact(job('early-at-data@x.test'), composed());
  assert.equal(results[0]?.kind, 'lost');
  assert.equal(sink.transactions.length, 0);
});

test('an acknowledgement that comes while the message is still on its way is not believed', async (t) => {
  const server = await scriptedServer(t, (line, say, socket) => {
    if (line === 'DATA') {
      say('354 Go ahead');
      socket.once('data', () => {
        socket.pause();
        say('250 2.0.0 Ok: although most of it has not come');
      });
    } else {
      say('250 Ok');
    }
  });
  const client = await open(t, server);
  const { results } = await client.transact(job('a@x.test'), composed('0123456789\r\n'.repeat(3_000_000)));
  assert.deepEqual([results[0]?.kind, results[0]?.kind === 'lost' && results[0].isUnclear], ['lost', false]);
});

test('a reply given twice is not taken for the acknowledgement', async (t) => {
  for (const [stage, chunking] of [
    ['mail', true],
    ['rcpt', true],
    ['mail', false],
    ['rcpt', false],
    ['data', false],
  ] as const) {
    const sink = await sinkFor(t, { chunking });
    const client = await open(t, sink);
    const double = stage === 'mail' ? { ...job('a@x.test'), sender: 'double-at-mail@y.test' } : job(`double-at-${stage}@x.test`);
    const { results } = await client.transact(double, composed());
    assert.deepEqual([stage, chunking, results[0]?.kind, client.isUsable], [stage, chunking, 'lost', false]);
  }
});

test('a reply that nobody asked for ends the session before it can be taken for another', async (t) => {
  const sink = await sinkFor(t);
  const client = await open(t, sink);
  const { results } = await client.transact(job('double-at-dot@x.test'), composed());
  assert.equal(results[0]?.kind === 'reply' && results[0].reply.code, 250);
  assert.equal(client.isUsable, false);
});

test('a server that wants data without any recipient is given none', async (t) => {
  const lines: string[] = [];
  const server = await scriptedServer(t, (line, say) => {
    lines.push(line);
    if (line.startsWith('RCPT')) say('550 5.1.1 No');
    else say(line === 'DATA' ? '354 Go ahead' : line.startsWith('EHLO') ? '250-x\r\n250 PIPELINING' : '250 Ok');
  });
  const client = await open(t, server);
  const { results } = await client.transact(job('a@x.test'), composed());
  assert.equal(results[0]?.kind === 'reply' && results[0].reply.code, 550);
  assert.equal(client.isUsable, true);
  assert.deepEqual(lines.slice(-2), ['DATA', '.']);
});

test('421 in the middle ends the session and decides about everybody who is left', async (t) => {
  const sink = await sinkFor(t);
  const client = await open(t, sink);
  const { results } = await client.transact(job('a@x.test', 'close-421-at-rcpt@x.test', 'c@x.test'), composed());
  assert.deepEqual(
    results.map((result) => result.kind === 'reply' && result.reply.code),
    [421, 421, 421],
  );
  assert.equal(client.isUsable, false);
});

test('a connection that the server closed between messages is noticed before the next one', async (t) => {
  const sink = await sinkFor(t);
  const client = await open(t, sink);
  await client.transact(job('a@x.test'), composed());
  sink.dropAll();
  const closed = Promise.withResolvers<void>();
  const watch = (): void => (client.isUsable ? void setImmediate(watch) : closed.resolve());
  watch();
  await closed.promise;
  const { results, isStale } = await client.transact(job('b@x.test'), composed());
  assert.equal(isStale, true);
  assert.deepEqual([results[0]?.kind, results[0]?.kind === 'lost' && results[0].isUnclear], ['lost', false]);
});

test('the dialogue shows what was said, without the body', async (t) => {
  const sink = await sinkFor(t);
  const client = await open(t, sink);
  const { dialogue } = await client.transact(job('554-at-dot@x.test'), composed());
  assert.deepEqual(dialogue(), [
    'C: MAIL FROM:<sender@client.test>',
    'C: RCPT TO:<554-at-dot@x.test>',
    'C: DATA',
    'S: 250 2.1.0 Sender ok',
    'S: 250 2.1.5 Recipient ok',
    'S: 354 Send it',
    'C: (24 octets of message, and the final dot)',
    'S: 554 5.7.1 Message rejected as spam by content scanning',
  ]);
});

test('STARTTLS is used when offered, and the certificate examined', async (t) => {
  const sink = await sinkFor(t, { tls: 'starttls', chunking: true });
  const untrusted = await open(t, sink);
  assert.equal(untrusted.tls?.verified, false);
  assert.equal(untrusted.tls?.subject, 'mx.test');
  assert.match(untrusted.tls?.version ?? '', /^TLSv1\.[23]$/);
  const trusted = await open(t, sink, { context: TRUSTING, verify: true });
  assert.equal(trusted.tls?.verified, true);
  const { results } = await trusted.transact(job('a@x.test'), composed());
  assert.equal(results[0]?.kind === 'reply' && results[0].reply.code, 250);
  assert.equal(sink.transactions[0]?.tls, true);
});

test('a certificate for another name or from an unknown authority is not verified', async (t) => {
  const sink = await sinkFor(t, { tls: 'starttls' });
  const wrongName = await failToOpen(sink, { context: TRUSTING, verify: true, host: 'other.test' });
  assert.deepEqual([wrongName.step, wrongName.isTlsBroken], ['tls', undefined]);
  assert.match(wrongName.trouble, /not verified/);
  assert.equal((await failToOpen(sink, { verify: true })).step, 'tls');
  assert.ok(!sink.commands.includes('AUTH'));
});

test('implicit TLS speaks TLS from the first octet', async (t) => {
  const sink = await sinkFor(t, { tls: 'implicit' });
  const client = await open(t, sink, { tls: 'implicit' });
  await client.transact(job('a@x.test'), composed());
  assert.equal(sink.transactions[0]?.tls, true);
});

test('STARTTLS that fails is told apart: refused goes on in plaintext, broken asks for a new connection, injected does not', async (t) => {
  const refused = await sinkFor(t, { tls: 'starttls', tlsTrouble: 'refuse' });
  assert.equal((await open(t, refused)).tls, undefined);
  for (const tlsTrouble of ['garbage', 'drop', 'hang', 'old'] as const) {
    const sink = await sinkFor(t, { tls: 'starttls', tlsTrouble });
    const failure = await failToOpen(sink, { timeouts: tlsTrouble === 'hang' ? hangsBehind('STARTTLS', sink) : PATIENT });
    assert.deepEqual([tlsTrouble, failure.step, failure.isTlsBroken], [tlsTrouble, 'tls', true]);
  }
  const injected = await failToOpen(await sinkFor(t, { tls: 'starttls', tlsTrouble: 'inject' }));
  assert.deepEqual([injected.step, injected.isTlsBroken], ['tls', undefined]);
});

test('TLS that is required and not offered, or refused, ends the opening', async (t) => {
  for (const options of [{}, { tls: 'starttls', tlsTrouble: 'refuse' }] as const) {
    const sink = await sinkFor(t, options);
    assert.equal((await failToOpen(sink, { tls: 'required' })).step, 'tls');
  }
});

test('a login is given by PLAIN or LOGIN under TLS, never without it, and never shown', async (t) => {
  const login = { username: 'user', password: 'pa55' };
  for (const mechanisms of [['PLAIN', 'LOGIN'], ['LOGIN']]) {
    const sink = await sinkFor(t, { tls: 'starttls', auth: { ...login, mechanisms } });
    const client = await open(t, sink, { login });
    await client.transact(job('a@x.test'), composed());
    assert.equal(sink.transactions[0]?.login, 'user');
    const wrong = await failToOpen(sink, { login: { username: 'user', password: 'wrong' } });
    assert.equal(wrong.reply?.code, 535);
    assert.ok(!wrong.dialogue.some((line) => line.includes(Buffer.from('wrong').toString('base64'))));
  }
  const plain = await sinkFor(t, { auth: { ...login, inPlain: true } });
  assert.equal((await failToOpen(plain, { login })).step, 'auth');
  assert.ok(!plain.commands.some((line) => line.startsWith('AUTH')));
  const allowed = await open(t, plain, { login, tls: 'none', allowPlainLogin: true });
  await allowed.transact(job('a@x.test'), composed());
  assert.equal(plain.transactions[0]?.login, 'user');
});

test('every way of failing before MAIL is a value with its step', async (t) => {
  for (const behaviour of [
    'hang',
    'drop',
    'reset',
    'malformed',
    'endless-line',
    'endless-lines',
    'mixed',
    'close-421',
    '554 5.7.1 no',
  ] as const) {
    for (const stage of ['greeting', 'ehlo'] as const) {
      const hangs = hangsAt(stage === 'greeting' ? 'greetingMs' : 'commandMs');
      const sink = await sinkFor(t, { at: { [stage]: behaviour } });
      const failure = await failToOpen(sink, { timeouts: behaviour === 'hang' ? hangs : PATIENT });
      // A reset can overtake the notice that the connection stands.
      if (behaviour !== 'reset') assert.equal(failure.step, stage, behaviour);
      assert.equal(failure.reply?.code, behaviour === 'close-421' ? 421 : behaviour.startsWith('554') ? 554 : undefined, behaviour);
    }
  }
});

test('nobody listening is a refused connection', async () => {
  const sink = await startSink();
  await sink.close();
  const failure = await failToOpen(sink);
  assert.deepEqual([failure.step, failure.trouble], ['connect', 'the connection was refused']);
});

test('the local address of the source is bound', async (t) => {
  const sink = await sinkFor(t);
  await open(t, sink, { localAddress: '127.0.0.2' });
  const failure = await failToOpen(sink, { localAddress: '192.0.2.1' });
  assert.equal(failure.trouble, 'the local address of the egress source is not available');
});

test('an abort ends the opening at once', async (t) => {
  const sink = await sinkFor(t, { at: { greeting: 'hang' } });
  const control = new AbortController();
  const opening = failToOpen(sink, { signal: control.signal });
  setImmediate(() => control.abort());
  assert.equal((await opening).trouble, 'the attempt was stopped');
});
