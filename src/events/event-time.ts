/** The times that events are asked for with: Unix seconds (also with a fraction), and the dates that mail and clients write. */
import { parseDate } from '#mail/date.ts';

const TEXT_MAX = 64;

/** Epoch microseconds; undefined when it is none of these. Without a zone it is UTC, wherever this server stands. */
export function parseEventTime(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_MAX) return undefined;
  if (/^\d{1,12}(?:\.\d*)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1e6);
  const ms = parseDate(trimmed);
  return ms === undefined ? undefined : ms * 1000;
}
