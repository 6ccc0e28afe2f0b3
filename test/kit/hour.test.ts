/** When tests that count by the hour may begin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilHourLasts } from './hour.ts';

test('who needs two minutes begins at once, or when the next hour has', () => {
  const at = (time: string): number => untilHourLasts(120_000, Date.parse(`2026-01-01T${time}Z`));
  assert.deepEqual([at('10:00:00'), at('10:58:00'), at('10:58:01'), at('23:59:59')], [0, 0, 120_000, 2000]);
});
