/** A store in a process of its own, as its parent sees it: the store's methods by name, and what can be done to a process. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { SqliteOptions } from '#store/sqlite/open.ts';
import { type Store, StoreError } from '#store/store.ts';
import type { Answer, Request } from './storage-child.ts';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class StoreProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #serial = 0;
  /** The store's methods; only those that return promises. */
  readonly store: Store;
  /** What it wrote to its standard output. */
  output = '';
  /** How the store was when it failed last, before anything could come between. */
  healthAtFailure: ReturnType<Store['health']> | undefined;

  /** `wrapper`: a command that the program is run by. */
  constructor(wrapper: readonly string[] = []) {
    const [program = process.execPath, ...rest] = [...wrapper, process.execPath, '--disable-warning=ExperimentalWarning'];
    this.#child = fork(new URL('./storage-child.ts', import.meta.url), {
      execPath: program,
      execArgv: rest,
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.#child.on('message', (answer: Answer) => this.#answered(answer));
    this.#child.on('exit', () => this.#ended());
    const family = (name: string): unknown =>
      new Proxy(
        {},
        {
          get:
            (_, method) =>
            (...args: unknown[]) =>
              this.call(`${name}.${String(method)}`, ...args),
        },
      );
    this.store = new Proxy({}, { get: (_, name) => family(String(name)) }) as Store;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  async call<T>(name: string, ...args: unknown[]): Promise<T> {
    const id = ++this.#serial;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ id, name, args } satisfies Request, (error) => {
        // The channel ends with the process, and may do so a moment before it is known how that ended.
        if (error !== null && this.#hasEnded) this.#ended();
      });
    });
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  #ended(): void {
    const { exitCode, signalCode } = this.#child;
    for (const { reject } of this.#waiting.values()) reject(new Error(`the process ended with ${exitCode ?? signalCode}`));
    this.#waiting.clear();
  }

  /** Resolves to how many leases of a former process it ended. */
  open(options: SqliteOptions): Promise<number> {
    return this.call('open', { mode: 'server', ...options });
  }

  health(): Promise<ReturnType<Store['health']>> {
    return this.call('health');
  }

  async kill(): Promise<void> {
    if (this.#hasEnded) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
    // What a wrapper ran may have outlived it.
    if (this.#child.connected) this.#child.disconnect();
  }

  #answered({ id, result, failure }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure !== undefined) this.healthAtFailure = failure.health;
    if (failure === undefined) waiting?.resolve(result);
    else waiting?.reject(failure.kind === undefined ? new Error(failure.message) : new StoreError(failure.kind, failure.message));
  }
}

/** A directory that goes with the test. */
export function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-storage-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

/** A process that goes with the test. */
export function processFor(t: TestContext, wrapper: readonly string[] = []): StoreProcess {
  const child = new StoreProcess(wrapper);
  t.after(() => child.kill());
  return child;
}

/** Whether the command can be run and ends with 0. */
export function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
