/** The HTTP door over TLS: who is shown which certificate, and that it is the same door. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { connect, createSecureContext, type SecureContext } from 'node:tls';
import type { ApiTls } from '#api/tls-server.ts';
import { selfSigned } from '#app/tls.ts';
import { basic, startRig } from './api-kit.ts';

function pairOf(name: string): ReturnType<ApiTls['own']> {
  const pair = selfSigned(name, Date.now());
  return { ...pair, context: createSecureContext(pair) };
}

class Shown implements ApiTls {
  current = pairOf('own.example');
  readonly hosts = new Map<string, SecureContext>([['links.example', pairOf('links.example').context]]);

  own(): ReturnType<ApiTls['own']> {
    return this.current;
  }

  async contextFor(host: string): Promise<SecureContext | undefined> {
    return this.hosts.get(host);
  }
}

const AT = { host: '127.0.0.1', port: 0 };

async function nameShown(port: number, servername: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return String(name);
}

test('a host with a certificate is shown it, all others the own one, also as that changes', async () => {
  const tls = new Shown();
  await using rig = await startRig({ tlsListen: [AT] }, { tls });
  const port = rig.api.tlsAddresses[0]?.port ?? 0;
  const all = async (): Promise<string[]> => [
    await nameShown(port, 'links.example'),
    await nameShown(port, 'other.example'),
    await nameShown(port, ''),
  ];
  assert.deepEqual(await all(), ['links.example', 'own.example', 'own.example']);
  tls.current = pairOf('renewed.example');
  assert.deepEqual(await all(), ['links.example', 'renewed.example', 'renewed.example']);
});

test('it is the same door: keys, and URLs that begin with https', async () => {
  await using rig = await startRig({ tlsListen: [AT] }, { tls: new Shown() });
  const port = rig.api.tlsAddresses[0]?.port ?? 0;
  const ask = (path: string, key: string): Promise<{ readonly status: number | undefined; readonly text: string }> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: basic(key), host: `api.example:${port}` };
      const asked = request({ host: '127.0.0.1', port, path, headers, rejectUnauthorized: false }, (response) => {
        let text = '';
        response.on('data', (piece: Buffer) => (text += piece.toString()));
        response.on('end', () => resolve({ status: response.statusCode, text }));
      });
      asked.on('error', reject);
      asked.end();
    });
  assert.equal((await ask('/v4/domains', 'wrong')).status, 401);
  const { status, text } = await ask('/v3/example.org/events', rig.tenant.key);
  assert.equal(status, 200);
  const { paging } = JSON.parse(text) as { readonly paging: { readonly next: string } };
  assert.ok(paging.next.startsWith(`https://api.example:${port}/v3/`), paging.next);
});

test('who speaks no TLS, or old TLS, is sent away and harms nobody', async () => {
  await using rig = await startRig({ tlsListen: [AT] }, { tls: new Shown() });
  const port = rig.api.tlsAddresses[0]?.port ?? 0;
  const plain = connectTcp(port, '127.0.0.1');
  plain.on('error', () => undefined);
  plain.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  let heard = '';
  plain.on('data', (piece: Buffer) => (heard += piece.toString('latin1')));
  await once(plain, 'close');
  assert.doesNotMatch(heard, /HTTP/);
  const old = connect({
    port,
    host: '127.0.0.1',
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
    ciphers: 'DEFAULT@SECLEVEL=0',
    rejectUnauthorized: false,
  });
  const [error] = (await once(old, 'error')) as [Error];
  assert.match(error.message, /protocol version|unsupported protocol/i);
  assert.equal(await nameShown(port, 'links.example'), 'links.example');
});

test('a drain ends connections over TLS too', async () => {
  const rig = await startRig({ tlsListen: [AT] }, { tls: new Shown() });
  const port = rig.api.tlsAddresses[0]?.port ?? 0;
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  await rig.api.drain();
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
  await rig[Symbol.asyncDispose]();
});
