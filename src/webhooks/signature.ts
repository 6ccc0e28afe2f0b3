/** What a webhook is signed with: its receiver computes the HMAC of timestamp and token with the account's signing key, and so knows who made the call. The body is not covered. */
import { createHmac } from 'node:crypto';
import { randomHex } from '#base/random.ts';

/** Texts all of them, as clients expect. */
export interface Signature {
  /** Seconds since 1970. */
  readonly timestamp: string;
  /** 50 characters, never the same twice. */
  readonly token: string;
  /** Hexadecimal HMAC-SHA256. */
  readonly signature: string;
}

const TOKEN_BYTES = 25;

export function sign(key: string, nowMs: number): Signature {
  const timestamp = String(Math.floor(nowMs / 1000));
  const token = randomHex(TOKEN_BYTES);
  return {
    timestamp,
    token,
    signature: createHmac('sha256', key)
      .update(timestamp + token)
      .digest('hex'),
  };
}
