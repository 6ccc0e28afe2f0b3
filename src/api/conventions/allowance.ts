/** The headers that tell of a limit, as the hosted service names them. Times are epoch milliseconds. */
import type { Allowance } from '#api/deps.ts';

export function allowanceHeaders(
  what: 'request' | 'recipient',
  { limit, remaining, resetMs }: Allowance,
): Readonly<Record<string, string>> {
  return {
    [`x-${what}-limit`]: String(limit),
    [`x-${what}-remaining`]: String(remaining),
    [`x-${what}-reset`]: String(resetMs),
  };
}
