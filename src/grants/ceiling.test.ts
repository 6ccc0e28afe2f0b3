import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ceiling, windowAt, windowsOf } from './ceiling.ts';

const month: Ceiling = { name: 'm', count: 1, perMs: 1, holds: 'months', isCounted: true };

test('a month of the calendar is one window, however long it is', () => {
  for (const [at, start, end] of [
    ['2026-02-28T23:59:59.999Z', '2026-02-01', '2026-03-01'],
    ['2028-02-29T12:00:00Z', '2028-02-01', '2028-03-01'],
    ['2026-12-31T23:00:00Z', '2026-12-01', '2027-01-01'],
    ['2026-03-01T00:00:00Z', '2026-03-01', '2026-04-01'],
  ] as const) {
    const startMs = windowAt(month, Date.parse(at));
    assert.equal(startMs, Date.parse(start), at);
    assert.equal(startMs + windowsOf(month, startMs).windowMs, Date.parse(end), at);
  }
});

test('what is given of one month does not count in the next', () => {
  const [february, march] = [Date.parse('2026-02-01'), Date.parse('2026-03-01')];
  // Windows that begin less than a span apart count together.
  assert.ok(march - february >= windowsOf(month, february).spanMs);
});
