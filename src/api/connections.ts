/**
 * How many connections one client has at the HTTP door, all listeners together: further ones are closed, so that nobody alone takes the places of everybody.
 * A balancer named in `http.proxy_from` brings those of many, and is not counted.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createNetworkTest, plainAddress } from '#base/networks.ts';
import { Admission } from '#smtp/server-admission.ts';

/** Said again while it goes on. */
const SAY_AGAIN_MS = 60_000;

/** What each server is given to, once. */
export function boundConnections(
  connectionsPerAddress: number,
  proxyFrom: readonly string[],
  log: Log,
  clock: Clock,
): (server: Server) => void {
  // In all, each server has its own limit.
  const admission = new Admission({ connections: Number.MAX_SAFE_INTEGER, connectionsPerAddress });
  const isProxy = createNetworkTest(proxyFrom);
  let saidMs = Number.NEGATIVE_INFINITY;
  const admit = (socket: Socket): void => {
    const address = plainAddress(socket.remoteAddress ?? '');
    if (isProxy(address)) return;
    if (admission.enter(address) === undefined) {
      socket.once('close', () => admission.leave(address));
      return;
    }
    socket.destroy();
    if (clock.monotonicMs() - saidMs < SAY_AGAIN_MS) return;
    saidMs = clock.monotonicMs();
    log.warn(
      { address, limit: connectionsPerAddress },
      'one address has too many connections to HTTP (http.connections_per_address); further ones are closed',
    );
  };
  return (server) => void server.prependListener('connection', admit);
}
