/** Every limit of an SMTP server session (P9), with the value it has unless the caller says otherwise, and the answer when it is reached. */
import { strict as assert } from 'node:assert';

export interface ServerLimits {
  /** Octets of one command line. RFC 5321 §4.5.3.1.4 asks for 512, and more for extensions. Longer: 500 5.5.2; without an end in sight, the connection is closed. */
  readonly commandLineBytes: number;
  /** The same for AUTH and its responses (RFC 4954 §4). Longer: 500 5.5.6. */
  readonly authLineBytes: number;
  /** AUTH commands that fail. More: 421 4.7.0. */
  readonly authFailures: number;
  /** Octets of one line of a message without its CRLF; 0: any. Longer: 550 5.6.0 after the end of data. */
  readonly textLineBytes: number;
  /** Octets of a message as received. Longer: 552 5.3.4. */
  readonly messageBytes: number;
  /** A message that runs this much over `messageBytes` is not read to its end: the connection is closed. */
  readonly overrunBytes: number;
  /** Recipients of one message. More: 452 4.5.3. */
  readonly recipientsPerMessage: number;
  /** Messages of one connection. More: 421 4.7.0. */
  readonly messagesPerConnection: number;
  /** BDAT chunks of one message. More: 552 5.5.1 and the connection is closed. */
  readonly chunksPerMessage: number;
  /** Refused commands after which each further refusal is delayed by `errorDelayMs`. */
  readonly errorsSoft: number;
  /** Refused commands after which the connection is closed with 421 4.7.0. */
  readonly errorsHard: number;
  readonly errorDelayMs: number;
  /** Commands that bring no mail forward (NOOP, RSET, VRFY, EXPN, HELP, EHLO, empty transactions) between two messages. More: 421 4.7.0. */
  readonly junkCommands: number;
  /** Commands before a login (where AUTH is offered) or the first MAIL that is accepted. More: 421 4.7.0. */
  readonly unauthenticatedCommands: number;
  /** Silence between commands. Longer: 421 4.4.2. */
  readonly idleTimeoutMs: number;
  /** From the connection to the first login or accepted MAIL, however busy. Longer: 421 4.4.2. */
  readonly firstMailTimeoutMs: number;
  /** Silence inside a message. Longer: 421 4.4.2. */
  readonly dataTimeoutMs: number;
  /** Average octets per second a message must reach after its first `dataTimeoutMs`. Slower: 421 4.4.2. */
  readonly dataBytesPerSecond: number;
  /** A whole message, from DATA or its first BDAT, however steadily it comes. Longer: 421 4.4.2. */
  readonly messageTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** After our last reply, until the client closes too. Longer: it is cut. */
  readonly lingerMs: number;
  /** How long a large message that was announced waits for its place in memory. Longer: 451 4.3.2. */
  readonly memoryWaitMs: number;
  /** How long a hook may take. Longer: 451 4.3.0, and the connection is closed, since its state is unknown. */
  readonly hookTimeoutMs: number;
  /** Replies that wait for a client that does not read; beyond it no more commands are handled until it reads, or the idle time-out ends it. */
  readonly outgoingBytes: number;
  /** Connections of one server. More: 421 4.3.2. */
  readonly connections: number;
  /** Connections of one IPv4 address or IPv6 /64. More: 421 4.7.0. */
  readonly connectionsPerAddress: number;
}

const MINUTE_MS = 60_000;

export const DEFAULT_LIMITS: ServerLimits = {
  commandLineBytes: 2048,
  authLineBytes: 12_288,
  authFailures: 5,
  textLineBytes: 0,
  messageBytes: 25 * 1024 * 1024,
  overrunBytes: 25 * 1024 * 1024,
  recipientsPerMessage: 1000,
  messagesPerConnection: 10_000,
  chunksPerMessage: 10_000,
  errorsSoft: 10,
  errorsHard: 20,
  errorDelayMs: 1000,
  junkCommands: 100,
  unauthenticatedCommands: 30,
  idleTimeoutMs: 5 * MINUTE_MS,
  firstMailTimeoutMs: 10 * MINUTE_MS,
  dataTimeoutMs: 3 * MINUTE_MS,
  dataBytesPerSecond: 100,
  messageTimeoutMs: 30 * MINUTE_MS,
  handshakeTimeoutMs: 30_000,
  lingerMs: 3000,
  memoryWaitMs: 20_000,
  hookTimeoutMs: 5 * MINUTE_MS,
  outgoingBytes: 256 * 1024,
  connections: 5000,
  connectionsPerAddress: 100,
};

/** The limits with what the caller changed. A soft limit that was not given stays below its hard one; values that contradict each other are a bug of the caller. */
export function withDefaults(changes: Partial<ServerLimits> = {}): ServerLimits {
  const limits = { ...DEFAULT_LIMITS };
  for (const [name, value] of Object.entries(changes)) if (value !== undefined) Object.assign(limits, { [name]: value });
  if (changes.errorsSoft === undefined) Object.assign(limits, { errorsSoft: Math.min(limits.errorsSoft, limits.errorsHard) });
  assert(limits.commandLineBytes >= 512, 'commandLineBytes: RFC 5321 §4.5.3.1.4 asks for at least 512');
  assert(limits.errorsHard >= limits.errorsSoft, 'errorsHard must not be below errorsSoft');
  assert(limits.textLineBytes === 0 || limits.textLineBytes >= 998, 'textLineBytes: RFC 5321 §4.5.3.1.6 asks for at least 998');
  return limits;
}
