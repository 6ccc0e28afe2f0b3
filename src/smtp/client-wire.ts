/**
 * A connection to a receiving server as a client sees it: flights go out, replies come in, each under a deadline.
 * Nothing here throws or rejects: the end of a connection, whatever brought it, is a `Lost` value, and stays it.
 *
 * States: `open` → `lost` (closed by either side, a deadline, malformed or unasked-for replies). Replies that had arrived before
 * the end are still read first. How many replies are owed is known at any time, so that a reply nobody asked for is never taken
 * for the answer to a later command.
 *
 * Cost: one write per flight, no timer object per reply (the deadline timer is moved only when it fires too early).
 */
import type { Socket } from 'node:net';
import type { Reply } from '#model/outcome.ts';
import { Dialogue } from './client-dialogue.ts';
import { ReplyParser } from './reply-parser.ts';

/** Replies that may lie unread; more than any flight can ask for, and a flood is cut off. */
const UNREAD_REPLIES_MAX = 2000;

export class Lost {
  /** In words: "the connection was closed by the remote". */
  readonly trouble: string;
  /** A reply that came unasked and ended it (421 at any time, an early refusal). */
  readonly reply: Reply | undefined;
  /** The remote closed or reset it, rather than a deadline or a breach of the protocol. */
  readonly isClosed: boolean;

  constructor(trouble: string, reply: Reply | undefined, isClosed: boolean) {
    this.trouble = trouble;
    this.reply = reply;
    this.isClosed = isClosed;
  }
}

export class Wire {
  readonly dialogue = new Dialogue();
  #socket: Socket;
  #parser = new ReplyParser();
  readonly #replies: Reply[] = [];
  /** Replies that are to come; the greeting is the first. */
  #owed = 1;
  #lost: Lost | undefined;
  #resolve: ((got: Reply | Lost) => void) | undefined;
  #awaited = '';
  #replyMs = 0;
  #bodyMs = 0;
  #isBodyPhase = false;
  #isFlushed = true;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;
  #deadlineMs = 0;
  readonly #take = (reply: Reply): void => this.#onReply(reply);
  readonly #ended = (): void => this.#end('the connection was closed by the remote');
  readonly #failed = (error: Error): void => this.#end(describe(error));
  readonly #closed = (): void => this.#end('the connection was closed');
  readonly #flushed = (error?: Error | null): void => this.#onFlushed(error);

  /** The owner hands what the socket reads to `feed` (see `connectWire`). */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  get lost(): Lost | undefined {
    return this.#lost;
  }

  /** Everything that was sent has been handed to the system. False: the remote cannot have all of it. */
  get isFlushed(): boolean {
    return this.#isFlushed;
  }

  /** Octets of a reply are held that nobody asked for, or that is not complete: what STARTTLS must not find (RFC 3207 §5). */
  get hasUnread(): boolean {
    return this.#replies.length > 0 || this.#parser.isMidReply;
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** What came from the remote; `length` when only the beginning of `octets` is meant. */
  feed(octets: Buffer, length = octets.length): void {
    if (this.#lost !== undefined) return;
    const trouble = this.#parser.push(octets, length, this.#take);
    if (trouble !== undefined) this.lose(`the server sent ${trouble}`);
  }

  /** Sends one flight that asks for `replies` replies. */
  send(flight: string, replies: number, body?: readonly Buffer[]): void {
    if (this.#lost !== undefined) return;
    this.#owed += replies;
    this.#isFlushed = false;
    const socket = this.#socket;
    if (body === undefined) {
      socket.write(flight, 'utf8', this.#flushed);
      return;
    }
    socket.cork();
    if (flight !== '') socket.write(flight, 'utf8');
    const last = body.length - 1;
    for (let i = 0; i < last; i++) socket.write(body[i] as Buffer);
    socket.write(body[last] as Buffer, this.#flushed);
    socket.uncork();
  }

  /**
   * The next reply, or how the connection ended. `timeoutMs` is the longest wait for it; while what was sent has not left yet,
   * `bodyMs` is the longest wait for that instead. `awaited` names the step for the sentence.
   */
  read(timeoutMs: number, awaited: string, bodyMs = 0): Promise<Reply | Lost> {
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#lost !== undefined) return Promise.resolve(this.#lost);
    this.#awaited = awaited;
    this.#replyMs = timeoutMs;
    this.#bodyMs = bodyMs;
    this.#isBodyPhase = bodyMs > 0 && this.#socket.writableLength > 0;
    this.#setDeadline(this.#isBodyPhase ? bodyMs : timeoutMs);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Ends the connection at once; whoever reads gets the reason. */
  lose(trouble: string, reply?: Reply): void {
    this.#end(trouble, reply, false);
  }

  #end(trouble: string, reply?: Reply, isClosed = true): void {
    if (this.#lost !== undefined) return;
    this.#lost = new Lost(trouble, reply, isClosed);
    clearTimeout(this.#timer);
    this.#socket.destroy();
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(this.#lost);
  }

  /** Goes on over `secured`; the plain socket is no longer listened to. */
  upgrade(secured: Socket): void {
    this.#socket = secured;
    this.#parser = new ReplyParser();
    secured.on('data', (octets: Buffer) => this.feed(octets));
    this.#listen(secured);
  }

  /** Leaves the plain socket to TLS. */
  detach(): Socket {
    const socket = this.#socket;
    socket.removeListener('end', this.#ended);
    socket.removeListener('error', this.#failed);
    socket.removeListener('close', this.#closed);
    return socket;
  }

  #listen(socket: Socket): void {
    socket.on('end', this.#ended);
    socket.on('error', this.#failed);
    socket.on('close', this.#closed);
  }

  #onReply(reply: Reply): void {
    if (this.#lost !== undefined) return;
    this.dialogue.heard(reply);
    if (this.#owed === 0) {
      this.lose(`the server sent a reply that nothing asked for: ${reply.code} ${reply.text.slice(0, 200)}`, reply);
      return;
    }
    this.#owed--;
    const resolve = this.#resolve;
    if (resolve === undefined) {
      this.#replies.push(reply);
      if (this.#replies.length > UNREAD_REPLIES_MAX) this.lose('the server sent too many replies');
      return;
    }
    this.#resolve = undefined;
    resolve(reply);
  }

  #onFlushed(error?: Error | null): void {
    if (error !== undefined && error !== null) return; // 'error' tells the same
    this.#isFlushed = true;
    if (!this.#isBodyPhase || this.#resolve === undefined) return;
    this.#isBodyPhase = false;
    this.#setDeadline(this.#replyMs);
  }

  /** The timer runs on over several reads: a read only notes when it is up, and the timer, when it fires, looks what is left. */
  #setDeadline(ms: number): void {
    const nowMs = performance.now();
    this.#deadlineMs = nowMs + ms;
    if (this.#timer !== undefined && this.#timerDueMs <= this.#deadlineMs) return;
    this.#armTimer(ms, nowMs);
  }

  #armTimer(ms: number, nowMs: number): void {
    clearTimeout(this.#timer);
    this.#timerDueMs = nowMs + ms;
    this.#timer = setTimeout(() => this.#onTimer(), Math.ceil(ms));
    this.#timer.unref();
  }

  #onTimer(): void {
    this.#timer = undefined;
    if (this.#resolve === undefined || this.#lost !== undefined) return;
    const nowMs = performance.now();
    const leftMs = this.#deadlineMs - nowMs;
    if (leftMs > 1) {
      this.#armTimer(leftMs, nowMs);
      return;
    }
    // A process that stood still (a paused machine, a busy one) finds its timers due before it has read what came meanwhile: it may be the reply
    // to the final dot, and giving up on that makes a duplicate. The sockets are read before this is called.
    const awaiting = this.#resolve;
    setImmediate(() => {
      if (this.#resolve === awaiting && this.#lost === undefined && this.#deadlineMs <= nowMs + 1) this.#timeOut();
    });
  }

  #timeOut(): void {
    const seconds = Math.round(this.#isBodyPhase ? this.#bodyMs / 1000 : this.#replyMs / 1000);
    this.lose(
      this.#isBodyPhase
        ? `the message could not be sent within ${seconds} seconds`
        : `there was no reply to ${this.#awaited} within ${seconds} seconds`,
    );
  }
}

const TROUBLES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset by the remote',
  EPIPE: 'the connection was closed by the remote',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  EADDRNOTAVAIL: 'the local address of the egress source is not available',
  EADDRINUSE: 'no local port is free',
  EMFILE: 'too many files are open',
};

export function describe(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return TROUBLES[code] ?? `the connection failed: ${error.message.slice(0, 200)}`;
}
