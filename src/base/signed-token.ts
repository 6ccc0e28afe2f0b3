/**
 * Tokens that come back to us from anywhere: in links, pixels, return paths. Whoever has the key can tell that it was us who made one, for what kind of use, and that no octet
 * of it was changed; nothing has to be stored for that. The payload is not secret: who decodes the token reads it, so no address belongs into it.
 *
 * Octets: version ‖ payload ‖ the first 12 of HMAC-SHA-256(key, version ‖ kind ‖ payload). The kind is not in the token: one kind's token is simply no token
 * of another. Each token has exactly one spelling: whatever else a lenient decoder would take for the same octets is refused, so a token can serve as a key.
 *
 * Two spellings: base64url, for URLs; and base32 in small letters (RFC 4648 §6, without padding), for local parts of addresses, which must survive being
 * written in capitals. Signing costs 7 µs, and so does opening.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';

const VERSION = 1;
/** 96 bits: one guess in 10²⁸ is right, and each guess is a request. */
const MAC_BYTES = 12;
/** Longest token that is looked at, in characters (P9). */
const TOKEN_MAX = 8192;
/** What a payload may have, in octets, so that its token can be opened again in either spelling. */
export const TOKEN_PAYLOAD_MAX = 4096;

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

export interface SignedTokens {
  /** `kind`: what it is for, 0 to 255. Throws for a payload beyond `TOKEN_PAYLOAD_MAX`. */
  sign(kind: number, payload: Uint8Array): string;
  /** The payload; undefined when it is not a token of ours of this kind. Never throws, whatever the text. */
  open(kind: number, token: string): Buffer | undefined;
  /** The same in letters and digits that survive case folding. */
  signBase32(kind: number, payload: Uint8Array): string;
  openBase32(kind: number, token: string): Buffer | undefined;
}

/** `key`: at least 32 octets, for this purpose alone (`accounts/instance-secret` derives them). */
export function createSignedTokens(key: Uint8Array): SignedTokens {
  if (key.length < 32) throw new RangeError(`a key of ${key.length} octets is too short to sign tokens`);
  const secret = createSecretKey(key);

  function mac(kind: number, payload: Uint8Array): Buffer {
    return createHmac('sha256', secret).update(Buffer.of(VERSION, kind)).update(payload).digest().subarray(0, MAC_BYTES);
  }
  function seal(kind: number, payload: Uint8Array): Buffer {
    if (!Number.isInteger(kind) || kind < 0 || kind > 255) throw new RangeError(`${kind} is not a kind of token`);
    if (payload.length > TOKEN_PAYLOAD_MAX) throw new RangeError(`a payload of ${payload.length} octets is too long for a token`);
    return Buffer.concat([Buffer.of(VERSION), payload, mac(kind, payload)]);
  }
  function unseal(kind: number, octets: Buffer): Buffer | undefined {
    if (octets.length < 1 + MAC_BYTES || octets[0] !== VERSION) return undefined;
    const payload = octets.subarray(1, -MAC_BYTES);
    return timingSafeEqual(mac(kind, payload), octets.subarray(-MAC_BYTES)) ? payload : undefined;
  }

  return {
    sign: (kind, payload) => seal(kind, payload).toString('base64url'),
    open(kind, token) {
      if (token.length > TOKEN_MAX) return undefined;
      const octets = Buffer.from(token, 'base64url');
      return octets.toString('base64url') === token ? unseal(kind, octets) : undefined;
    },
    signBase32: (kind, payload) => base32(seal(kind, payload)),
    openBase32(kind, token) {
      if (token.length > TOKEN_MAX) return undefined;
      const small = token.toLowerCase();
      const octets = fromBase32(small);
      return octets !== undefined && base32(octets) === small ? unseal(kind, octets) : undefined;
    },
  };
}

function base32(octets: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const octet of octets) {
    held = ((held << 8) | octet) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET.charAt((held >> (bits - 5)) & 31);
  }
  return bits > 0 ? text + ALPHABET.charAt((held << (5 - bits)) & 31) : text;
}

function fromBase32(text: string): Buffer | undefined {
  const octets = Buffer.alloc(Math.floor((text.length * 5) / 8));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const letter of text) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) return undefined;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) octets[at++] = (held >> (bits -= 8)) & 255;
  }
  return octets;
}
