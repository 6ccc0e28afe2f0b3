/**
 * How many posts an endpoint may have running, and when it is left alone for a while. One endpoint has a bounded number of turns and never more than half of what is
 * free, so that a slow one holds up nobody else. After some failures in a row it gets one turn at a time, with growing pauses between, until one succeeds.
 * Pure but for what it remembers; it remembers only endpoints that are busy or failing.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';

export interface EndpointLimits {
  /** Posts at once to one endpoint of one account, and in all. */
  readonly perEndpointMax: number;
  readonly totalMax: number;
}

export type Verdict = 'well' | 'failed' | 'unknown';

export const FAILURES_BEFORE_PAUSE = 3;
const PAUSE_MIN_MS = 2000;
const PAUSE_MAX_MS = 300_000;
/** Failing endpoints that are remembered, and for how long after their last failure. */
const FAILING_MAX = 10_000;
const FAILING_MS = 3_600_000;

interface Failing {
  readonly failures: number;
  readonly pausedUntilMs: number;
}

export class EndpointHealth {
  readonly #limits: EndpointLimits;
  readonly #clock: Clock;
  readonly #running = new Map<number, number>();
  readonly #failing = new BoundedCache<number, Failing>({ max: FAILING_MAX, ttlMs: FAILING_MS });
  #total = 0;

  constructor(limits: EndpointLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get running(): number {
    return this.#total;
  }

  /** Posts that may be begun at the endpoint now, when `planned` others have been given away already. */
  room(endpoint: number, planned = 0): number {
    const running = this.#running.get(endpoint) ?? 0;
    const free = this.#limits.totalMax - this.#total - planned;
    const failures = this.#failing.get(endpoint, this.#clock.monotonicMs())?.failures ?? 0;
    const most = failures >= FAILURES_BEFORE_PAUSE ? 1 : this.#limits.perEndpointMax;
    return Math.max(0, Math.min(most - running, Math.ceil(free / 2)));
  }

  /** How long it is to be left alone, in whole milliseconds; 0: not at all. */
  pauseMs(endpoint: number): number {
    const nowMs = this.#clock.monotonicMs();
    return Math.max(0, Math.ceil((this.#failing.get(endpoint, nowMs)?.pausedUntilMs ?? 0) - nowMs));
  }

  begin(endpoint: number): void {
    this.#total++;
    this.#running.set(endpoint, (this.#running.get(endpoint) ?? 0) + 1);
  }

  /** `askedMs`: it said how long it wants to be left alone. */
  end(endpoint: number, verdict: Verdict, askedMs = 0): void {
    this.#total--;
    const left = (this.#running.get(endpoint) ?? 1) - 1;
    if (left > 0) this.#running.set(endpoint, left);
    else this.#running.delete(endpoint);
    if (verdict === 'well') this.#failing.delete(endpoint);
    if (verdict === 'failed') this.#fail(endpoint, askedMs);
  }

  #fail(endpoint: number, askedMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const before = this.#failing.get(endpoint, nowMs) ?? { failures: 0, pausedUntilMs: 0 };
    // Those that ran side by side when it fell ill are one failure.
    if (before.failures >= FAILURES_BEFORE_PAUSE && before.pausedUntilMs > nowMs && askedMs === 0) return;
    const failures = before.failures + 1;
    const ownMs = failures < FAILURES_BEFORE_PAUSE ? 0 : Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** (failures - FAILURES_BEFORE_PAUSE));
    this.#failing.set(endpoint, { failures, pausedUntilMs: nowMs + Math.max(ownMs, askedMs) }, nowMs);
  }
}
