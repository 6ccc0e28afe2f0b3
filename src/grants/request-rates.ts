/** How many requests an account may make of the API in a second of the clock, on all nodes together. An account without a limit costs a look into a cache. */
import type { Clock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { LimitBook } from './account-limits.ts';
import type { Ceiling } from './ceiling.ts';
import type { Purse } from './purse.ts';

const SECOND_MS = 1000;

export interface RequestState {
  readonly limit: number;
  readonly remaining: number;
  /** Epoch ms. */
  readonly resetMs: number;
}

export class RequestRates {
  readonly #purse: Purse;
  readonly #limits: LimitBook;
  readonly #clock: Clock;

  constructor({ purse, limits, clock }: { readonly purse: Purse; readonly limits: LimitBook; readonly clock: Clock }) {
    this.#purse = purse;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Counts a request; undefined: the account has no limit. Throws AppError 'request-rate'. */
  async take(accountId: number): Promise<RequestState | undefined> {
    const known = this.#limits.of(accountId);
    const { requestsPerSecond } = known instanceof Promise ? await known : known;
    if (requestsPerSecond === undefined) return undefined;
    const ceiling: Ceiling = {
      name: `account ${accountId} requests by the second`,
      count: requestsPerSecond,
      perMs: SECOND_MS,
      holds: 'windows',
      isCounted: false,
    };
    const part = this.#purse.take(ceiling, 1) ?? (await this.#purse.ask(ceiling, 1));
    const { endMs, remaining } = this.#purse.stateOf(ceiling);
    if (part !== undefined) return { limit: requestsPerSecond, remaining, resetMs: endMs };
    const seconds = Math.max(1, Math.ceil((endMs - this.#clock.nowMs()) / SECOND_MS));
    throw new AppError('request-rate', { seconds, limit: requestsPerSecond, resetMs: endMs });
  }
}
