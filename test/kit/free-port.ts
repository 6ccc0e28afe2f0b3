/** For programs that must be told a port before they open it, or that leave it for a while and come back. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those that systems give to outgoing connections and to who asks for any port: nobody takes it meanwhile, but for somebody who asks here and draws the same. */
const PORTS = [10_000, 32_000] as const;
const PORT_TRIES = 50;
/** Given by this process before, and perhaps not opened yet. */
const given = new Set<number>();

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const port = randomInt(...PORTS);
    if (given.has(port)) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (!isFree) continue;
    given.add(port);
    return port;
  }
  throw new Error(`none of ${PORT_TRIES} ports tried is free`);
}
