/** Opens the doors for submission: listeners with STARTTLS and with TLS from the first octet. */
import type { SecureContext } from 'node:tls';
import type { Accounts } from '#accounts/accounts.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { AppError } from '#model/errors.ts';
import type { Submit } from '#model/submission.ts';
import type { SmtpdListener } from '#smtpd/open-listeners.ts';
import { startSmtpd } from '#smtpd/smtpd.ts';
import { mayUseReversePath } from '#submission/senders.ts';
import type { Config } from './config.ts';
import type { Services } from './services.ts';
import { sessionLimits } from './session-limits.ts';

export interface SubmissionParts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly services: Services;
  readonly memory: ByteBudget;
  readonly accounts: Accounts;
  readonly submit: Submit;
  readonly secureContext: () => SecureContext;
  refusal(): AppError | undefined;
}

/** How long connections that are open may finish when the program stops, and a little for the rest. */
const DRAIN_MS = 12_000;
const QUICK_STOP_MS = 3000;

export async function openSubmission(parts: SubmissionParts): Promise<readonly SmtpdListener[]> {
  const { config, log, clock, services, memory, accounts, submit, secureContext } = parts;
  const { requireVerification } = config.domains;
  const senders = { domainFor: accounts.domainFor, domainById: accounts.domainById, requireVerification };
  const smtpd = await startSmtpd({
    memory,
    accounts,
    submit,
    mayUseSender: (principal, address) => mayUseReversePath(senders, principal, address),
    options: smtpdOptions(config),
    refusal: parts.refusal,
    secureContext,
    clock,
    log,
  });
  services.add({ name: 'smtpd', stopMs: DRAIN_MS + QUICK_STOP_MS, stop: () => smtpd.drain(DRAIN_MS) });
  return smtpd.listeners;
}

function smtpdOptions(config: Config): Parameters<typeof startSmtpd>[0]['options'] {
  const { smtp, limits } = config;
  return {
    hostname: smtp.hostname,
    submission: smtp.submission,
    submissions: smtp.submissions,
    trusted: smtp.trusted,
    proxyFrom: smtp.proxyFrom,
    authWithoutTls: smtp.authWithoutTls,
    bareNewlines: smtp.bareNewline,
    memoryBytes: limits.memoryBytes,
    tagsMax: limits.tagsPerMessage,
    horizonMs: config.delivery.scheduleHorizonMs,
    limits: {
      ...sessionLimits(config),
      authFailures: limits.loginFailuresPerConnection,
      unauthenticatedCommands: limits.commandsWithoutAuth,
      connections: limits.connections,
      connectionsPerAddress: limits.connectionsPerAddress,
      firstMailTimeoutMs: smtp.loginTimeoutMs,
    },
  };
}
