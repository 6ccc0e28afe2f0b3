/** The helpers a template may call: a closed table of pure functions over JSON values. Helpers that walk blocks (each, with) are the evaluator's. */
import { matchesPattern } from '#base/pattern.ts';
import type { Spend } from '#base/pattern.ts';

export type Predicate = (args: readonly unknown[], options: Readonly<Record<string, unknown>>, spend: Spend) => boolean;

/** As a block they choose between the main part and {{else}}; inside an expression they are true or false. */
export const PREDICATES: Readonly<Record<string, Predicate>> = {
  if: ([value], options) => isTruthy(value, options['includeZero'] === true),
  unless: ([value], options) => !isTruthy(value, options['includeZero'] === true),
  equal: ([left, right]) => textOf(left) === textOf(right),
  ifEq: ([left, right]) => numberOf(left) === numberOf(right),
  ifGt: ([left, right]) => numberOf(left) > numberOf(right),
  ifLt: ([left, right]) => numberOf(left) < numberOf(right),
  ifMatchesRegexStr: ([pattern, text], _options, spend) => matchesPattern(textOf(pattern), textOf(text), spend),
};

export const VALUES: Readonly<Record<string, (args: readonly unknown[]) => unknown>> = {
  log: () => '',
  lookup: ([value, key]) => ownValue(value, textOf(key)),
  length: ([value]) => (typeof value === 'string' || Array.isArray(value) ? value.length : 0),
  pluralize: ([count, plural, singular]) => (numberOf(count) === 1 ? singular : plural),
};

/** Nothing, false, 0, NaN, "" and an empty list are false; the text "false" is true. */
export function isTruthy(value: unknown, includeZero = false): boolean {
  if (value === 0) return includeZero;
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** Own properties only, so that no prototype, constructor or method can be reached. */
export function ownValue(value: unknown, key: string): unknown {
  if (typeof value === 'string') return key === 'length' ? value.length : undefined;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  const found = (value as Readonly<Record<string, unknown>>)[key];
  return typeof found === 'function' ? undefined : found;
}

export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(textOf).join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value as number | boolean | bigint);
}

/** NaN, which compares false with everything, for what is not a number. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
}
