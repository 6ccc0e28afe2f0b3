/**
 * Opens the TCP connection of a client session from the egress source's address, and turns a connection into TLS.
 * Certificates are always examined and never end a connection here: whether an unverified one will do is the caller's demand.
 */
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls, createSecureContext, rootCertificates } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { TlsFacts } from '#model/outcome.ts';
import { describe, Wire } from './client-wire.ts';
import { printable } from './reply-parser.ts';

// One buffer for the reads of every plaintext connection: a read is parsed before the next one can happen.
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536);
const FACT_CHARACTERS_MAX = 200;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** Local address to bind. */
  readonly localAddress?: string;
}

/** What certificates are examined against: the usual roots and `extraRoots` (PEM). Made once: reading the roots is slow. */
export function clientTrust(extraRoots: readonly string[]): SecureContext {
  return createSecureContext(extraRoots.length === 0 ? {} : { ca: [...rootCertificates, ...extraRoots] });
}

/** A wire once connected, or in words why not. */
export function connectWire(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal | undefined): Promise<Wire | string> {
  return new Promise((resolve) => {
    let wire: Wire | undefined;
    const socket = connect({
      host: endpoint.address,
      port: endpoint.port,
      ...(endpoint.localAddress === undefined ? {} : { localAddress: endpoint.localAddress }),
      family: isIP(endpoint.address),
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (length) => {
          wire?.feed(READ_BUFFER, length);
          return true;
        },
      },
    });
    const finish = (result: Wire | string): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.removeListener('error', onError);
      socket.removeListener('connect', onConnect);
      if (typeof result === 'string') {
        socket.on('error', () => undefined); // a second error of a socket that is given up
        socket.destroy();
      }
      resolve(result);
    };
    const onError = (error: Error): void => finish(describe(error));
    const onAbort = (): void => finish('the attempt was stopped');
    const onConnect = (): void => {
      wire = new Wire(socket);
      finish(wire);
    };
    const timer = setTimeout(() => finish(`the connection was not made within ${Math.round(timeoutMs / 1000)} seconds`), timeoutMs);
    socket.once('error', onError);
    socket.once('connect', onConnect);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Does the TLS handshake on the wire's socket. In words why it failed; the wire is lost then. */
export async function secureWire(wire: Wire, host: string, context: SecureContext, timeoutMs: number): Promise<TlsFacts | string> {
  const secured = await handshake(wire.detach(), host, context, timeoutMs);
  if (typeof secured === 'string') {
    wire.lose(secured);
    return secured;
  }
  wire.upgrade(secured);
  return factsOf(secured);
}

function handshake(plain: Socket, host: string, context: SecureContext, timeoutMs: number): Promise<TLSSocket | string> {
  return new Promise((resolve) => {
    const secured = connectTls({
      socket: plain,
      host,
      ...(isIP(host) === 0 ? { servername: host } : {}), // RFC 6066 §3: no address literals in SNI
      secureContext: context,
      rejectUnauthorized: false,
    });
    const finish = (result: TLSSocket | string): void => {
      clearTimeout(timer);
      secured.removeListener('secureConnect', onSecure);
      secured.removeListener('error', onError);
      secured.removeListener('close', onClose);
      if (typeof result === 'string') {
        secured.on('error', () => undefined);
        secured.destroy();
        plain.destroy();
      }
      resolve(result);
    };
    const onSecure = (): void => finish(secured);
    const onError = (error: Error): void => finish(`the TLS handshake failed: ${reasonOf(error)}`);
    const onClose = (): void => finish('the connection was closed during the TLS handshake');
    const timer = setTimeout(() => finish(`the TLS handshake was not done within ${Math.round(timeoutMs / 1000)} seconds`), timeoutMs);
    secured.once('secureConnect', onSecure);
    secured.once('error', onError);
    secured.once('close', onClose);
    plain.on('error', onError); // for good: an error event without a listener would end the process
  });
}

/** OpenSSL's reason ("wrong version number") where there is one, rather than its whole line. */
function reasonOf(error: Error): string {
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
  return printable(reason).slice(0, FACT_CHARACTERS_MAX);
}

function factsOf(socket: TLSSocket): TlsFacts {
  const certificate = socket.getPeerCertificate();
  const text = (value: string | string[] | undefined): string | undefined =>
    value === undefined ? undefined : printable(Buffer.from(String(value)).toString('latin1')).slice(0, FACT_CHARACTERS_MAX);
  const subject = text(certificate.subject?.CN);
  const issuer = text(certificate.issuer?.O ?? certificate.issuer?.CN);
  const trouble: unknown = socket.authorizationError;
  return {
    version: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    verified: socket.authorized,
    ...(subject === undefined ? {} : { subject }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(certificate.valid_to === undefined ? {} : { validUntil: certificate.valid_to }),
    ...(socket.authorized ? {} : { trouble: text(String(trouble instanceof Error ? trouble.message : trouble)) ?? 'not verified' }),
  };
}
