/**
 * JSON from strangers: bounded in size and depth before `JSON.parse` builds anything, and objects that serve as dictionaries come
 * back without a prototype, so that `constructor` or `__proto__` is a key like any other.
 */
import { AppError } from '#model/errors.ts';

export interface JsonLimits {
  readonly jsonBytes: number;
  readonly jsonDepth: number;
}

/** undefined when it is not JSON, or too large or too deep to be wanted. */
export function parseJson(text: string, limits: JsonLimits): unknown {
  if (text.length > limits.jsonBytes || depthOf(text, limits.jsonDepth) > limits.jsonDepth) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function requireJson(text: string, limits: JsonLimits): unknown {
  const value = parseJson(text, limits);
  if (value === undefined) throw new AppError('bad-parameter', { reason: 'the body is not valid JSON' });
  return value;
}

/** The same entries without a prototype. */
export function nullPrototype(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.assign(Object.create(null) as Record<string, unknown>, value);
}

/** Deepest nesting of brackets outside strings; stops counting once it is over `max`. */
export function depthOf(text: string, max: number): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 0x5c) at++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > deepest) deepest = depth;
      if (deepest > max) return deepest;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return deepest;
}
