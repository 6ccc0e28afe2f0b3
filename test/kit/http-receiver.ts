/** An HTTP server that others post to, on a free port: it records what came, and answers as it is told, 200 otherwise. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TEST_CERTIFICATE, TEST_KEY } from './sink-certificate.ts';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly atMs: number;
}

/** Must end the response, unless it is to hang. */
export type Answer = (received: Received, response: ServerResponse) => void;

export interface HttpReceiver {
  readonly port: number;
  readonly received: Received[];
  /** Requests that were not answered yet, now and at most. */
  readonly open: { now: number; peak: number };
  connectionCount(): number;
  answerWith(answer: Answer): void;
  /** What came to paths that begin so. */
  at(path: string): Received[];
  close(): Promise<void>;
}

export async function startHttpReceiver(
  options: { readonly address?: string; readonly port?: number; readonly tls?: boolean } = {},
): Promise<HttpReceiver> {
  let answer: Answer = (_received, response) => void response.end();
  let connections = 0;
  const received: Received[] = [];
  const open = { now: 0, peak: 0 };
  const listener: RequestListener = (request, response) => {
    open.now++;
    open.peak = Math.max(open.peak, open.now);
    response.once('close', () => open.now--);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      const { method = '', url = '', headers } = request;
      const whole: Received = { method, path: url, headers, body: Buffer.concat(chunks), atMs: performance.now() };
      received.push(whole);
      answer(whole, response);
    });
    // A client that goes away says so here.
    request.once('error', () => undefined);
  };
  const server = options.tls === true ? createTlsServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, listener) : createServer(listener);
  server.on('connection', () => connections++);
  server.listen(options.port ?? 0, options.address ?? '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    received,
    open,
    connectionCount: () => connections,
    answerWith(other) {
      answer = other;
    },
    at: (path) => received.filter((each) => each.path.startsWith(path)),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
