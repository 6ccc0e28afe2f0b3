/**
 * Octets to text under a charset name that a stranger chose. Bounded and never throws: an unknown or forbidden charset is `undefined`,
 * octets that do not fit are U+FFFD.
 */
import { isUtf8 } from 'node:buffer';

const DECODERS_MAX = 40;
const decoders = new Map<string, TextDecoder | undefined>();

/** RFC 2978 names are short; anything longer is not a charset. */
const CHARSET_NAME_MAX = 40;

/** Text of `bytes`; `undefined` when the charset is not known. An empty name is US-ASCII, which real mail fills with UTF-8 or Latin-1. */
export function decodeCharset(bytes: Buffer, charset: string): string | undefined {
  if (charset.length > CHARSET_NAME_MAX) return undefined;
  const name = charset.toLowerCase();
  if (name === 'utf-8' || name === 'utf8') return bytes.toString('utf8');
  if (name === '' || name === 'us-ascii' || name === 'ascii') return decodeGuess(bytes);
  return decoderFor(name)?.decode(bytes);
}

/** UTF-8 when the octets are UTF-8, else Windows-1252 (which has a character for every octet). */
export function decodeGuess(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return decoderFor('windows-1252')?.decode(bytes) ?? bytes.toString('latin1');
}

function decoderFor(name: string): TextDecoder | undefined {
  if (decoders.has(name)) return decoders.get(name);
  let decoder: TextDecoder | undefined;
  try {
    decoder = new TextDecoder(name);
  } catch {
    // RangeError: not a charset of the Encoding Standard, or one it maps to "replacement" because it is unsafe.
    decoder = undefined;
  }
  // A stranger picks the names, so the memory of them is bounded.
  if (decoders.size >= DECODERS_MAX) decoders.clear();
  decoders.set(name, decoder);
  return decoder;
}
