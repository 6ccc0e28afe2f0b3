/** Ports that are given to tests: two processes of a run never get the same one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort, takePort } from './free-port.ts';

const KIT = JSON.stringify(join(import.meta.dirname, 'free-port.ts'));

/** What another process says, which has ended then. */
function another(says: string): string {
  const script = `import { freePort, takePort } from ${KIT};\nconsole.log(await ${says});\nprocess.exit();`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' }).stdout.trim();
}

test('a port that was given and not opened yet is given to nobody else, here or in another process', async () => {
  const port = await freePort();
  assert.equal(await takePort(port), false);
  assert.equal(another(`takePort(${port})`), 'false');
});

test('a port is free again when the process has ended that it was given to', async () => {
  assert.equal(await takePort(Number(another('freePort()'))), true);
});
