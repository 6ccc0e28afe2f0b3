import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUnsetTime } from './unset-time.ts';

test('a time that was never set is told from every other, in each way that it is written', () => {
  for (const text of ['Mon, 01 Jan 0001 00:00:00 +0000', ' Mon, 1 Jan 0001 00:00:00 UTC', '0001-01-01T00:00:00Z', '0001-01-01T00:00:00'])
    assert.equal(isUnsetTime(text), true, text);
  for (const text of ['', '0', 'Mon, 01 Jan 2001 00:00:00 +0000', 'Mon, 01 Jan 0001 00:00:01 +0000', '0001-01-01', '2001-01-01T00:00:00Z'])
    assert.equal(isUnsetTime(text), false, text);
});
