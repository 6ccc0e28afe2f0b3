/**
 * The SMTP load generator, a process of its own (child.ts). N connections are opened and kept; each sends one message after the other,
 * as fast as it is answered: MAIL, RCPT and DATA in one flight when PIPELINING is offered, then the message, then the reply.
 * Accept latency is from the end of data to its reply. Any reply that is not the expected one ends the run: a benchmark of refusals measures nothing.
 */
import type { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { answerParent } from './child.ts';
import { type LoadResult, type Work, drive } from './drive.ts';
import { SENDER, header, recipientOf, text } from './message.ts';

export interface SmtpLoad {
  /** Connections are spread over them. */
  readonly ports: readonly number[];
  readonly messages: number;
  readonly connections: number;
  readonly sizeBytes: number;
  /** Starts each id, so that runs do not share ids. */
  readonly prefix: string;
}

type Step = 'greeting' | 'ehlo' | 'mail' | 'rcpt' | 'data' | 'end' | 'quit';

class Client {
  readonly #socket: Socket;
  readonly #load: SmtpLoad;
  readonly #body: string;
  readonly #work: Work;
  /** Steps whose replies are awaited, in order. */
  readonly #awaited: Step[] = ['greeting'];
  #partial = '';
  #isPipelining = false;
  #number = 0;
  #sentAtMs = 0;
  #isOver = false;

  constructor(load: SmtpLoad, port: number, work: Work, body: string) {
    this.#load = load;
    this.#work = work;
    this.#body = body;
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error('the server closed the connection')));
  }

  #take(bytes: Buffer): void {
    this.#partial += bytes.toString('latin1');
    let end: number;
    while ((end = this.#partial.indexOf('\n')) !== -1) {
      const line = this.#partial.slice(0, end);
      this.#partial = this.#partial.slice(end + 1);
      if (this.#awaited[0] === 'ehlo' && line.includes('PIPELINING')) this.#isPipelining = true;
      if (line[3] !== '-') this.#replied(line);
    }
  }

  #replied(line: string): void {
    const step = this.#awaited.shift();
    if (line[0] !== (step === 'data' ? '3' : '2')) {
      this.#end(new Error(`answer to ${step ?? 'nothing'}: ${line.trimEnd()}`));
    } else if (step === 'greeting') this.#send('ehlo', 'EHLO load.example\r\n');
    else if (step === 'ehlo') this.#message();
    else if (step === 'mail' && !this.#isPipelining) this.#send('rcpt', `RCPT TO:<${recipientOf(this.#number)}>\r\n`);
    else if (step === 'rcpt' && !this.#isPipelining) this.#send('data', 'DATA\r\n');
    else if (step === 'data') this.#content();
    else if (step === 'end') {
      this.#work.accepted(performance.now() - this.#sentAtMs);
      this.#message();
    } else if (step === 'quit') this.#end();
  }

  #send(step: Step, command: string): void {
    this.#awaited.push(step);
    this.#socket.write(command, 'latin1');
  }

  #message(): void {
    const number = this.#work.next();
    if (number === undefined) {
      this.#send('quit', 'QUIT\r\n');
      return;
    }
    this.#number = number;
    if (!this.#isPipelining) {
      this.#send('mail', `MAIL FROM:<${SENDER}>\r\n`);
      return;
    }
    this.#awaited.push('mail', 'rcpt');
    this.#send('data', `MAIL FROM:<${SENDER}>\r\nRCPT TO:<${recipientOf(number)}>\r\nDATA\r\n`);
  }

  #content(): void {
    const head = header(`${this.#load.prefix}${this.#number}`, recipientOf(this.#number));
    this.#send('end', `${head}${this.#body.slice(0, this.#load.sizeBytes - head.length - 2)}\r\n.\r\n`);
    this.#sentAtMs = performance.now();
  }

  #end(error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#work.done(error);
  }
}

function run(load: SmtpLoad): Promise<LoadResult> {
  const body = text(load.sizeBytes);
  return drive(
    load.messages,
    load.connections,
    1,
    (work, client) => void new Client(load, load.ports[client % load.ports.length] as number, work, body),
  );
}

answerParent({ run });
