/**
 * Which test files run on both stores: those that ask test/kit/stores.ts for one, directly or by what they import, so that none can be forgotten. A file that does so and
 * is to run once all the same stands in a list with its reason.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const KIT = 'test/kit/stores.ts';

const ONCE: Readonly<Record<string, string>> = {
  'test/deploy/haproxy.test.ts': 'is about what the balancer in front tells, whatever the store',
  'test/e2e/database-full.test.ts': 'has a PostgreSQL of its own',
  'test/e2e/process-disk.test.ts': 'fills the disk under the data directory, where only the embedded store lies',
  'test/e2e/process-clock.test.ts': 'steps the clock of the one process; nodes of a shared store go by the clock of the database',
  'test/e2e/storage-order.test.ts': "watches the system calls that write the embedded store's log",
};

export interface SecondPass {
  readonly files: readonly string[];
  /** Path and reason. */
  readonly leftOut: readonly (readonly [string, string])[];
}

/** Of these files, paths from the root of the project. */
export function onBothStores(root: string, files: readonly string[]): SecondPass {
  for (const path of Object.keys(ONCE))
    if (!existsSync(join(root, path))) throw new Error(`${path} is named in test/both-stores.ts and does not exist`);
  const reaching = files.filter((file) => reaches(root, file, new Set()));
  return {
    files: reaching.filter((file) => !Object.hasOwn(ONCE, file)),
    leftOut: Object.entries(ONCE).filter(([file]) => reaching.includes(file)),
  };
}

function reaches(root: string, file: string, seen: Set<string>): boolean {
  if (file === KIT) return true;
  if (seen.has(file)) return false;
  seen.add(file);
  return imports(root, file).some((imported) => reaches(root, imported, seen));
}

function imports(root: string, file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const named = [...text.matchAll(/^(?:import (?!type\b)|export|\}).*from '([^']+\.ts)';$/gm)].map(([, path = '']) => path);
  // What the program itself imports leads to no test.
  return named.filter((path) => path.startsWith('.')).map((path) => join(dirname(file), path).replaceAll('\\', '/'));
}
