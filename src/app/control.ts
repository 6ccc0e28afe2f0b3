/**
 * What the operator's tools ask the running server, over a socket in the data directory that only its owner may enter: `GET /queue`, and
 * `GET /waits?messages=1,2`.
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
  /** Of these messages, what waits in memory, and why. */
  waits(messages: readonly number[]): Promise<unknown>;
}

const MESSAGES_MAX = 100;

export async function startControl({ path, log, queue, waits }: ControlOptions): Promise<{ close(): Promise<void> }> {
  const isFile = !path.startsWith('\\\\');
  if (isFile) rmSync(path, { force: true });
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    const asked = request.method === 'GET' ? question(request.url ?? '') : undefined;
    if (asked === undefined) return answer(404, { message: 'ask GET /queue or GET /waits?messages=1,2' });
    asked().then(
      (report) => answer(200, report),
      (error: unknown) => {
        log.error({ error: String(error) }, 'the queue cannot be told at the moment');
        answer(503, { message: 'the queue cannot be told at the moment' });
      },
    );
  });
  const question = (url: string): (() => Promise<unknown>) | undefined => {
    if (url === '/queue') return queue;
    const [, list] = /^\/waits\?messages=(\d{1,16}(?:,\d{1,16})*)$/.exec(url) ?? [];
    return list === undefined ? undefined : () => waits(list.split(',').slice(0, MESSAGES_MAX).map(Number));
  };
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
