/**
 * JSON from strangers: bounded in size, depth and number of values before `JSON.parse` builds anything, and objects that serve as dictionaries come
 * back without a prototype, so that `constructor` or `__proto__` is a key like any other.
 */
import { isWithin, JSON_BOUNDS } from '#base/json-shape.ts';
import { badParameter } from '#model/errors.ts';

export interface JsonLimits {
  readonly jsonBytes: number;
  readonly jsonDepth: number;
}

/** undefined when it is not JSON, or too large or too deep to be wanted. */
export function parseJson(text: string, limits: JsonLimits): unknown {
  if (!isWanted(text, limits)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function isWanted(text: string, limits: JsonLimits): boolean {
  return text.length <= limits.jsonBytes && isWithin(text, { ...JSON_BOUNDS, depth: limits.jsonDepth });
}

export function requireJson(text: string, limits: JsonLimits): unknown {
  const value = parseJson(text, limits);
  if (value === undefined) throw badParameter('the body is not valid JSON');
  return value;
}

/** The same entries without a prototype. */
export function nullPrototype(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.assign(Object.create(null) as Record<string, unknown>, value);
}
