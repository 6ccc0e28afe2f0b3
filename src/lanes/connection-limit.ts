/**
 * A limit on connections to all sites together (`delivery.connections_total`): whoever would go past it waits its turn. A connection counts from before it
 * is made until it is closed. One that stands idle in a lane keeps its place for `delivery.connection_idle` at most.
 */
import type { Connect, ConnectResult, DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { TlsDemand } from '#model/egress.ts';
import type { Outcome } from '#model/outcome.ts';

export function limitConnections(connect: Connect, max: number): Connect {
  const turns = new Turns(max);
  return async (route, source, demand, signal): Promise<ConnectResult> => {
    await turns.take(signal);
    let isKept = false;
    try {
      const result = await connect(route, source, demand, signal);
      if (result.kind === 'failed') return result;
      isKept = true;
      return { kind: 'open', session: new CountedSession(result.session, () => turns.give()) };
    } finally {
      if (!isKept) turns.give();
    }
  };
}

class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#free = max;
  }

  /** Resolves when there is a place, or when `signal` says that it is not wanted any more: then the connection fails by itself. */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#free-- > 0) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        const position = this.#waiting.indexOf(go);
        if (position >= 0) this.#waiting.splice(position, 1);
        resolve();
      };
      this.#waiting.push(go);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  give(): void {
    this.#free++;
    this.#waiting.shift()?.();
  }
}

class CountedSession implements DeliverySession {
  readonly #session: DeliverySession;
  #onClose: (() => void) | undefined;

  constructor(session: DeliverySession, onClose: () => void) {
    this.#session = session;
    this.#onClose = onClose;
  }

  get host(): string {
    return this.#session.host;
  }

  get address(): string {
    return this.#session.address;
  }

  get uses(): number {
    return this.#session.uses;
  }

  get isUsable(): boolean {
    return this.#session.isUsable;
  }

  satisfies(demand: TlsDemand): boolean {
    return this.#session.satisfies(demand);
  }

  deliver(job: DeliveryJob): Promise<readonly Outcome[]> {
    return this.#session.deliver(job);
  }

  async close(): Promise<void> {
    try {
      await this.#session.close();
    } finally {
      this.#onClose?.();
      this.#onClose = undefined;
    }
  }
}
