/** Periods and times of day as senders write them in options. Pure; `undefined` means "not written in such a way". Dates are mail/date's. */

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
