/** The times that events are asked for with: Unix seconds (also with a fraction), RFC 2822 dates, ISO 8601. */
const ISO = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;
const MAIL_DATE = /^(?:[A-Za-z]{3},\s+)?\d{1,2}\s+[A-Za-z]{3}\s+\d{4}\s+\d{1,2}:\d{2}(?::\d{2})?\s+(?:[+-]\d{4}|[A-Za-z]{1,5})$/;
const TEXT_MAX = 64;

/** Epoch microseconds; undefined when it is none of these. */
export function parseEventTime(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_MAX) return undefined;
  if (/^\d{1,12}(?:\.\d*)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1e6);
  if (!ISO.test(trimmed) && !MAIL_DATE.test(trimmed)) return undefined;
  const ms = Date.parse(normalised(trimmed));
  return Number.isNaN(ms) ? undefined : ms * 1000;
}

/** A time without a zone is UTC, wherever this server stands. */
function normalised(text: string): string {
  if (!ISO.test(text)) return text.replace(/\s(?:UTC|UT)$/i, ' GMT');
  const iso = text.replace(' ', 'T');
  return iso.includes('T') && !/(?:Z|[+-]\d{2}:?\d{2})$/.test(iso) ? `${iso}Z` : iso;
}
