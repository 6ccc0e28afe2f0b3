/**
 * The body of a process that has a store and does what its parent asks: the tests of crashes and faults kill it, starve it and make its system calls fail.
 * A request names a method of the store ("mail.accept"); the answer is its result, or what it failed with.
 */
import { rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { openSqliteStore, type SqliteOptions, type SqliteStore } from '#store/sqlite/open.ts';
import { type Store, StoreError } from '#store/store.ts';

export interface Request {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: {
    readonly kind: StoreError['kind'] | undefined;
    readonly message: string;
    readonly health?: ReturnType<Store['health']>;
  };
}

let store: SqliteStore | undefined;

const own: Readonly<Record<string, (...args: never[]) => unknown>> = {
  async open(options: SqliteOptions) {
    store = await openSqliteStore(options);
    return store.recovered;
  },
  health: () => store?.health(),
  close: () => store?.close(),
  /** Does it, and is killed before it can answer. */
  async last(name: string, args: readonly unknown[]) {
    await invoke(name, args);
    process.kill(process.pid, 'SIGKILL');
  },
  /** Does it, and says so on a file descriptor by a system call of this thread. */
  async tell(name: string, args: readonly unknown[], sentence: string) {
    await invoke(name, args);
    writeSync(1, sentence);
  },
  /** Writes a file that leaves so much of the disk free. */
  fill(path: string, leaveBytes: number) {
    const { bavail, bsize } = statfsSync(dirname(path));
    writeFileSync(path, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
  },
  remove: (path: string) => rmSync(path),
};

function invoke(name: string, args: readonly unknown[]): unknown {
  const ownMethod = own[name];
  if (ownMethod !== undefined) return ownMethod(...(args as never[]));
  const [family, method] = name.split('.') as [string, string];
  const table = (store as unknown as Record<string, Record<string, (...args: unknown[]) => unknown>>)[family];
  return table?.[method]?.(...args);
}

// Whatever runs this program and is killed in its place, it does not outlive its parent's interest.
process.on('disconnect', () => process.exit());

process.on('message', ({ id, name, args }: Request) => {
  Promise.resolve()
    .then(() => invoke(name, args))
    .then(
      (result): Answer => ({ id, result }),
      (error: unknown): Answer => ({
        id,
        failure: {
          kind: error instanceof StoreError ? error.kind : undefined,
          message: error instanceof Error ? error.message : String(error),
          ...(store !== undefined && { health: store.health() }),
        },
      }),
    )
    .then((answer) => process.send?.(answer))
    .catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    });
});
