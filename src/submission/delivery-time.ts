/**
 * Times and periods as senders write them in options: a date (RFC 5322 §3.3, with the obsolete zones of §4.3) or epoch seconds,
 * a period ("1h30m"), a clock time ("14:30", "02:30pm"). Pure; `undefined` means "not written in such a way".
 */
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const ZONE_MINUTES: Readonly<Record<string, number>> = {
  ut: 0,
  utc: 0,
  gmt: 0,
  z: 0,
  est: -300,
  edt: -240,
  cst: -360,
  cdt: -300,
  mst: -420,
  mdt: -360,
  pst: -480,
  pdt: -420,
};
const TEXT_MAX = 64;

const DATE =
  /^(?:(?:mon|tue|wed|thu|fri|sat|sun),?\s+)?(\d{1,2})\s+([a-z]{3})\s+(\d{2}|\d{4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?\s+([+-]\d{4}|[a-z]{1,3})(?:\s+\([^()]*\))?$/i;

/** Epoch milliseconds of an RFC 5322 date; undefined when it is none, or names a day that does not exist. */
export function parseMailDate(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_MAX) return undefined;
  const match = DATE.exec(trimmed);
  if (match === null) return undefined;
  const [, dayText, monthText, yearText, hourText, minuteText, secondText, zoneText] = match as unknown as string[];
  const day = Number(dayText);
  const month = MONTHS.indexOf((monthText as string).toLowerCase());
  const year = fullYear(yearText as string);
  const [hour, minute, second] = [Number(hourText), Number(minuteText), Number(secondText ?? 0)];
  const zone = zoneMinutes(zoneText as string);
  // A leap second is written :60 and read as the second after it.
  if (month < 0 || zone === undefined || hour > 23 || minute > 59 || second > 60) return undefined;
  const midnight = Date.UTC(year, month, day);
  if (new Date(midnight).getUTCDate() !== day) return undefined;
  return midnight + ((hour * 60 + minute - zone) * 60 + second) * 1000;
}

/** Epoch milliseconds of "1700000000" or "1700000000.25" (seconds). Negative times and times past the year 9999 are none. */
export function parseEpochSeconds(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^\d{1,12}(?:\.\d{1,9})?$/.test(trimmed)) return undefined;
  const ms = Math.round(Number(trimmed) * 1000);
  return ms <= Date.UTC(9999, 11, 31) ? ms : undefined;
}

/** Milliseconds of "8h", "30m", "1h30m". */
export function parsePeriod(text: string): number | undefined {
  const match = /^(?:(\d{1,4})h)?(?:(\d{1,6})m)?$/i.exec(text.trim());
  if (match === null || (match[1] === undefined && match[2] === undefined)) return undefined;
  return (Number(match[1] ?? 0) * 60 + Number(match[2] ?? 0)) * 60_000;
}

/** "HH:mm" of "HH:mm" or "hh:mmam"/"hh:mmPM". */
export function parseClockTime(text: string): string | undefined {
  const match = /^(\d{1,2}):(\d{2})\s?(am|pm)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const half = match[3]?.toLowerCase();
  let hour = Number(match[1]);
  if (half !== undefined) {
    if (hour < 1 || hour > 12) return undefined;
    hour = (hour % 12) + (half === 'pm' ? 12 : 0);
  }
  if (hour > 23 || Number(match[2]) > 59) return undefined;
  return `${String(hour).padStart(2, '0')}:${match[2] as string}`;
}

/** RFC 5322 §4.3: two digits below 50 are this century. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length === 4) return year;
  return year < 50 ? 2000 + year : 1900 + year;
}

function zoneMinutes(text: string): number | undefined {
  if (!/^[+-]/.test(text)) return ZONE_MINUTES[text.toLowerCase()];
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(3));
  if (minutes > 59) return undefined;
  return (text.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}
