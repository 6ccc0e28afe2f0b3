/**
 * What the operator's tools ask the running server, over a socket in the data directory that only its owner may enter: `GET /queue`.
 * A socket file that a killed process left is taken away first; that no other server runs is the store's lock's promise.
 */
import { rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Log } from '#base/log.ts';

export interface ControlOptions {
  readonly path: string;
  readonly log: Log;
  queue(): Promise<unknown>;
}

export async function startControl({ path, log, queue }: ControlOptions): Promise<{ close(): Promise<void> }> {
  const isFile = !path.startsWith('\\\\');
  if (isFile) rmSync(path, { force: true });
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.method !== 'GET' || request.url !== '/queue') return answer(404, { message: 'ask GET /queue' });
    queue().then(
      (report) => answer(200, report),
      (error: unknown) => {
        log.error({ error: String(error) }, 'the queue cannot be told at the moment');
        answer(503, { message: 'the queue cannot be told at the moment' });
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  if (isFile) await chmod(path, 0o600);
  return {
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
