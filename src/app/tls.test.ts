import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { once } from 'node:events';
import { createServer as createPlainServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connect, createServer, TLSSocket } from 'node:tls';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openTls, selfSigned, TlsError, tlsFiles } from './tls.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-tls-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const NOW = Date.UTC(2026, 0, 15);
const config = (tls: { cert?: string; key?: string } = {}) => ({ data: directory, tls, smtp: { hostname: 'mail.example.org' } });

test('the self-signed certificate is a sound one for the name and for loopback', () => {
  const { cert, key } = selfSigned('mail.example.org', NOW);
  const certificate = new X509Certificate(cert);
  assert.equal(certificate.checkHost('mail.example.org'), 'mail.example.org');
  assert.equal(certificate.checkHost('other.example.org'), undefined);
  assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1');
  assert.ok(certificate.verify(certificate.publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
  assert.equal(new Date(certificate.validTo).getTime(), Date.UTC(2036, 0, 15));
  assert.equal(certificate.ca, false);
});

test('a long name, an address as name, and dates beyond 2049 are written as the RFC wants them', () => {
  const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.org`;
  assert.equal(new X509Certificate(selfSigned(long, NOW).cert).checkHost(long), long);
  assert.equal(new X509Certificate(selfSigned('192.0.2.1', NOW).cert).checkIP('192.0.2.1'), '192.0.2.1');
  assert.equal(new Date(new X509Certificate(selfSigned('a.example', Date.UTC(2045, 0, 1)).cert).validTo).getUTCFullYear(), 2055);
});

test('a client that trusts the certificate completes a handshake with it', async () => {
  const { cert, key } = selfSigned('mail.example.org', Date.now());
  const server = createServer({ cert, key }, (socket) => socket.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const said = await new Promise<string>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: cert, servername: 'mail.example.org' });
    socket.on('data', (chunk) => resolve(chunk.toString()));
    socket.on('error', reject);
  });
  assert.equal(said, 'hello');
  server.close();
});

test('a client gets one handshake and no second one', async () => {
  const secureContext = openTls(tlsFiles(config()), new HeldClock(NOW), silentLog)().context;
  const server = createPlainServer((plain) => {
    new TLSSocket(plain, { isServer: true, secureContext }).on('error', () => plain.destroy()).write('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
  await once(client, 'data');
  const refusal = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    client.once('error', resolve);
    client.renegotiate({ rejectUnauthorized: false }, resolve);
  });
  assert.equal(refusal?.code, 'ERR_SSL_NO_RENEGOTIATION');
  client.destroy();
  server.close();
});

test('the pair is made once and kept for its owner only', () => {
  const files = tlsFiles(config());
  const first = readFileSync(files.cert, 'utf8');
  assert.deepEqual(tlsFiles(config()), files);
  assert.equal(readFileSync(files.cert, 'utf8'), first);
  if (process.platform !== 'win32') assert.equal(statSync(files.key).mode & 0o777, 0o600);
});

test("the operator's files are used, and what is wrong with them is told", () => {
  const files = { cert: join(directory, 'c.pem'), key: join(directory, 'k.pem') };
  assert.deepEqual(tlsFiles(config(files)), files);
  assert.throws(() => openTls(files, new HeldClock(NOW), silentLog), /c\.pem cannot be read/);
  writeFileSync(files.cert, selfSigned('a.example', NOW).cert);
  writeFileSync(files.key, selfSigned('b.example', NOW).key);
  assert.throws(() => openTls(files, new HeldClock(NOW), silentLog), TlsError);
});

test('a renewed certificate is taken without a restart, and a broken one is not', () => {
  const files = { cert: join(directory, 'c.pem'), key: join(directory, 'k.pem') };
  const write = (pair: { cert: string; key: string }): void => {
    writeFileSync(files.cert, pair.cert);
    writeFileSync(files.key, pair.key);
  };
  write(selfSigned('a.example', NOW));
  const clock = new HeldClock(NOW);
  const context = openTls(files, clock, silentLog);
  const first = context();
  write(selfSigned('a-longer-name.example', NOW));
  assert.equal(context(), first, 'the files are not looked at for every handshake');
  clock.advance(10_000);
  const second = context();
  assert.notEqual(second, first);
  writeFileSync(files.cert, 'broken');
  clock.advance(10_000);
  assert.equal(context(), second);
});
