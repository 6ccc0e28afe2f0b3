/**
 * Work that takes long and cannot be interrupted, one step after another, each in a turn of the event loop of its own: between two steps everything else has its turn, however many ask at
 * once. It holds no more than the steps that somebody waits for.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Rejects with what the step throws; those behind it go on. */
  take<T>(step: () => T): Promise<T> {
    const taken = this.#last.then(() => new Promise((resolve) => setImmediate(resolve))).then(step);
    this.#last = taken.catch(() => undefined);
    return taken;
  }
}
