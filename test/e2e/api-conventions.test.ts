import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { basic, startRig } from './api-kit.ts';
import type { ApiRig } from './api-kit.ts';

/** Bytes over a bare socket; what came back until the server closed. */
function talk(rig: ApiRig, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(rig.api.port, '127.0.0.1', () => socket.write(bytes));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()));
    socket.on('error', reject);
  });
}

/** A path exactly as written: fetch would tidy it. */
function rawGet(rig: ApiRig, path: string, headers: Record<string, string> = {}): Promise<{ status: number; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port: rig.api.port, path, headers: { authorization: basic(rig.tenant.key), ...headers } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body: Buffer.concat(chunks).toString() }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}

test('paths', async (t) => {
  await using rig = await startRig();

  await t.test('double and trailing slashes are forgiven', async () => {
    for (const path of ['//v4/domains', '/v4//domains/', '/v3/domains/', '/v4/domains/example.org/'])
      assert.equal((await rawGet(rig, path)).status, 200, path);
  });
  await t.test('an encoded slash never reaches the page at /', async () => {
    for (const path of ['/%2F', '/%2f/', '/v3/%2F', '/v4/domains/%2F', '/v4/domains/a%2Fb'])
      assert.equal((await rawGet(rig, path)).status, 404, path);
    assert.equal((await rawGet(rig, '/v3/%2F/events')).status, 404);
  });
  await t.test('domains are found in any case, addresses with a plus stay what they are', async () => {
    assert.equal((await rawGet(rig, '/v4/domains/EXAMPLE.Org')).status, 200);
    const body = new URLSearchParams({ address: 'a+b@example.net' });
    assert.equal((await rig.fetch('/v3/example.org/bounces', { method: 'POST', body })).status, 200);
    for (const path of ['/v3/example.org/bounces/a+b@example.net', '/v3/example.org/bounces/a%2Bb%40example.net'])
      assert.equal((await rawGet(rig, path)).status, 200, path);
  });
  await t.test('unknown routes and unreadable URLs are JSON errors', async () => {
    for (const [path, status] of [
      ['/v9/nothing', 404],
      ['/../etc/passwd', 404],
      ['/v4/domains/%zz', 400],
      ['/v4/domains?limit=%zz', 400],
    ] as const) {
      const answer = await rawGet(rig, path);
      assert.equal(answer.status, status, path);
      assert.match(answer.type, /^application\/json/);
      assert.deepEqual(Object.keys(JSON.parse(answer.body) as object), ['message']);
    }
  });
});

test('bodies', async (t) => {
  await using rig = await startRig({ limits: { requestBytes: 200_000, uploadsInFlightBytes: 250_000, parts: 50 } });
  const post = (body: string | Buffer, type: string) =>
    rig.fetch('/v3/example.org/messages', {
      method: 'POST',
      body: typeof body === 'string' ? body : new Uint8Array(body),
      headers: { 'content-type': type },
    });
  const refused = async (body: string | Buffer, type: string): Promise<[number, string]> => {
    const response = await post(body, type);
    return [response.status, ((await response.json()) as { message: string }).message];
  };
  const part = (name: string, value: string): string => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;

  await t.test('a body over the limit is 413 in Mailgun’s words, whether announced or not', async () => {
    assert.deepEqual(await refused(Buffer.alloc(300_000), 'application/x-www-form-urlencoded'), [413, 'request size exceeds 0.2MiB limit']);
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(65_536));
        if ((sent += 65_536) > 300_000) controller.close();
      },
    });
    let sent = 0;
    const response = await rig.fetch('/v3/example.org/messages', { method: 'POST', body: stream, duplex: 'half' } as RequestInit);
    assert.equal(response.status, 413);
  });
  await t.test('a wrong key is told before the body is read', async () => {
    const answer = await talk(
      rig,
      'POST /v3/example.org/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n',
    );
    assert.match(answer, /^HTTP\/1\.1 401 /);
  });
  await t.test('uploads in flight share one budget: beyond it 503, and it comes back', async () => {
    const slow = connect(rig.api.port, '127.0.0.1');
    slow.write(
      `POST /v3/example.org/messages HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(rig.tenant.key)}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 190000\r\n\r\n`,
    );
    slow.write(Buffer.alloc(180_000, 0x61));
    let status = 0;
    // The slow upload arrives at its own pace: ask until its bytes are counted.
    while (status !== 503) status = (await post(Buffer.alloc(100_000, 0x61), 'application/x-www-form-urlencoded')).status;
    slow.destroy();
    while (status === 503) status = (await post(Buffer.alloc(100_000, 0x61), 'application/x-www-form-urlencoded')).status;
    assert.equal(status, 400);
  });
  await t.test('multipart that is cut short, malformed or endless is refused', async () => {
    const type = 'multipart/form-data; boundary=b';
    assert.deepEqual(await refused(part('from', 'a@example.org'), type), [400, 'unable to parse request: unexpected EOF']);
    assert.deepEqual(await refused('no boundary here', type), [400, 'malformed multipart/form-data request']);
    assert.deepEqual(await refused('x', 'multipart/form-data'), [400, 'malformed multipart/form-data request']);
    assert.deepEqual(await refused('--b\r\nX: y\r\n\r\nz\r\n--b--', type), [400, 'malformed multipart/form-data request']);
    assert.deepEqual(await refused(`${part('to', 'x').repeat(60)}--b--`, type), [400, 'too many parameters, max is 50']);
    assert.deepEqual(await refused(`--b\r\nContent-Disposition: form-data; name="${'n'.repeat(9000)}"\r\n\r\nz\r\n--b--`, type), [
      400,
      'malformed multipart/form-data request',
    ]);
  });
  await t.test('urlencoded with a broken escape is refused', async () => {
    assert.deepEqual(await refused('from=%4', 'application/x-www-form-urlencoded'), [400, 'unable to parse request: invalid URL escape']);
  });
  await t.test('other content types and encodings are named in the refusal', async () => {
    assert.deepEqual(await refused('x', 'text/xml'), [400, "Expecting 'multipart/form-data' but got 'text/xml'"]);
    const response = await rig.fetch('/v3/example.org/messages', { method: 'POST', body: 'x', headers: { 'content-encoding': 'br' } });
    assert.equal(response.status, 415);
  });
  await t.test('no name of a field reaches a prototype', async () => {
    const body = new URLSearchParams({
      from: 'a@example.org',
      to: 'b@example.net',
      text: 'x',
      __proto__: 'p',
      'constructor[prototype]': 'p',
      'v:__proto__': '{"polluted":1}',
      'recipient-variables': '{"b@example.net":{"__proto__":{"polluted":1}}}',
    });
    assert.equal((await rig.fetch('/v3/example.org/messages', { method: 'POST', body })).status, 200);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    const submission = rig.submissions.at(-1);
    assert.ok(submission !== undefined);
    assert.equal(submission.options.variables['polluted'], undefined);
    assert.equal(submission.envelope.recipients[0]?.variables?.['constructor'], undefined);
  });
  await t.test('JSON deeper than anybody needs is no JSON', async () => {
    const body = `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    assert.deepEqual(
      await refused(
        new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x', 'recipient-variables': body }).toString(),
        'application/x-www-form-urlencoded',
      ),
      [400, "'recipient-variables' parameter is not a valid JSON"],
    );
  });
});

test('header injection', async (t) => {
  await using rig = await startRig();
  const post = (fields: Record<string, string>) =>
    rig.fetch('/v3/example.org/messages', {
      method: 'POST',
      body: new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x', ...fields }),
    });

  await t.test('line ends in a subject or header become a space, other controls are refused', async () => {
    assert.equal((await post({ subject: 'Hi\r\nBcc: eve@example.net', 'h:X-A': 'a\nb\u2028c\u0085d' })).status, 200);
    const content = rig.submissions.at(-1)?.content;
    assert.ok(content?.kind === 'parts');
    assert.equal(content.subject, 'Hi Bcc: eve@example.net');
    assert.deepEqual(content.headers, [['X-A', 'a b c d']]);
    assert.equal((await post({ subject: 'a\0b' })).status, 400);
    assert.equal((await post({ 'h:X:Y': 'x' })).status, 400);
    assert.equal((await post({ 'h:X\r\nBcc': 'x' })).status, 400);
  });
  await t.test('addresses with line ends, or that read as two, are refused', async () => {
    for (const to of ['b@example.net\r\nRCPT TO:<eve@example.net>', 'a@b@example.net', '<@relay:b@example.net>', 'b@example.net\0'])
      assert.equal((await post({ to })).status, 400, to);
    assert.equal((await post({ from: 'a@example.org\nBcc: x@example.net' })).status, 400);
  });
  await t.test('file names keep no path and no control characters', async () => {
    const body = Buffer.from(
      ['from', 'to', 'text']
        .map((name, i) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${['a@example.org', 'b@example.net', 'x'][i]}\r\n`)
        .join('') +
        '--b\r\nContent-Disposition: form-data; name="attachment"; filename="../../etc/p\x01ass\\"wd"\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n',
    );
    assert.equal(
      (
        await rig.fetch('/v3/example.org/messages', {
          method: 'POST',
          body: new Uint8Array(body),
          headers: { 'content-type': 'multipart/form-data; boundary=b' },
        })
      ).status,
      200,
    );
    const content = rig.submissions.at(-1)?.content;
    assert.ok(content?.kind === 'parts');
    assert.equal(content.attachments[0]?.filename, 'pass"wd');
  });
});

test('errors never show what is inside', async (t) => {
  const logged: object[] = [];
  const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => void logged.push(fields) };
  await using rig = await startRig({}, { log, submit: () => Promise.reject(new Error('/srv/secret/path exploded')) });
  await t.test('a bug is Internal Server Error, and is logged', async () => {
    const body = new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x' });
    const response = await rig.fetch('/v3/example.org/messages', { method: 'POST', body });
    assert.deepEqual([response.status, await response.json()], [500, { message: 'Internal Server Error' }]);
    assert.match(JSON.stringify(logged), /exploded/);
  });
  await t.test('what is not HTTP gets a last word in JSON', async () => {
    assert.match(await talk(rig, 'NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*\{"message":"the request is not valid HTTP"\}/);
    assert.match(await talk(rig, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  });
  await t.test('a request without a Host, with two, or with an unknown expectation gets JSON and the end of the connection', async () => {
    for (const [status, head] of [
      ['400', 'GET /healthz HTTP/1.1\r\n'],
      ['400', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n'],
      ['417', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\n'],
      ['200', 'GET /healthz HTTP/1.0\r\n'],
    ] as const) {
      const answer = await talk(rig, `${head}\r\n`);
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} [^]*\\r\\n\\r\\n\\{"`), head);
    }
  });

  await t.test('two lengths in one request are refused (request smuggling)', async () => {
    const head = 'POST /v3/example.org/messages HTTP/1.1\r\nHost: x\r\n';
    assert.match(await talk(rig, `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), /^HTTP\/1\.1 400 /);
    assert.match(await talk(rig, `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`), /^HTTP\/1\.1 400 /);
  });
});

test('a page of another site cannot use a browser’s saved key', async () => {
  await using rig = await startRig();
  const body = new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x' });
  const response = await rig.fetch('/v3/example.org/messages', { method: 'POST', body, headers: { 'sec-fetch-site': 'cross-site' } });
  assert.equal(response.status, 403);
  assert.equal(rig.submissions.length, 0);
});

test('slow and idle connections end, and draining finishes what is in flight', async (t) => {
  await t.test('an upload that stalls is told 408', async () => {
    await using rig = await startRig({ limits: { requestTimeoutMs: 300, idleTimeoutMs: 5000 } });
    const answer = await talk(
      rig,
      `POST /v3/example.org/messages HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(rig.tenant.key)}\r\nContent-Length: 1000\r\n\r\nabc`,
    );
    assert.match(answer, /^HTTP\/1\.1 408 /);
  });
  await t.test('drain answers the call that is being handled, then no listener is left', async () => {
    let release: (() => void) | undefined;
    let called: (() => void) | undefined;
    const started = new Promise<void>((resolve) => (called = resolve));
    await using rig = await startRig(
      {},
      {
        submit: () =>
          new Promise((resolve) => {
            called?.();
            release = () => resolve({ messageId: 'x@example.org', id: 1, recipientCount: 1, repeated: false });
          }),
      },
    );
    const body = new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x' });
    const answer = rig.fetch('/v3/example.org/messages', { method: 'POST', body });
    await started;
    const drained = rig.api.drain();
    release?.();
    assert.equal((await answer).status, 200);
    await drained;
    await assert.rejects(() => rig.fetch('/healthz'));
  });
});
