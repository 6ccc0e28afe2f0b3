/**
 * The SMTP door: listeners for submission (RFC 6409), with STARTTLS or implicit TLS (RFC 8314), that share their limits. What happens on one connection
 * is in `submission-session.ts`.
 */
import type { SecureContext } from 'node:tls';
import { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { Admission } from '#smtp/server-admission.ts';
import type { SessionOptions } from '#smtp/server-hooks.ts';
import { withDefaults } from '#smtp/server-limits.ts';
import type { ServerLimits } from '#smtp/server-limits.ts';
import { Networks } from './networks.ts';
import { openListeners } from './open-listeners.ts';
import type { Smtpd, SmtpdAddress } from './open-listeners.ts';
import { submissionSessions } from './submission-session.ts';
import type { SubmissionDoor, TrustedNetwork } from './submission-session.ts';

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

export async function startSmtpd(deps: SmtpdDeps): Promise<Smtpd> {
  const { options, log } = deps;
  const proxies = new Networks(options.proxyFrom);
  const limits = withDefaults(options.limits);
  const sharing = { admission: new Admission(limits), memory: deps.memory ?? new ByteBudget(options.memoryBytes) };
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
  return openListeners(wanted, session, sharing, log);
}
