/** The tables of counters: what their rows are told apart by, and how long those and tags are kept. The same for both drivers. */
import { DAYS_KEPT, HOURS_KEPT } from './stats-store.ts';

export const HOUR_MS = 3_600_000;

export const COUNTER_COLUMNS = {
  counter: 'account_id, domain_id, tag, hour, kind, reason, provider, source, country, device',
  counter_day: 'account_id, domain_id, tag, day, kind, reason, provider, source, country, device',
  counter_receiver: 'account_id, domain_id, tag, day, kind, reason, receiver, provider, source, country, device',
} as const;

export const COUNTER_TABLES = ['counter', 'counter_day', 'counter_receiver'] as const;

/** Rows whose `age` lies before that are too old. */
export function countsTooOld(nowMs: number) {
  const hour = Math.floor(nowMs / HOUR_MS);
  const day = Math.floor(hour / 24) - DAYS_KEPT;
  return [
    { table: 'counter', age: 'hour', before: hour - HOURS_KEPT },
    { table: 'counter_day', age: 'day', before: day },
    { table: 'counter_receiver', age: 'day', before: day },
    { table: 'tag', age: 'last_ms', before: day * 24 * HOUR_MS },
  ] as const;
}
