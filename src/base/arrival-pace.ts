/**
 * Whether something large that is arriving comes fast enough to keep its place in memory. Nobody asks as long as there is room: who is slow then may be slow. When others are
 * refused or wait for room, a place is kept only by what is really coming: otherwise a few who announce much and send nothing would stop everybody.
 *
 * It looks on: whoever holds the place asks about once a second.
 */
import type { ByteBudget } from './byte-budget.ts';

/** Silence, and the time after which the pace counts. */
const SILENCE_MS = 10_000;
/** In which all of it comes at the least pace. 25 MB: 1.7 Mbit/s. */
const WHOLE_MS = 120_000;

export class ArrivalPace {
  readonly #memory: Pick<ByteBudget, 'isWaitedFor' | 'refusals'>;
  readonly #startedMs: number;
  #lastMs: number;
  #bytes = 0;
  #refusals: number;

  constructor(memory: Pick<ByteBudget, 'isWaitedFor' | 'refusals'>, nowMs: number) {
    this.#memory = memory;
    this.#startedMs = nowMs;
    this.#lastMs = nowMs;
    this.#refusals = memory.refusals;
  }

  /** `bytes` have come so far, of those that a place is held for. */
  isTooSlow(bytes: number, heldBytes: number, nowMs: number): boolean {
    const { refusals, isWaitedFor } = this.#memory;
    const isShort = isWaitedFor || refusals !== this.#refusals;
    this.#refusals = refusals;
    if (bytes !== this.#bytes) this.#lastMs = nowMs;
    this.#bytes = bytes;
    if (!isShort || heldBytes === 0) return false;
    const elapsedMs = nowMs - this.#startedMs;
    if (nowMs - this.#lastMs >= SILENCE_MS || elapsedMs >= WHOLE_MS) return true;
    return elapsedMs >= SILENCE_MS && bytes * WHOLE_MS < heldBytes * elapsedMs;
  }
}
