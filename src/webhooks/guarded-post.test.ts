/** Posting to real servers on loopback, found through a resolver that says what a test wants. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { getEventListeners, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createAddressGuard } from '#base/address-guard.ts';
import type { Answer as DnsAnswer } from '#dns/resolver.ts';
import { type HttpReceiver, startHttpReceiver } from '../../test/kit/http-receiver.ts';
import { TEST_CERTIFICATE } from '../../test/kit/sink-certificate.ts';
import { until } from '../../test/kit/until.ts';
import { createPoster, type Poster, type PosterDeps, type PostResult, REDIRECTS_MAX } from './guarded-post.ts';

const { signal } = new AbortController();
const LOOPBACK = createAddressGuard({ allowNetworks: ['127.0.0.0/8'], ownListeners: [], localAddresses: [] });
const NOTHING = createAddressGuard({ allowNetworks: [], ownListeners: [], localAddresses: [] });

/** Names and their addresses; a list of lists is what is answered first, then, and so on. */
type Names = Readonly<Record<string, readonly string[] | readonly (readonly string[])[]>>;

function poster(t: TestContext, names: Names = {}, deps: Partial<PosterDeps> = {}): Poster {
  const asked = new Map<string, number>();
  const made = createPoster({
    resolver: {
      addresses: async (host): Promise<DnsAnswer<string>> => {
        const given = names[host];
        if (given === undefined) return { kind: 'no-such-domain' };
        const count = asked.get(host) ?? 0;
        asked.set(host, count + 1);
        const records = Array.isArray(given[0])
          ? (given[Math.min(count, given.length - 1)] as readonly string[])
          : (given as readonly string[]);
        return { kind: 'found', records };
      },
    },
    guard: LOOPBACK,
    // As the runner of a loaded machine needs them: what ends by a time-out brings its own.
    timeoutMs: 60_000,
    connectTimeoutMs: 60_000,
    ...deps,
  });
  t.after(() => made.close());
  return made;
}

function post(by: Poster, url: string, body = 'hello', headers: Readonly<Record<string, string>> = {}): Promise<PostResult> {
  return by.post({ url, headers: { 'content-type': 'text/plain', ...headers }, body: [Buffer.from(body)] }, signal);
}

async function receiver(t: TestContext, options: Parameters<typeof startHttpReceiver>[0] = {}): Promise<HttpReceiver> {
  const made = await startHttpReceiver(options);
  t.after(() => made.close());
  return made;
}

/** A server that answers with these octets, whatever comes. */
async function rawServer(t: TestContext, speak: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    speak(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

test('what is posted arrives as it is, at the path and query, under the name of the URL', async (t) => {
  const there = await receiver(t);
  const result = await post(poster(t, { 'hooks.test': ['127.0.0.1'] }), `http://hooks.test:${there.port}/in?key=1`, 'o\0\r\nctets', {
    'x-n': '7',
  });
  assert.deepEqual(result, { kind: 'answered', status: 200, address: '127.0.0.1', text: 'HTTP 200' });
  const [got] = there.received;
  assert.equal(got?.method, 'POST');
  assert.equal(got?.path, '/in?key=1');
  assert.equal(got?.body.toString(), 'o\0\r\nctets');
  assert.partialDeepStrictEqual(got?.headers, {
    host: `hooks.test:${there.port}`,
    'x-n': '7',
    'content-length': '9',
    'content-type': 'text/plain',
  });
});

test('a connection is kept for the next post', async (t) => {
  const there = await receiver(t);
  const by = poster(t, { 'hooks.test': ['127.0.0.1'] });
  for (let n = 0; n < 5; n++) await post(by, `http://hooks.test:${there.port}/`);
  assert.equal(there.received.length, 5);
  assert.equal(there.connectionCount(), 1);
});

test('a kept connection that the server has closed is no failure', async (t) => {
  let requests = 0;
  const port = await rawServer(t, (socket) => {
    let isSecond = false;
    socket.on('data', () => {
      if (isSecond) return socket.destroy();
      isSecond = true;
      requests++;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
  });
  const by = poster(t);
  for (let n = 0; n < 3; n++) assert.partialDeepStrictEqual(await post(by, `http://127.0.0.1:${port}/`), { status: 200 });
  assert.equal(requests, 3);
});

// ---- where nothing is posted ------------------------------------------------------------------------------------------

test('every spelling of an address that is not allowed is refused without a connection', async (t) => {
  const there = await receiver(t);
  const by = poster(
    t,
    { 'inside.test': ['127.0.0.1'], 'mapped.test': ['::ffff:127.0.0.1'], 'many.test': ['10.0.0.1', '::1', '169.254.169.254'] },
    { guard: NOTHING },
  );
  for (const host of [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '017700000001',
    '%31%32%37.0.0.1',
    '１２７.0.0.1',
    '127.0.0.1.',
    '0.0.0.0',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '169.254.169.254',
    '168.63.129.16',
    '100.64.0.1',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.0.1',
    '224.0.0.1',
    '255.255.255.255',
    'localhost',
    'LOCALHOST.',
    'anything.localhost',
    'inside.test',
    'mapped.test',
    'many.test',
    'user:password@127.0.0.1',
    'example.com@127.0.0.1',
  ]) {
    const result = await post(by, `http://${host}:${there.port}/`);
    assert.equal(result.kind, 'refused', `${host}: ${JSON.stringify(result)}`);
  }
  assert.equal(there.connectionCount(), 0);
});

test('other schemes and what is no URL are refused', async (t) => {
  const by = poster(t);
  for (const url of [
    'ftp://127.0.0.1/',
    'file:///etc/passwd',
    'gopher://127.0.0.1:25/',
    'data:text/plain,x',
    'javascript:1',
    'http://',
    '//127.0.0.1/',
    '',
    `http://127.0.0.1/${'x'.repeat(5000)}`,
  ])
    assert.equal((await post(by, url)).kind, 'refused', url);
});

test('the connection is made to the address that was checked: a second answer of the DNS leads nowhere else', async (t) => {
  const [allowed, inside] = [await receiver(t, { address: '127.0.0.2' }), await receiver(t, { address: '127.0.0.1' })];
  const guard = createAddressGuard({ allowNetworks: ['127.0.0.2/32'], ownListeners: [], localAddresses: [] });
  const rebinding = poster(t, { 'rebind.test': [['127.0.0.2'], ['127.0.0.1']] }, { guard });
  assert.partialDeepStrictEqual(await post(rebinding, `http://rebind.test:${allowed.port}/`), { kind: 'answered', address: '127.0.0.2' });
  const second = await post(rebinding, `http://rebind.test:${inside.port}/`);
  assert.equal(second.kind, 'refused');
  assert.equal(inside.connectionCount(), 0);
});

test('of several addresses of a host only those that are allowed are connected to', async (t) => {
  const there = await receiver(t, { address: '127.0.0.2' });
  const guard = createAddressGuard({ allowNetworks: ['127.0.0.2/32'], ownListeners: [], localAddresses: [] });
  const by = poster(t, { 'mixed.test': ['10.0.0.1', '127.0.0.1', '127.0.0.2'] }, { guard });
  assert.partialDeepStrictEqual(await post(by, `http://mixed.test:${there.port}/`), { kind: 'answered', address: '127.0.0.2' });
});

// ---- redirects ----------------------------------------------------------------------------------------------------------

test('307 and 308 are followed with the same body, a few times', async (t) => {
  const there = await receiver(t);
  there.answerWith(({ path }, response) => {
    const left = Number(path.slice(1));
    if (left === 0) return void response.end();
    response.writeHead(left % 2 === 0 ? 307 : 308, { location: `/${left - 1}` }).end();
  });
  const by = poster(t);
  assert.partialDeepStrictEqual(await post(by, `http://127.0.0.1:${there.port}/${REDIRECTS_MAX}`, 'body'), {
    kind: 'answered',
    status: 200,
  });
  assert.deepEqual(new Set(there.received.map(({ body, method }) => `${method} ${body.toString()}`)), new Set(['POST body']));
  const tooMany = await post(by, `http://127.0.0.1:${there.port}/${REDIRECTS_MAX + 1}`);
  assert.ok(tooMany.kind === 'answered' && tooMany.status >= 300 && /more than 3 times/.test(tooMany.text));
});

test('301, 302 and 303 are not followed: they would drop the body', async (t) => {
  const there = await receiver(t);
  for (const status of [301, 302, 303]) {
    there.answerWith((_received, response) => void response.writeHead(status, { location: '/elsewhere' }).end());
    const result = await post(poster(t), `http://127.0.0.1:${there.port}/`);
    assert.ok(result.kind === 'answered' && result.status === status && /not followed/.test(result.text));
  }
  assert.deepEqual(there.at('/elsewhere'), []);
});

test('a redirect is checked as the first address was', async (t) => {
  const [outside, inside] = [await receiver(t, { address: '127.0.0.2' }), await receiver(t, { address: '127.0.0.1' })];
  const guard = createAddressGuard({ allowNetworks: ['127.0.0.2/32'], ownListeners: [], localAddresses: [] });
  const by = poster(t, { 'inside.test': ['127.0.0.1'] }, { guard });
  for (const location of [
    `http://127.0.0.1:${inside.port}/`,
    `http://2130706433:${inside.port}/`,
    `http://inside.test:${inside.port}/`,
    'file:///etc/passwd',
    'http://[',
    '',
  ]) {
    outside.answerWith((_received, response) => void response.writeHead(307, { location }).end());
    const result = await post(by, `http://127.0.0.2:${outside.port}/`);
    if (location !== '') assert.equal(result.kind, 'refused', location);
  }
  assert.equal(inside.connectionCount(), 0);
});

test('a redirect from https to http is refused', async (t) => {
  const [secure, plain] = [await receiver(t, { tls: true }), await receiver(t)];
  secure.answerWith((_received, response) => void response.writeHead(308, { location: `http://mx.test:${plain.port}/` }).end());
  const result = await post(poster(t, { 'mx.test': ['127.0.0.1'] }, { roots: [TEST_CERTIFICATE] }), `https://mx.test:${secure.port}/`);
  assert.ok(result.kind === 'refused' && /without TLS/.test(result.text));
  assert.equal(plain.connectionCount(), 0);
});

test('a login in the URL goes to that server alone, and into no text', async (t) => {
  const [first, other] = [await receiver(t), await receiver(t)];
  first.answerWith(
    ({ path }, response) =>
      void response.writeHead(307, { location: path === '/out' ? `http://thief:x@127.0.0.1:${other.port}/` : '/stay' }).end(),
  );
  const url = (path: string): string => `http://us%40er:pa%3Ass@127.0.0.1:${first.port}${path}`;
  await post(poster(t), url('/out'));
  const authorization = `Basic ${Buffer.from('us@er:pa:ss').toString('base64')}`;
  assert.deepEqual(
    first.received.map(({ headers }) => headers.authorization),
    [authorization],
  );
  assert.deepEqual(
    other.received.map(({ headers }) => headers.authorization),
    [undefined],
  );
  const looped = await post(poster(t), url('/stay'));
  assert.ok(first.at('/stay').every(({ headers }) => headers.authorization === authorization));
  assert.doesNotMatch(JSON.stringify(looped), /us@er|us%40er|pa/);
});

// ---- receivers that misbehave --------------------------------------------------------------------------------------------

test('the certificate of the name must be valid', async (t) => {
  const there = await receiver(t, { tls: true });
  const names = { 'mx.test': ['127.0.0.1'], 'other.test': ['127.0.0.1'] };
  const unknown = await post(poster(t, names), `https://mx.test:${there.port}/`);
  assert.ok(unknown.kind === 'failed' && /self-signed certificate/.test(unknown.text), JSON.stringify(unknown));
  const by = poster(t, names, { roots: [TEST_CERTIFICATE] });
  assert.partialDeepStrictEqual(await post(by, `https://mx.test:${there.port}/`), { kind: 'answered', status: 200 });
  const wrong = await post(by, `https://other.test:${there.port}/`);
  assert.ok(wrong.kind === 'failed' && /altnames|altname/i.test(wrong.text), JSON.stringify(wrong));
  assert.equal((await post(by, `https://127.0.0.1:${there.port}/`)).kind, 'failed');
  assert.equal(there.received.length, 1);
});

test('a server that never answers is left after the time-out', async (t) => {
  const there = await receiver(t);
  there.answerWith(() => undefined);
  const result = await post(poster(t, {}, { timeoutMs: 200 }), `http://127.0.0.1:${there.port}/`);
  assert.deepEqual(result, { kind: 'failed', text: 'no complete answer within 0.2 s' });
  await until(() => there.open.now === 0, 'the connection is closed');
});

test('a TLS handshake that does not end is left after its own time-out', async (t) => {
  const port = await rawServer(t, () => undefined);
  const result = await post(poster(t, {}, { connectTimeoutMs: 100 }), `https://127.0.0.1:${port}/`);
  assert.ok(result.kind === 'failed' && /no connection within 0.1 s/.test(result.text), JSON.stringify(result));
});

test('an answer that trickles for ever counts by its status, and is cut at the time-out', async (t) => {
  const there = await receiver(t);
  there.answerWith((_received, response) => {
    response.writeHead(200, { 'content-length': 1_000_000 });
    response.write('x');
  });
  // The time-out comes when the status has, which on a loaded machine takes longer than any that a test could wait for.
  const timeoutMs = 54_321;
  let timeOut = (): void => assert.fail('there is no time-out');
  const timer = globalThis.setTimeout;
  t.mock.method(globalThis, 'setTimeout', (callback: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) => {
    if (ms === timeoutMs) timeOut = callback;
    return timer(callback, ms, ...given);
  });
  const onStatus = (): void => void setImmediate(() => timeOut());
  subscribe('undici:request:headers', onStatus);
  t.after(() => unsubscribe('undici:request:headers', onStatus));
  const result = await post(poster(t, {}, { timeoutMs }), `http://127.0.0.1:${there.port}/`);
  assert.partialDeepStrictEqual(result, { kind: 'answered', status: 200 });
  await until(() => there.open.now === 0, 'the connection is closed');
});

test('interim answers are no answer, and an end of them is not waited for longer than for any other', async (t) => {
  const port = await rawServer(t, (socket) => {
    socket.write(
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n',
    );
  });
  assert.partialDeepStrictEqual(await post(poster(t), `http://127.0.0.1:${port}/`), { kind: 'answered', status: 201 });
  const endless = await rawServer(t, (socket) => {
    const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 5);
    socket.once('close', () => clearInterval(timer));
  });
  const result = await post(poster(t, {}, { timeoutMs: 200 }), `http://127.0.0.1:${endless}/`);
  assert.deepEqual(result, { kind: 'failed', text: 'no complete answer within 0.2 s' });
});

test('how an answer begins is kept for people, without control characters', async (t) => {
  const there = await receiver(t);
  there.answerWith((_received, response) => void response.writeHead(500).end(`a\0\u001b[31mb\n${'x'.repeat(5000)}`));
  const result = await post(poster(t), `http://127.0.0.1:${there.port}/`);
  assert.ok(result.kind === 'answered' && result.excerpt?.startsWith('a\ufffd\ufffd[31mb\nxxx') && result.excerpt.length === 500);
});

test('a body in parts arrives whole', async (t) => {
  const there = await receiver(t);
  const body = [Buffer.from('one '), Buffer.alloc(300_000, 'x'), Buffer.from(' end')];
  const result = await poster(t).post({ url: `http://127.0.0.1:${there.port}/`, headers: {}, body }, signal);
  assert.partialDeepStrictEqual(result, { kind: 'answered', status: 200 });
  assert.deepEqual(there.received[0]?.body, Buffer.concat(body));
});

test('an endless answer is cut off and thrown away', async (t) => {
  let sentBytes = 0;
  const port = await rawServer(t, (socket) => {
    socket.write('HTTP/1.1 500 Oh\r\n\r\n');
    const more = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) sentBytes += 65_536;
    };
    socket.on('drain', more);
    socket.once('data', more);
  });
  assert.partialDeepStrictEqual(await post(poster(t), `http://127.0.0.1:${port}/`), { kind: 'answered', status: 500 });
  assert.ok(sentBytes < 32 * 1024 * 1024, `${sentBytes} octets were taken`);
});

test('what is no HTTP, headers without end, and ends without an answer are failures', async (t) => {
  for (const [speak, text] of [
    [(socket: Socket) => void socket.end('220 mx.test ESMTP\r\n'), /not HTTP/],
    [(socket: Socket) => void socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`), /header of the answer is too large/],
    [(socket: Socket) => void socket.once('data', () => socket.destroy()), /cut|hang up/],
    [(socket: Socket) => void socket.once('data', () => socket.end()), /cut|hang up/],
    [
      (socket: Socket) =>
        void socket.once('data', () => socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')),
      /./,
    ],
  ] as const) {
    const port = await rawServer(t, speak);
    const result = await post(poster(t), `http://127.0.0.1:${port}/`);
    assert.ok(result.kind === 'failed' && text.test(result.text), JSON.stringify(result));
  }
});

test('interim answers are not the answer, however many', async (t) => {
  const port = await rawServer(t, (socket) => {
    const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 1);
    socket.once('close', () => clearInterval(timer));
  });
  assert.partialDeepStrictEqual(await post(poster(t, {}, { timeoutMs: 300 }), `http://127.0.0.1:${port}/`), { kind: 'failed' });
});

test('hosts that do not exist or do not listen are failures that may pass', async (t) => {
  const gone = await startHttpReceiver();
  await gone.close();
  const by = poster(t, { 'gone.test': ['127.0.0.1', '127.0.0.2'] });
  assert.deepEqual(await post(by, 'http://nowhere.test/'), { kind: 'failed', text: 'there is no such host' });
  const refused = await post(by, `http://gone.test:${gone.port}/`);
  assert.deepEqual(refused, { kind: 'failed', text: 'cannot connect: 127.0.0.1: connection refused; 127.0.0.2: connection refused' });
});

test('the next address is tried when one cannot be connected to', async (t) => {
  const there = await receiver(t, { address: '127.0.0.3' });
  const by = poster(t, { 'two.test': ['127.0.0.2', '127.0.0.3'] });
  assert.partialDeepStrictEqual(await post(by, `http://two.test:${there.port}/`), { kind: 'answered', address: '127.0.0.3' });
});

test('an answer that comes before the whole body was taken is the answer', async (t) => {
  const port = await rawServer(
    t,
    (socket) => void socket.once('data', () => socket.end('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')),
  );
  const body = Buffer.alloc(8 * 1024 * 1024);
  const result = await poster(t).post({ url: `http://127.0.0.1:${port}/`, headers: {}, body: [body] }, signal);
  assert.ok(result.kind === 'answered' ? result.status === 413 : /cut/.test(result.text), JSON.stringify(result));
});

test('Retry-After is told', async (t) => {
  const there = await receiver(t);
  there.answerWith((_received, response) => void response.writeHead(429, { 'retry-after': '120' }).end());
  assert.partialDeepStrictEqual(await post(poster(t), `http://127.0.0.1:${there.port}/`), { status: 429, retryAfterMs: 120_000 });
});

test('a post that is stopped ends at once, and one that was stopped before does not begin', async (t) => {
  const there = await receiver(t);
  there.answerWith(() => undefined);
  const stop = new AbortController();
  const by = poster(t);
  const request = { url: `http://127.0.0.1:${there.port}/`, headers: {}, body: [Buffer.from('x')] };
  const running = by.post(request, stop.signal);
  await until(() => there.received.length === 1, 'it has arrived');
  stop.abort();
  assert.deepEqual(await running, { kind: 'failed', text: 'it was stopped' });
  assert.deepEqual(await by.post(request, stop.signal), { kind: 'failed', text: 'it was stopped' });
  assert.equal(there.received.length, 1);
});

test('many posts side by side leave nothing behind at the signal that would stop them', async (t) => {
  const there = await receiver(t);
  const by = poster(t);
  const { signal: shared } = new AbortController();
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', onWarning);
  const results = await Promise.all(
    Array.from({ length: 50 }, () => by.post({ url: `http://127.0.0.1:${there.port}/`, headers: {}, body: [] }, shared)),
  );
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', onWarning);
  assert.ok(results.every((result) => result.kind === 'answered' && result.status === 200));
  assert.deepEqual(getEventListeners(shared, 'abort'), []);
  assert.deepEqual(warnings, []);
});
