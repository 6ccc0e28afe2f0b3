/** Dates of mail: RFC 5322 written, and read leniently: RFC 2822/5322 with the old zones, ISO 8601, and epoch seconds. */
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** RFC 5322 §4.3; every other name means an unknown zone and is read as UTC. */
const ZONE_HOURS: Readonly<Record<string, number>> = { edt: -4, est: -5, cdt: -5, cst: -6, mdt: -6, mst: -7, pdt: -7, pst: -8 };
const UTC_NAMES = /^(?:gmt|utc|ut|z)$/;

let writtenSecond = Number.NaN;
let writtenText = '';

/** "Tue, 24 Nov 2026 09:05:03 +0000". Costs nothing when the second was written before. */
export function formatDate(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second === writtenSecond) return writtenText;
  const date = new Date(second * 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  writtenText = `${DAYS[date.getUTCDay()]}, ${two(date.getUTCDate())} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()} ${clock} +0000`;
  writtenSecond = second;
  return writtenText;
}

const RFC_2822 =
  /^(?:(?:sun|mon|tue|wed|thu|fri|sat)[a-z]{0,6},? )?(\d{1,2})[ -]([a-z]{3})[a-z]{0,6}[ -](\d{2,4}) (\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(?: ([+-]\d{2}:?\d{2}|[a-z]{1,5}))?$/;
const ISO_8601 = /^(\d{4})-(\d{2})-(\d{2})(?:[t ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?: ?(z|utc|gmt|[+-]\d{2}:?\d{2}))?)?$/;
const EPOCH_SECONDS = /^\d{1,12}(?:\.\d{1,9})?$/;

/** Epoch milliseconds, or undefined when it is no date. Without a zone it is UTC. */
export function parseDate(text: string): number | undefined {
  if (text.length > 100) return undefined;
  const clean = text
    .replace(/\([^()]*\)/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();
  if (EPOCH_SECONDS.test(clean)) return within(Math.round(Number(clean) * 1000));
  const mail = RFC_2822.exec(clean);
  if (mail !== null) {
    const [, day, month, year, hour, minute, second, zone] = mail;
    const monthIndex = MONTHS.findIndex((name) => name.toLowerCase() === month);
    return instant(fullYear(year as string), monthIndex, Number(day), Number(hour), Number(minute), Number(second ?? 0), 0, zone);
  }
  const iso = ISO_8601.exec(clean);
  if (iso === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = iso;
  const ms = Math.floor(Number(`0.${fraction ?? 0}`) * 1000);
  return instant(Number(year), Number(month) - 1, Number(day), Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0), ms, zone);
}

/** RFC 5322 §4.3: two digits below 50 are this century, three count from 1900. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length === 2) return year < 50 ? 2000 + year : 1900 + year;
  return text.length === 3 ? 1900 + year : year;
}

function instant(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
  ms: number,
  zone: string | undefined,
): number | undefined {
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(year, month, day));
  // 31 February would roll over into March.
  if (date.getUTCFullYear() !== year || date.getUTCMonth() !== month || date.getUTCDate() !== day) return undefined;
  const offset = zoneMinutes(zone);
  return offset === undefined ? undefined : within(Date.UTC(year, month, day, hour, minute, second, ms) - offset * 60_000);
}

function zoneMinutes(zone: string | undefined): number | undefined {
  if (zone === undefined || UTC_NAMES.test(zone)) return 0;
  if (!/^[+-]/.test(zone)) return (ZONE_HOURS[zone] ?? 0) * 60;
  const digits = zone.replace(':', '');
  const minutes = Number(digits.slice(3, 5));
  if (minutes > 59) return undefined;
  return (digits.startsWith('-') ? -1 : 1) * (Number(digits.slice(1, 3)) * 60 + minutes);
}

function within(ms: number): number | undefined {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : undefined;
}
