/** Every latency of a run, kept whole: percentiles of a sample would hide the tail that they are asked for. */
export class Latencies {
  readonly #ms: Float64Array;
  #count = 0;

  constructor(max: number) {
    this.#ms = new Float64Array(max);
  }

  add(ms: number): void {
    this.#ms[this.#count++] = ms;
  }

  /** Milliseconds that `share` (0.5, 0.99) of all stayed within. */
  percentile(share: number): number {
    const sorted = this.#ms.subarray(0, this.#count).toSorted();
    return sorted[Math.min(this.#count - 1, Math.ceil(share * this.#count) - 1)] ?? Number.NaN;
  }
}
