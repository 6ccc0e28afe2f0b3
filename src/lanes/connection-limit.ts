/**
 * A limit on connections to all sites together (`delivery.connections_total`): whoever would go past it waits its turn. A connection counts from before it
 * is made until it is closed. One that stands idle in a lane keeps its place for `delivery.connection_idle` at most.
 *
 * Sites that hang hold their places until a time-out ends it, and a thousand of them must not hold all: a quarter of the places is for sites that took
 * mail when they were last tried, and half of them is not for sites that could not be reached.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Connect, ConnectResult, DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { TlsDemand } from '#model/egress.ts';
import type { Outcome } from '#model/outcome.ts';

/** What is known of a site from its last connection. */
type Standing = 'working' | 'unknown' | 'failing';

/** Of all places, what sites of this standing may fill together with those of worse standing. */
const SHARES: Readonly<Record<Standing, number>> = { working: 1, unknown: 3 / 4, failing: 1 / 2 };
const SITES_MAX = 50_000;

export function limitConnections(connect: Connect, max: number): Connect {
  const turns = new Turns(max);
  const standings = new BoundedCache<string, Standing>({ max: SITES_MAX });
  return async (route, source, demand, signal): Promise<ConnectResult> => {
    const { site } = route;
    const standing = standings.get(site, 0) ?? 'unknown';
    await turns.take(standing, signal);
    let isKept = false;
    try {
      const result = await connect(route, source, demand, signal);
      if (result.kind === 'failed') {
        if (!signal.aborted) standings.set(site, 'failing', 0);
        return result;
      }
      isKept = true;
      const learn = (outcomes: readonly Outcome[]): void => {
        const isTaken = outcomes.some(({ disposition }) => disposition === 'delivered');
        if (isTaken) standings.set(site, 'working', 0);
        else if (!result.session.isUsable) standings.set(site, 'failing', 0);
      };
      return { kind: 'open', session: new CountedSession(result.session, learn, () => turns.give(standing)) };
    } finally {
      if (!isKept) turns.give(standing);
    }
  };
}

interface Waiting {
  readonly standing: Standing;
  readonly go: () => void;
}

class Turns {
  readonly #max: number;
  #used = 0;
  /** Of the used ones: by unknown and failing sites, and by failing ones. */
  #usedByOthers = 0;
  #usedByFailing = 0;
  readonly #waiting: Readonly<Record<Standing, Set<Waiting>>> = { working: new Set(), unknown: new Set(), failing: new Set() };

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves when there is a place, or when `signal` says that it is not wanted any more: then the connection fails by itself. */
  async take(standing: Standing, signal: AbortSignal): Promise<void> {
    if (this.#waiting[standing].size === 0 && this.#hasPlace(standing)) return this.#count(standing, 1);
    await new Promise<void>((resolve) => {
      const waiting: Waiting = {
        standing,
        go: () => {
          signal.removeEventListener('abort', leave);
          this.#count(standing, 1);
          resolve();
        },
      };
      const leave = (): void => {
        this.#waiting[standing].delete(waiting);
        // It is given back as every other.
        this.#count(standing, 1);
        resolve();
      };
      this.#waiting[standing].add(waiting);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  give(standing: Standing): void {
    this.#count(standing, -1);
    for (const each of ['working', 'unknown', 'failing'] as const) {
      const [first] = this.#waiting[each];
      if (first === undefined || !this.#hasPlace(each)) continue;
      this.#waiting[each].delete(first);
      first.go();
      return;
    }
  }

  #hasPlace(standing: Standing): boolean {
    if (this.#used >= this.#max) return false;
    if (standing === 'working') return true;
    if (this.#usedByOthers >= this.#share('unknown')) return false;
    return standing === 'unknown' || this.#usedByFailing < this.#share('failing');
  }

  #share(standing: Standing): number {
    return Math.ceil(this.#max * SHARES[standing]);
  }

  #count(standing: Standing, by: 1 | -1): void {
    this.#used += by;
    if (standing !== 'working') this.#usedByOthers += by;
    if (standing === 'failing') this.#usedByFailing += by;
  }
}

class CountedSession implements DeliverySession {
  readonly #session: DeliverySession;
  readonly #learn: (outcomes: readonly Outcome[]) => void;
  #onClose: (() => void) | undefined;

  constructor(session: DeliverySession, learn: (outcomes: readonly Outcome[]) => void, onClose: () => void) {
    this.#session = session;
    this.#learn = learn;
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

  async deliver(job: DeliveryJob): Promise<readonly Outcome[]> {
    const outcomes = await this.#session.deliver(job);
    this.#learn(outcomes);
    return outcomes;
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
