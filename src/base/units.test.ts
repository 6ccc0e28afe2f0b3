import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, parseDuration, parseSize } from './units.ts';

test('durations are read as people write them', () => {
  const cases = { '250ms': 250, '5s': 5000, '10m': 600_000, '2h': 7_200_000, '5d': 432_000_000, '1h30m': 5_400_000, '0.5s': 500, '0s': 0 };
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text), ms, text);
});

test('what is no duration is not read', () => {
  for (const text of ['', '5', '5 s', '-5s', 's', '5S', '1.s', '5s!', '5s5', 'five']) assert.equal(parseDuration(text), undefined, text);
});

test('sizes are read with or without a unit', () => {
  const cases = { '25MB': 26_214_400, '512KB': 524_288, '100B': 100, '7': 7, '1gb': 1_073_741_824, '1.5 KB': 1536 };
  for (const [text, bytes] of Object.entries(cases)) assert.equal(parseSize(text), bytes, text);
  for (const text of ['', 'MB', '-1', '1TB', '1,5KB']) assert.equal(parseSize(text), undefined, text);
});

test('what is written is read back as the same', () => {
  for (const ms of [0, 1, 999, 1000, 90_000, 3_600_000, 86_400_000]) assert.equal(parseDuration(formatDuration(ms)), ms);
  assert.deepEqual([formatDuration(90_000), formatDuration(86_400_000)], ['90s', '1d']);
});
