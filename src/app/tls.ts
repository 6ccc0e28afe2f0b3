/**
 * The own certificate of the listeners: the operator's files, or a self-signed pair made here and kept in DATA/tls, so that
 * STARTTLS works from the first start. The operator's files are read again when they change, so that a renewed certificate needs no restart;
 * files that cannot be used at that moment leave the former pair in use.
 *
 * The self-signed one is X.509 v3 (RFC 5280) over P-256 with SHA-256, for the server's name, valid for ten years: clients that check certificates
 * refuse it whatever its dates are, and those that do not must not stop when it expires.
 */
import { constants, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import ipaddr from 'ipaddr.js';
import type { Clock } from '#base/clock.ts';
import { bitString, der, dnsName, ECDSA_SHA256, extension, integer, oid, pem, sequence, time, utf8 } from '#base/der.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';

const LOOK_AGAIN_MS = 10_000;
const VALID_YEARS = 10;

/** The files cannot be used as a certificate and its key. */
export class TlsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TlsError';
  }
}

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** PEM, and the same made ready for handshakes. */
export interface OwnPair {
  readonly cert: string;
  readonly key: string;
  readonly context: SecureContext;
}

/** What to hand to the listeners: asked at every handshake; the same object until the files change. Throws `TlsError` when they cannot be used at start. */
export function openTls(files: TlsFiles, clock: Clock, log: Log): () => OwnPair {
  let mark = markOf(files);
  let pair = pairOf(files);
  let lookAtMs = clock.monotonicMs() + LOOK_AGAIN_MS;
  return () => {
    if (clock.monotonicMs() < lookAtMs) return pair;
    lookAtMs = clock.monotonicMs() + LOOK_AGAIN_MS;
    try {
      const now = markOf(files);
      if (now === mark) return pair;
      pair = pairOf(files);
      mark = now;
      log.info({ cert: files.cert }, 'the certificate was read again');
    } catch (error) {
      log.warn({ cert: files.cert, trouble: errorText(error) }, 'the new certificate cannot be used; the former one stays');
    }
    return pair;
  };
}

/** The operator's files, or the pair in DATA/tls, made when it is not there yet. */
export function tlsFiles(config: {
  readonly data: string;
  readonly tls: { readonly cert?: string; readonly key?: string };
  readonly smtp: { readonly hostname: string };
}): TlsFiles {
  const { cert, key } = config.tls;
  if (cert !== undefined && key !== undefined) return { cert, key };
  const directory = join(config.data, 'tls');
  const files = { cert: join(directory, 'self-signed.crt'), key: join(directory, 'self-signed.key') };
  if (!existsSync(files.cert) || !existsSync(files.key)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const pair = selfSigned(config.smtp.hostname, Date.now());
    // The certificate comes last: where it is, its key is too.
    writeWhole(files.key, pair.key);
    writeWhole(files.cert, pair.cert);
  }
  return files;
}

function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
}

function markOf({ cert, key }: TlsFiles): string {
  return [cert, key]
    .map((path) => {
      try {
        const { mtimeMs, size, ino } = statSync(path);
        return `${mtimeMs}/${size}/${ino}`;
      } catch {
        throw new TlsError(`${path} cannot be read`);
      }
    })
    .join(' ');
}

function pairOf({ cert, key }: TlsFiles): OwnPair {
  try {
    const pair = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
    const context = createSecureContext({
      ...pair,
      minVersion: 'TLSv1.2',
      // A handshake costs us a signature and the client nearly nothing: each connection has one. (TLS 1.3 has no other anyway.)
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
    return { ...pair, context };
  } catch (error) {
    throw new TlsError(`${cert} and ${key} cannot be used as a certificate and its key (${errorText(error)})`);
  }
}

/** PEM certificate and key for a host name (and its machine's loopback name). */
export function selfSigned(hostname: string, nowMs: number): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const from = new Date(nowMs - 86_400_000);
  const until = new Date(nowMs);
  until.setUTCFullYear(until.getUTCFullYear() + VALID_YEARS);
  const body = certificateBody(hostname, publicKey, from, until);
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, ECDSA_SHA256, bitString(signature));
  return { cert: pem('CERTIFICATE', certificate), key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() };
}

/** RFC 5280 §4.1: TBSCertificate. */
function certificateBody(hostname: string, publicKey: KeyObject, from: Date, until: Date): Buffer {
  // A name longer than 64 does not fit into a common name; the alternative name carries it whole.
  const name = sequence(der(0x31, sequence(oid(2, 5, 4, 3), utf8(hostname.slice(0, 64)))));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] as number) & 0x3f) | 0x40;
  return sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(serial),
    ECDSA_SHA256,
    name,
    sequence(time(from), time(until)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
    der(
      0xa3,
      sequence(
        extension(oid(2, 5, 29, 17), sequence(...alternativeNames(hostname)), false),
        extension(oid(2, 5, 29, 19), sequence(), true),
        extension(oid(2, 5, 29, 37), sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 1)), false),
      ),
    ),
  );
}

function alternativeNames(hostname: string): Buffer[] {
  const own = ipaddr.isValid(hostname) ? der(0x87, Buffer.from(ipaddr.parse(hostname).toByteArray())) : dnsName(hostname);
  return [own, dnsName('localhost'), der(0x87, Buffer.of(127, 0, 0, 1)), der(0x87, Buffer.from(ipaddr.parse('::1').toByteArray()))];
}
