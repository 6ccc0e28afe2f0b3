/** npm run demo does the main job by itself. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

test('the demo sends by API and by SMTP, shows both deliveries, and ends with 0', async () => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '../demo/demo.ts')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (out += text));
  const [status] = (await once(child, 'close')) as [number | null];
  assert.equal(status, 0, out);
  assert.match(out, /"Your receipt 1001" and "Your receipt 1002"|"Your receipt 1002" and "Your receipt 1001"/);
  assert.equal(out.match(/▸ postrider why/g)?.length, 2);
});
