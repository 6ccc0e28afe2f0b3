/**
 * How deep and how large JSON is, seen from its punctuation before anything is built from it: one pass, no memory. Deep values end in
 * a stack overflow wherever they are written again; very many small ones take seconds to build and many times their size to hold.
 */
export interface JsonBounds {
  /** Nesting of objects and arrays. */
  readonly depth: number;
  /** Objects, arrays, members and elements, together. */
  readonly values: number;
}

/** What strangers may send, unless a caller knows better: room for 1,000 recipients with 90 values each. */
export const JSON_BOUNDS: JsonBounds = { depth: 32, values: 100_000 };

/** Says nothing about whether it is JSON. */
export function isWithin(text: string, bounds: JsonBounds): boolean {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = stringEnd(text, at);
    else if (code === COMMA) values++;
    else if (code === BRACE || code === BRACKET) {
      values++;
      if (++depth > bounds.depth) return false;
    } else if (code === END_BRACE || code === END_BRACKET) depth--;
    if (values > bounds.values) return false;
  }
  return true;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const END_BRACE = 0x7d;
const BRACKET = 0x5b;
const END_BRACKET = 0x5d;

/** Where the string that opens at `from` closes; the end of the text when it does not. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) break;
  }
  return at;
}
