/**
 * One SMTP server session (RFC 5321): the dialogue's clock and gears. Commands are in `server-commands.ts`, messages in `server-message.ts`, logins in
 * `server-login.ts`; this file takes lines and octets from the connection, hands them on one at a time, sends the replies of one turn in one write,
 * and keeps every limit of time and number.
 *
 * What the session is doing is its stage:
 *   proxy      waits for the PROXY protocol header; entered at once when the address is a proxy's
 *   handshake  TLS is being negotiated; entered at once on an implicit TLS listener, or by STARTTLS
 *   lines      takes commands, or the lines of a login
 *   octets     a reader (DATA, BDAT) takes everything until it says that it has enough
 *   over       the last reply is out, or the connection is gone; nothing is obeyed any more
 * In `lines` and `octets` it may be waiting (for a hook, a delay, a client that does not read): then nothing is taken, and the socket is paused as
 * soon as more arrives, so what waits is bounded by what one or two reads bring.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { plainAddress } from '#base/networks.ts';
import { randomHex } from '#base/random.ts';
import type { Admission } from './server-admission.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import { command } from './server-commands.ts';
import { ServerConnection } from './server-connection.ts';
import type { Extensions, HookResult, ServerReply, SessionFacts, SessionHooks, SessionOptions } from './server-hooks.ts';
import type { ServerLimits } from './server-limits.ts';
import type { Transaction } from './server-message.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import { formatReply, replyOfError } from './reply-text.ts';

/** What every session of one server shares. */
export interface ServerShared {
  readonly options: SessionOptions;
  readonly limits: ServerLimits;
  readonly extensions: Extensions;
  readonly admission: Admission;
  readonly memory: ByteBudget;
  readonly onOver: (session: ServerSession) => void;
}

/** Takes octets instead of lines. Returns the index after the last octet it took; calls `session.readLines()` when it has enough. */
export interface OctetReader {
  read(input: Buffer, from: number): number;
  /** Why the client is too slow now, or undefined. */
  trouble(nowMs: number): string | undefined;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Stage = 'proxy' | 'handshake' | 'lines' | 'octets' | 'over';

const EMPTY: Buffer = Buffer.alloc(0);
const NO_HOOKS: SessionHooks = { onMessage: () => ({ code: 451, text: 'Not ready' }) };

export class ServerSession {
  readonly shared: ServerShared;
  readonly limits: ServerLimits;
  readonly facts: Writable<SessionFacts>;
  hooks: SessionHooks = NO_HOOKS;
  transaction: Transaction | undefined;
  /** DATA or BDAT was refused: what follows may be the message of a client that did not listen. */
  hasRefusedData = false;
  junkCommands = 0;
  authFailures = 0;
  hasMail = false;

  readonly #connection: ServerConnection;
  readonly #startedMs: number;
  readonly #socketAddress: string;
  #stage: Stage = 'lines';
  #input: Buffer = EMPTY;
  #at = 0;
  #reader: OctetReader | undefined;
  #takeLine: ((line: Buffer) => void) | undefined;
  #isInputOver = false;
  /** Counts questions, so that an answer that comes too late is not heard. */
  #question = 0;
  #waitsFor: 'hook' | 'delay' | 'reader' | undefined;
  #waitsSinceMs = 0;
  #delay: NodeJS.Timeout | undefined;
  #lastProgressMs: number;
  #commands = 0;
  #errors = 0;
  #isDraining = false;
  #admitted: string | undefined;
  #abort: AbortController | undefined;

  constructor(socket: Socket, shared: ServerShared) {
    this.shared = shared;
    this.limits = shared.limits;
    this.#startedMs = shared.options.clock.monotonicMs();
    this.#lastProgressMs = this.#startedMs;
    this.#socketAddress = plainAddress(socket.remoteAddress ?? '');
    const signal = (): AbortSignal => this.#signal();
    const isAhead = (): boolean => this.hasMoreInput;
    this.facts = {
      id: randomHex(4),
      address: this.#socketAddress,
      port: socket.remotePort ?? 0,
      localPort: socket.localPort ?? 0,
      isEsmtp: false,
      messageCount: 0,
      get isAhead() {
        return isAhead();
      },
      get signal() {
        return signal();
      },
    };
    this.#connection = new ServerConnection(
      socket,
      {
        onInput: (chunk) => this.#onInput(chunk),
        onInputEnd: () => this.#onInputEnd(),
        onDrain: () => this.#onDrain(),
        onGone: () => this.#onGone(),
      },
      shared.limits,
    );
  }

  /** Separate from the constructor, so that the server knows the session before anything can happen to it. */
  start(): void {
    if (this.shared.options.isProxy?.(this.#socketAddress) === true) this.#stage = 'proxy';
    else this.#admit();
  }

  get nowMs(): number {
    return this.shared.options.clock.monotonicMs();
  }

  /** Input has been received that no one has looked at: the client did not wait for our reply. */
  get hasMoreInput(): boolean {
    return this.#at < this.#input.length || this.#connection.unreadBytes > 0;
  }

  get offersAuth(): boolean {
    return this.hooks.onAuth !== undefined && (this.facts.tls !== undefined || this.hooks.allowPlainAuth === true);
  }

  send(code: number, enhanced: string | undefined, text: string): void {
    this.#connection.send(formatReply({ code, enhanced, text }, this.shared.extensions.ENHANCEDSTATUSCODES));
  }

  /** A refusal. `isMisuse`: the client broke the protocol (or tries what it may not); counted, slowed down, and at last the end. */
  refuse(reply: ServerReply, isMisuse = true): void {
    if (this.#stage === 'over') return;
    if (reply.code === 421) return this.close(reply);
    if (!isMisuse || reply.code < 500) return this.send(reply.code, reply.enhanced, reply.text);
    this.#errors++;
    if (this.#errors > this.limits.errorsHard) return this.close({ code: 421, enhanced: '4.7.0', text: 'Too many errors' });
    if (this.#errors <= this.limits.errorsSoft) return this.send(reply.code, reply.enhanced, reply.text);
    const question = this.#wait('delay');
    this.#delay = setTimeout(
      () => this.#resume(question, () => this.send(reply.code, reply.enhanced, reply.text)),
      this.limits.errorDelayMs,
    );
  }

  /** Says `reply` and closes; what else the client has sent is not looked at. */
  close(reply: ServerReply): void {
    if (this.#stage === 'over') return;
    this.send(reply.code, reply.enhanced, reply.text);
    this.#stage = 'over';
    this.#connection.finish(this.nowMs);
  }

  /** Closes without a word. */
  drop(): void {
    this.#stage = 'over';
    this.#connection.destroy();
  }

  /** Asks a hook. `accepted` gets the words to accept with, if the hook has its own; a refusal is replied after `refused`. */
  ask(question: () => HookResult, accepted: (words: ServerReply | undefined) => void, refused?: (reply: ServerReply) => void): void {
    const conclude = (answer: Awaited<HookResult>): void => {
      if (answer === 'drop') this.drop();
      else if (answer === undefined || answer === null || answer.code < 400) accepted(answer ?? undefined);
      else {
        refused?.(answer);
        this.refuse(answer, !this.hasMail);
      }
    };
    let result: HookResult;
    try {
      result = question();
    } catch (error) {
      conclude(replyOfError(error, this.shared.options.log, this.facts.id));
      return;
    }
    if (!(result instanceof Promise)) return conclude(result);
    const number = this.#wait('hook');
    result.then(
      (answer) => this.#resume(number, () => conclude(answer)),
      (error: unknown) => this.#resume(number, () => conclude(replyOfError(error, this.shared.options.log, this.facts.id))),
    );
  }

  /** The message under way is forgotten, if there is one. */
  endTransaction(): void {
    this.transaction?.collector?.release();
    this.transaction = undefined;
  }

  readLines(take?: (line: Buffer) => void): void {
    this.#takeLine = take;
    this.#reader = undefined;
    if (this.#stage === 'octets') this.#stage = 'lines';
    this.#lastProgressMs = this.nowMs;
  }

  readOctets(reader: OctetReader): void {
    this.#reader = reader;
    this.#stage = 'octets';
  }

  /** STARTTLS was accepted: nothing that was said in plaintext counts any more (RFC 3207 §4.2). */
  startTls(): void {
    const context = this.shared.options.secureContext?.();
    if (context === undefined) return this.drop();
    this.#stage = 'handshake';
    this.#lastProgressMs = this.nowMs;
    this.#connection.startTls(context, (tls) => {
      this.#stage = 'lines';
      this.#lastProgressMs = this.nowMs;
      const isFirst = this.hooks === NO_HOOKS;
      Object.assign(this.facts, { tls, helo: undefined, isEsmtp: false });
      if (isFirst) this.#greet();
    });
  }

  /** No new work: 421 now if nothing is under way, otherwise at the next command. */
  drain(): void {
    this.#isDraining = true;
    if (this.#stage === 'proxy' || this.#stage === 'handshake') this.drop();
    else if (this.#isIdle()) this.close(DRAINING);
  }

  #isIdle(): boolean {
    return this.#stage === 'lines' && this.#waitsFor === undefined && this.transaction === undefined && !this.hasMoreInput;
  }

  /** Looks at the clock, about once a second. */
  tick(): void {
    const nowMs = this.nowMs;
    this.#connection.tick(nowMs);
    if (this.#stage === 'over') return;
    const { limits } = this;
    if (this.#stage === 'proxy' || this.#stage === 'handshake') {
      if (nowMs - this.#lastProgressMs >= limits.handshakeTimeoutMs) this.drop();
      return;
    }
    const waitedMs = nowMs - this.#waitsSinceMs;
    if (this.#waitsFor === 'hook') {
      if (waitedMs >= limits.hookTimeoutMs) this.#giveUpHook();
    } else if (this.#waitsFor === 'reader') {
      if (waitedMs >= limits.idleTimeoutMs || this.#placeTrouble(nowMs) !== undefined) this.drop();
    } else if (this.#waitsFor === undefined) this.#tickClient(nowMs);
  }

  #tickClient(nowMs: number): void {
    const trouble =
      this.#placeTrouble(nowMs) ??
      (this.#reader !== undefined
        ? this.#reader.trouble(nowMs)
        : nowMs - this.#lastProgressMs >= this.limits.idleTimeoutMs
          ? 'Nothing was heard for too long'
          : !this.hasMail && this.facts.login === undefined && nowMs - this.#startedMs >= this.limits.firstMailTimeoutMs
            ? 'No mail came for too long'
            : undefined);
    if (trouble !== undefined) this.close({ code: 421, enhanced: '4.4.2', text: trouble });
  }

  /** A message that has begun holds memory, between its chunks too. */
  #placeTrouble(nowMs: number): string | undefined {
    return this.transaction?.collector?.trouble(nowMs, this.limits.messageTimeoutMs);
  }

  #giveUpHook(): void {
    this.#question++;
    this.#waitsFor = undefined;
    this.shared.options.log.error({ session: this.facts.id }, 'an SMTP hook did not answer in time');
    this.close({ code: 421, enhanced: '4.3.0', text: 'Local trouble; try again later' });
  }

  #admit(): void {
    const { options, admission } = this.shared;
    const refusal = admission.enter(this.facts.address);
    if (refusal !== undefined) return options.implicitTls === true ? this.drop() : this.close(refusal);
    this.#admitted = this.facts.address;
    this.#stage = 'lines';
    if (options.implicitTls === true) this.startTls();
    else this.#greet();
  }

  #greet(): void {
    const { options } = this.shared;
    this.hooks = options.openSession(this.facts);
    this.ask(
      () => this.hooks.onConnect?.(),
      (words) => this.send(220, undefined, words?.text ?? `${options.hostname} ESMTP Postrider`),
      (reply) => this.close(reply),
    );
    this.#connection.flush();
  }

  #onInput(chunk: Buffer): void {
    this.#input = this.#at < this.#input.length ? Buffer.concat([this.#input.subarray(this.#at), chunk]) : chunk;
    this.#at = 0;
    if (this.#waitsFor !== undefined) this.#connection.pause();
    else if (this.#stage === 'proxy') this.#readProxy();
    else this.#run();
  }

  #onInputEnd(): void {
    this.#isInputOver = true;
    // Half a line, half a message: without its end it never was one.
    if (this.#waitsFor === undefined) this.#connection.finish(this.nowMs);
  }

  #onDrain(): void {
    if (this.#waitsFor === 'reader') this.#resume(this.#question, () => undefined);
  }

  #onGone(): void {
    this.#stage = 'over';
    this.#question++;
    clearTimeout(this.#delay);
    this.#input = EMPTY;
    this.#at = 0;
    this.#reader = undefined;
    this.endTransaction();
    if (this.#admitted !== undefined) this.shared.admission.leave(this.#admitted);
    this.#abort?.abort();
    if (this.hooks !== NO_HOOKS) {
      try {
        this.hooks.onClose?.();
      } catch (error) {
        this.shared.options.log.error({ session: this.facts.id, err: error }, 'an SMTP close hook failed');
      }
    }
    this.shared.onOver(this);
  }

  #readProxy(): void {
    const header = readProxyHeader(this.#input);
    if (header.kind === 'more') return;
    if (header.kind === 'malformed') {
      this.shared.options.log.warn({ session: this.facts.id, proxy: this.#socketAddress }, 'a proxy sent no valid PROXY header');
      return this.drop();
    }
    this.#at = header.lengthBytes;
    if (header.client !== undefined) Object.assign(this.facts, { ...header.client, address: plainAddress(header.client.address) });
    // The client's first TLS record often comes in one packet with the header.
    if (this.shared.options.implicitTls === true) {
      this.#connection.unread(this.#input.subarray(this.#at));
      this.#input = EMPTY;
      this.#at = 0;
    }
    this.#admit();
    this.#run();
  }

  /** Works off what has arrived, as far as it can be done now. */
  #run(): void {
    while (this.#waitsFor === undefined && this.#at < this.#input.length) {
      if (this.#connection.isClogged) {
        this.#wait('reader');
        this.#connection.pause();
        return;
      }
      if (this.#stage === 'octets' && this.#reader !== undefined) this.#at = this.#reader.read(this.#input, this.#at);
      else if (this.#stage !== 'lines' || !this.#runLine()) break;
    }
    if (this.#stage === 'over') return;
    if (this.#at === this.#input.length) {
      this.#input = EMPTY;
      this.#at = 0;
    }
    if (this.#waitsFor !== undefined) return;
    if (this.#isDraining && this.#isIdle()) return this.close(DRAINING);
    this.#connection.flush();
    if (this.#isInputOver) this.#connection.finish(this.nowMs);
    else this.#connection.resume();
  }

  /** One line, if it is there. */
  #runLine(): boolean {
    const end = this.#input.indexOf(0x0a, this.#at);
    const lengthBytes = (end === -1 ? this.#input.length : end) - this.#at;
    const isLong = lengthBytes > this.limits.commandLineBytes && lengthBytes > this.#lineBytesMax();
    // A TLS handshake at a plaintext port: nothing that we could say would be understood.
    if (this.#input[this.#at] === 0x16) {
      this.drop();
      return false;
    }
    if (end === -1) {
      if (isLong) this.close(LONG_LINE);
      return false;
    }
    const isBare = end === this.#at || this.#input[end - 1] !== 0x0d;
    const line = this.#input.subarray(this.#at, isBare ? end : end - 1);
    this.#at = end + 1;
    this.#lastProgressMs = this.nowMs;
    const take = this.#takeLine;
    if (isLong || (isBare && this.shared.options.bareNewlines !== 'normalise')) {
      this.#takeLine = undefined;
      this.refuse(isLong ? LONG_LINE : BARE_NEWLINE);
    } else if (take !== undefined) take(line);
    else this.#runCommand(line);
    return true;
  }

  /** A login's lines may be longer than others (RFC 4954 §4). */
  #lineBytesMax(): number {
    const isLogin = this.#takeLine !== undefined || this.#input.toString('latin1', this.#at, this.#at + 5).toUpperCase() === 'AUTH ';
    return isLogin ? this.limits.authLineBytes : this.limits.commandLineBytes;
  }

  #runCommand(line: Buffer): void {
    this.#commands++;
    if (this.#isDraining) return this.close(DRAINING);
    if (!this.hasMail && this.facts.login === undefined && this.#commands > this.limits.unauthenticatedCommands) {
      return this.close({ code: 421, enhanced: '4.7.0', text: 'Too many commands without mail' });
    }
    if (this.junkCommands > this.limits.junkCommands)
      return this.close({ code: 421, enhanced: '4.7.0', text: 'Too many commands without mail' });
    command(this, line);
  }

  #wait(what: 'hook' | 'delay' | 'reader'): number {
    this.#waitsFor = what;
    this.#waitsSinceMs = this.nowMs;
    return ++this.#question;
  }

  /** The wait is over, unless it was given up in the meantime. */
  #resume(question: number, act: () => void): void {
    if (question !== this.#question || this.#stage === 'over') return;
    this.#waitsFor = undefined;
    this.#lastProgressMs = this.nowMs;
    try {
      act();
      this.#run();
    } catch (error) {
      this.shared.options.log.error({ session: this.facts.id, err: error }, 'an SMTP session failed inside');
      this.drop();
    }
  }

  #signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#stage === 'over') this.#abort.abort();
    return this.#abort.signal;
  }
}

const DRAINING: ServerReply = { code: 421, enhanced: '4.3.2', text: 'The service is shutting down; try again later' };
const LONG_LINE: ServerReply = { code: 500, enhanced: '5.5.6', text: 'The line is too long' };
const BARE_NEWLINE: ServerReply = { code: 500, enhanced: '5.5.2', text: 'A line ends with CRLF (RFC 5321 section 2.3.8)' };
