/** The description of the API is committed, so that a change of it is seen. Renew it with UPDATE_GOLDEN=1. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { startRig } from './api-kit.ts';

const GOLDEN = new URL('../golden/openapi.json', import.meta.url);

test('openapi.json is the committed one', async () => {
  await using rig = await startRig();
  const served = `${JSON.stringify(await (await fetch(`${rig.url}/openapi.json`)).json(), undefined, 2)}\n`;
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(GOLDEN, served);
  assert.equal(served, await readFile(GOLDEN, 'utf8'));
});
