/**
 * Tokens that come back to us from anywhere: in links, pixels, return paths. Whoever has the key can tell that it was us who made one, for what kind of use, and that no octet
 * of it was changed; nothing has to be stored for that. The payload is not secret: who decodes the token reads it, so no address belongs into it.
 *
 * Octets: version ‖ payload ‖ the first 12 of HMAC-SHA-256(key, version ‖ kind ‖ payload). The kind is not in the token: one kind's token is simply no token
 * of another. Each token has exactly one spelling: whatever else a lenient decoder would take for the same octets is refused, so a token can serve as a key.
 *
 * What nobody else is to read is sealed instead: version ‖ tag ‖ payload encrypted with AES-256-CTR, where the tag, the first 16 octets of an HMAC of all of it, is also the counter's
 * start (as in RFC 5297). The same payload always gives the same token, so that a message can be made again as it was; two payloads never share a key stream.
 *
 * Two spellings: base64url, for URLs; and base32 in small letters (RFC 4648 §6, without padding), for local parts of addresses, which must survive being
 * written in capitals. Signing costs 7 µs, and so does opening.
 */
import { createCipheriv, createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';

const VERSION = 1;
/** 96 bits: one guess in 10²⁸ is right, and each guess is a request. */
const MAC_BYTES = 12;
/** Where it is also the start of a counter. */
const TAG_BYTES = 16;
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
  /** The same in base64url, and nobody else can read it. */
  signSealed(kind: number, payload: Uint8Array): string;
  openSealed(kind: number, token: string): Buffer | undefined;
}

/** `key`: at least 32 octets, for this purpose alone (`accounts/instance-secret` derives them). */
export function createSignedTokens(key: Uint8Array): SignedTokens {
  if (key.length < 32) throw new RangeError(`a key of ${key.length} octets is too short to sign tokens`);
  const secret = createSecretKey(key);
  const [tagKey, cipherKey] = sealingKeys(key);

  function mac(kind: number, payload: Uint8Array): Buffer {
    return createHmac('sha256', secret).update(Buffer.of(VERSION, kind)).update(payload).digest().subarray(0, MAC_BYTES);
  }
  function seal(kind: number, payload: Uint8Array): Buffer {
    check(kind, payload);
    return Buffer.concat([Buffer.of(VERSION), payload, mac(kind, payload)]);
  }
  function unseal(kind: number, octets: Buffer): Buffer | undefined {
    if (octets.length < 1 + MAC_BYTES || octets[0] !== VERSION) return undefined;
    const payload = octets.subarray(1, -MAC_BYTES);
    return timingSafeEqual(mac(kind, payload), octets.subarray(-MAC_BYTES)) ? payload : undefined;
  }

  function tagOf(kind: number, payload: Uint8Array): Buffer {
    return createHmac('sha256', tagKey).update(Buffer.of(VERSION, kind)).update(payload).digest().subarray(0, TAG_BYTES);
  }
  function crypt(tag: Uint8Array, octets: Uint8Array): Buffer {
    return createCipheriv('aes-256-ctr', cipherKey, tag).update(octets);
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
    signSealed(kind, payload) {
      check(kind, payload);
      const tag = tagOf(kind, payload);
      return Buffer.concat([Buffer.of(VERSION), tag, crypt(tag, payload)]).toString('base64url');
    },
    openSealed(kind, token) {
      if (token.length > TOKEN_MAX) return undefined;
      const octets = Buffer.from(token, 'base64url');
      if (octets.length < 1 + TAG_BYTES || octets[0] !== VERSION || octets.toString('base64url') !== token) return undefined;
      const tag = octets.subarray(1, 1 + TAG_BYTES);
      const payload = crypt(tag, octets.subarray(1 + TAG_BYTES));
      return timingSafeEqual(tagOf(kind, payload), tag) ? payload : undefined;
    },
  };
}

function check(kind: number, payload: Uint8Array): void {
  if (!Number.isInteger(kind) || kind < 0 || kind > 255) throw new RangeError(`${kind} is not a kind of token`);
  if (payload.length > TOKEN_PAYLOAD_MAX) throw new RangeError(`a payload of ${payload.length} octets is too long for a token`);
}

/** Of their own: what is signed and what is sealed never share a key. */
function sealingKeys(key: Uint8Array): readonly [tag: KeyObject, cipher: KeyObject] {
  const both = Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), 'sealed tokens', 64));
  return [createSecretKey(both.subarray(0, 32)), createSecretKey(both.subarray(32))];
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
