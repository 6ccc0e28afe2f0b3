/**
 * What an SMTP server session asks of the room that opened it, and what it tells about itself. The session speaks the protocol
 * (`server-session.ts`) and decides nothing else: who may log in, which sender and recipient are welcome, and what becomes of a message is
 * answered by hooks. One set of hooks is made per connection, so a room keeps the state of a connection in its own closure.
 *
 * A hook answers with nothing (accepted), with a reply (2xx: accepted in these words; 4xx or 5xx: refused; 421: refused, and the connection
 * is closed), or with 'drop' (the connection is cut without a word: for the sandbox and tests). It may answer later: the session handles one command at a
 * time and waits, at most `hookTimeoutMs`. An `AppError` thrown becomes its SMTP reply; any other error is logged and becomes 451 4.3.0 (P5).
 */
import type { Buffer } from 'node:buffer';
import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Envelope, EnvelopeRecipient } from '#model/submission.ts';
import type { ServerLimits } from './server-limits.ts';

/** One reply. `text` may have several lines, separated by "\n"; control characters in it are replaced. */
export interface ServerReply {
  readonly code: number;
  /** RFC 3463, "5.7.1"; left out of the reply when ENHANCEDSTATUSCODES is switched off. */
  readonly enhanced?: string;
  readonly text: string;
}

// `void`, so that a hook that only looks needs no return statement.
// oxlint-disable-next-line typescript/no-invalid-void-type
export type HookAnswer = ServerReply | 'drop' | undefined | void;
export type HookResult = HookAnswer | Promise<HookAnswer>;

/** The connection as it is now. The object stays the same for the life of the connection; its values change. */
export interface SessionFacts {
  /** Short random name, the same in every log line of the connection. */
  readonly id: string;
  /** Client's IP address without port: what PROXY protocol said, when the connection came through a proxy. IPv4-mapped addresses are shown as IPv4. */
  readonly address: string;
  readonly port: number;
  readonly localPort: number;
  /** "TLSv1.3 TLS_AES_256_GCM_SHA384"; absent: plaintext. */
  readonly tls?: string;
  /** Name given with HELO or EHLO, printable and bounded. */
  readonly helo?: string;
  readonly isEsmtp: boolean;
  /** The login of an AUTH that was accepted. */
  readonly login?: string;
  /** Messages accepted so far. */
  readonly messageCount: number;
  /** The client has sent something that was not looked at: it did not wait for our last word, or for the first. */
  readonly isAhead: boolean;
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal;
}

export interface Credentials {
  readonly mechanism: 'PLAIN' | 'LOGIN';
  readonly login: string;
  readonly password: string;
}

/** The inside of <…>, parsed. `address` is '' for the null reverse-path. */
export interface SmtpPath {
  readonly local: string;
  readonly domain: string;
  readonly address: string;
  readonly isUtf8: boolean;
}

/** MAIL FROM with its parameters, all of them valid. `envelope.recipients` is empty. */
export interface MailCommand {
  readonly path: SmtpPath;
  /** SIZE= as declared. */
  readonly sizeBytes?: number;
  readonly envelope: Envelope;
}

/** RCPT TO with its parameters, all of them valid. */
export interface RcptCommand {
  readonly path: SmtpPath;
  readonly recipient: EnvelopeRecipient;
}

export interface SessionHooks {
  /** Offer AUTH without TLS too. Only for loopback in development. */
  readonly allowPlainAuth?: boolean;
  /** Before the greeting. A reply of 2xx replaces the greeting's text. */
  onConnect?(): HookResult;
  onHelo?(name: string): HookResult;
  /** AUTH is offered when this hook is present (under TLS, or with `allowPlainAuth`). */
  onAuth?(credentials: Credentials): HookResult;
  onMail?(mail: MailCommand): HookResult;
  /** `envelope` has the recipients accepted before this one. */
  onRcpt?(rcpt: RcptCommand, envelope: Envelope): HookResult;
  /** DATA, before 354. BDAT: before the first chunk is taken. */
  onData?(envelope: Envelope): HookResult;
  /**
   * The whole message: CRLF lines, dots unstuffed, ends with CRLF unless it is empty. `bytes` fills an ArrayBuffer of its own, which the hook may
   * keep or transfer. Accepting means that the message is safe (P1).
   */
  onMessage(envelope: Envelope, bytes: Buffer): HookResult;
  /** Once, when the connection is gone; also after onConnect refused. */
  onClose?(): void;
}

/** Makes the hooks of one connection, when PROXY protocol and the handshake of an implicit TLS listener are done. Must not throw. */
export type OpenSession = (session: SessionFacts) => SessionHooks;

/** What EHLO offers. All are on unless switched off. STARTTLS follows from `secureContext`, AUTH from `onAuth`, SIZE's value from the limits. */
export interface Extensions {
  readonly PIPELINING: boolean;
  readonly SIZE: boolean;
  readonly '8BITMIME': boolean;
  readonly SMTPUTF8: boolean;
  readonly CHUNKING: boolean;
  readonly DSN: boolean;
  readonly ENHANCEDSTATUSCODES: boolean;
}

export interface SessionOptions {
  /** Name in the greeting and the EHLO reply. */
  readonly hostname: string;
  readonly openSession: OpenSession;
  /** Asked at every handshake, so that a certificate can be replaced while we run. Absent: no TLS. */
  readonly secureContext?: () => SecureContext;
  /** TLS from the first octet (port 465). Needs `secureContext`. */
  readonly implicitTls?: boolean;
  /** True for addresses whose connections start with a PROXY protocol header (v1 or v2), which then must be there. */
  readonly isProxy?: (address: string) => boolean;
  readonly extensions?: Partial<Extensions>;
  /** Whom RCPT TO:<postmaster> without a domain means (RFC 5321 §4.5.1). Absent: such a recipient is no address. */
  readonly postmaster?: string;
  /** What is done with a CR or LF that is not part of CRLF (and with NUL) in a message: 'refuse' (default) or make it CRLF (drop the NUL). */
  readonly bareNewlines?: 'refuse' | 'normalise';
  readonly limits?: Partial<ServerLimits>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ListenOptions {
  /** Local address: "127.0.0.1", "::1", "0.0.0.0". Absent: every address, IPv6 and IPv4. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** Several threads or processes on one port, where the system can. */
  readonly reusePort?: boolean;
}

/** A listener that is open, as `startSmtpServer(session, listen)` of `server-listener.ts` gives it. */
export interface SmtpServer {
  readonly address: string;
  readonly port: number;
  readonly connectionCount: number;
  /**
   * Takes no new connections, says 421 to each client at its next command, lets messages that are being received finish,
   * and cuts what is left after `deadlineMs`. Resolves when every connection is gone.
   */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts every connection and resolves when all are gone. */
  close(): Promise<void>;
}
