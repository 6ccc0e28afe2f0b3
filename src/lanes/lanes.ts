/**
 * All lanes of this node: found by source and site, made when first needed, forgotten when long unused. Knows which domain leads to which lane,
 * so that the queue can ask for what there is room for.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Route } from '#model/egress.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { Lane, type LaneDeps, type LaneItem, type LaneLimits, type LaneReport } from './lane.ts';

export interface LanesOptions<T extends LaneItem> {
  readonly clock: Clock;
  /** Limits for a site: defaults with the operator's shaping rules applied. */
  limits(route: Route, domain: string): LaneLimits;
  deps(lane: { readonly route: Route; readonly source: string }): LaneDeps<T>;
  /** Lanes kept at most; the longest unused go first. */
  readonly lanesMax: number;
  readonly domainsMax: number;
}

const UNUSED_MS = 300_000;
const SWEEP_MS = 10_000;

export class Lanes<T extends LaneItem> {
  readonly #options: LanesOptions<T>;
  readonly #lanes = new Map<string, Lane<T>>();
  readonly #laneOfDomain: BoundedCache<string, Lane<T>>;
  readonly #sweeper: NodeJS.Timeout;

  constructor(options: LanesOptions<T>) {
    this.#options = options;
    this.#laneOfDomain = new BoundedCache({ max: options.domainsMax, ttlMs: UNUSED_MS });
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** The lane that `domain` took last, if it is known. */
  ofDomain(domain: string): Lane<T> | undefined {
    const lane = this.#laneOfDomain.get(domain, this.#options.clock.monotonicMs());
    // One that was dropped must not be used beside the one that took its place (P11).
    return lane !== undefined && this.#lanes.get(lane.key) === lane ? lane : undefined;
  }

  /** The lane of a route and source; made when it is new. */
  of(domain: string, route: Route, source: string): Lane<T> {
    const key = `${source}>${route.site}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      if (this.#lanes.size >= this.#options.lanesMax) this.#dropLongestUnused();
      lane = new Lane(key, route, source, this.#options.limits(route, domain), this.#options.deps({ route, source }));
      this.#lanes.set(key, lane);
    }
    this.#laneOfDomain.set(domain, lane, this.#options.clock.monotonicMs());
    return lane;
  }

  get size(): number {
    return this.#lanes.size;
  }

  report(): LaneReport[] {
    return [...this.#lanes.values()].map((lane) => lane.report());
  }

  /** Attempts may begin again. */
  again(): void {
    for (const lane of this.#lanes.values()) lane.again();
  }

  /** Returns what waits in every lane, and closes connections that stand idle; transactions that run go on. */
  async returnWaiting(wait: WaitReason): Promise<void> {
    for (const lane of this.#lanes.values()) lane.returnWaiting(wait);
    await Promise.all([...this.#lanes.values()].map((lane) => lane.closeIdle()));
  }

  async drain(deadlineMs: number): Promise<void> {
    clearInterval(this.#sweeper);
    await Promise.all([...this.#lanes.values()].map((lane) => lane.drain(deadlineMs)));
  }

  #sweep(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [key, lane] of this.#lanes) {
      if (lane.isUnused && nowMs - lane.lastUsedMs >= UNUSED_MS) this.#lanes.delete(key);
    }
  }

  /** Several at once, so that the search is not made for each new lane. Lanes in use stay: what they hold in memory bounds their number. */
  #dropLongestUnused(): void {
    const unused = [...this.#lanes.values()].filter((lane) => lane.isUnused).sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    for (const lane of unused.slice(0, Math.ceil(this.#options.lanesMax / 8))) this.#lanes.delete(lane.key);
  }
}
