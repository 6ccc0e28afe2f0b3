/**
 * A rate limit as a bucket of tokens that fills steadily: a small burst, then the steady rate. (A fixed window would let
 * an hour's budget go in its first second.) Time is the caller's monotonic clock, in milliseconds.
 */
export class TokenBucket {
  readonly ratePerMs: number;
  readonly burst: number;
  #tokens: number;
  #atMs: number;

  /** `count` tokens per `perMs`; at most `burst` saved up. */
  constructor(count: number, perMs: number, burst: number, nowMs: number) {
    this.ratePerMs = count / perMs;
    this.burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** Takes `n` tokens if they are there. */
  take(n: number, nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < n) return false;
    this.#tokens -= n;
    return true;
  }

  /** Milliseconds until `n` tokens are there; 0 when they are. */
  waitMs(n: number, nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens >= n ? 0 : Math.ceil((n - this.#tokens) / this.ratePerMs);
  }

  #fill(nowMs: number): void {
    const elapsed = nowMs - this.#atMs;
    if (elapsed <= 0) return;
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.burst, this.#tokens + elapsed * this.ratePerMs);
  }
}
