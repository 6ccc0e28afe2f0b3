/**
 * Time, so that a test can hold it. Everything that asks for the time takes a `Clock`; only `systemClock` asks the machine.
 * Wall-clock time (`nowMs`) is what is stored and shown and may step; durations are measured with `monotonicMs`, which never goes back.
 */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. May step when an operator or NTP sets the clock. */
  nowMs(): number;
  /** Milliseconds since an arbitrary start. Never goes back. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** A clock that stands still until a test moves it. */
export class HeldClock implements Clock {
  #now: number;
  #monotonic = 0;

  constructor(nowMs: number) {
    this.#now = nowMs;
  }

  nowMs(): number {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#monotonic;
  }

  advance(ms: number): void {
    this.#now += ms;
    this.#monotonic += ms;
  }

  /** Steps the wall clock alone, as NTP does; may go back. */
  step(ms: number): void {
    this.#now += ms;
  }
}
