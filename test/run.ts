/**
 * Runs the tests: every *.test.ts under src and test, with Node's own runner, on the pinned Node.
 *
 *   npm test                                 all of them
 *   npm test -- src/mail reply               those whose path has "src/mail" or "reply" in it
 *   npm test -- --test-name-pattern=relaxed  options go to the runner (write them with "=")
 *
 * Files run side by side in processes of their own; a test that takes longer than the limit fails. The status is the runner's.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, sep } from 'node:path';

const TIMEOUT_MS = 120_000;
const RUN_MAX_MS = 30 * 60_000;

const root = join(import.meta.dirname, '..');
const given = process.argv.slice(2);
const options = given.filter((argument) => argument.startsWith('-'));
const filters = given.filter((argument) => !argument.startsWith('-')).map((filter) => filter.replace(/^\.\//, ''));

const files = testFiles().filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)));
if (files.length === 0) {
  process.stderr.write(`no test file matches ${filters.join(' or ')}\n`);
  process.exit(2);
}

const child = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-reporter=spec',
    `--test-timeout=${TIMEOUT_MS}`,
    // The runner's default leaves one core free, which on a machine with two would mean one file after the other.
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    ...options,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
);
// A file that never ends (its tests have a time-out, its process has none) must not hold up a build for ever.
const watchdog = setTimeout(() => {
  process.stderr.write(`the tests have not ended within ${RUN_MAX_MS / 60_000} minutes and are stopped\n`);
  child.kill('SIGKILL');
}, RUN_MAX_MS);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  clearTimeout(watchdog);
  process.exitCode = code ?? 1;
});

function testFiles(): string[] {
  return ['src', 'test']
    .flatMap((directory) => readdirSync(join(root, directory), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}
