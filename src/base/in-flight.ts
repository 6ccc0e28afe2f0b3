/** Work that many ask for at once is done once for all of them: what is under way is shared, and forgotten when it ends. It holds no more entries than there are askers. */
export class InFlight<K, V> {
  readonly #running = new Map<K, Promise<V>>();

  once(key: K, work: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }
}
