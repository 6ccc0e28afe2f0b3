/**
 * The walls stand. For every pair of rooms and every room and I/O module a fixture is written into a copy of the layout, the real
 * linter runs over it with the committed configuration, and it must flag exactly the forbidden ones: a linter that reads nothing
 * reports nothing, and would pass a test that only looked for the absence of errors in src.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { allRooms, forbiddenModules, reachable, readRooms } from './walls.ts';

const root = dirname(dirname(import.meta.dirname));
const rooms = readRooms(root);
const names = allRooms(rooms);

/** Fixture path → whether the linter must flag it. */
const expected = new Map<string, boolean>();
let flagged: Set<string>;
let layout: string;

function fixture(path: string, source: string, isForbidden: boolean): void {
  mkdirSync(dirname(join(layout, path)), { recursive: true });
  writeFileSync(join(layout, path), source);
  expected.set(path, isForbidden);
}

function use(specifier: string): string {
  return `import { thing } from '${specifier}';\nexport const used = thing;\n`;
}

before(async () => {
  layout = mkdtempSync(join(tmpdir(), 'postrider-walls-'));
  copyFileSync(join(root, '.oxlintrc.json'), join(layout, '.oxlintrc.json'));
  for (const from of names) {
    const allowed = reachable(rooms, from);
    for (const to of names) {
      const isForbidden = !allowed.includes(to);
      fixture(`src/${from}/to-${to}.ts`, use(`#${to}/thing.ts`), isForbidden);
      fixture(`src/${from}/deep/to-${to}.ts`, use(`#${to}/deep/thing.ts`), isForbidden);
      fixture(`src/${from}/to-${to}.test.ts`, use(`#${to}/thing.ts`), isForbidden);
    }
    const modules = forbiddenModules(rooms, from);
    for (const module of Object.keys(rooms.io)) {
      const file = module.replace(/\W/g, '-');
      fixture(`src/${from}/io-${file}.ts`, use(module), modules.includes(module));
      fixture(`src/${from}/bare-${file}.ts`, use(module.slice('node:'.length)), modules.includes(module));
      fixture(`src/${from}/io-${file}.test.ts`, use(module), false);
    }
    otherForms(from);
  }
  flagged = await lint(layout);
});

/** Every other way to write an import. */
function otherForms(from: string): void {
  fixture(`src/${from}/beside.ts`, use('./thing.ts'), false);
  fixture(`src/${from}/library.ts`, use('fastify'), false);
  fixture(`src/${from}/unknown-room.ts`, use('#utils/thing.ts'), true);
  fixture(`src/${from}/no-room.ts`, use('#thing.ts'), true);
  fixture(`src/${from}/leaves.ts`, use('../base/clock.ts'), true);
  fixture(`src/${from}/leaves-late.ts`, use('./deep/../../base/clock.ts'), true);
  fixture(`src/${from}/to-kit.ts`, use('../../test/kit/sink.ts'), true);
  fixture(`src/${from}/to-kit.test.ts`, use('../../test/kit/sink.ts'), false);
  fixture(`src/${from}/deep/to-kit.test.ts`, use('../../../test/kit/sink.ts'), false);
  fixture(`src/${from}/leaves.test.ts`, use('../base/clock.ts'), true);
  fixture(`src/${from}/to-bench.test.ts`, use('../../bench/sink.ts'), true);
  if (from === 'app') return; // app may import every room
  fixture(`src/${from}/type.ts`, `import type { Thing } from '#app/thing.ts';\nexport type Mine = Thing;\n`, from !== 'cli');
  fixture(`src/${from}/type-annotation.ts`, `export type Mine = import('#app/thing.ts').Thing;\n`, true);
  fixture(`src/${from}/re-export.ts`, `export { thing } from '#app/thing.ts';\n`, from !== 'cli');
  fixture(`src/${from}/export-all.ts`, `export * from '#app/thing.ts';\n`, from !== 'cli');
  fixture(`src/${from}/dynamic.ts`, `export const thing = await import('#app/thing.ts');\n`, from !== 'cli');
  fixture(`src/${from}/require.ts`, `export const thing = require('#app/thing.ts');\n`, true);
}

/** Runs the linter with the walls' rules alone; resolves to the files it flagged. */
async function lint(directory: string): Promise<Set<string>> {
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
  const output = await new Promise<string>((resolve, reject) => {
    execFile(process.execPath, [oxlint, '-f', 'unix', 'src'], { cwd: directory, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error !== null && error.code !== 1) reject(new Error(`oxlint failed: ${stderr}${stdout}`, { cause: error }));
      else resolve(stdout);
    });
  });
  const walls = /^(.+?):\d+:\d+: .*\((?:no-restricted-imports|consistent-type-imports|no-require-imports)\)\]$/gm;
  return new Set([...output.matchAll(walls)].map((match) => (match[1] as string).replaceAll('\\', '/')));
}

after(() => rmSync(layout, { recursive: true, force: true }));

describe('walls', () => {
  test('the linter flags exactly the forbidden fixtures', () => {
    const forbidden = [...expected].filter(([, isForbidden]) => isForbidden).map(([path]) => path);
    assert.ok(forbidden.length > 100 && expected.size - forbidden.length > 100, 'there are fixtures of both kinds');
    assert.deepEqual([...flagged].sort(), forbidden.sort());
  });

  test('the committed configuration is the one that rooms.json gives', async () => {
    const generator = join(root, 'test/arch/generate-walls.ts');
    const status = await new Promise((resolve) => {
      execFile(process.execPath, [generator, '--check'], (error) => resolve(error?.code ?? 0));
    });
    assert.equal(status, 0, 'run "node bin/pinned-node.js test/arch/generate-walls.ts"');
  });

  test('every directory of src is a room, and every room that rooms.json speaks of has a floor', () => {
    const directories = readdirSync(join(root, 'src'), { withFileTypes: true });
    assert.deepEqual(
      directories.filter((entry) => !entry.isDirectory() || !names.includes(entry.name)).map((entry) => entry.name),
      [],
    );
    const mentioned = [...Object.values(rooms.io).flat(), ...rooms.exceptions.flatMap(({ from, to }) => [from, to])];
    assert.deepEqual(
      mentioned.filter((name) => !names.includes(name)),
      [],
    );
    assert.equal(new Set(names).size, names.length, 'a room is on one floor');
  });
});
