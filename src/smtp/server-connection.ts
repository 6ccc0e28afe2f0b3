/**
 * The socket under an SMTP server session: octets in, replies out, TLS in between. Replies are collected and leave in one write per flight.
 * It knows no SMTP. Whoever does not read is not written to without end (`isClogged`), and a connection that is finished lingers a moment
 * so that the last reply is not destroyed by a reset (unread input would cause one), then it is cut.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { ServerLimits } from './server-limits.ts';

export interface ConnectionOwner {
  onInput(chunk: Buffer): void;
  /** The client has closed its side; it may still read. */
  onInputEnd(): void;
  /** What was clogged is flowing again. */
  onDrain(): void;
  /** Once. Nothing else is called afterwards. */
  onGone(): void;
}

/** A flight that grows beyond this is sent in parts. */
const FLIGHT_CHARS = 16_384;

export class ServerConnection {
  readonly #owner: ConnectionOwner;
  readonly #limits: Pick<ServerLimits, 'outgoingBytes' | 'lingerMs'>;
  #socket: Socket;
  #flight = '';
  #isPaused = false;
  #finishedMs: number | undefined;
  #isGone = false;

  constructor(socket: Socket, owner: ConnectionOwner, limits: Pick<ServerLimits, 'outgoingBytes' | 'lingerMs'>) {
    this.#socket = socket;
    this.#owner = owner;
    this.#limits = limits;
    socket.setNoDelay(true);
    this.#listen(socket);
  }

  get isFinished(): boolean {
    return this.#finishedMs !== undefined || this.#isGone;
  }

  get isClogged(): boolean {
    // Without `writableNeedDrain` no 'drain' would tell when it flows again.
    return this.#socket.writableNeedDrain && this.#socket.writableLength > this.#limits.outgoingBytes;
  }

  /** Octets that have been received and not been given to the owner. */
  get unreadBytes(): number {
    return this.#socket.readableLength;
  }

  /** `text` is ASCII. */
  send(text: string): void {
    this.#flight += text;
    if (this.#flight.length > FLIGHT_CHARS) this.flush();
  }

  flush(): void {
    if (this.#flight === '') return;
    const flight = this.#flight;
    this.#flight = '';
    if (this.#socket.writable) this.#socket.write(flight, 'latin1');
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** Gives back octets that were read too far, for the TLS that begins now. */
  unread(octets: Buffer): void {
    this.#socket.pause();
    if (octets.length > 0) this.#socket.unshift(octets);
  }

  /** `done` gets "TLSv1.3 TLS_AES_256_GCM_SHA384". A handshake that fails ends the connection. */
  startTls(secureContext: SecureContext, done: (tls: string) => void): void {
    this.flush();
    const plain = this.#socket;
    this.#ignore(plain);
    const secure = new TLSSocket(plain, { isServer: true, secureContext });
    this.#socket = secure;
    this.#listen(secure);
    if (this.#isPaused) {
      this.#isPaused = false;
      secure.resume();
    }
    secure.once('secure', () => {
      if (this.isFinished) return;
      done(`${secure.getProtocol() ?? 'TLS'} ${secure.getCipher().standardName}`);
    });
  }

  /** Sends what is collected and closes; input is ignored from now on. */
  finish(nowMs: number): void {
    if (this.isFinished) return;
    this.flush();
    this.#finishedMs = nowMs;
    this.#socket.end();
    this.resume();
  }

  /** Cuts a connection that lingers. */
  tick(nowMs: number): void {
    if (this.#finishedMs !== undefined && nowMs - this.#finishedMs >= this.#limits.lingerMs) this.destroy();
  }

  destroy(): void {
    this.#finishedMs ??= 0;
    this.#socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.isFinished) this.#owner.onInput(chunk);
  };

  readonly #onEnd = (): void => {
    if (this.isFinished) this.#socket.destroySoon();
    else this.#owner.onInputEnd();
  };

  readonly #onDrain = (): void => {
    if (!this.isFinished) this.#owner.onDrain();
  };

  readonly #onClose = (): void => {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#owner.onGone();
  };

  #listen(socket: Socket): void {
    socket.on('data', this.#onData).on('end', this.#onEnd).on('drain', this.#onDrain).on('close', this.#onClose);
    // A connection may break at any time; that is no news. 'close' follows.
    socket.on('error', () => undefined);
  }

  #ignore(socket: Socket): void {
    socket.off('data', this.#onData).off('end', this.#onEnd).off('drain', this.#onDrain).off('close', this.#onClose);
  }
}
