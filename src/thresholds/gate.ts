/**
 * Refuses mail while a limit of its account, domain or tag is reached. What holds is known within two seconds; for an account without limits it is a look into a cache.
 * Something that was accepted before under the same Idempotency-Key is answered as it was then (P12).
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { InFlight } from '#base/in-flight.ts';
import { AppError } from '#model/errors.ts';
import type { Received, Reception } from '#store/fact-store.ts';
import { type GrantUse, NOT_HELD } from '#store/grant-store.ts';
import { type AcceptMessage, type AcceptResult, StoreError, type Ungranted } from '#store/store.ts';
import type { ThresholdHit, ThresholdStore } from '#store/threshold-store.ts';

const KNOWN_MS = 2000;
const ACCOUNTS_MAX = 20_000;

type Message = Pick<AcceptMessage, 'accountId' | 'domain' | 'idempotency' | 'info'>;

export class LimitGate {
  readonly #store: Pick<ThresholdStore, 'activeHits'>;
  readonly #clock: Clock;
  readonly #known = new BoundedCache<number, readonly ThresholdHit[]>({ max: ACCOUNTS_MAX, ttlMs: KNOWN_MS });
  readonly #reading = new InFlight<number, readonly ThresholdHit[]>();

  constructor(store: Pick<ThresholdStore, 'activeHits'>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** `accept` unless a limit is reached. `ask` is the accept that looks for a repeat. Throws AppError 'quota-exceeded'. */
  accepting<M extends Message>(
    accept: (message: M) => Promise<AcceptResult>,
    ask: (message: M & { readonly uses: readonly GrantUse[] }) => Promise<AcceptResult | Ungranted>,
  ): (message: M) => Promise<AcceptResult> {
    return async (message) => {
      const hits = this.#hitsOf(message.accountId);
      const hit = (hits instanceof Promise ? await hits : hits).find((each) => concerns(each, message));
      if (hit === undefined) return accept(message);
      if (message.idempotency !== undefined) {
        const result = await ask({ ...message, uses: [NOT_HELD] });
        if (result.kind !== 'ungranted') return result;
      }
      throw this.#refusal(hit, message.domain);
    };
  }

  /** `receive` unless a limit is reached that concerns something which is sent on because of it: all of it waits with its sender then. Throws AppError 'quota-exceeded'. */
  receiving(receive: (reception: Reception) => Promise<Received>): (reception: Reception) => Promise<Received> {
    return async (reception) => {
      for (const forward of reception.forwards) {
        const hit = (await this.#hitsOf(forward.accountId)).find((each) => concerns(each, forward));
        if (hit !== undefined) throw this.#refusal(hit, forward.domain);
      }
      return receive(reception);
    };
  }

  #hitsOf(accountId: number): readonly ThresholdHit[] | Promise<readonly ThresholdHit[]> {
    return this.#known.get(accountId, this.#clock.monotonicMs()) ?? this.#read(accountId);
  }

  #refusal({ name, expiresMs }: ThresholdHit, domain: string): AppError {
    const until = new Date(expiresMs).toUTCString().replace('GMT', 'UTC');
    const seconds = Math.max(1, Math.ceil((expiresMs - this.#clock.nowMs()) / 1000));
    return new AppError('quota-exceeded', { domain, what: `threshold ${name}`, until, seconds });
  }

  #read(accountId: number): Promise<readonly ThresholdHit[]> {
    return this.#reading.once(accountId, async () => {
      const hits = await this.#store.activeHits(accountId, this.#clock.nowMs()).catch(notNow);
      this.#known.set(accountId, hits, this.#clock.monotonicMs());
      return hits;
    });
  }
}

/** Nothing is accepted whose limits cannot be known. */
function notNow(error: unknown): never {
  if (error instanceof StoreError) throw new AppError('store-unavailable', {}, error);
  throw error;
}

function concerns({ dimension, dimensionValue }: ThresholdHit, { domain, info }: Message): boolean {
  if (dimension === 'domain') return domain === dimensionValue;
  if (dimension === 'tag') return info.options.tags.some((tag) => tag.toLowerCase() === dimensionValue.toLowerCase());
  return true;
}
