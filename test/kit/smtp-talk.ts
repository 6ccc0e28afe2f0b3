/** A client's side of an SMTP dialogue, octet by octet: says exactly what a test wants said, in the pieces that it wants, and hands back whole replies. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';

/** Generous: what comes at once on an idle machine comes late on a busy one. */
const DEADLINE_MS = 60_000;
/** Text "ab\u00ff" is sent as the octets 61 62 ff. */
type Octets = string | Buffer;

export class SmtpTalk {
  #socket: Socket;
  #text = '';
  /** For the error, when the connection ends. */
  #lastReply = '';
  #isClosed = false;
  #wake: (() => void)[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  /** The whole greeting is read (unless `expectGreeting` is false). */
  static async open(port: number, options: { host?: string; localAddress?: string; expectGreeting?: boolean } = {}): Promise<SmtpTalk> {
    const socket = connect({ port, host: options.host ?? '127.0.0.1', localAddress: options.localAddress, noDelay: true });
    await once(socket, 'connect');
    const talk = new SmtpTalk(socket);
    if (options.expectGreeting !== false) await talk.reply();
    return talk;
  }

  static async openTls(port: number, options: ConnectionOptions = {}): Promise<SmtpTalk> {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    await once(socket, 'secureConnect');
    const talk = new SmtpTalk(socket);
    await talk.reply();
    return talk;
  }

  get socket(): Socket {
    return this.#socket;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What has arrived and was not taken by `reply`. */
  get pending(): string {
    return this.#text;
  }

  send(octets: Octets): void {
    this.#socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
  }

  /** One reply, all its lines, without the last CRLF. Rejects when the connection ends first. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        this.#lastReply = match[0].trimEnd();
        return this.#lastReply;
      }
      if (this.#isClosed) throw new Error(`the connection ended after "${this.#lastReply}"; left: ${JSON.stringify(this.#text)}`);
      await this.#news();
    }
  }

  /** Says a line and reads the reply. */
  async say(line: Octets): Promise<string> {
    this.send(line);
    this.send('\r\n');
    return this.reply();
  }

  /** Reads `count` replies and gives their codes. */
  async codes(count: number): Promise<string[]> {
    const codes: string[] = [];
    while (codes.length < count) codes.push((await this.reply()).slice(0, 3));
    return codes;
  }

  /** Everything that comes until the server closes. */
  async rest(): Promise<string> {
    while (!this.#isClosed) await this.#news();
    const text = this.#text;
    this.#text = '';
    return text;
  }

  async startTls(options: ConnectionOptions = {}): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data').removeAllListeners('close');
    const secure: TLSSocket = connectTls({ socket: plain, rejectUnauthorized: false, ...options });
    await once(secure, 'secureConnect');
    this.#socket = secure;
    this.#listen(secure);
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#tell();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isClosed = true;
      this.#tell();
    });
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #news(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#wake.push(resolve);
      timer = setTimeout(() => reject(new Error(`nothing came; left: ${JSON.stringify(this.#text)}`)), DEADLINE_MS);
    });
    clearTimeout(timer);
  }
}
