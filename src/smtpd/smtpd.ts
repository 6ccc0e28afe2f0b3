/**
 * The SMTP door: listeners for submission (RFC 6409), with STARTTLS or implicit TLS (RFC 8314), that share their limits. What happens on one connection
 * is in `submission-session.ts`. It opens every listener or none: when one that is not optional fails, those already open are closed again.
 */
import type { SecureContext } from 'node:tls';
import { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { Admission } from '#smtp/server-admission.ts';
import type { SessionOptions, SmtpServer } from '#smtp/server-hooks.ts';
import { withDefaults } from '#smtp/server-limits.ts';
import type { ServerLimits } from '#smtp/server-limits.ts';
import { startSmtpServer } from '#smtp/server-listener.ts';
import { Networks } from './networks.ts';
import { submissionSessions } from './submission-session.ts';
import type { SubmissionDoor, TrustedNetwork } from './submission-session.ts';

export interface SmtpdAddress {
  /** Absent: every address. */
  readonly host?: string;
  readonly port: number;
  /** One that cannot be opened is skipped with a warning. */
  readonly isOptional?: boolean;
}

export interface SmtpdOptions {
  readonly hostname: string;
  /** With STARTTLS. */
  readonly submission: readonly SmtpdAddress[];
  /** With TLS from the first octet. */
  readonly submissions: readonly SmtpdAddress[];
  readonly trusted: readonly TrustedNetwork[];
  /** Networks of load balancers that speak PROXY protocol. */
  readonly proxyFrom: readonly string[];
  readonly authWithoutTls: 'never' | 'loopback';
  readonly bareNewlines: 'refuse' | 'normalise';
  readonly limits: Partial<ServerLimits>;
  /** Messages being received at once, together. */
  readonly memoryBytes: number;
  readonly tagsMax: number;
  /** How far ahead X-Mailgun-Deliver-By may lie. */
  readonly horizonMs: number;
}

export interface SmtpdDeps extends SubmissionDoor {
  readonly options: SmtpdOptions;
  /** Shared with other doors; default: one of its own, of `memoryBytes`. */
  readonly memory?: ByteBudget;
  /** Asked at every handshake. */
  readonly secureContext: () => SecureContext;
  readonly clock: Clock;
  readonly log: Log;
}

export interface SmtpdListener {
  readonly kind: 'submission' | 'submissions';
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

export async function startSmtpd(deps: SmtpdDeps): Promise<Smtpd> {
  const { options, log } = deps;
  const proxies = new Networks(options.proxyFrom);
  const limits = withDefaults(options.limits);
  const memory = deps.memory ?? new ByteBudget(options.memoryBytes);
  const sharing = { admission: new Admission(limits), memory };
  const session: SessionOptions = {
    hostname: options.hostname,
    openSession: submissionSessions(deps, options, deps.clock, log),
    secureContext: deps.secureContext,
    bareNewlines: options.bareNewlines,
    isProxy: options.proxyFrom.length === 0 ? undefined : (address) => proxies.has(address),
    limits,
    clock: deps.clock,
    log,
  };
  const wanted = [
    ...options.submission.map((at) => ({ at, kind: 'submission' as const })),
    ...options.submissions.map((at) => ({ at, kind: 'submissions' as const })),
  ];
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
      log.warn({ host: at.host, port: at.port, err: error }, 'an optional SMTP address cannot be opened and is skipped');
    }
  }
  return {
    listeners: servers.map(({ kind, server }) => ({ kind, address: server.address, port: server.port })),
    get connectionCount() {
      return servers.reduce((sum, { server }) => sum + server.connectionCount, 0);
    },
    get memoryBytes() {
      return memory.usedBytes;
    },
    async drain(deadlineMs) {
      await Promise.all(servers.map(({ server }) => server.drain(deadlineMs)));
    },
    async close() {
      await Promise.all(servers.map(({ server }) => server.close()));
    },
  };
}
