/**
 * The API load generator, a process of its own (child.ts): N keep-alive connections, each posting one call after the other to
 * /v3/{domain}/messages over a bare socket, because an HTTP client library would cost more than the server under test.
 * Accept latency is from the last octet of the call to its answer. Any status but 200 ends the run.
 */
import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { answerParent } from './child.ts';
import { type LoadResult, type Work, drive } from './drive.ts';
import { ID_HEADER, SENDER, SENDER_DOMAIN, recipientOf, text } from './message.ts';

export interface ApiLoad {
  /** Connections are spread over them. */
  readonly ports: readonly number[];
  readonly key: string;
  /** Calls to make. */
  readonly calls: number;
  readonly connections: number;
  readonly sizeBytes: number;
  readonly prefix: string;
  readonly form: 'multipart' | 'urlencoded';
  /** 1: a single message. More: a batch with recipient variables, one individual message for each. */
  readonly recipientsPerCall: number;
  /** o:deliverytime, RFC 5322 date. */
  readonly deliveryTime?: string;
  /** Recipients are spread over so many domains (of nobody's). 1: all at the sink's domain. */
  readonly domains?: number;
}

type Field = readonly [name: string, value: string];

function recipients(load: ApiLoad, call: number): string[] {
  const first = call * load.recipientsPerCall;
  const domains = load.domains ?? 1;
  return Array.from({ length: load.recipientsPerCall }, (_, i) => {
    const n = first + i;
    return domains > 1 ? `user${n}@d${n % domains}.example` : recipientOf(n);
  });
}

function fields(load: ApiLoad, call: number, body: string): Field[] {
  const to = recipients(load, call);
  const id = `${load.prefix}${call}`;
  const result: Field[] = [
    ['from', `Bench <${SENDER}>`],
    ...to.map((address): Field => ['to', address]),
    ['subject', `Your receipt ${id}`],
    [`h:${ID_HEADER}`, id],
  ];
  if (load.recipientsPerCall > 1) {
    const variables = Object.fromEntries(to.map((address, i) => [address, { name: `Ann ${i}`, order: `${call}-${i}` }]));
    result.push(['text', `Dear %recipient.name%, your order %recipient.order% is on its way.\r\n${body}`]);
    result.push(['recipient-variables', JSON.stringify(variables)]);
  } else result.push(['text', body]);
  if (load.deliveryTime !== undefined) result.push(['o:deliverytime', load.deliveryTime]);
  return result;
}

const BOUNDARY = 'postrider-bench-boundary-7d1f';

function encode(load: ApiLoad, all: readonly Field[]): { type: string; body: string } {
  if (load.form === 'urlencoded')
    return { type: 'application/x-www-form-urlencoded', body: new URLSearchParams(all as [string, string][]).toString() };
  const parts = all.map(([name, value]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  return { type: `multipart/form-data; boundary=${BOUNDARY}`, body: `${parts.join('')}--${BOUNDARY}--\r\n` };
}

class Client {
  readonly #socket: Socket;
  readonly #load: ApiLoad;
  readonly #body: string;
  readonly #work: Work;
  #answer = '';
  #sentAtMs = 0;
  #isOver = false;

  constructor(load: ApiLoad, port: number, work: Work, body: string) {
    this.#load = load;
    this.#work = work;
    this.#body = body;
    this.#socket = connect(port, '127.0.0.1', () => this.#call());
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error('the server closed the connection')));
  }

  #call(): void {
    const call = this.#work.next();
    if (call === undefined) {
      this.#end();
      return;
    }
    const { type, body } = encode(this.#load, fields(this.#load, call, this.#body));
    const authorization = Buffer.from(`api:${this.#load.key}`).toString('base64');
    // All of it is US-ASCII, so characters are octets.
    this.#socket.write(
      `POST /v3/${SENDER_DOMAIN}/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${authorization}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      'latin1',
    );
    this.#sentAtMs = performance.now();
  }

  #take(bytes: Buffer): void {
    this.#answer += bytes.toString('latin1');
    const headEnd = this.#answer.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const length = /^content-length: *(\d+)/im.exec(this.#answer.slice(0, headEnd));
    if (length === null) {
      this.#end(new Error('an answer without Content-Length'));
      return;
    }
    const total = headEnd + 4 + Number(length[1]);
    if (this.#answer.length < total) return;
    const answer = this.#answer.slice(0, total);
    this.#answer = this.#answer.slice(total);
    if (!answer.startsWith('HTTP/1.1 200')) {
      this.#end(new Error(`answer to a call: ${answer.slice(0, 20)} … ${answer.slice(headEnd + 4)}`));
      return;
    }
    this.#work.accepted(performance.now() - this.#sentAtMs);
    this.#call();
  }

  #end(error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#work.done(error);
  }
}

function run(load: ApiLoad): Promise<LoadResult> {
  const body = text(load.sizeBytes);
  return drive(
    load.calls,
    load.connections,
    load.recipientsPerCall,
    (work, client) => void new Client(load, load.ports[client % load.ports.length] as number, work, body),
  );
}

answerParent({ run });
