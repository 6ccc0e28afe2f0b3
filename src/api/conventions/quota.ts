/**
 * What one account may ask of /messages in an hour, and the headers that tell it. Windows are whole hours of the clock; counters are
 * this node's own and live in memory, so they are a guard against runaway clients, not an account's contract.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';

const HOUR_MS = 3_600_000;
const ACCOUNTS_MAX = 10_000;

interface Window {
  requests: number;
  recipients: number;
}

export class SendingQuota {
  readonly #windows = new BoundedCache<number, Window>({ max: ACCOUNTS_MAX });
  readonly #clock: Clock;
  readonly #requestsMax: number;
  readonly #recipientsMax: number;
  #hour = 0;

  constructor(clock: Clock, requestsPerHour: number, recipientsPerHour: number) {
    this.#clock = clock;
    this.#requestsMax = requestsPerHour;
    this.#recipientsMax = recipientsPerHour;
  }

  /** Counts one call; throws 'rate-limited' when it goes beyond. Returns the headers for its answer. */
  take(accountId: number, domain: string, recipients: number): Readonly<Record<string, string>> {
    const nowMs = this.#clock.nowMs();
    const hour = Math.floor(nowMs / HOUR_MS);
    if (hour !== this.#hour) {
      this.#windows.clear();
      this.#hour = hour;
    }
    let window = this.#windows.get(accountId, nowMs);
    if (window === undefined) this.#windows.set(accountId, (window = { requests: 0, recipients: 0 }), nowMs);
    const resetMs = (hour + 1) * HOUR_MS;
    this.#check(window.requests + 1, this.#requestsMax, `Domain ${domain} is not allowed to send: request`, resetMs - nowMs);
    this.#check(window.recipients + recipients, this.#recipientsMax, `Domain ${domain} is not allowed to send: recipient`, resetMs - nowMs);
    window.requests++;
    window.recipients += recipients;
    return {
      'x-ratelimit-limit': String(this.#requestsMax),
      'x-ratelimit-remaining': String(this.#requestsMax - window.requests),
      'x-ratelimit-reset': String(resetMs),
      'x-recipient-limit': String(this.#recipientsMax),
      'x-recipient-remaining': String(this.#recipientsMax - window.recipients),
      'x-recipient-reset': String(resetMs),
    };
  }

  #check(wanted: number, max: number, what: string, waitMs: number): void {
    if (wanted > max) throw new AppError('rate-limited', { what, seconds: Math.ceil(waitMs / 1000) });
  }
}
