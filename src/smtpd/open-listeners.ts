/** Opens every listener of a door or none: when one that is not optional fails, those already open are closed again. */
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { SessionOptions, SmtpServer } from '#smtp/server-hooks.ts';
import { startSmtpServer } from '#smtp/server-listener.ts';
import type { Sharing } from '#smtp/server-listener.ts';

export interface SmtpdAddress {
  /** Absent: every address. */
  readonly host?: string;
  readonly port: number;
  /** One that cannot be opened is skipped with a warning. */
  readonly isOptional?: boolean;
}

export interface SmtpdListener {
  readonly kind: 'submission' | 'submissions' | 'inbound';
  readonly address: string;
  readonly port: number;
}

export interface Smtpd {
  readonly listeners: readonly SmtpdListener[];
  readonly connectionCount: number;
  /** Octets of messages that are being received or stored. */
  readonly memoryBytes: number;
  /** Takes no more, lets running messages finish, is gone after `deadlineMs` at the latest. */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything. */
  close(): Promise<void>;
}

export interface Wanted {
  readonly at: SmtpdAddress;
  readonly kind: SmtpdListener['kind'];
}

export async function openListeners(
  wanted: readonly Wanted[],
  session: SessionOptions,
  sharing: Required<Sharing>,
  log: Log,
): Promise<Smtpd> {
  const servers: { readonly kind: SmtpdListener['kind']; readonly server: SmtpServer }[] = [];
  for (const { at, kind } of wanted) {
    try {
      const server = await startSmtpServer({ ...session, implicitTls: kind === 'submissions' }, { host: at.host, port: at.port }, sharing);
      servers.push({ kind, server });
    } catch (error) {
      if (at.isOptional !== true) {
        await Promise.all(servers.map(({ server }) => server.close()));
        throw error;
      }
      log.warn({ host: at.host, port: at.port, error: errorText(error) }, 'an optional SMTP address cannot be opened and is skipped');
    }
  }
  return {
    listeners: servers.map(({ kind, server }) => ({ kind, address: server.address, port: server.port })),
    get connectionCount() {
      return servers.reduce((sum, { server }) => sum + server.connectionCount, 0);
    },
    get memoryBytes() {
      return sharing.memory.usedBytes;
    },
    async drain(deadlineMs) {
      await Promise.all(servers.map(({ server }) => server.drain(deadlineMs)));
    },
    async close() {
      await Promise.all(servers.map(({ server }) => server.close()));
    },
  };
}
