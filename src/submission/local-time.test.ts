/** Times of day in time zones, at the edges of days and where clocks are changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#model/errors.ts';
import { nextLocalTimeMs, timeZoneIn, timeZoneNamed } from './local-time.ts';

/** "from" and "to" in UTC. */
function next(from: string, time: string, zone: string): string {
  return new Date(nextLocalTimeMs(Date.parse(`${from}Z`), time, zone)).toISOString().slice(0, 16);
}

test('it is the next such time there, today or tomorrow', () => {
  assert.equal(next('2026-03-01T12:00', '14:00', 'Europe/Berlin'), '2026-03-01T13:00');
  assert.equal(next('2026-03-01T12:00', '12:59', 'Europe/Berlin'), '2026-03-02T11:59');
  assert.equal(next('2026-03-01T12:00', '08:30', 'America/New_York'), '2026-03-01T13:30');
  assert.equal(next('2026-03-01T12:00', '06:59', 'America/New_York'), '2026-03-02T11:59');
  assert.equal(next('2026-12-31T23:30', '00:15', 'Asia/Tokyo'), '2027-01-01T15:15');
  assert.equal(next('2026-03-01T12:00', '00:00', 'Pacific/Kiritimati'), '2026-03-02T10:00');
  assert.equal(next('2026-03-01T12:00', '23:59', 'Pacific/Pago_Pago'), '2026-03-02T10:59');
  assert.equal(next('2026-03-01T12:00', '18:00', '+05:30'), '2026-03-01T12:30');
});

test('the very moment is not too late', () => {
  assert.equal(next('2026-03-01T12:00', '13:00', 'Europe/Berlin'), '2026-03-01T12:00');
  assert.equal(nextLocalTimeMs(Date.UTC(2026, 2, 1, 12, 0, 0, 1), '13:00', 'Europe/Berlin'), Date.UTC(2026, 2, 2, 12));
});

test('a time that clocks skip is taken an hour later', () => {
  // 02:00 becomes 03:00 in Berlin on 29 March 2026.
  assert.equal(next('2026-03-28T23:30', '02:30', 'Europe/Berlin'), '2026-03-29T01:30');
  assert.equal(next('2026-03-28T23:30', '03:30', 'Europe/Berlin'), '2026-03-29T01:30');
  assert.equal(next('2026-03-29T01:31', '02:30', 'Europe/Berlin'), '2026-03-30T00:30');
  // A whole day that was skipped: Samoa had no 30 December 2011.
  assert.equal(next('2011-12-30T09:30', '12:00', 'Pacific/Apia'), '2011-12-30T22:00');
});

test('of a time that comes twice it is the first that is not over', () => {
  // 03:00 becomes 02:00 in Berlin on 25 October 2026: 02:30 is at 00:30 and at 01:30 UTC.
  assert.equal(next('2026-10-25T00:00', '02:30', 'Europe/Berlin'), '2026-10-25T00:30');
  assert.equal(next('2026-10-25T00:31', '02:30', 'Europe/Berlin'), '2026-10-25T01:30');
  assert.equal(next('2026-10-25T01:31', '02:30', 'Europe/Berlin'), '2026-10-26T01:30');
});

test('it is never more than 25 hours away', () => {
  for (const zone of ['Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu', 'UTC']) {
    for (let atMs = Date.UTC(2026, 0, 1); atMs < Date.UTC(2027, 0, 1); atMs += 31 * 3_600_000 + 7 * 60_000) {
      const waitMs = nextLocalTimeMs(atMs, '02:15', zone) - atMs;
      assert.ok(waitMs >= 0 && waitMs <= 25 * 3_600_000, `${zone} ${new Date(atMs).toISOString()}: ${waitMs}`);
    }
  }
});

test('time zones are known by the names of the tz database, and by offsets', () => {
  assert.equal(timeZoneNamed('Europe/Berlin'), 'Europe/Berlin');
  assert.equal(timeZoneNamed('europe/berlin'), 'Europe/Berlin');
  assert.equal(timeZoneNamed('America/Argentina/Buenos_Aires') !== undefined, true);
  assert.equal(timeZoneNamed('UTC'), 'UTC');
  assert.equal(timeZoneNamed('+05:30'), '+05:30');
  for (const none of [
    '',
    'Berlin',
    'Europe/Atlantis',
    '2026-01-01T00:00Z',
    '2026-01-01T00:00+01:00[Europe/Berlin]',
    '../etc/passwd',
    '+99:00',
    ' ',
    'x'.repeat(500),
    'Europe/Berlin\n',
  ]) {
    assert.equal(timeZoneNamed(none), undefined, none);
  }
});

test('variables name a time zone; blanks do not; what is none is refused by name', () => {
  assert.equal(timeZoneIn({ timezone: 'Asia/Tokyo' }, 'x'), 'Asia/Tokyo');
  assert.equal(timeZoneIn({ time_zone: ' Asia/Tokyo ' }, 'x'), 'Asia/Tokyo');
  assert.equal(timeZoneIn({ timezone: '', time_zone: 'Asia/Tokyo' }, 'x'), 'Asia/Tokyo');
  assert.equal(timeZoneIn({ timezone: null }, 'x'), undefined);
  assert.equal(timeZoneIn({}, 'x'), undefined);
  assert.equal(timeZoneIn(undefined, 'x'), undefined);
  assert.equal(timeZoneIn(Object.create({ timezone: 'Asia/Tokyo' }) as Record<string, unknown>, 'x'), undefined);
  for (const wrong of ['Nowhere', 7, { a: 1 }, ['Asia/Tokyo'], true]) {
    assert.throws(
      () => timeZoneIn({ timezone: wrong }, 'ann@there.example'),
      (error) =>
        error instanceof AppError &&
        error.code === 'bad-parameter' &&
        error.message.startsWith("'timezone' of ann@there.example is not a time zone"),
    );
  }
});
