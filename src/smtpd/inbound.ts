/** The door for mail from elsewhere (RFC 5321, port 25): listeners with STARTTLS that share their limits. What happens on one connection is in `inbound-session.ts`. */
import type { SecureContext } from 'node:tls';
import type { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { Admission } from '#smtp/server-admission.ts';
import type { SessionOptions } from '#smtp/server-hooks.ts';
import { withDefaults } from '#smtp/server-limits.ts';
import type { ServerLimits } from '#smtp/server-limits.ts';
import { inboundSessions } from './inbound-session.ts';
import type { InboundDoor, InboundRules } from './inbound-session.ts';
import { Networks } from './networks.ts';
import { openListeners } from './open-listeners.ts';
import type { Smtpd, SmtpdAddress } from './open-listeners.ts';

export interface InboundOptions extends InboundRules {
  readonly hostname: string;
  readonly inbound: readonly SmtpdAddress[];
  /** Networks of load balancers that speak PROXY protocol. */
  readonly proxyFrom: readonly string[];
  readonly bareNewlines: 'refuse' | 'normalise';
  readonly limits: Partial<ServerLimits>;
}

export interface InboundDeps extends InboundDoor {
  readonly options: InboundOptions;
  /** Messages being received at once, shared with other doors. */
  readonly memory: ByteBudget;
  /** Asked at every handshake. */
  readonly secureContext: () => SecureContext;
  readonly clock: Clock;
  readonly log: Log;
}

export function startInbound(deps: InboundDeps): Promise<Smtpd> {
  const { options, log, clock } = deps;
  const proxies = new Networks(options.proxyFrom);
  const limits = withDefaults(options.limits);
  const session: SessionOptions = {
    hostname: options.hostname,
    openSession: inboundSessions(deps, options, clock, log),
    secureContext: deps.secureContext,
    bareNewlines: options.bareNewlines,
    isProxy: options.proxyFrom.length === 0 ? undefined : (address) => proxies.has(address),
    // What a client wants to be told of, only the server before the mailbox could say.
    extensions: { DSN: false },
    postmaster: `postmaster@${options.hostname}`,
    limits,
    clock,
    log,
  };
  const wanted = options.inbound.map((at) => ({ at, kind: 'inbound' as const }));
  return openListeners(wanted, session, { admission: new Admission(limits), memory: deps.memory }, log);
}
