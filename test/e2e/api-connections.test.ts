/** Nobody alone takes all connections of the HTTP door. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Log } from '#base/log.ts';
import { silentLog } from '#base/log.ts';
import { until } from '../kit/until.ts';
import { type ApiRig, startRig } from './api-kit.ts';

const MAX = 3;

/** Resolves to what came of a request on a connection of its own, which stays open: the status, or that it was closed. */
async function asked(t: TestContext, rig: ApiRig, localAddress: string): Promise<{ readonly socket: Socket; readonly what: string }> {
  const socket = connect({ port: rig.api.port, host: '127.0.0.1', localAddress });
  t.after(() => socket.destroy());
  // A connection that is closed at once may be reset.
  socket.on('error', () => undefined);
  const end = Promise.race([
    once(socket, 'data').then(([bytes]) => String(bytes).slice(9, 12)),
    once(socket, 'close').then(() => 'closed'),
  ]);
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  return { socket, what: await end };
}

test('who has as many connections as an address may have gets no further one, until one of them ends; others do', async (t) => {
  const told: object[] = [];
  const log: Log = { ...silentLog, warn: (facts: object) => void told.push(facts) };
  await using rig = await startRig({ limits: { connectionsPerAddress: MAX } }, { log });
  const open = await Promise.all(Array.from({ length: MAX }, () => asked(t, rig, '127.0.0.2')));
  assert.deepEqual(
    open.map(({ what }) => what),
    ['200', '200', '200'],
  );
  for (let n = 0; n < 2; n++) assert.equal((await asked(t, rig, '127.0.0.2')).what, 'closed');
  assert.equal((await asked(t, rig, '127.0.0.3')).what, '200');
  assert.deepEqual(told, [{ address: '127.0.0.2', limit: MAX }], 'said once');

  open[0]?.socket.destroy();
  await until(async () => (await asked(t, rig, '127.0.0.2')).what === '200', 'there is a place again');
});

test('connections of a balancer that is named are those of many', async (t) => {
  await using rig = await startRig({ limits: { connectionsPerAddress: MAX }, proxyFrom: ['127.0.0.4'] });
  const all = await Promise.all(Array.from({ length: 2 * MAX }, () => asked(t, rig, '127.0.0.4')));
  assert.ok(all.every(({ what }) => what === '200'));
});
