/**
 * A cache that cannot grow past its bound: the oldest goes first, unless it was used since it last could have gone (second chance, which costs a look nothing,
 * where strict order of use costs a deletion and an insertion). An entry older than its time to live is not found.
 * `weigh` lets the bound be bytes instead of entries.
 */
export interface BoundedCacheOptions<V> {
  /** Sum of weights (entries, unless `weigh` is given) that may be held. */
  readonly max: number;
  /** Milliseconds after which an entry is no longer found; none: never. */
  readonly ttlMs?: number;
  readonly weigh?: (value: V) => number;
}

interface Entry<V> {
  readonly value: V;
  readonly weight: number;
  readonly untilMs: number;
  isUsed: boolean;
}

export class BoundedCache<K, V> {
  readonly #entries = new Map<K, Entry<V>>();
  readonly #options: BoundedCacheOptions<V>;
  #weight = 0;

  constructor(options: BoundedCacheOptions<V>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K, nowMs: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilMs <= nowMs) {
      this.delete(key);
      return undefined;
    }
    entry.isUsed = true;
    return entry.value;
  }

  /** `ttlMs` overrides the cache's own for this entry. */
  set(key: K, value: V, nowMs: number, ttlMs = this.#options.ttlMs ?? Number.POSITIVE_INFINITY): void {
    this.delete(key);
    const weight = this.#options.weigh?.(value) ?? 1;
    if (weight > this.#options.max) return;
    if (this.#weight + weight > this.#options.max) this.#makeRoom(weight);
    this.#entries.set(key, { value, weight, untilMs: nowMs + ttlMs, isUsed: false });
    this.#weight += weight;
  }

  #makeRoom(weight: number): void {
    for (const [key, entry] of this.#entries) {
      if (this.#weight + weight <= this.#options.max) return;
      if (entry.isUsed) {
        // Behind all others, where this walk meets it again as unused.
        entry.isUsed = false;
        this.#entries.delete(key);
        this.#entries.set(key, entry);
      } else {
        this.delete(key);
      }
    }
  }

  delete(key: K): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#weight -= entry.weight;
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#weight = 0;
  }
}
