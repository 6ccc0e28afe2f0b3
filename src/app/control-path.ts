/** Where the running server answers the operator's tools: a socket in the data directory, which only its owner may enter. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Longest path that every system takes for a socket (104 on macOS, with its end). */
const PATH_MAX = 100;

/** DATA/control.sock; when that is too long for a socket's path, a name in the temporary directory that follows from it; on Windows a named pipe. */
export function controlPath(dataDirectory: string): string {
  const mark = createHash('sha256').update(dataDirectory).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\postrider-${mark}`;
  const path = join(dataDirectory, 'control.sock');
  return Buffer.byteLength(path) <= PATH_MAX ? path : join(tmpdir(), `postrider-${mark}.sock`);
}
