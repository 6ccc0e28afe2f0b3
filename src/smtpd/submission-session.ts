/**
 * One client that submits mail: who it is (a login, or a trusted network), which sender it may use, and how its message becomes a `Submission`.
 * It answers for nothing that `submit` decides; it only refuses early what can be refused early. Without a login or a trusted
 * network there is no MAIL, so there is no relay.
 *
 * The state of a connection is who it is: nobody → a login (AUTH accepted), for the rest of the connection. A trusted network's domain is looked up
 * at each MAIL, and a login is checked again at each MAIL, so a right that was taken away ends on open connections too.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { domainOfAddress } from '#mail/address.ts';
import { AppError } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { Envelope, Origin, Submission, Submit } from '#model/submission.ts';
import type { Credentials, OpenSession, ServerReply, SessionFacts, SessionHooks } from '#smtp/server-hooks.ts';
import { takeMailgunHeaders } from '#submission/mailgun-headers.ts';
import type { TakenHeaders } from '#submission/mailgun-headers.ts';
import { parseOptions } from '#submission/options.ts';
import { isLoopback, Networks } from './networks.ts';

export interface TrustedNetwork {
  readonly cidr: string;
  readonly domain: string;
}

interface DomainFacts {
  readonly id: number;
  readonly accountId: number;
  readonly name: string;
}

/** What the door needs of `accounts`. */
export interface DoorAccounts {
  authenticateLogin(attempt: {
    readonly login: string;
    readonly password: string;
    readonly address: string;
  }): Promise<
    | { readonly kind: 'ok'; readonly principal: Principal; readonly domain: DomainFacts }
    | { readonly kind: 'refused'; readonly error: AppError; readonly delayMs: number }
  >;
  stillStands(principal: Principal): Promise<boolean>;
  domainFor(name: string): Promise<DomainFacts | undefined>;
}

export interface SubmissionDoor {
  readonly accounts: DoorAccounts;
  readonly submit: Submit;
  /** Whether mail with this reverse-path may come from this caller; `address` is '' for the null reverse-path. */
  readonly mayUseSender: (principal: Principal, address: string) => boolean | Promise<boolean>;
  /** Why no mail is taken now; undefined: it is. Absent: always. */
  readonly refusal?: () => AppError | undefined;
}

export interface SubmissionRules {
  readonly trusted: readonly TrustedNetwork[];
  readonly authWithoutTls: 'never' | 'loopback';
  readonly tagsMax: number;
  readonly horizonMs: number;
}

interface Caller {
  readonly principal: Principal;
  /** The domain that it submits through. */
  readonly domain: string;
}

/** Longest time that the answer to a wrong password is kept back, whatever the guard asks for: the connection is a resource too. */
const DELAY_MAX_MS = 30_000;

export function submissionSessions(door: SubmissionDoor, rules: SubmissionRules, clock: Clock, log: Log): OpenSession {
  const trusted = rules.trusted.map(({ cidr, domain }) => ({ network: new Networks([cidr]), domain }));
  const optionsContext = { horizonMs: rules.horizonMs, tagsMax: rules.tagsMax };

  return (session): SessionHooks => {
    const trustedDomain = trusted.find(({ network }) => network.has(session.address))?.domain;
    let login: Caller | undefined;
    let caller: Caller | undefined;

    async function whoIsIt(): Promise<Caller | undefined> {
      if (login === undefined) return trustedDomain === undefined ? undefined : trustedCaller(door.accounts, trustedDomain, session, log);
      if (await door.accounts.stillStands(login.principal)) return login;
      throw new RightTakenAway();
    }

    return {
      onConnect() {
        const refusal = door.refusal?.();
        // Whatever keeps us, a client that is just coming is better served elsewhere or later (RFC 5321 §3.8).
        if (refusal !== undefined) return { code: 421, enhanced: refusal.enhanced, text: refusal.message };
        return undefined;
      },
      allowPlainAuth: rules.authWithoutTls === 'loopback' && isLoopback(session.address),
      async onAuth(credentials) {
        const result = await authenticate(door.accounts, credentials, session, log);
        if ('error' in result) throw result.error;
        login = result;
      },
      async onMail({ envelope }) {
        const refusal = door.refusal?.();
        if (refusal !== undefined) throw refusal;
        try {
          caller = await whoIsIt();
        } catch (error) {
          if (error instanceof RightTakenAway) return LOGIN_ENDED;
          throw error;
        }
        if (caller === undefined) throw new AppError('unauthenticated');
        const domain = domainOfAddress(envelope.sender);
        // Nearly always its own; asked for every message otherwise.
        if (domain === caller.domain || (await door.mayUseSender(caller.principal, envelope.sender))) return undefined;
        throw new AppError('sender-not-allowed', { domain });
      },
      onRcpt() {
        // MAIL was refused to nobodies; this is the second lock on the same door.
        if (caller === undefined) throw new AppError('unauthenticated');
      },
      async onMessage(envelope, bytes): Promise<ServerReply> {
        if (caller === undefined) throw new AppError('unauthenticated');
        const taken = takeMailgunHeaders(bytes);
        const options = parseOptions(taken.pairs, { ...optionsContext, nowMs: clock.nowMs() });
        const submission = toSubmission(caller, envelope, taken, options, originOf(session));
        const result = await door.submit(caller.principal, submission);
        return { code: 250, enhanced: '2.0.0', text: `Great success: queued as <${result.messageId}>` };
      },
    };
  };
}

class RightTakenAway extends Error {}

const LOGIN_ENDED: ServerReply = { code: 421, enhanced: '4.7.0', text: 'The login is no longer valid; log in again' };

async function authenticate(
  accounts: DoorAccounts,
  { login, password }: Credentials,
  session: SessionFacts,
  log: Log,
): Promise<Caller | { readonly error: AppError }> {
  const result = await accounts.authenticateLogin({ login, password, address: session.address });
  if (result.kind === 'ok') return { principal: result.principal, domain: result.domain.name };
  log.info({ session: session.id, address: session.address, refusal: result.error.code }, 'a login was refused');
  // Only this connection waits; one that is closed meanwhile stops waiting.
  if (result.delayMs > 0) await sleep(Math.min(result.delayMs, DELAY_MAX_MS), undefined, { signal: session.signal }).catch(() => undefined);
  return { error: result.error };
}

async function trustedCaller(accounts: DoorAccounts, name: string, session: SessionFacts, log: Log): Promise<Caller | undefined> {
  const domain = await accounts.domainFor(name);
  if (domain === undefined) {
    log.warn({ session: session.id, domain: name }, 'a trusted network is for a domain that does not exist');
    return undefined;
  }
  const principal: Principal = { accountId: domain.accountId, kind: 'trusted', role: 'sending', domainId: domain.id };
  return { principal, domain: domain.name };
}

function toSubmission(
  { domain }: Caller,
  envelope: Envelope,
  taken: TakenHeaders,
  options: Submission['options'],
  origin: Origin,
): Submission {
  const { mime, recipientVariables } = taken;
  const batch = recipientVariables !== undefined;
  return {
    method: 'SMTP',
    domain,
    envelope: batch ? withVariables(envelope, recipientVariables) : envelope,
    content: { kind: 'mime', bytes: mime },
    options,
    origin,
    batch,
  };
}

function withVariables(envelope: Envelope, byAddress: NonNullable<TakenHeaders['recipientVariables']>): Envelope {
  const recipients = envelope.recipients.map((recipient) => ({ ...recipient, variables: byAddress.get(recipient.address.toLowerCase()) }));
  return { ...envelope, recipients };
}

function originOf(session: SessionFacts): Origin {
  return { address: session.address, tls: session.tls, helo: session.helo };
}
