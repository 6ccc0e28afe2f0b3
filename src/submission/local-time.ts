/**
 * Times of day in time zones (o:time-zone-localize). Whose time zone it is, the sender says in a variable named `timezone` or `time_zone`: a recipient's own, or else the message's.
 * Where neither does, the installation's default counts. Pure; no clock of its own.
 */
import { badParameter } from '#model/errors.ts';

/** In this order; names of the tz database such as "Europe/Berlin", or offsets such as "+05:30". */
const VARIABLES = ['timezone', 'time_zone'] as const;
const ZONE_CHARACTERS_MAX = 64;
/** What Temporal takes for a zone is more than that: whole dates, for instance. */
const ZONE = /^(?:[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*|[+-]\d\d(?::?\d\d)?)$/;

/** As it is called properly; undefined: there is no such time zone. */
export function timeZoneNamed(text: string): string | undefined {
  if (text.length > ZONE_CHARACTERS_MAX || !ZONE.test(text)) return undefined;
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(text).timeZoneId;
  } catch {
    return undefined;
  }
}

/** The time zone that variables name; undefined: none. Throws AppError 'bad-parameter' for what is no time zone: guessing would deliver at the wrong hour. */
export function timeZoneIn(variables: Readonly<Record<string, unknown>> | undefined, whose: string): string | undefined {
  for (const name of VARIABLES) {
    const given = variables !== undefined && Object.hasOwn(variables, name) ? variables[name] : undefined;
    // Lists of recipients have blanks where nothing is known.
    if (given === undefined || given === null || given === '') continue;
    const zone = typeof given === 'string' ? timeZoneNamed(given.trim()) : undefined;
    if (zone !== undefined) return zone;
    const shown = String(given)
      .slice(0, ZONE_CHARACTERS_MAX)
      .replace(/[^\x20-\x7e]/g, '?');
    throw badParameter(`'${name}' of ${whose} is not a time zone such as Europe/Berlin, which 'o:time-zone-localize' needs: ${shown}`);
  }
  return undefined;
}

/**
 * The first time from `fromMs` on when clocks in the zone show `time` ("HH:mm"): within a day, or an hour more where clocks are put back. A time that clocks skip is
 * taken as much later as they skip (02:30 is 03:30); of one that comes twice, the first that is not over.
 */
export function nextLocalTimeMs(fromMs: number, time: string, timeZone: string): number {
  const plainTime = Temporal.PlainTime.from(time);
  const today = Temporal.Instant.fromEpochMilliseconds(fromMs).toZonedDateTimeISO(timeZone).toPlainDate();
  for (let days = 0; ; days++) {
    const local = today.add({ days }).toPlainDateTime(plainTime);
    for (const disambiguation of DISAMBIGUATIONS) {
      const atMs = local.toZonedDateTime(timeZone, { disambiguation }).epochMilliseconds;
      if (atMs >= fromMs) return atMs;
    }
  }
}

/** "compatible" is the later one of a time that is skipped, and the earlier one of a time that comes twice. */
const DISAMBIGUATIONS = ['compatible', 'later'] as const;
