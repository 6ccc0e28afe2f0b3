/**
 * RFC 2047 encoded words, both ways: `decodeWords` reads what strangers wrote (linear, never throws, result free of control characters);
 * `encodeWords` writes text that is not ASCII as words of at most 75 characters that each hold whole characters.
 */
import { decodeCharset } from './charset.ts';

/** RFC 2047 §2 allows 75; longer ones are common and are read up to this. */
const WORD_PAYLOAD_MAX = 2000;
const WORD_MAX = 75;
const OVERHEAD = '=?UTF-8?B??='.length;

interface Word {
  readonly charset: string;
  readonly bytes: Buffer;
  readonly end: number;
}

/** Header text with its encoded words decoded. White space between two encoded words is dropped (RFC 2047 §6.2). */
export function decodeWords(text: string): string {
  let start = text.indexOf('=?');
  if (start === -1) return text;
  let result = '';
  let copied = 0;
  // Words of one charset that follow each other are decoded together: a character may be split between them.
  let pending: { charset: string; chunks: Buffer[]; from: number } | undefined;
  const flush = (): void => {
    if (pending === undefined) return;
    result += clean(decodeCharset(Buffer.concat(pending.chunks), pending.charset) ?? text.slice(pending.from, copied));
    pending = undefined;
  };
  while (start !== -1) {
    const word = readWord(text, start);
    if (word === undefined) {
      start = text.indexOf('=?', start + 2);
      continue;
    }
    const between = text.slice(copied, start);
    const isAdjacent = pending !== undefined && /^[ \t\r\n]*$/.test(between);
    if (pending !== undefined && isAdjacent && pending.charset === word.charset) {
      pending.chunks.push(word.bytes);
    } else {
      flush();
      if (!isAdjacent) result += between;
      pending = { charset: word.charset, chunks: [word.bytes], from: start };
    }
    copied = word.end;
    start = text.indexOf('=?', word.end);
  }
  flush();
  return result + text.slice(copied);
}

/** The encoded word that starts at `start` ("=?"), or undefined. Looks no further than the third question mark: all calls together are linear. */
function readWord(text: string, start: number): Word | undefined {
  const charsetEnd = text.indexOf('?', start + 2);
  if (charsetEnd === -1 || charsetEnd - start > 60 || text[charsetEnd + 2] !== '?') return undefined;
  const encoding = text[charsetEnd + 1];
  const payloadEnd = text.indexOf('?', charsetEnd + 3);
  if (payloadEnd === -1 || text[payloadEnd + 1] !== '=' || payloadEnd - charsetEnd > WORD_PAYLOAD_MAX) return undefined;
  const payload = text.slice(charsetEnd + 3, payloadEnd);
  if (/[^!-~]/.test(payload)) return undefined;
  // RFC 2231 §5: a language may follow the charset after an asterisk.
  const charset = (text.slice(start + 2, charsetEnd).split('*', 1)[0] as string).toLowerCase();
  if (charset === '' || /[^!-~]/.test(charset)) return undefined;
  if (encoding === 'B' || encoding === 'b') return { charset, bytes: Buffer.from(payload, 'base64'), end: payloadEnd + 2 };
  if (encoding === 'Q' || encoding === 'q') return { charset, bytes: decodeQ(payload), end: payloadEnd + 2 };
  return undefined;
}

function decodeQ(payload: string): Buffer {
  const bytes = Buffer.allocUnsafe(payload.length);
  let length = 0;
  for (let i = 0; i < payload.length; i++) {
    const code = payload.charCodeAt(i);
    if (code === 0x3d) {
      const value = Number.parseInt(payload.slice(i + 1, i + 3), 16);
      if (/^[0-9A-Fa-f]{2}$/.test(payload.slice(i + 1, i + 3))) {
        bytes[length++] = value;
        i += 2;
        continue;
      }
    }
    bytes[length++] = code === 0x5f ? 0x20 : code;
  }
  return bytes.subarray(0, length);
}

/** A decoded word may hold CR, LF or NUL: they become spaces, so that a value never breaks out of its header. */
function clean(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]/g, ' ');
}

/** `text` as encoded words, separated by single spaces. */
export function encodeWords(text: string): string {
  const wellFormed = text.toWellFormed();
  return isMostlyAscii(wellFormed) ? encodeEachQ(wellFormed) : encodeEachB(wellFormed);
}

function isMostlyAscii(text: string): boolean {
  const octets = Buffer.byteLength(text);
  const beyondAscii = octets - text.length;
  return beyondAscii * 6 < octets;
}

function encodeEachB(text: string): string {
  const octetsMax = Math.floor((WORD_MAX - OVERHEAD) / 4) * 3;
  const words: string[] = [];
  let chunk = '';
  let octets = 0;
  for (const character of text) {
    const size = Buffer.byteLength(character);
    if (octets + size > octetsMax) {
      words.push(`=?UTF-8?B?${Buffer.from(chunk).toString('base64')}?=`);
      chunk = '';
      octets = 0;
    }
    chunk += character;
    octets += size;
  }
  if (chunk !== '') words.push(`=?UTF-8?B?${Buffer.from(chunk).toString('base64')}?=`);
  return words.join(' ');
}

function encodeEachQ(text: string): string {
  const words: string[] = [];
  let chunk = '';
  for (const character of text) {
    const piece = encodeQ(character);
    if (chunk.length + piece.length > WORD_MAX - OVERHEAD) {
      words.push(`=?UTF-8?Q?${chunk}?=`);
      chunk = '';
    }
    chunk += piece;
  }
  if (chunk !== '') words.push(`=?UTF-8?Q?${chunk}?=`);
  return words.join(' ');
}

/** Only what RFC 2047 §5 (3) lets stand inside a phrase is left as it is, so that the word may stand anywhere. */
function encodeQ(character: string): string {
  if (/^[A-Za-z0-9!*+/-]$/.test(character)) return character;
  if (character === ' ') return '_';
  let piece = '';
  for (const octet of Buffer.from(character)) piece += `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  return piece;
}
