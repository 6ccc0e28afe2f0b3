/**
 * A receiving site for tests of lanes, without sockets: it opens connections and ends transactions when and how a test says, and counts what a real site would count:
 * connections from the first packet of their making until they are gone.
 */
import type { ConnectResult, DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { TlsDemand } from '#model/egress.ts';
import type { Outcome } from '#model/outcome.ts';

export function outcome(disposition: Outcome['disposition'], change: Partial<Outcome> = {}): Outcome {
  const code = { delivered: 250, deferred: 451, failed: 550 }[disposition];
  return { disposition, code, text: disposition, attempt: { number: 0, startedMs: 0, steps: {} }, ...change };
}

/** One transaction that waits for its end. */
export interface Running {
  readonly connection: number;
  readonly recipients: readonly string[];
  end(disposition?: Outcome['disposition'], change?: Partial<Outcome>): void;
  throw(error: Error): void;
}

export class ScriptedSite {
  /** Transactions under way, in the order of their beginning; only while `holdsTransactions`. */
  readonly running: Running[] = [];
  /** Every transaction's recipients, in the order of their beginning. */
  readonly begun: string[][] = [];
  /** TLS demands of the connections that were made, in order. */
  readonly demands: TlsDemand[] = [];
  holdsTransactions = false;
  /** Connecting takes until `finishConnecting`. */
  holdsConnecting = false;
  /** Closing takes until `finishClosing`. */
  holdsClosing = false;
  /** What the next attempts to connect meet; empty: they succeed. */
  readonly refusals: ('refused' | 'down' | Error)[] = [];
  isDown = false;
  /** Without, it opens no connection for mail that demands TLS. */
  hasTls = true;
  open = 0;
  peak = 0;
  closed = 0;
  #closers: (() => void)[] = [];
  #connecters: (() => void)[] = [];
  #serial = 0;

  connect = async (demand: TlsDemand, signal?: AbortSignal): Promise<ConnectResult> => {
    this.demands.push(demand);
    this.#count(1);
    if (this.holdsConnecting) await new Promise<void>((resolve) => this.#connecters.push(resolve));
    else await new Promise((resolve) => setImmediate(resolve));
    const refusal = signal?.aborted === true ? 'down' : (this.refusals.shift() ?? (this.isDown ? 'down' : undefined));
    const isUnmet = !this.hasTls && demand !== 'opportunistic';
    if (refusal === undefined && !isUnmet) return { kind: 'open', session: this.#session(demand) };
    this.#count(-1);
    if (refusal === undefined)
      return { kind: 'failed', outcome: outcome('deferred', { code: 499 }), isSiteDown: false, isDemandUnmet: true };
    if (refusal instanceof Error) throw refusal;
    return { kind: 'failed', outcome: outcome('deferred', { code: 421, text: 'too many connections' }), isSiteDown: refusal === 'down' };
  };

  /** Ends every transaction that is under way. */
  endAll(disposition: Outcome['disposition'] = 'delivered'): void {
    for (const running of this.running.splice(0)) running.end(disposition);
  }

  finishConnecting(): void {
    for (const connect of this.#connecters.splice(0)) connect();
  }

  finishClosing(): void {
    for (const close of this.#closers.splice(0)) close();
  }

  #count(change: number): void {
    this.open += change;
    this.peak = Math.max(this.peak, this.open);
  }

  #session(made: TlsDemand): DeliverySession {
    const connection = ++this.#serial;
    let uses = 0;
    let isOpen = true;
    let cut: (() => void) | undefined;
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      isOpen = false;
      cut?.();
      if (this.holdsClosing) await new Promise<void>((resolve) => this.#closers.push(resolve));
      this.#count(-1);
      this.closed++;
    };
    return {
      host: 'mx.site.example',
      address: '192.0.2.1',
      get uses() {
        return uses;
      },
      get isUsable() {
        return isOpen;
      },
      satisfies: (demand) => demand === 'opportunistic' || demand === made,
      deliver: async (job) => {
        uses++;
        const recipients = job.recipients.map(({ address }) => address);
        this.begun.push(recipients);
        if (!this.holdsTransactions) return recipients.map(() => outcome('delivered'));
        return new Promise<Outcome[]>((resolve, reject) => {
          cut = () => resolve(recipients.map(() => outcome('deferred', { unclear: true })));
          const end = (disposition: Outcome['disposition'] = 'delivered', change: Partial<Outcome> = {}): void => {
            if (change.stale === true) isOpen = false;
            resolve(recipients.map(() => outcome(disposition, change)));
          };
          this.running.push({ connection, recipients, end, throw: reject });
        });
      },
      close: () => (closing ??= close()),
    };
  }
}

/** A job of which only the recipients matter. */
export function jobFor(recipients: readonly string[], tls: TlsDemand): DeliveryJob {
  return {
    sender: 'app@sender.example',
    recipients: recipients.map((address) => ({ address })),
    tls,
    compose: () => Promise.reject(new Error('a scripted site asks for no bytes')),
  };
}
