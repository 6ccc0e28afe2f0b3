/**
 * Checks everything that is not a test: types, lint and walls, formatting, dead code, generated pages, length of files.
 * Runs every step even when one fails, so that one run shows all there is to mend; the status is 1 when any failed.
 *
 *   npm run check             all steps
 *   npm run check -- types    those whose name begins so
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

const LINES_MAX = 500;
const root = join(import.meta.dirname, '..');

/** What is wrong, or nothing. */
type Step = () => string | undefined;

const steps: Readonly<Record<string, Step>> = {
  types: () => run('node_modules/typescript/bin/tsc', '-p', '.'),
  'lint (and walls)': () => run('node_modules/oxlint/bin/oxlint', 'src', 'test', 'bench', 'bin'),
  'walls are generated': () => run('test/arch/generate-walls.ts', '--check'),
  formatting: () => run('node_modules/oxfmt/bin/oxfmt', '--check', 'src', 'test', 'bench', 'bin'),
  'dead code': () => run('node_modules/knip/bin/knip.js', '--no-progress'),
  'settings page is generated': settingsPage,
  'length of files': lengths,
};

const wanted = process.argv.slice(2);
const chosen = Object.entries(steps).filter(([name]) => wanted.length === 0 || wanted.some((word) => name.startsWith(word)));
if (chosen.length === 0) {
  process.stderr.write(`no step begins with ${wanted.join(' or ')}; there are: ${Object.keys(steps).join(', ')}\n`);
  process.exit(2);
}
const failed: string[] = [];
for (const [name, step] of chosen) {
  const startedMs = performance.now();
  const trouble = step();
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`${trouble === undefined ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`);
  if (trouble === undefined) continue;
  failed.push(name);
  process.stdout.write(`${trouble.trim()}\n\n`);
}
process.stdout.write(failed.length === 0 ? 'check: all is well\n' : `check: failed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Runs a script on this Node; its output when it does not end with 0. */
function run(script: string, ...args: string[]): string | undefined {
  const child = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (child.status === 0) return undefined;
  return `${child.stdout}${child.stderr}` || `${script} ended with ${child.status ?? child.signal} and said nothing`;
}

/** The manual's page of settings is written by the program itself, from the one declaration of every key. */
function settingsPage(): string | undefined {
  const child = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', 'settings', '--markdown'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (child.status !== 0) return child.stderr;
  const page = join(root, 'docs/settings.md');
  if (existsSync(page) && child.stdout === readFileSync(page, 'utf8')) return undefined;
  return 'docs/settings.md is not what the program prints: run "bin/postrider settings --markdown > docs/settings.md"';
}

function lengths(): string | undefined {
  const long = ['src', 'test', 'bench', 'bin']
    .flatMap((directory) => readdirSync(join(root, directory), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(root, path), lines: readFileSync(path, 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX);
  if (long.length === 0) return undefined;
  return long.map(({ path, lines }) => `${path} has ${lines} lines; ${LINES_MAX} is the limit`).join('\n');
}
