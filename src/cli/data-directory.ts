/** Makes the data directory, for its owner only: mail and secrets are in it. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from './command.ts';

/** Step by step from the first directory that exists: Node's own recursive mkdir never ends where a file system (/proc) refuses with ENOENT. */
export function makeDataDirectory(path: string): void {
  const missing: string[] = [];
  for (let at = path; !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.push(at);
  for (const directory of missing.toReversed()) {
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      // Another process made it meanwhile.
      if (code === 'EEXIST') continue;
      throw new Failure(
        `the data directory ${path} cannot be made: ${directory}: ${code === 'EACCES' ? 'this user may not write there' : code}`,
      );
    }
  }
}
