/**
 * The opaque key by which a stored message is fetched: url-safe, and bound to nothing but our id; whoever uses it is checked against
 * the message's account (P10), so knowing a key gives no right.
 */
import { Buffer } from 'node:buffer';

/** Longer than any key of ours. */
const KEY_MAX = 64;

export function storageKey(message: number): string {
  return Buffer.from(`{"v":1,"m":${message}}`).toString('base64url');
}

/** undefined: not a key of ours. */
export function messageOfKey(key: string): number | undefined {
  if (key.length > KEY_MAX) return undefined;
  const match = /^\{"v":1,"m":([1-9]\d{0,15})\}$/.exec(Buffer.from(key, 'base64url').toString('latin1'));
  const id = match === null ? Number.NaN : Number(match[1]);
  return Number.isSafeInteger(id) ? id : undefined;
}
