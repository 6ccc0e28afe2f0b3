/**
 * The receiving end of a benchmark or crash test: an SMTP server that does as little as a server can, so that it takes little of the machine
 * it shares with the program under test. Accepts everything, keeps nothing but counts (and, when asked, which id came for whom, how often).
 * Started by Child (child.ts); listens on a free port of 127.0.0.1. It trusts its peer: there are no limits here, and no place for it on a network.
 *
 * A connection is in one of three states: `command` (lines), `data` (until CRLF.CRLF), `chunk` (a BDAT chunk of known length).
 */
import type { Buffer } from 'node:buffer';
import { createServer, type Socket } from 'node:net';
import { answerParent } from './child.ts';
import { ID_HEADER } from './message.ts';

export interface SinkOptions {
  readonly pipelining: boolean;
  readonly chunking: boolean;
  /** Remember which id was delivered to whom, and how often. */
  readonly record: boolean;
  /** Share of recipients answered with 451. */
  readonly deferShare: number;
}

export interface SinkCounts {
  readonly messages: number;
  readonly recipients: number;
  readonly connections: number;
  readonly deferred: number;
}

const END_OF_DATA = '\r\n.\r\n';
/** As much of a message as is kept to find its id. */
const HEAD_BYTES = 4096;

let options: SinkOptions = { pipelining: true, chunking: true, record: false, deferShare: 0 };
let messages = 0;
let recipients = 0;
let connections = 0;
let deferred = 0;
let firstAtMs: number | undefined;
/** "id recipient message-id" → times delivered. */
const deliveries = new Map<string, number>();
let expectation: { recipients: number; resolve: (atMs: number) => void } | undefined;

function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

function delivered(to: readonly string[], head: string): void {
  messages++;
  recipients += to.length;
  firstAtMs ??= wallMs();
  if (options.record) remember(to, head);
  if (expectation !== undefined && recipients >= expectation.recipients) {
    expectation.resolve(wallMs());
    expectation = undefined;
  }
}

function remember(to: readonly string[], head: string): void {
  const id = field(head, ID_HEADER) ?? '(no id)';
  const messageId = (field(head, 'Message-ID') ?? '').replace(/^<|>$/g, '');
  for (const recipient of to) {
    const key = `${id} ${recipient} ${messageId}`;
    deliveries.set(key, (deliveries.get(key) ?? 0) + 1);
  }
}

/** A header field's value; fields that matter here are short, so never folded. */
function field(head: string, name: string): string | undefined {
  const found = new RegExp(`^${name}: *(.*)\\r$`, 'im').exec(head);
  return found?.[1];
}

class Connection {
  readonly #socket: Socket;
  #state: 'command' | 'data' | 'chunk' = 'command';
  /** Start of a line whose end has not come yet. */
  #partial = '';
  /** Last octets of the message so far (data), to see an end that is split between reads. */
  #tail = '';
  #chunkLeft = 0;
  #isLastChunk = false;
  #to: string[] = [];
  #head = '';
  #out = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    connections++;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
    socket.write('220 sink.example ESMTP\r\n');
  }

  #take(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'command') at = this.#takeLine(bytes, at);
      else if (this.#state === 'data') at = this.#takeData(bytes, at);
      else at = this.#takeChunk(bytes, at);
    }
    if (this.#out === '') return;
    this.#socket.write(this.#out, 'latin1');
    this.#out = '';
  }

  #takeLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(10, at);
    if (end === -1) {
      this.#partial += bytes.toString('latin1', at);
      return bytes.length;
    }
    const line = this.#partial + bytes.toString('latin1', at, end + 1);
    this.#partial = '';
    this.#command(line);
    return end + 1;
  }

  #takeData(bytes: Buffer, at: number): number {
    this.#keepHead(bytes, at, bytes.length);
    if (this.#tail !== '') {
      const seam = this.#tail + bytes.toString('latin1', at, at + END_OF_DATA.length - 1);
      const found = seam.indexOf(END_OF_DATA);
      if (found !== -1) return this.#endOfData(at + found + END_OF_DATA.length - this.#tail.length);
    }
    const end = bytes.indexOf(END_OF_DATA, at, 'latin1');
    if (end !== -1) return this.#endOfData(end + END_OF_DATA.length);
    this.#tail = (this.#tail + bytes.toString('latin1', Math.max(at, bytes.length - 4))).slice(-4);
    return bytes.length;
  }

  #endOfData(next: number): number {
    this.#state = 'command';
    this.#accept();
    return next;
  }

  #takeChunk(bytes: Buffer, at: number): number {
    const taken = Math.min(this.#chunkLeft, bytes.length - at);
    this.#keepHead(bytes, at, at + taken);
    this.#chunkLeft -= taken;
    if (this.#chunkLeft === 0) this.#endOfChunk();
    return at + taken;
  }

  #endOfChunk(): void {
    this.#state = 'command';
    // Where every recipient was refused the chunk is taken and thrown away (RFC 3030 §2).
    if (this.#to.length === 0) this.#out += '554 5.5.1 no valid recipients\r\n';
    else if (this.#isLastChunk) this.#accept();
    else this.#out += '250 2.0.0 chunk\r\n';
  }

  #keepHead(bytes: Buffer, from: number, to: number): void {
    if (!options.record || this.#head.length >= HEAD_BYTES) return;
    this.#head += bytes.toString('latin1', from, Math.min(to, from + HEAD_BYTES - this.#head.length));
  }

  #accept(): void {
    this.#out += '250 2.0.0 taken\r\n';
    delivered(this.#to, this.#head);
    this.#reset();
  }

  #reset(): void {
    this.#to = [];
    this.#head = '';
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'RCPT') this.#recipient(line);
    else if (verb === 'DATA') this.#data();
    else if (verb === 'BDAT') this.#chunk(line);
    else if (verb === 'EHLO') this.#out += this.#greeting();
    else if (verb === 'QUIT') {
      this.#socket.end(`${this.#out}221 2.0.0 bye\r\n`);
      this.#out = '';
    } else {
      if (verb === 'MAIL' || verb === 'RSET') this.#reset();
      this.#out += '250 2.0.0 ok\r\n';
    }
  }

  #greeting(): string {
    const offers = ['sink.example', 'ENHANCEDSTATUSCODES', '8BITMIME'];
    if (options.pipelining) offers.push('PIPELINING');
    if (options.chunking) offers.push('CHUNKING');
    const last = offers.pop() as string;
    return `${offers.map((offer) => `250-${offer}\r\n`).join('')}250 ${last}\r\n`;
  }

  #recipient(line: string): void {
    if (options.deferShare > 0 && Math.random() < options.deferShare) {
      deferred++;
      this.#out += '451 4.3.0 not now\r\n';
      return;
    }
    this.#to.push(line.slice(line.indexOf('<') + 1, line.indexOf('>')));
    this.#out += '250 2.1.5 ok\r\n';
  }

  #data(): void {
    if (this.#to.length === 0) {
      this.#out += '554 5.5.1 no valid recipients\r\n';
      return;
    }
    this.#state = 'data';
    // The line end before the data counts: a message may be empty.
    this.#tail = '\r\n';
    this.#out += '354 go on\r\n';
  }

  #chunk(line: string): void {
    const [, size, last] = line.trimEnd().split(' ');
    this.#chunkLeft = Number(size);
    this.#isLastChunk = last?.toUpperCase() === 'LAST';
    this.#state = 'chunk';
    if (this.#chunkLeft === 0) this.#endOfChunk();
  }
}

const server = createServer((socket) => void new Connection(socket));

answerParent({
  start: (given: Partial<SinkOptions>): Promise<number> => {
    options = { ...options, ...given };
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
  },
  set: (given: Partial<SinkOptions>): void => {
    options = { ...options, ...given };
  },
  /** Forgets all counts. */
  reset: (): void => {
    messages = recipients = deferred = connections = 0;
    firstAtMs = undefined;
    deliveries.clear();
  },
  counts: (): SinkCounts => ({ messages, recipients, connections, deferred }),
  /** Answers when so many recipients have been delivered since the last reset: the time (epoch, milliseconds). */
  expect: (count: number): Promise<number> => {
    if (recipients >= count) return Promise.resolve(wallMs());
    return new Promise((resolve) => {
      expectation = { recipients: count, resolve };
    });
  },
  firstAt: (): number | undefined => firstAtMs,
  deliveries: (): [string, number][] => [...deliveries],
});
