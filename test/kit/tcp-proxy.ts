/** A way to a server on loopback that can be cut, and that can keep the server's answers back: who asked then does not learn what became of it. */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Keeper } from './installation.ts';

export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>();
  /** So many answers still come through. */
  #passing = Number.POSITIVE_INFINITY;
  #kept: (() => void) | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(keeper: Keeper, port: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on('connection', (client) => proxy.#join(client, connect(port, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    keeper.after(async () => {
      proxy.cut();
      server.close();
      await once(server, 'close');
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** From now on no answer comes through. Resolves when one was kept back. */
  keepBack(): Promise<void> {
    return this.keepBackAfter(0);
  }

  /** As `keepBack`, after the next few pieces of an answer. */
  keepBackAfter(passing: number): Promise<void> {
    this.#passing = passing;
    return new Promise((resolve) => {
      this.#kept = resolve;
    });
  }

  /** All connections end, without a word. New ones are let through again. */
  cut(): void {
    this.#passing = Number.POSITIVE_INFINITY;
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    this.#pairs.clear();
  }

  #join(client: Socket, server: Socket): void {
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    client.on('data', (octets) => server.write(octets));
    server.on('data', (octets) => {
      if (this.#passing-- > 0) client.write(octets);
      else this.#kept?.();
    });
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) {
      socket.on('close', end);
      socket.on('error', end);
    }
  }
}
