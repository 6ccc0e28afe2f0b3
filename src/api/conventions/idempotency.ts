/**
 * `Idempotency-Key` (P12): the key as given, and a fingerprint of what was asked: SHA-256 over the domain and every field and
 * file in order. The parsed form is hashed, not the raw body, because a client that repeats a multipart request makes a new boundary.
 */
import { createHash } from 'node:crypto';
import { badParameter } from '#model/errors.ts';
import type { Form } from './form.ts';

const KEY_MAX = 255;

export function readIdempotency(key: string | undefined, domain: string, form: Form): { key: string; fingerprint: string } | undefined {
  if (key === undefined) return undefined;
  if (key === '' || key.length > KEY_MAX || !/^[\x20-\x7e]+$/.test(key)) {
    throw badParameter(`Idempotency-Key is 1 to ${KEY_MAX} printable ASCII characters`);
  }
  const hash = createHash('sha256');
  const add = (text: string | Uint8Array): void => {
    // The length before each piece keeps "ab"+"c" apart from "a"+"bc".
    hash.update(`${typeof text === 'string' ? Buffer.byteLength(text) : text.length}:`);
    hash.update(text);
  };
  add(domain);
  for (const [name, value] of form.pairs) {
    add(name);
    add(value);
  }
  for (const file of form.files) {
    add(file.name);
    add(file.filename);
    add(file.contentType);
    add(file.bytes);
  }
  return { key, fingerprint: hash.digest('hex') };
}
