/** A mail server under test, whoever wrote it: where to hand mail in, and the process whose tree is measured. */
import { createServer } from 'node:net';

export interface Server {
  /** Root of its process tree. */
  readonly pid: number;
  readonly smtpPort: number;
  readonly api?: { readonly port: number; readonly key: string };
  stop(): Promise<void>;
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
