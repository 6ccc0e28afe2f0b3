/** A few cycles of the crash test (test/torture); `npm run torture` does fifty. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { STORE, newTestStore } from '../kit/stores.ts';
import { torture } from '../torture/run.ts';

test('killed at random under load, the program loses nothing and marks what it repeats', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-torture-'));
  const store = await newTestStore(directory);
  const storeUrl = STORE === 'postgres' ? { storeUrl: store.url } : {};
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  try {
    const { faults } = await torture({ directory, cycles: 3, seed, lifeMsMax: 1000, clients: 2, ...storeUrl, say: () => undefined });
    assert.deepEqual(faults, [], `npm run torture -- --cycles 3 --clients 2 --life-ms 1000 --seed ${seed}`);
  } finally {
    await store.drop();
    rmSync(directory, { recursive: true, force: true });
  }
});
