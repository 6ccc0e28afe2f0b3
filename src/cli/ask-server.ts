/** Asks the running server over the socket in its data directory (app/control). */
import { request } from 'node:http';
import { controlPath } from '#app/control-path.ts';
import { Failure } from './command.ts';

const ANSWER_MS = 10_000;
const ANSWER_MAX = 64 * 1024 * 1024;

/** undefined: no server runs on this data directory. */
export function askServer<T>(dataDirectory: string, path: string): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: controlPath(dataDirectory), path, signal: AbortSignal.timeout(ANSWER_MS) }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > ANSWER_MAX) asked.destroy(new Failure('the server answered too much'));
        else chunks.push(chunk);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        try {
          if (answer.statusCode !== 200) throw new Failure(`the server answered ${answer.statusCode ?? 'nothing'} to ${path}`);
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as T);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else if (error.name === 'TimeoutError' || error.name === 'AbortError')
        reject(new Failure(`the server did not answer within ${ANSWER_MS / 1000} seconds`));
      else reject(error);
    });
    asked.end();
  });
}
