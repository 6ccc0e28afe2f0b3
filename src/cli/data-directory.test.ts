import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Failure } from './command.ts';
import { makeDataDirectory } from './data-directory.ts';
import { run } from './main.ts';

test('the data directory is made with what is above it, for its owner only, and again without complaint', () => {
  const home = mkdtempSync(join(tmpdir(), 'postrider-data-'));
  try {
    const path = join(home, 'a', 'b');
    makeDataDirectory(path);
    makeDataDirectory(path);
    if (process.platform !== 'win32') assert.equal(statSync(path).mode & 0o777, 0o700);
  } finally {
    rmSync(home, { recursive: true });
  }
});

test(
  'a directory that cannot be made is a sentence, not an endless loop',
  { skip: !existsSync('/proc/self') && 'there is no /proc' },
  () => {
    assert.throws(
      () => makeDataDirectory('/proc/nope/deeper'),
      (error) => error instanceof Failure && error.message.includes('/proc/nope'),
    );
  },
);

test('commands that only read do not make a store', async () => {
  const nowhere = join(tmpdir(), 'postrider-nowhere');
  let error = '';
  const terminal = { out: () => undefined, error: (text: string) => void (error += text), hasColor: false };
  assert.equal(await run(['why', '1'], { POSTRIDER_DATA: nowhere }, terminal), 1);
  assert.match(error, /there is no store at .*nowhere/);
  assert.equal(existsSync(nowhere), false);
});
