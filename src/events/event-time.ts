/** The times that events are asked for with: Unix seconds (also with a fraction), RFC 2822 dates, ISO 8601. */
import { parseDate } from '#mail/date.ts';

const ISO = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;
const MAIL_DATE = /^(?:[A-Za-z]{3},\s+)?\d{1,2}\s+[A-Za-z]{3}\s+\d{4}\s+\d{1,2}:\d{2}(?::\d{2})?\s+(?:[+-]\d{2}:?\d{2}|[A-Za-z]{1,5})$/;
const TEXT_MAX = 64;

/** Epoch microseconds; undefined when it is none of these. */
export function parseEventTime(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_MAX) return undefined;
  if (/^\d{1,12}(?:\.\d*)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1e6);
  const ms = MAIL_DATE.test(trimmed) ? parseDate(trimmed) : isoMs(trimmed);
  return ms === undefined || Number.isNaN(ms) ? undefined : ms * 1000;
}

/** A time without a zone is UTC, wherever this server stands. */
function isoMs(text: string): number | undefined {
  if (!ISO.test(text)) return undefined;
  const iso = text.replace(' ', 'T');
  return Date.parse(iso.includes('T') && !/(?:Z|[+-]\d{2}:?\d{2})$/.test(iso) ? `${iso}Z` : iso);
}
