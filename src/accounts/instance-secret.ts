/**
 * The instance's secret: 32 random bytes, made at the first start and never again, in DATA/secret.key (mode 0600) unless the operator gives them in a file or in the
 * environment. It encrypts what must not be readable in a copy of the database (DKIM private keys), and the keys that sign
 * tokens are derived from it. The store remembers a fingerprint of it, so that a
 * lost or exchanged secret is told as such, instead of showing as keys that cannot be decrypted. Nodes that share a store share the secret.
 *
 * Sealed: 1 byte version, 12 bytes nonce, ciphertext, 16 bytes tag (AES-256-GCM). The context (what the value belongs to) is authenticated,
 * so a sealed value cannot be moved to another row.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { AccountStore } from '#store/store.ts';

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const VERSION = 1;
const FINGERPRINT = 'instance-secret';

/** The file is missing, unreadable, or not the one that this store was made with. */
export class SecretError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SecretError';
  }
}

export interface InstanceSecret {
  seal(plain: Uint8Array, context: string): Buffer;
  /** Throws `SecretError` when it was sealed with another secret or for another context. */
  unseal(sealed: Uint8Array, context: string): Buffer;
  /** 32 octets for one purpose, the same on every node: who learns one purpose's key learns neither another's nor the secret. */
  keyFor(purpose: KeyPurpose): Buffer;
}

/** What tokens are signed for (`base/signed-token`). A purpose is never renamed: what was signed for it is in mail that has been sent. */
export type KeyPurpose = 'tracking' | 'unsubscribe' | 'return-path' | 'forwarding';

/** Where the secret is: in the operator's own words, in a file of theirs, or else in the data directory. */
export interface SecretPlace {
  readonly data: string;
  /** 64 hexadecimal digits. */
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
}

/** `madeAt`: it was made now, in this file. Other nodes of the store need a copy. */
export interface OpenedSecret extends InstanceSecret {
  readonly madeAt?: string;
}

export function isSecretText(given: string): boolean {
  return /^[0-9a-f]{64}$/i.test(given.trim());
}

/** Reads the secret, or makes DATA/secret.key when neither the file nor anything sealed exists. Throws `SecretError`. */
export async function openInstanceSecret(place: SecretPlace, store: Pick<AccountStore, 'setting' | 'settingOnce'>): Promise<OpenedSecret> {
  const remembered = await store.setting(FINGERPRINT);
  const { secret, name, isMade } = obtain(place, remembered !== undefined);
  const fingerprint = createHmac('sha256', secret).update('postrider instance secret').digest('hex').slice(0, 32);
  const stands = remembered ?? (await store.settingOnce(FINGERPRINT, fingerprint));
  if (stands !== fingerprint) {
    // Another node made its own at the same moment, and was first: this one is nobody's.
    if (isMade) rmSync(name, { force: true });
    throw new SecretError(
      isMade
        ? missing(name)
        : `${name} is not the secret that this store was made with; restore the right one from a backup, or copy it from another node of this store (the DKIM keys are encrypted with it)`,
    );
  }
  return { ...secretBox(secret), ...(isMade && { madeAt: name }) };
}

interface Obtained {
  readonly secret: Buffer;
  /** As an operator calls it. */
  readonly name: string;
  readonly isMade: boolean;
}

function obtain({ data, secret, secretFile }: SecretPlace, isRemembered: boolean): Obtained {
  if (secret !== undefined) return { secret: Buffer.from(secret.trim(), 'hex'), name: 'the setting "secret"', isMade: false };
  const path = secretFile ?? join(data, 'secret.key');
  const found = readSecret(path);
  if (found !== undefined) return { secret: found, name: path, isMade: false };
  if (isRemembered) throw new SecretError(missing(path));
  if (secretFile !== undefined)
    throw new SecretError(`${path} (secret_file) is missing; make one secret for all nodes, such as with "openssl rand -hex 32 > ${path}"`);
  return { ...makeSecret(data, path), name: path };
}

function missing(path: string): string {
  return `${path} is missing; restore it from a backup, or copy it from another node of this store, or give it with secret_file (the DKIM keys in this store are encrypted with it)`;
}

export function secretBox(secret: Uint8Array): InstanceSecret {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'postrider seal v1', 32));
  return {
    seal(plain, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      return Buffer.concat([Buffer.of(VERSION), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    unseal(sealed, context) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== VERSION)
        throw new SecretError(`the sealed value of ${context} is damaged`);
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      } catch (error) {
        throw new SecretError(
          `the sealed value of ${context} cannot be opened with this instance's secret (${error instanceof Error ? error.message : 'unknown error'})`,
        );
      }
    },
    keyFor: (purpose) => Buffer.from(hkdfSync('sha256', secret, '', `postrider ${purpose} v1`, 32)),
  };
}

function readSecret(path: string): Buffer | undefined {
  let hex: string;
  try {
    hex = readFileSync(path, 'latin1').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    throw new SecretError(`${path} cannot be read (${String(code)})`);
  }
  if (!isSecretText(hex))
    throw new SecretError(`${path} is damaged: expected ${SECRET_BYTES} bytes in hexadecimal; restore it from a backup`);
  return Buffer.from(hex, 'hex');
}

/** Two programs may start at once: the file appears whole, by a link that only one of them can make. */
function makeSecret(directory: string, path: string): { readonly secret: Buffer; readonly isMade: boolean } {
  mkdirSync(directory, { recursive: true });
  let isMade = true;
  const draft = `${path}.${process.pid}`;
  writeSynced(draft, `${randomBytes(SECRET_BYTES).toString('hex')}\n`);
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    isMade = false;
  } finally {
    unlinkSync(draft);
  }
  syncDirectory(directory);
  const secret = readSecret(path);
  if (secret === undefined) throw new SecretError(`${path} vanished while it was made`);
  return { secret, isMade };
}

function writeSynced(path: string, text: string): void {
  const file = openSync(path, 'w', 0o600);
  try {
    writeSync(file, text);
    chmodSync(path, 0o600);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncDirectory(directory: string): void {
  // Windows cannot open a directory for this; its file system keeps names in its own journal.
  if (process.platform === 'win32') return;
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
