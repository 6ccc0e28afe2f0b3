import { test } from 'node:test';
import assert from 'node:assert/strict';
import { formatDate, parseDate } from './date.ts';

const AT = Date.UTC(2026, 10, 4, 9, 5, 3);

test('a date is written as RFC 5322 wants it', () => {
  assert.equal(formatDate(AT + 999), 'Wed, 04 Nov 2026 09:05:03 +0000');
  assert.equal(formatDate(0), 'Thu, 01 Jan 1970 00:00:00 +0000');
});

test('the many spellings of one instant are read', () => {
  for (const text of [
    'Wed, 04 Nov 2026 09:05:03 +0000',
    'Wed, 4 Nov 2026 09:05:03 GMT',
    'Wed, 4 Nov 2026 9:05:03 UTC',
    '4 Nov 2026 10:05:03 +0100',
    'Wed, 04 Nov 2026 10:05:03 +01:00',
    'Wed, 04 Nov 2026 09:05:03 CET',
    'Wed, 4 Nov 2026 04:05:03 EST (Eastern)',
    '4 Nov 26 09:05:03 -0000',
    'Wednesday, 04-Nov-26 09:05:03 GMT',
    '2026-11-04T09:05:03Z',
    '2026-11-04T09:05:03.000+00:00',
    '2026-11-04 14:35:03+0530',
    '2026-11-04 09:05:03 UTC',
    String(AT / 1000),
  ]) {
    assert.equal(parseDate(text), AT, text);
  }
  assert.equal(parseDate(`${AT / 1000}.25`), AT + 250);
  assert.equal(parseDate('2026-11-04T09:05:03.25Z'), AT + 250);
  assert.equal(parseDate('Wed, 04 Nov 2026 09:05 GMT'), AT - 3000);
});

test('what is written is read back', () => {
  for (let ms = 0; ms < 4e12; ms += 86_400_000 * 97 + 12_345_000) assert.equal(parseDate(formatDate(ms)), ms);
});

test('what is no date is not read', () => {
  for (const text of [
    '',
    'tomorrow',
    'Wed, 31 Feb 2026 09:05:03 GMT',
    'Wed, 4 Nov 2026 24:05:03 GMT',
    'Wed, 4 Nov 2026 09:60:03 GMT',
    '4 Foo 2026 09:05:03 GMT',
    '2026-13-04T09:05:03Z',
    '4 Nov 2026 09:05:03 +0099',
    '9'.repeat(13),
    '-5',
    'x'.repeat(200),
    `${'('.repeat(90)}`,
  ]) {
    assert.equal(parseDate(text), undefined, text);
  }
});
