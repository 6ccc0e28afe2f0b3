/**
 * A cache that cannot grow past its bound: least recently used goes first, and an entry older than its time to live is not found.
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
    this.#entries.delete(key);
    if (entry.untilMs <= nowMs) {
      this.#weight -= entry.weight;
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** `ttlMs` overrides the cache's own for this entry. */
  set(key: K, value: V, nowMs: number, ttlMs = this.#options.ttlMs ?? Number.POSITIVE_INFINITY): void {
    this.delete(key);
    const weight = this.#options.weigh?.(value) ?? 1;
    if (weight > this.#options.max) return;
    this.#entries.set(key, { value, weight, untilMs: nowMs + ttlMs });
    this.#weight += weight;
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#options.max) break;
      this.delete(oldest);
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
