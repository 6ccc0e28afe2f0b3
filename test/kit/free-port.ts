/** For programs that must be told a port before they open it, or that leave it for a while and come back. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below those that systems give to outgoing connections and to who asks for any port: nobody takes it meanwhile, but for somebody who asks here and draws the same. */
const PORTS = [10_000, 32_000] as const;
const PORT_TRIES = 50;

/** A port of 127.0.0.1 that was free a moment ago, and that nobody else is given as long as this process lives. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const port = randomInt(...PORTS);
    if (await takePort(port)) return port;
  }
  throw new Error(`none of ${PORT_TRIES} ports tried is free`);
}

/** False: somebody has it, or was given it. Whoever is given a port holds the same one of UDP, which no test uses and which goes with the process, however it ends. */
export async function takePort(port: number): Promise<boolean> {
  const mark = createSocket('udp4');
  const isOurs = await new Promise<boolean>((resolve) => {
    mark.once('error', () => resolve(false));
    mark.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true));
  });
  if (isOurs && (await isFree(port))) {
    mark.unref();
    return true;
  }
  mark.close();
  return false;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isOpen = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  await new Promise((resolve) => server.close(resolve));
  return isOpen;
}
