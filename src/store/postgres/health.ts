/** How the store fares, for readiness and /metrics: what went wrong last, tried again every second until it goes right, and how long commits take. */
import type { Store } from '#store/store.ts';
import type { Database } from './database.ts';

const PROBE_MS = 1000;
const STUCK_MS = 10_000;
const SAMPLES = 512;
const PROBE =
  "INSERT INTO setting AS s (name, value) VALUES ('probe', '1') ON CONFLICT (name) DO UPDATE SET value = (s.value::bigint + 1)::text";

export class Health {
  readonly #db: Database;
  readonly #busyMs: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #samples: number[] = [];
  #commits = 0;
  #trouble: string | undefined;
  #isFull = false;
  #isProbing = false;
  #probedAtMs = Number.NEGATIVE_INFINITY;
  /** The trouble is over. */
  onRecovered: (() => void) | undefined;

  constructor(db: Database, busyMs: () => number) {
    this.#db = db;
    this.#busyMs = busyMs;
    db.server.onTrouble = (kind, message) => {
      // One call among many that waited too long says nothing about the others.
      if (kind === 'busy') return;
      this.#trouble = `${kind}: ${message}`;
      this.#isFull ||= kind === 'full';
      // One connection that broke is made anew at once, and nothing more is the matter.
      if (!this.#isProbing && performance.now() - this.#probedAtMs > PROBE_MS) void this.#probe();
    };
    this.#timer = setInterval(() => {
      if (this.#trouble !== undefined && !this.#isProbing) void this.#probe();
    }, PROBE_MS);
    this.#timer.unref();
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  committed(ms: number): void {
    this.#samples[this.#commits++ % SAMPLES] = ms;
  }

  report(): ReturnType<Store['health']> {
    const isStuck = this.#busyMs() > STUCK_MS;
    const samples = this.#samples;
    return {
      isWritable: this.#trouble === undefined && !isStuck,
      isFull: this.#isFull,
      trouble: isStuck ? 'a commit has taken more than 10 seconds' : this.#trouble,
      commits: this.#commits,
      // Asked for each message accepted; the sorting is only done for who reads the figure.
      get commitMsP99() {
        const sorted = samples.toSorted((a, b) => a - b);
        return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
      },
    };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #probe(): Promise<void> {
    this.#isProbing = true;
    this.#probedAtMs = performance.now();
    try {
      await this.#db.run(PROBE);
      this.#trouble = undefined;
      this.#isFull = false;
      this.onRecovered?.();
    } catch {
      // Told to onTrouble where it arose.
    } finally {
      this.#isProbing = false;
    }
  }
}
