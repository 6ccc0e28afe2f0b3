/**
 * A listening SMTP server: accepts connections, makes a session of each, looks at their clocks with one timer for all (a timer per command would cost
 * more than the command), and ends: politely (`drain`) or at once (`close`).
 */
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { Admission } from './server-admission.ts';
import type { Extensions, ListenOptions, SessionOptions, SmtpServer } from './server-hooks.ts';
import { withDefaults } from './server-limits.ts';
import type { ServerLimits } from './server-limits.ts';
import { ByteBudget } from '#base/byte-budget.ts';
import { errorText } from '#base/error-text.ts';
import { ServerSession } from './server-session.ts';
import type { ServerShared } from './server-session.ts';

const ALL_EXTENSIONS: Extensions = {
  PIPELINING: true,
  SIZE: true,
  '8BITMIME': true,
  SMTPUTF8: true,
  CHUNKING: true,
  DSN: true,
  ENHANCEDSTATUSCODES: true,
};

/** Connections beyond the limit that may be open while they are told 421. */
const REFUSED_CONNECTIONS_MAX = 200;
const BACKLOG = 511;

/** What several listeners may share, so that its limits hold for all of them together. */
export interface Sharing {
  readonly admission?: Admission;
  readonly memory?: ByteBudget;
}

/** Rejects when the address cannot be listened on. */
export async function startSmtpServer(options: SessionOptions, listen: ListenOptions, sharing: Sharing = {}): Promise<SmtpServer> {
  if (options.implicitTls === true && options.secureContext === undefined) throw new Error('implicit TLS needs a secure context');
  const limits = withDefaults(options.limits);
  const sessions = new Set<ServerSession>();
  let whenEmpty: (() => void) | undefined;
  const shared: ServerShared = {
    options,
    limits,
    extensions: { ...ALL_EXTENSIONS, ...options.extensions },
    admission: sharing.admission ?? new Admission(limits),
    memory: sharing.memory ?? new ByteBudget(Number.POSITIVE_INFINITY),
    onOver: (session) => {
      sessions.delete(session);
      if (sessions.size === 0) whenEmpty?.();
    },
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const session = new ServerSession(socket, shared);
    sessions.add(session);
    session.start();
  });
  server.maxConnections = limits.connections + REFUSED_CONNECTIONS_MAX;
  await listening(server, listen);
  // Running out of file descriptors and the like: clients wait in the backlog until it passes.
  server.on('error', (error) => options.log.error({ error: errorText(error), port: listen.port }, 'the SMTP listener has trouble'));
  const clock = setInterval(() => {
    for (const session of sessions) session.tick();
  }, tickMs(limits));
  const ended = async (): Promise<void> => {
    const isEmpty = new Promise<void>((resolve) => (whenEmpty = resolve));
    await new Promise((resolve) => server.close(resolve));
    if (sessions.size > 0) await isEmpty;
    clearInterval(clock);
  };
  let end: Promise<void> | undefined;
  const { address, port } = server.address() as AddressInfo;
  return {
    address,
    port,
    get connectionCount() {
      return sessions.size;
    },
    async drain(deadlineMs) {
      end ??= ended();
      for (const session of sessions) session.drain();
      const cut = setTimeout(() => sessions.forEach((session) => session.drop()), deadlineMs);
      await end;
      clearTimeout(cut);
    },
    async close() {
      end ??= ended();
      for (const session of sessions) session.drop();
      await end;
    },
  };
}

function listening(server: Server, listen: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: listen.host, port: listen.port, reusePort: listen.reusePort === true, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** A quarter of the shortest time-out, so that none is overrun by much. */
function tickMs(limits: ServerLimits): number {
  const shortestMs = Math.min(
    limits.idleTimeoutMs,
    limits.firstMailTimeoutMs,
    limits.dataTimeoutMs,
    limits.messageTimeoutMs,
    limits.handshakeTimeoutMs,
    limits.lingerMs,
    limits.hookTimeoutMs,
  );
  return Math.min(1000, Math.max(10, shortestMs / 4));
}
