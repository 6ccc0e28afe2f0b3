/**
 * A whole installation for tests of the running program: a data directory, an account with a key, the sender domain "ours.test" whose mail this machine
 * may submit by SMTP without a login, and delivery to what the test's own DNS names on loopback. It may be started and killed as often as a test likes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Finished, type Program, environment, postrider, startProgram } from '../demo/program.ts';
import { type DnsZone, type ZoneNode, startDnsZone } from './dns-zone.ts';
import { type Sink, type SinkOptions, startSink } from './sink.ts';
import { SmtpTalk } from './smtp-talk.ts';
import { type TestStore, newTestStore } from './stores.ts';

export const DOMAIN = 'ours.test';
export const KEY = 'key-for-the-tests-of-promises-0123456789';
const START_MS = 60_000;
const ANSWER_MS = 30_000;

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text as JSON; undefined when it is none. */
  readonly body: Record<string, unknown>;
}

/** What GET /v1/messages/{id} tells of one recipient, as far as tests look at it. */
export interface RecipientStory {
  readonly address: string;
  readonly status: string;
  readonly attempts: number;
  readonly possibleDuplicate: boolean;
  readonly entries: readonly {
    readonly kind: 'wait' | 'attempt' | 'fact';
    readonly event?: string;
    readonly text?: string;
    readonly reason?: string;
    readonly result?: string;
    readonly code?: number;
    readonly reply?: string;
    readonly possibleDuplicate?: boolean;
  }[];
  readonly next?: { readonly atMs: number; readonly reason: string; readonly text: string };
}

/** A test's context, or a file's `{ after }`: what is made here goes with it. */
export interface Keeper {
  after(clean: () => Promise<void>): void;
}

export type Fields = Readonly<Record<string, string | readonly string[]>>;

export class Installation {
  readonly data: string;
  readonly zone: DnsZone;
  readonly sink: Sink;
  /** Past the program: what is in its store. */
  readonly store: TestStore;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #running = new Set<Program>();

  private constructor(
    data: string,
    zone: DnsZone,
    sink: Sink,
    store: TestStore,
    settings: Readonly<Record<string, string>>,
    environment: Readonly<Record<string, string>>,
  ) {
    this.#environment = environment;
    this.data = data;
    this.zone = zone;
    this.sink = sink;
    this.store = store;
    this.#settings = settings;
  }

  /** `settings`: by key, such as "delivery.retry". `zone`: more than "x.test", which is the sink. Everything goes with the keeper. */
  static async make(
    keeper: Keeper,
    settings: Readonly<Record<string, string>> = {},
    extra: {
      readonly zone?: Record<string, ZoneNode>;
      readonly sink?: SinkOptions;
      readonly data?: string;
      readonly environment?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Installation> {
    const data = extra.data ?? mkdtempSync(join(tmpdir(), 'postrider-whole-'));
    const sink = await startSink(extra.sink);
    const zone = await startDnsZone({ 'x.test': { A: ['127.0.0.1'] }, ...extra.zone });
    const installation = new Installation(data, zone, sink, await newTestStore(data), settings, extra.environment ?? {});
    keeper.after(async () => {
      await installation.#end();
      await Promise.all([sink.close(), zone.close(), installation.store.drop()]);
      if (extra.data === undefined) rmSync(data, { recursive: true, force: true, maxRetries: 5 });
    });
    return installation;
  }

  env(settings: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
    const all: Record<string, string> = {
      'smtp.hostname': 'mail.ours.test',
      'smtp.trusted': JSON.stringify([{ cidr: '127.0.0.0/8', domain: DOMAIN }]),
      'domains.require_verification': 'false',
      'dkim.sign': 'false',
      'dkim.ed25519': 'false',
      'delivery.allow_networks': '127.0.0.0/8',
      'delivery.port': String(this.sink.port),
      'delivery.retry': '1s',
      'dns.servers': this.zone.server,
      ...this.#settings,
      ...settings,
    };
    const named = Object.entries(all).map(([key, value]) => [`POSTRIDER_${key.replaceAll('.', '_').toUpperCase()}`, value]);
    return environment(this.data, {
      POSTRIDER_API_KEY: KEY,
      ...this.store.environment,
      ...(Object.fromEntries(named) as Record<string, string>),
    });
  }

  /** Starts the program; the first time it adds the sender domain too. */
  async start(settings: Readonly<Record<string, string>> = {}, more: Readonly<Record<string, string>> = {}): Promise<Server> {
    const program = await startProgram([], { ...this.env(settings), ...this.#environment, ...more }, START_MS);
    this.#running.add(program);
    const server = new Server(program, () => this.#running.delete(program));
    const domain = await server.call('GET', `/v4/domains/${DOMAIN}`);
    if (domain.status === 404) await server.mustCall('POST', '/v4/domains', { name: DOMAIN });
    return server;
  }

  /** One command of bin/postrider on this installation. */
  command(...args: string[]): Promise<Finished> {
    return postrider(args, this.env());
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#running].map((program) => program.stop('SIGKILL')));
  }
}

export class Server {
  readonly program: Program;
  readonly url: string;
  readonly smtpPort: number;
  readonly #gone: () => void;
  #isRunning = true;

  constructor(program: Program, gone: () => void) {
    this.program = program;
    this.#gone = gone;
    this.url = `http://${program.doors.get('http')?.[0] ?? ''}`;
    this.smtpPort = Number((program.doors.get('submission')?.[0] ?? '').split(':').at(-1));
  }

  /** Until it is stopped or killed; false from the moment that it is asked to. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  get pid(): number {
    return this.program.child.pid as number;
  }

  authorization(key = KEY): Readonly<Record<string, string>> {
    return { authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` };
  }

  async call(method: string, path: string, fields?: Fields, headers: Readonly<Record<string, string>> = {}, key = KEY): Promise<Answered> {
    const body = fields === undefined ? null : form(fields);
    const response = await fetch(this.url + path, {
      method,
      headers: { ...this.authorization(key), ...headers },
      body,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, text, body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {} };
  }

  async mustCall(method: string, path: string, fields?: Fields, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    const answered = await this.call(method, path, fields, headers);
    if (answered.status !== 200) throw new Error(`${method} ${path}: ${answered.status} ${answered.text}`);
    return answered;
  }

  /** Hands a message in by the API, which must take it; its Message-ID without brackets. */
  async send(to: string | readonly string[], fields: Fields = {}, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const all: Fields = { from: `app@${DOMAIN}`, to, subject: 'A test', text: 'Hello.', ...fields };
    const { body } = await this.mustCall('POST', `/v3/${DOMAIN}/messages`, all, headers);
    return String(body['id']).replace(/^<|>$/g, '');
  }

  /** One call, one message for each address. */
  sendBatch(to: readonly string[], fields: Fields = {}): Promise<string> {
    return this.send(to, { 'recipient-variables': '{}', ...fields });
  }

  /** Past EHLO. */
  async smtp(): Promise<SmtpTalk> {
    const talk = await SmtpTalk.open(this.smtpPort);
    await talk.say('EHLO client.test');
    return talk;
  }

  async recipients(messageId: string): Promise<readonly RecipientStory[]> {
    const { body } = await this.mustCall('GET', `/v1/messages/${encodeURIComponent(messageId)}`);
    return body['recipients'] as RecipientStory[];
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    this.#isRunning = false;
    const finished = await this.program.stop(signal);
    this.#gone();
    return finished;
  }

  /** No chance to clean up. */
  async kill(): Promise<void> {
    await this.stop('SIGKILL');
  }
}

/** A whole SMTP transaction in one flight after EHLO; the reply to its end, or the refusal because of which the text was not sent. */
export async function submit(talk: SmtpTalk, to: readonly string[], text: string, sender = `app@${DOMAIN}`): Promise<string> {
  talk.send(`MAIL FROM:<${sender}>\r\n${to.map((address) => `RCPT TO:<${address}>\r\n`).join('')}DATA\r\n`);
  const replies: string[] = [];
  while (replies.length < to.length + 2) replies.push(await talk.reply());
  if (replies.at(-1)?.startsWith('354') !== true) return replies.find((reply) => !reply.startsWith('2')) as string;
  talk.send(`${text}\r\n.\r\n`);
  return talk.reply();
}

function form(fields: Fields): URLSearchParams {
  const result = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) for (const item of [value].flat()) result.append(name, item as string);
  return result;
}
