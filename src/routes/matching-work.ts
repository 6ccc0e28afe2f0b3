/** The work of matching rules, in slices with turns for others between them, and with an end. */
import { setImmediate as turn } from 'node:timers/promises';
import { AppError } from '#model/errors.ts';

/** Steps that one question may cost: about a second in all. What needs more is put off. */
const STEPS_MAX = 500_000;
/** Some tens of milliseconds. */
const STEPS_PER_TURN = 20_000;
/** A rule costs a little, however short its pattern is. */
const STEPS_PER_RULE = 5;

export class MatchingWork {
  readonly #tooMuch: () => Error;
  #steps = 0;
  #turnAt = STEPS_PER_TURN;

  constructor(tooMuch: () => Error = () => new AppError('overloaded')) {
    this.#tooMuch = tooMuch;
  }

  /** Throws when there were too many. */
  readonly spend = (steps: number): void => {
    this.#steps += steps;
    if (this.#steps > STEPS_MAX) throw this.#tooMuch();
  };

  /** Before each rule. */
  async pause(): Promise<void> {
    this.spend(STEPS_PER_RULE);
    if (this.#steps < this.#turnAt) return;
    this.#turnAt = this.#steps + STEPS_PER_TURN;
    await turn();
  }
}
