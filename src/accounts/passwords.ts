/**
 * Password hashes: argon2id in PHC strings (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`, base64 without padding).
 * One hash costs tens of milliseconds of a thread in libuv's pool, which files and DNS need too; so at most two are computed at once, a
 * bounded number waits, and the next is refused as `overloaded`.
 */
import { argon2, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { AppError } from '#model/errors.ts';

const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const IN_FLIGHT_MAX = 2;
export const WAITING_MAX = 64;
/** A stored hash that asks for more than this is not computed: a damaged row must not stop the server. */
const MEMORY_MAX_KIB = 262_144;
const PASSES_MAX = 16;

interface Hash {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export interface Passwords {
  hash(password: string): Promise<string>;
  /** Rejects with AppError 'overloaded' when too many wait. */
  verify(password: string, phc: string): Promise<boolean>;
  /** Takes as long as `verify` and answers false: for logins that do not exist. */
  pretend(password: string): Promise<false>;
}

export function createPasswords(waitingMax = WAITING_MAX): Passwords {
  const turn = createGate(IN_FLIGHT_MAX, waitingMax);
  const absent: Hash = {
    memory: MEMORY_KIB,
    passes: PASSES,
    parallelism: LANES,
    salt: randomBytes(SALT_BYTES),
    hash: randomBytes(HASH_BYTES),
  };
  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      const hash = await turn(() => derive(password, { ...absent, salt }));
      return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(salt)}$${unpadded(hash)}`;
    },
    async verify(password, phc) {
      const known = parsePhc(phc);
      if (known === undefined) throw new Error('a stored password hash is not an argon2id PHC string');
      return timingSafeEqual(await turn(() => derive(password, known)), known.hash);
    },
    async pretend(password) {
      await turn(() => derive(password, absent));
      return false;
    },
  };
}

/** No look-alikes (0 O 1 l I), so that it survives being read aloud. */
const ALPHABET = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';

/** A password of 24 characters, about 139 bits. */
export function makePassword(): string {
  return Array.from({ length: 24 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

function parsePhc(phc: string): Hash | undefined {
  const match = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/.exec(phc);
  if (match === null) return undefined;
  const [memory, passes, parallelism] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (memory > MEMORY_MAX_KIB || passes > PASSES_MAX || passes < 1 || parallelism < 1) return undefined;
  return { memory, passes, parallelism, salt: Buffer.from(match[4] as string, 'base64'), hash: Buffer.from(match[5] as string, 'base64') };
}

function derive(password: string, { memory, passes, parallelism, salt, hash }: Hash): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // One spelling of each password, whatever keyboard it was typed on (RFC 8265 §4.2 uses NFC).
    const message = Buffer.from(password.normalize('NFC'));
    argon2('argon2id', { message, nonce: salt, memory, passes, parallelism, tagLength: hash.length }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** Runs at most `atOnce` of what it is given; at most `waitingMax` wait for their turn. */
function createGate(atOnce: number, waitingMax: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running < atOnce) running++;
    else {
      if (waiting.length >= waitingMax) throw new AppError('overloaded');
      // The one that ends hands its place over, so `running` stays as it is.
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
