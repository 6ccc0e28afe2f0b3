/** What statistics show alike. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastSeenMs } from './statistics.ts';

const HOUR_MS = 3_600_000;

test('a tag is not seen last before it was seen first, though the last time is known by the hour', () => {
  const firstMs = 5 * HOUR_MS + 17;
  assert.equal(lastSeenMs({ firstMs, lastMs: 5 * HOUR_MS }), firstMs);
  assert.equal(lastSeenMs({ firstMs, lastMs: 6 * HOUR_MS }), 6 * HOUR_MS);
});
