/**
 * Against guessing of passwords. Failures are counted per pair (login and address), per address and per login; each failure is answered
 * more slowly than the last, and too many lock out for a while that doubles with each lock.
 *
 *   pair      10 failures lock the pair: 1 minute, 2, 4, … 1 hour. A pair that logged in lately may fail 30 times, and its lock stays at 1 minute.
 *   address   100 failures over all logins lock the address for logins that have not succeeded from it lately.
 *   login     100 failures from anywhere leave each new address 2 failures for this login instead of 10.
 *
 * So the owner is never locked out by others: a new address always has its first tries, whatever happens to the login
 * elsewhere, and an address that logged in lately is not touched by what others do from it. Counts are forgotten an hour after the last failure.
 * Every table is bounded; successes have a table of their own, which failures cannot flush.
 */
import ipaddr from 'ipaddr.js';
import { BoundedCache } from '#base/bounded-cache.ts';

const TABLE_MAX = 20_000;
const FORGET_MS = 3_600_000;
const REMEMBER_SUCCESS_MS = 30 * 86_400_000;
const PAIR_FAILURES_MAX = 10;
const KNOWN_PAIR_FAILURES_MAX = 30;
const SIEGED_PAIR_FAILURES_MAX = 2;
const ADDRESS_FAILURES_MAX = 100;
const LOGIN_FAILURES_MAX = 100;
const FIRST_LOCK_MS = 60_000;
const LONGEST_LOCK_MS = 3_600_000;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 10_000;

interface Count {
  failures: number;
  locks: number;
  lockedUntilMs: number;
}

export class GuessGuard {
  readonly #pairs = new BoundedCache<string, Count>({ max: TABLE_MAX, ttlMs: FORGET_MS });
  readonly #addresses = new BoundedCache<string, Count>({ max: TABLE_MAX, ttlMs: FORGET_MS });
  readonly #logins = new BoundedCache<string, Count>({ max: TABLE_MAX, ttlMs: FORGET_MS });
  readonly #known = new BoundedCache<string, true>({ max: TABLE_MAX, ttlMs: REMEMBER_SUCCESS_MS });

  /** Milliseconds until this pair may try again; 0: now. Times are monotonic. */
  lockedForMs(login: string, address: string, nowMs: number): number {
    const place = placeOf(address);
    const pair = `${login} ${place}`;
    const own = this.#pairs.get(pair, nowMs)?.lockedUntilMs ?? 0;
    const shared = this.#known.get(pair, nowMs) === true ? 0 : (this.#addresses.get(place, nowMs)?.lockedUntilMs ?? 0);
    return Math.max(0, own - nowMs, shared - nowMs);
  }

  /** Counts a failure; returns how long its answer should be delayed. */
  failed(login: string, address: string, nowMs: number): number {
    const place = placeOf(address);
    const pair = `${login} ${place}`;
    const isKnown = this.#known.get(pair, nowMs) === true;
    const sieged = (this.#logins.get(login, nowMs)?.failures ?? 0) >= LOGIN_FAILURES_MAX;
    const max = isKnown ? KNOWN_PAIR_FAILURES_MAX : sieged ? SIEGED_PAIR_FAILURES_MAX : PAIR_FAILURES_MAX;
    const count = this.#count(this.#pairs, pair, max, isKnown ? FIRST_LOCK_MS : LONGEST_LOCK_MS, nowMs);
    const all = this.#count(this.#addresses, place, ADDRESS_FAILURES_MAX, LONGEST_LOCK_MS, nowMs);
    this.#count(this.#logins, login, Number.POSITIVE_INFINITY, 0, nowMs);
    // Someone who tries one password on many logins is slowed down like someone who tries many on one.
    const steps = Math.max(count.failures + count.locks * max, Math.floor((all.failures + all.locks * ADDRESS_FAILURES_MAX) / 10));
    return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(steps - 1, 10));
  }

  /** Forgets the pair's failures, not the address's: whoever has one login could otherwise guess others without end. */
  succeeded(login: string, address: string, nowMs: number): void {
    const pair = `${login} ${placeOf(address)}`;
    this.#pairs.delete(pair);
    this.#known.set(pair, true, nowMs);
  }

  #count(table: BoundedCache<string, Count>, key: string, max: number, longestLockMs: number, nowMs: number): Count {
    const count = table.get(key, nowMs) ?? { failures: 0, locks: 0, lockedUntilMs: 0 };
    count.failures++;
    if (count.failures >= max) {
      count.lockedUntilMs = nowMs + Math.min(longestLockMs, FIRST_LOCK_MS * 2 ** Math.min(count.locks, 10));
      count.locks++;
      count.failures = 0;
    }
    // Kept for an hour after the lock has ended, so that the next lock is longer.
    table.set(key, count, nowMs, FORGET_MS + Math.max(0, count.lockedUntilMs - nowMs));
    return count;
  }
}

/** A site has at least a /64 of IPv6 (RFC 6177): its addresses count as one. */
function placeOf(address: string): string {
  if (!address.includes(':') || !ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString();
}
