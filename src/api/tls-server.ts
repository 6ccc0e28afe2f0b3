/**
 * The HTTP door over TLS: each handshake gets the certificate of the host that is asked for (SNI), where there is one, and the installation's own otherwise. The own pair may change
 * while the server runs.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server, ServerOptions } from 'node:https';
import type { SecureContext } from 'node:tls';
import { constants } from 'node:crypto';

const HANDSHAKE_MS = 30_000;

export interface ApiTls {
  /** PEM, and the same made ready; the same object as long as it did not change. Never throws. */
  own(): { readonly cert: string; readonly key: string; readonly context: SecureContext };
  /** undefined: there is none for this host. Never rejects. */
  contextFor(host: string): Promise<SecureContext | undefined>;
}

export function createTlsServer(
  tls: ApiTls,
  options: ServerOptions,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  let own = tls.own();
  const common = { minVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;
  const server = createServer(
    {
      ...options,
      ...common,
      cert: own.cert,
      key: own.key,
      handshakeTimeout: HANDSHAKE_MS,
      SNICallback: (host, done) => void tls.contextFor(host).then((context) => done(null, context ?? tls.own().context)),
    },
    handle,
  );
  // Before the handshake of this connection begins: a client that names no host gets what is its own by now.
  server.prependListener('connection', () => {
    const now = tls.own();
    if (now === own) return;
    own = now;
    server.setSecureContext({ ...common, cert: own.cert, key: own.key });
  });
  return server;
}
