/**
 * A clock that follows another one, which many machines share: its own monotonic time plus the difference to the other's time. What the local wall clock says,
 * and when somebody sets it, changes nothing.
 *
 * An answer tells that the other clock showed its time at some instant between the question and the answer, so it proves where the difference may lie. A difference that lies
 * there stays; one that does not goes to the nearest that does. So a slow answer never moves the clock without need, and the error is half of the quickest round trip.
 */
import type { Clock } from './clock.ts';

export class FollowedClock implements Clock {
  readonly #monotonicMs: () => number;
  #differenceMs: number | undefined;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  nowMs(): number {
    if (this.#differenceMs === undefined) throw new Error('the clock follows nothing yet');
    return Math.round(this.#monotonicMs() + this.#differenceMs);
  }

  monotonicMs(): number {
    return this.#monotonicMs();
  }

  /** `theirMs`: what the other clock said. `sentMs`, `receivedMs`: monotonic. Gives by how much this clock was moved. */
  follow(theirMs: number, sentMs: number, receivedMs: number): number {
    const leastMs = theirMs - receivedMs;
    const mostMs = theirMs - sentMs;
    const before = this.#differenceMs;
    this.#differenceMs = before === undefined ? (leastMs + mostMs) / 2 : Math.min(mostMs, Math.max(leastMs, before));
    return before === undefined ? 0 : this.#differenceMs - before;
  }
}
