/**
 * Pages that are walked from an entry (`address`), as suppressions and members of lists are: the caller gets absolute URLs of the first, last, next and previous page, none of which
 * is ever empty, and what is added or removed meanwhile neither repeats nor hides another entry.
 */
import type { PageAsk } from '#store/suppression-store.ts';
import type { Call } from '#api/endpoint.ts';
import { countOf } from './fields.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const TERM_MAX = 320;

export function pageAsk(call: Call): PageAsk {
  const { query } = call;
  const limit = pageLimit(call);
  const prefix = (query.get('term') ?? '').slice(0, TERM_MAX).toLowerCase();
  const pivot = (query.get('address') ?? '').slice(0, TERM_MAX).toLowerCase();
  const page = query.get('page')?.toLowerCase();
  if (page === 'last') return { prefix, limit, isLast: true };
  if (page === 'next' && pivot !== '') return { prefix, limit, after: pivot };
  if ((page === 'previous' || page === 'prev') && pivot !== '') return { prefix, limit, before: pivot };
  return { prefix, limit };
}

export function pageLimit(call: Call, max = LIMIT_MAX): number {
  return countOf(call, 'limit', LIMIT_DEFAULT, max) || LIMIT_DEFAULT;
}

export interface Paging {
  readonly first: string;
  readonly last: string;
  readonly next: string;
  readonly previous: string;
}

/** `path`: of the list, from the root. `keys`: those of the page's entries, in order. `more`: conditions that every page keeps. */
export function pagingOf(
  call: Call,
  path: string,
  { limit, prefix }: PageAsk,
  keys: readonly string[],
  more = `&term=${encodeURIComponent(prefix)}`,
): Paging {
  const base = `${call.publicUrl}${path}?`;
  const tail = `limit=${limit}${more}`;
  const [first, last] = [keys[0], keys.at(-1)];
  const around = (page: string, key: string | undefined): string =>
    key === undefined ? `${base}${tail}` : `${base}page=${page}&address=${encodeURIComponent(key)}&${tail}`;
  return {
    first: `${base}${tail}`,
    last: keys.length === 0 ? `${base}${tail}` : `${base}page=last&${tail}`,
    next: around('next', last),
    previous: around('previous', first),
  };
}
