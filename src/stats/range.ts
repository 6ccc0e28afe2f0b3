/**
 * Which time is asked for: `start`, `end`, `duration` and `resolution` as all statistics take them. Both ends fall on whole hours, days or months of UTC, and the time
 * that an end falls into belongs to the range.
 */
import { badParameter } from '#model/errors.ts';

export type Resolution = 'hour' | 'day' | 'month';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DEFAULT_DAYS = 7;
/** Longest duration that is looked at; counters are not kept longer. */
const DURATION_DAYS_MAX = 3 * 366;
/** Hours are counted for two months, days for a year. */
const BUCKETS_MAX = 24 * 92;

export interface Range {
  readonly resolution: Resolution;
  /** The beginnings of the first and of the last bucket. */
  readonly startMs: number;
  readonly endMs: number;
  readonly duration: string;
}

export interface RangeGiven {
  readonly startMs?: number | undefined;
  readonly endMs?: number | undefined;
  /** "24h", "7d", "1m"; goes before `start`. */
  readonly duration?: string | undefined;
  readonly resolution?: string | undefined;
}

export function rangeOf(given: RangeGiven, nowMs: number): Range {
  const resolution = resolutionOf(given.resolution);
  const endMs = floor(given.endMs ?? nowMs, resolution);
  const duration = given.duration === undefined || given.duration === '' ? undefined : given.duration;
  const startMs = floor(
    duration === undefined
      ? (given.startMs ?? endMs - DEFAULT_DAYS * DAY_MS)
      : spanBefore(given.endMs === undefined ? nowMs : endMs, duration),
    resolution,
  );
  if (startMs > endMs) throw badParameter("'start' is after 'end'");
  const range = { resolution, startMs, endMs, duration: duration ?? `${Math.round((endMs - startMs) / HOUR_MS)}h` };
  if (endMs - startMs > DURATION_DAYS_MAX * DAY_MS) throw badParameter('the time between start and end is longer than statistics are kept');
  return range;
}

function resolutionOf(text: string | undefined): Resolution {
  if (text === undefined || text === '') return 'day';
  if (text !== 'hour' && text !== 'day' && text !== 'month') throw badParameter("'resolution' attribute is invalid");
  return text;
}

/** That long before: "1m" is a month of the calendar. */
export function spanBefore(ms: number, duration: string): number {
  // "24h0m0s" is how Go prints a day.
  const [, digits, unit] = /^(\d{1,5})([hdm])$/.exec(duration.replace(/h0m0s$/, 'h')) ?? [];
  if (digits === undefined || Number(digits) === 0) throw badParameter("'duration' attribute is invalid: use a number and h, d or m");
  const count = Number(digits);
  if (unit === 'm') {
    const date = new Date(ms);
    const day = date.getUTCDate();
    date.setUTCDate(1);
    date.setUTCMonth(date.getUTCMonth() - count);
    date.setUTCDate(Math.min(day, new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()));
    return date.getTime();
  }
  return ms - count * (unit === 'h' ? HOUR_MS : DAY_MS);
}

/** The beginning of the hour, day or month that it falls into. */
export function floor(ms: number, resolution: Resolution): number {
  if (resolution === 'hour') return Math.floor(ms / HOUR_MS) * HOUR_MS;
  if (resolution === 'day') return Math.floor(ms / DAY_MS) * DAY_MS;
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
}

function next(ms: number, resolution: Resolution): number {
  if (resolution !== 'month') return ms + (resolution === 'hour' ? HOUR_MS : DAY_MS);
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

/** The beginnings of all buckets. */
export function bucketsOf({ startMs, endMs, resolution }: Range): number[] {
  const buckets: number[] = [];
  for (let ms = startMs; ms <= endMs; ms = next(ms, resolution)) {
    if (buckets.length === BUCKETS_MAX)
      throw badParameter(`more than ${BUCKETS_MAX} ${resolution}s are asked for; use a longer resolution`);
    buckets.push(ms);
  }
  return buckets;
}

/** For the question for counters. */
export function stepsOf(range: Range): { readonly step: 'hour' | 'day'; readonly from: number; readonly until: number } {
  const step = range.resolution === 'hour' ? 'hour' : 'day';
  const unit = step === 'hour' ? HOUR_MS : DAY_MS;
  return { step, from: range.startMs / unit, until: next(range.endMs, range.resolution) / unit };
}

/** The bucket that a counter's hour or day belongs to. */
export function bucketOf(time: number, range: Range): number {
  return floor(time * (range.resolution === 'hour' ? HOUR_MS : DAY_MS), range.resolution);
}
