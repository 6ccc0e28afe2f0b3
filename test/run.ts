/**
 * Runs the tests: every *.test.ts under src and test, with Node's own runner, on the pinned Node. Those that use a store run twice: first on the embedded one,
 * with everything else, then on a real PostgreSQL that all of them share (test/both-stores.ts).
 *
 *   npm test                                 all of them
 *   npm test -- src/mail reply               those whose path has "src/mail" or "reply" in it
 *   npm test -- --store=postgres limits      on one store only
 *   npm test -- --test-name-pattern=relaxed  other options go to the runner (write them with "=")
 *
 * Files run side by side in processes of their own; a test that takes longer than the limit fails. What failed is told once more at the end. The status is the runner's, of the first
 * pass that failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onBothStores } from './both-stores.ts';
import { startPostgres } from './kit/postgres.ts';

const TIMEOUT_MS = 120_000;
const RUN_MAX_MS = 60 * 60_000;
/** Files that run at once, on however many cores: they share a PostgreSQL that takes 200 connections, and a file may have several programs with a dozen each. */
const AT_ONCE_MAX = 6;

const root = join(import.meta.dirname, '..');
const given = process.argv.slice(2);
const STORE_OPTION = /^--store=(.*)$/;
const only = given.map((argument) => STORE_OPTION.exec(argument)?.[1]).find((store) => store !== undefined);
const options = given.filter((argument) => argument.startsWith('-') && !STORE_OPTION.test(argument));
const filters = given.filter((argument) => !argument.startsWith('-')).map((filter) => filter.replace(/^\.\//, ''));
if (only !== undefined && only !== 'sqlite' && only !== 'postgres') stop(`--store=${only}: expected sqlite or postgres`);

const files = testFiles().filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)));
if (files.length === 0) stop(`no test file matches ${filters.join(' or ')}`);
const again = onBothStores(root, files);
if (only === 'postgres' && again.files.length === 0) stop('none of these files uses a store');

const place = mkdtempSync(join(tmpdir(), 'postrider-tests-'));
const endings: (() => Promise<void>)[] = [() => Promise.resolve(rmSync(place, { recursive: true, force: true }))];
const failed: string[] = [];
try {
  if (only !== 'postgres') await pass('the embedded store', files, { TEST_STORE: 'sqlite' });
  if (only !== 'sqlite' && again.files.length > 0) {
    const postgres = await startPostgres({ after: (end) => void endings.push(end) });
    const [row] = await postgres.sql('SHOW server_version');
    for (const [file, reason] of again.leftOut) process.stdout.write(`runs once: ${file} (${reason})\n`);
    await pass(`PostgreSQL ${String(row?.['server_version'])}`, again.files, { TEST_STORE: 'postgres', TEST_POSTGRES: postgres.url });
  }
} finally {
  for (const end of endings) await end();
}
if (failed.length > 0) process.stdout.write(`\n══ what failed ══\n${failed.join('')}`);

async function pass(store: string, paths: readonly string[], environment: Readonly<Record<string, string>>): Promise<void> {
  process.stdout.write(`\n══ ${paths.length} files of tests, on ${store} ══\n\n`);
  const failures = join(place, `failures-${failed.length}`);
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--test',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${pathToFileURL(join(root, 'test/failures.ts')).href}`,
      `--test-reporter-destination=${failures}`,
      `--test-timeout=${TIMEOUT_MS}`,
      // The runner's default leaves one core free, which on a machine with two would mean one file after the other.
      `--test-concurrency=${Math.min(AT_ONCE_MAX, Math.max(2, availableParallelism()))}`,
      ...options,
      ...paths,
    ],
    { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } },
  );
  // A file that never ends (its tests have a time-out, its process has none) must not hold up a build for ever.
  const watchdog = setTimeout(() => {
    process.stderr.write(`the tests have not ended within ${RUN_MAX_MS / 60_000} minutes and are stopped\n`);
    child.kill('SIGKILL');
  }, RUN_MAX_MS);
  const onSignal = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  const status = await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
  clearTimeout(watchdog);
  if (status === 0) return;
  process.exitCode ||= status;
  failed.push(`\non ${store}:\n\n${existsSync(failures) ? readFileSync(failures, 'utf8') : 'the runner was stopped'}`);
}

function stop(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(2);
}

function testFiles(): string[] {
  return ['src', 'test']
    .flatMap((directory) => readdirSync(join(root, directory), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}
