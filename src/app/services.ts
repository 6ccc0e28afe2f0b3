/**
 * Everything that runs, in one table: `wire.ts` adds a row as it starts each part, and stopping goes through the rows from the last to the first. Doors are
 * started last and so close first; the store is first and closes last. A part that does not stop within its time is told and passed by.
 */
import type { Log } from '#base/log.ts';

export interface Service {
  readonly name: string;
  /** Time that stopping it may take. */
  readonly stopMs: number;
  stop(): Promise<void>;
}

export class Services {
  readonly #log: Log;
  readonly #running: Service[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  add(service: Service): void {
    this.#running.push(service);
  }

  names(): string[] {
    return this.#running.map(({ name }) => name);
  }

  /** Stops all, each within its time. Resolves to the names of those that did not. */
  async stop(): Promise<string[]> {
    const late: string[] = [];
    for (const service of this.#running.splice(0).toReversed()) {
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<'late'>((resolve) => {
        timer = setTimeout(() => resolve('late'), service.stopMs);
      });
      try {
        if ((await Promise.race([service.stop(), deadline])) === 'late') late.push(service.name);
      } catch (error) {
        this.#log.error({ service: service.name, error: String(error) }, 'a service did not stop cleanly');
        late.push(service.name);
      } finally {
        clearTimeout(timer);
      }
    }
    return late;
  }
}
