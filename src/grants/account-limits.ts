/** The limits of accounts: those of the settings, and those that an operator gave an account instead. A change is known within two seconds. */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { AccountLimits, GrantStore } from '#store/grant-store.ts';

/** As they hold: absent is none. */
export type Limits = AccountLimits;

const KNOWN_MS = 1500;
const ACCOUNTS_MAX = 20_000;

export class LimitBook {
  readonly #store: Pick<GrantStore, 'limitsOf'>;
  readonly #defaults: Limits;
  readonly #clock: Clock;
  readonly #known = new BoundedCache<number, { readonly limits: Limits; readonly untilMs: number }>({ max: ACCOUNTS_MAX });
  /** Read once for all who ask meanwhile. */
  readonly #reading = new Map<number, Promise<Limits>>();

  constructor(store: Pick<GrantStore, 'limitsOf'>, defaults: Limits, clock: Clock) {
    this.#store = store;
    this.#defaults = defaults;
    this.#clock = clock;
  }

  /** At once where they are known, as they are nearly always. */
  of(accountId: number): Limits | Promise<Limits> {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#known.get(accountId, nowMs);
    return known !== undefined && nowMs < known.untilMs ? known.limits : this.#read(accountId);
  }

  /** As they were when they were asked for last: to be told, not to decide by. Undefined: that was long ago, or never. */
  lately(accountId: number): Limits | undefined {
    return this.#known.get(accountId, this.#clock.monotonicMs())?.limits;
  }

  #read(accountId: number): Promise<Limits> {
    let reading = this.#reading.get(accountId);
    if (reading === undefined) {
      reading = this.#store
        .limitsOf(accountId)
        .then((own) => {
          const limits: Limits = {
            recipientsPerHour: merged(own.recipientsPerHour, this.#defaults.recipientsPerHour),
            recipientsPerDay: merged(own.recipientsPerDay, this.#defaults.recipientsPerDay),
            recipientsPerMonth: merged(own.recipientsPerMonth, this.#defaults.recipientsPerMonth),
            requestsPerSecond: merged(own.requestsPerSecond, this.#defaults.requestsPerSecond),
          };
          const nowMs = this.#clock.monotonicMs();
          this.#known.set(accountId, { limits, untilMs: nowMs + KNOWN_MS }, nowMs);
          return limits;
        })
        .finally(() => this.#reading.delete(accountId));
      this.#reading.set(accountId, reading);
    }
    return reading;
  }
}

function merged(own: number | undefined, preset: number | undefined): number | undefined {
  const limit = own ?? preset;
  return limit === 0 ? undefined : limit;
}
