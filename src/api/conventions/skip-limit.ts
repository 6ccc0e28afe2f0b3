/** Pages by `skip` and `limit`. */
import { type Fields, wholeNumber } from './fields.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

export function pageBySkip<T>(fields: Fields, all: readonly T[]): readonly T[] {
  const skip = wholeNumber(fields, 'skip', 0, 999_999_999) ?? 0;
  const limit = Math.min(wholeNumber(fields, 'limit', 0, 999_999_999) ?? LIMIT_DEFAULT, LIMIT_MAX);
  return all.slice(skip, skip + limit);
}
