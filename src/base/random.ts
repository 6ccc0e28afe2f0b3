/** Chance, in one place: random names and shuffles. Unpredictable (from the system's generator) wherever a stranger could gain by guessing. */
import { randomBytes, randomInt, randomUUID } from 'node:crypto';

// One system call fills a block that serves many small requests: a fresh call per message id costs several microseconds.
const BLOCK_BYTES = 4096;
let block = Buffer.alloc(0);
let used = 0;

/** `bytes` random bytes as lower-case hexadecimal. */
export function randomHex(bytes: number): string {
  if (bytes > BLOCK_BYTES) return randomBytes(bytes).toString('hex');
  if (used + bytes > block.length) {
    block = randomBytes(BLOCK_BYTES);
    used = 0;
  }
  used += bytes;
  return block.toString('hex', used - bytes, used);
}

/** For ids that clients read as a UUID (RFC 9562, version 4). */
export function randomUuid(): string {
  return randomUUID();
}

/** A copy of `items` in random order (Fisher–Yates). */
export function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

/** A number between 1 − spread and 1 + spread: spreads retries that would otherwise fall on one instant. */
export function jitter(spread: number): number {
  return 1 + (Math.random() * 2 - 1) * spread;
}
