/**
 * A receiving SMTP server for tests, on a free port, that misbehaves exactly as it is told: by the recipient's mailbox
 * (`sink-behaviour.ts` lists what it understands) and by its options. It records every transaction whose data it received,
 * whether or not it acknowledged it, every command line, and every breach of the protocol by the client.
 */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { TEST_CERTIFICATE, TEST_KEY } from './sink-certificate.ts';
import type { Behaviour, Stage } from './sink-behaviour.ts';
import { SinkConnection } from './sink-connection.ts';

export interface SinkOptions {
  readonly address?: string;
  /** Several hosts of one domain must share a port: that of the first sink, on another address. Otherwise a free one. */
  readonly port?: number;
  readonly hostname?: string;
  readonly pipelining?: boolean;
  readonly eightBitMime?: boolean;
  readonly smtputf8?: boolean;
  readonly chunking?: boolean;
  readonly binaryMime?: boolean;
  readonly dsn?: boolean;
  /** SIZE= that is announced. */
  readonly sizeMax?: number;
  /** Offers STARTTLS, or speaks TLS from the first octet. */
  readonly tls?: 'starttls' | 'implicit';
  /**
   * What happens after STARTTLS was asked for. refuse: 454. garbage: 220, then no TLS. drop, hang: 220, then that.
   * inject: 220 with a further reply in the same segment, then a proper handshake. old: only TLS 1.1.
   */
  readonly tlsTrouble?: 'refuse' | 'garbage' | 'drop' | 'hang' | 'inject' | 'old';
  readonly certificate?: { readonly cert: string; readonly key: string };
  readonly auth?: {
    readonly username: string;
    readonly password: string;
    readonly mechanisms?: readonly string[];
    readonly inPlain?: boolean;
  };
  /** Misbehaviour where no mailbox is at hand. */
  readonly at?: Readonly<Partial<Record<Stage, Behaviour>>>;
  /** EHLO is answered 502. */
  readonly heloOnly?: boolean;
  /** Closes with 421 after so many transactions. */
  readonly transactionsMax?: number;
  /** The reply of a stage waits until this resolves. */
  readonly gates?: Readonly<Partial<Record<Stage, Promise<unknown>>>>;
}

export interface SinkTransaction {
  readonly sender: string;
  readonly parameters: string;
  readonly recipients: readonly { readonly address: string; readonly parameters: string }[];
  readonly bytes: Buffer;
  readonly tls: boolean;
  readonly login?: string;
  readonly via: 'DATA' | 'BDAT';
  /** From 1, in order of arrival. */
  readonly connection: number;
  /** When its MAIL came (monotonic). */
  readonly beganMs: number;
  /** A 2xx went out for it. */
  isAcknowledged: boolean;
}

export interface Sink {
  readonly port: number;
  readonly address: string;
  readonly transactions: SinkTransaction[];
  /** Command lines of all connections, without the line end. */
  readonly commands: string[];
  /** What the client did that RFC 5321, 2920 or 6152 forbid. */
  readonly violations: string[];
  /** Number of reads that carried commands: one per flight when all goes well. */
  readonly flights: { count: number };
  connectionCount(): number;
  openConnections(): number;
  /** The most that were open at once. */
  peakConnections(): number;
  /** Replaces the options for connections to come. */
  configure(options: SinkOptions): void;
  /** Closes every open connection, as a server that restarts does. */
  dropAll(): void;
  close(): Promise<void>;
}

/** What a connection needs of the whole. */
export interface SinkState {
  readonly options: SinkOptions;
  readonly transactions: SinkTransaction[];
  readonly commands: string[];
  readonly violations: string[];
  readonly flights: { count: number };
  /** How often each mailbox has misbehaved. */
  readonly misdeeds: Map<string, number>;
  secure(socket: Socket): TLSSocket;
}

export async function startSink(initial: SinkOptions = {}): Promise<Sink> {
  let options = initial;
  const sockets = new Set<Socket>();
  const shared = {
    transactions: [] as SinkTransaction[],
    commands: [] as string[],
    violations: [] as string[],
    flights: { count: 0 },
    misdeeds: new Map<string, number>(),
  };
  let connections = 0;
  let peak = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    // What was closed before this one was opened is known as closed after a turn of the loop and its closing callbacks; one that was told goodbye is over.
    setImmediate(() => setImmediate(() => (peak = Math.max(peak, [...sockets].filter((open) => !open.writableEnded).length))));
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    connections++;
    new SinkConnection({ ...shared, options, secure: (plain) => secure(plain, options) }, socket, connections).start();
  });
  const { address = '127.0.0.1' } = initial;
  const port = await listen(server, address, initial.port ?? 0);
  return {
    port,
    address,
    ...shared,
    connectionCount: () => connections,
    openConnections: () => sockets.size,
    peakConnections: () => peak,
    configure(next) {
      options = next;
    },
    dropAll() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

function secure(socket: Socket, options: SinkOptions): TLSSocket {
  const pair = options.certificate ?? { cert: TEST_CERTIFICATE, key: TEST_KEY };
  const old = options.tlsTrouble === 'old' ? ({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const) : {};
  const secured = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ ...pair, ...old }) });
  secured.on('error', () => socket.destroy());
  return secured;
}

async function listen(server: Server, address: string, port: number): Promise<number> {
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(port, address, done);
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the sink has no port');
  return bound.port;
}
