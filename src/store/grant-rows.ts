/** Rows of accounts' limits to our noun and back, and how long grants are kept: the same for both drivers. */
import type { AccountLimits } from './grant-store.ts';
import type { Row } from './rows-json.ts';

/** Windows are kept so much longer than they count, for holders whose clocks differ. */
export const KEPT_LONGER_MS = 300_000;

const LIMITS = {
  recipientsPerHour: 'recipients_per_hour',
  recipientsPerDay: 'recipients_per_day',
  recipientsPerMonth: 'recipients_per_month',
  requestsPerSecond: 'requests_per_second',
} as const satisfies Record<keyof AccountLimits, string>;
const NAMES = Object.keys(LIMITS) as (keyof AccountLimits)[];

export const LIMIT_COLUMNS = Object.values(LIMITS).join(', ');

/** Without a row there are none. */
export function limitsOf(row: Row | undefined): AccountLimits {
  const limits: Partial<Record<keyof AccountLimits, number>> = {};
  for (const name of NAMES) {
    const value = row?.[LIMITS[name]];
    if (typeof value === 'number') limits[name] = value;
  }
  return limits;
}

/** In the order of LIMIT_COLUMNS. */
export function limitValues(limits: AccountLimits): (number | null)[] {
  return NAMES.map((name) => limits[name] ?? null);
}
