/**
 * An SMTP client session (RFC 5321 §3): opened to one address of one host through greeting, EHLO, STARTTLS and AUTH, then used for
 * one message after the other. Every way it can end is a value. No policy lives here: whether plaintext will do is asked for by
 * `tls`, and what a reply means for a recipient is decided elsewhere.
 *
 * Opening: connect → greeting → EHLO (HELO when EHLO is refused) → STARTTLS → EHLO again → AUTH → open. Any step may fail.
 */
import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { Composed, DeliveryJob } from '#model/delivery.ts';
import type { Reply, TlsFacts } from '#model/outcome.ts';
import { authenticate } from './client-auth.ts';
import type { Login } from './client-auth.ts';
import { NO_OFFERS, offersOf } from './client-capabilities.ts';
import type { ServerOffers } from './client-capabilities.ts';
import { connectWire, secureWire } from './client-connect.ts';
import type { Endpoint } from './client-connect.ts';
import { transact } from './client-transaction.ts';
import type { Peer, Transacted } from './client-transaction.ts';
import { Lost } from './client-wire.ts';
import type { Wire } from './client-wire.ts';

/** RFC 5321 §4.5.3.2. `dataMs`: the reply to DATA, and the message on its way; `dotMs`: the reply to its end. */
export interface ClientTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  readonly commandMs: number;
  readonly dataMs: number;
  readonly dotMs: number;
}

const QUIT_WAIT_MS = 1_000;

export interface OpenOptions extends Endpoint {
  /** Name for SNI and for the certificate. */
  readonly host: string;
  readonly ehlo: string;
  /** opportunistic: plaintext when the server does not offer STARTTLS or refuses it. required: not without. implicit: from the first octet. */
  readonly tls: 'none' | 'opportunistic' | 'required' | 'implicit';
  /** The certificate must be verified before anything else is said. */
  readonly verify: boolean;
  readonly login?: Login;
  /** The operator allows the password to go out without TLS. */
  readonly allowPlainLogin?: boolean;
  readonly context: SecureContext;
  readonly timeouts: ClientTimeouts;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

export type OpenStep = 'connect' | 'greeting' | 'ehlo' | 'tls' | 'auth';
export type OpenSteps = Partial<Record<OpenStep, number>>;

export interface OpenFailure {
  readonly kind: 'failed';
  readonly step: OpenStep;
  /** What the server said, when it said something. */
  readonly reply?: Reply;
  readonly trouble: string;
  /** TLS broke, so that plaintext on a new connection might do. Not set when the server injected replies or refused politely. */
  readonly isTlsBroken?: true;
  readonly tls?: TlsFacts;
  readonly steps: OpenSteps;
  readonly dialogue: readonly string[];
}

export type Opened = { readonly kind: 'open'; readonly client: SmtpClient } | OpenFailure;

export async function openClient(options: OpenOptions): Promise<Opened> {
  return new Opening(options).run();
}

/** Past EHLO, TLS and AUTH. */
export class SmtpClient {
  readonly tls: TlsFacts | undefined;
  readonly steps: OpenSteps;
  readonly offers: ServerOffers;
  readonly #wire: Wire;
  readonly #peer: Peer;
  #isBusy = false;

  constructor(wire: Wire, offers: ServerOffers, facts: { tls: TlsFacts | undefined; steps: OpenSteps }, options: OpenOptions) {
    this.#wire = wire;
    this.offers = offers;
    this.tls = facts.tls;
    this.steps = facts.steps;
    this.#peer = { wire, offers, timeouts: options.timeouts, clock: options.clock, recipientsMax: undefined, needsReset: false };
  }

  get isUsable(): boolean {
    return this.#wire.lost === undefined;
  }

  /** How the connection ended, if it has. */
  get lost(): Lost | undefined {
    return this.#wire.lost;
  }

  /** One result for each recipient, in order. One call at a time. */
  async transact(job: DeliveryJob, composed: Composed): Promise<Transacted> {
    if (this.#isBusy) throw new Error('an SMTP session was used for two transactions at once');
    this.#isBusy = true;
    try {
      return await transact(this.#peer, job, composed);
    } finally {
      this.#isBusy = false;
    }
  }

  /** QUIT, unless a transaction is under way, and away. */
  async close(): Promise<void> {
    if (this.isUsable && !this.#isBusy) {
      this.#wire.send('QUIT\r\n', 1);
      await this.#wire.read(QUIT_WAIT_MS, 'QUIT');
    }
    this.#wire.lose('the connection was closed by us');
  }
}

/** The steps of one opening, in the order of the file's heading. Each returns a failure or nothing. */
class Opening {
  readonly #options: OpenOptions;
  readonly #steps: OpenSteps = {};
  #wire: Wire | undefined;
  #offers: ServerOffers = NO_OFFERS;
  #tls: TlsFacts | undefined;

  constructor(options: OpenOptions) {
    this.#options = options;
  }

  async run(): Promise<Opened> {
    const { timeouts, signal, tls, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const wire = await connectWire(this.#options, timeouts.connectMs, signal);
    this.#took('connect', startedMs);
    if (typeof wire === 'string') return this.#failure('connect', wire);
    this.#wire = wire;
    const onAbort = (): void => wire.lose('the attempt was stopped');
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const failure =
        (tls === 'implicit' ? await this.#secure(wire) : undefined) ??
        (await this.#greeting(wire)) ??
        (await this.#ehlo(wire)) ??
        (await this.#starttls(wire)) ??
        (await this.#auth(wire));
      if (failure !== undefined) {
        await this.#leave(wire);
        return failure;
      }
      wire.dialogue.mark();
      return { kind: 'open', client: new SmtpClient(wire, this.#offers, { tls: this.#tls, steps: this.#steps }, this.#options) };
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #greeting(wire: Wire): Promise<OpenFailure | undefined> {
    const startedMs = this.#options.clock.monotonicMs();
    const got = await wire.read(this.#options.timeouts.greetingMs, 'the connection');
    this.#took('greeting', startedMs);
    return got instanceof Lost || got.code !== 220 ? this.#failure('greeting', got) : undefined;
  }

  async #ehlo(wire: Wire): Promise<OpenFailure | undefined> {
    const startedMs = this.#options.clock.monotonicMs();
    const { ehlo } = this.#options;
    let got = await this.#say(wire, `EHLO ${ehlo}`);
    const isRefused = !(got instanceof Lost) && got.code >= 500 && got.code <= 504; // RFC 5321 §4.1.4: then HELO
    if (!(got instanceof Lost) && got.code === 250) this.#offers = offersOf(got);
    if (isRefused) {
      this.#offers = NO_OFFERS;
      got = await this.#say(wire, `HELO ${ehlo}`);
    }
    this.#took('ehlo', startedMs);
    return got instanceof Lost || got.code !== 250 ? this.#failure('ehlo', got) : undefined;
  }

  async #starttls(wire: Wire): Promise<OpenFailure | undefined> {
    const { tls, verify } = this.#options;
    if (tls === 'none' || tls === 'implicit') return undefined;
    const isRequired = tls === 'required' || verify;
    if (!this.#offers.starttls) {
      return isRequired ? this.#failure('tls', 'the server does not offer STARTTLS, which is required') : undefined;
    }
    const got = await this.#say(wire, 'STARTTLS');
    if (got instanceof Lost) return { ...this.#failure('tls', got), ...(got.reply === undefined ? { isTlsBroken: true } : {}) };
    if (got.code !== 220) return isRequired || got.code === 421 ? this.#failure('tls', got) : undefined;
    // RFC 3207 §5, and CVE-2011-0411 seen from the client: what came in plaintext must not be taken for an answer under TLS.
    if (wire.hasUnread || wire.lost !== undefined) {
      wire.lose('the server sent more than its reply to STARTTLS in plaintext');
      return this.#failure('tls', 'the server sent more than its reply to STARTTLS in plaintext');
    }
    const failure = await this.#secure(wire);
    return failure ?? (await this.#ehlo(wire));
  }

  async #secure(wire: Wire): Promise<OpenFailure | undefined> {
    const { clock, host, context, timeouts, verify } = this.#options;
    const startedMs = clock.monotonicMs();
    const facts = await secureWire(wire, host, context, timeouts.commandMs);
    this.#took('tls', startedMs);
    if (typeof facts === 'string') return { ...this.#failure('tls', facts), isTlsBroken: true };
    this.#tls = facts;
    if (!verify || facts.verified) return undefined;
    wire.lose('the certificate is not verified');
    return this.#failure('tls', `the certificate is not verified: ${facts.trouble ?? 'unknown'}`);
  }

  async #auth(wire: Wire): Promise<OpenFailure | undefined> {
    const { clock, login, timeouts, allowPlainLogin } = this.#options;
    if (login === undefined) return undefined;
    if (this.#tls === undefined && allowPlainLogin !== true) {
      return this.#failure('auth', 'the password is not sent without TLS; set tls = "none" for this route to allow it');
    }
    const startedMs = clock.monotonicMs();
    const got = await authenticate(wire, this.#offers, login, timeouts.commandMs);
    this.#took('auth', startedMs);
    return typeof got === 'string' || got instanceof Lost || got.code !== 235 ? this.#failure('auth', got) : undefined;
  }

  async #say(wire: Wire, line: string): Promise<Reply | Lost> {
    wire.dialogue.said(line);
    wire.send(`${line}\r\n`, 1);
    return wire.read(this.#options.timeouts.commandMs, line.split(' ')[0] as string);
  }

  /** A server that is still there gets its QUIT. */
  async #leave(wire: Wire): Promise<void> {
    if (wire.lost === undefined) {
      wire.send('QUIT\r\n', 1);
      await wire.read(QUIT_WAIT_MS, 'QUIT');
    }
    wire.lose('the connection was closed by us');
  }

  #took(step: OpenStep, startedMs: number): void {
    this.#steps[step] = (this.#steps[step] ?? 0) + Math.round(this.#options.clock.monotonicMs() - startedMs);
  }

  #failure(step: OpenStep, cause: Reply | Lost | string): OpenFailure {
    const reply = cause instanceof Lost ? cause.reply : typeof cause === 'string' ? undefined : cause;
    const trouble = cause instanceof Lost ? cause.trouble : typeof cause === 'string' ? cause : `the server answered ${cause.code}`;
    return {
      kind: 'failed',
      step,
      ...(reply === undefined ? {} : { reply }),
      trouble,
      ...(this.#tls === undefined ? {} : { tls: this.#tls }),
      steps: this.#steps,
      dialogue: this.#wire?.dialogue.lines() ?? [],
    };
  }
}
