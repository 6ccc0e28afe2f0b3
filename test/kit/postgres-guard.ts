/**
 * Ends the PostgreSQL servers of a test process with it, however it ends: a shell reads the names of their directories from a pipe whose other end only the test
 * process has. When that end closes, it stops what still runs there and removes the directories. What it could not remove, because it was killed as well,
 * the next run does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A server's directory is named so, followed by the id of the test process. */
export const PREFIX = 'postrider-pg-';

// A file with the id of a server that was killed stays behind, and the id may be another process's by now: where the system tells, its directory is compared.
const SCRIPT = `
trap '' HUP INT TERM
while IFS= read -r directory; do set -- "$@" "$directory"; done
for directory in "$@"; do
  id=$(head -n 1 "$directory/data/postmaster.pid" 2>/dev/null) || continue
  if [ -d /proc/self ] && [ "$(readlink "/proc/$id/cwd")" != "$directory/data" ]; then continue; fi
  kill -CONT "$id"; kill -QUIT "$id"
  tries=0
  while [ -e "$directory/data/postmaster.pid" ] && [ $tries -lt 40 ]; do sleep 0.05; tries=$((tries + 1)); done
  kill -KILL "$id"
done 2>/dev/null
for directory in "$@"; do rm -rf "$directory"; done
`;

let guard: ChildProcess | undefined;

export function watchOver(directory: string): void {
  guard ??= startGuard();
  guard.stdin?.write(`${directory}\n`);
}

/** In a process group of its own, so that what ends the tests does not end it. It keeps no test process alive. */
function startGuard(): ChildProcess {
  const child = spawn('/bin/sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' });
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return child;
}

/** Ends and removes what test processes left that exist no more. */
export function sweep(temporary: string): void {
  for (const name of readdirSync(temporary)) {
    const owner = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
    if (!Number.isInteger(owner) || isAlive(owner)) continue;
    const data = join(temporary, name, 'data');
    const server = serverOf(data);
    try {
      if (server !== undefined) process.kill(server, 'SIGKILL');
      rmSync(join(temporary, name), { recursive: true, force: true });
    } catch {
      // Another user's, or its guard is at it.
    }
  }
}

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function serverOf(data: string): number | undefined {
  try {
    const id = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return readlinkSync(`/proc/${id}/cwd`) === data ? id : undefined;
  } catch {
    return undefined;
  }
}
