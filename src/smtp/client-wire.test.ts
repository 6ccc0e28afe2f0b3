/** Time on the wire: what counts as late, and what does not. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { openClient } from './client-session.ts';

const WAIT_MS = 2000;

test('a reply that came while the process stood still counts, although its time is over before it is read', async (t) => {
  // Time stands, however long the machine does, until the test lets it pass.
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('220 here\r\n');
    socket.on('data', (octets) => {
      for (const line of octets.toString('latin1').split('\r\n').slice(0, -1)) {
        if (line === 'DATA') socket.write('354 Go on\r\n');
        else if (line === 'QUIT') socket.end('221 Bye\r\n');
        else if (/^(EHLO|MAIL|RCPT)/.test(line)) socket.write('250 Ok\r\n');
        else if (line === '.') {
          socket.write('250 2.0.0 Taken\r\n');
          // Before the client reads that, it finds its time to be over.
          setImmediate(() => {
            nowMs += 2 * WAIT_MS;
            t.mock.timers.tick(2 * WAIT_MS);
          });
        }
      }
    });
    t.after(() => socket.destroy());
  });
  t.after(() => server.close());
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const opened = await openClient({
    address: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    host: 'mx.test',
    ehlo: 'client.test',
    tls: 'opportunistic',
    verify: false,
    context: createSecureContext(),
    timeouts: { connectMs: 5000, greetingMs: 5000, commandMs: 5000, dataMs: 5000, dotMs: WAIT_MS },
    clock: systemClock,
  });
  assert.ok(opened.kind === 'open');
  const bytes = Buffer.from('Subject: x\r\n\r\nbody\r\n');
  const { results } = await opened.client.transact(
    { sender: 'a@client.test', recipients: [{ address: 'b@x.test' }], tls: 'opportunistic', compose: () => assert.fail('it is composed') },
    { chunks: [bytes], sizeBytes: bytes.length, body: '7BIT', smtputf8: false },
  );
  assert.partialDeepStrictEqual(results[0], { kind: 'reply', stage: 'dot', reply: { code: 250 } });
  await opened.client.close();
});
