/**
 * How many entries are claimed ahead of their turns at each endpoint: as many as it took in the last moments, so that a quick one never waits for the store and a slow one, or one that
 * fails, holds nothing back in memory.
 */
import type { Clock } from '#base/clock.ts';

const WINDOW_MS = 200;
const AHEAD_MAX = 500;
/** Endpoints that took something lately; beyond it they are all forgotten, which costs a moment of speed. */
const ENDPOINTS_MAX = 1000;

interface Window {
  sinceMs: number;
  taken: number;
  /** In the window before. */
  before: number;
}

export class EndpointPace {
  readonly #clock: Clock;
  readonly #windows = new Map<number, Window>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  took(endpoint: number): void {
    this.#window(endpoint).taken++;
  }

  failed(endpoint: number): void {
    this.#windows.delete(endpoint);
  }

  ahead(endpoint: number): number {
    if (!this.#windows.has(endpoint)) return 0;
    const { taken, before } = this.#window(endpoint);
    return Math.min(AHEAD_MAX, Math.max(taken, before));
  }

  #window(endpoint: number): Window {
    const nowMs = this.#clock.monotonicMs();
    let window = this.#windows.get(endpoint);
    if (window === undefined) {
      if (this.#windows.size >= ENDPOINTS_MAX) this.#windows.clear();
      window = { sinceMs: nowMs, taken: 0, before: 0 };
      this.#windows.set(endpoint, window);
    }
    const ageMs = nowMs - window.sinceMs;
    if (ageMs >= WINDOW_MS) {
      window.before = ageMs < 2 * WINDOW_MS ? window.taken : 0;
      window.taken = 0;
      window.sinceMs = nowMs;
    }
    return window;
  }
}
