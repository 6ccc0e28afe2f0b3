/**
 * Writes the walls (see walls.ts) into .oxlintrc.json: its `overrides` are generated, all else in it is written by hand.
 *
 *   node bin/pinned-node.js test/arch/generate-walls.ts           writes
 *   node bin/pinned-node.js test/arch/generate-walls.ts --check   says whether it is up to date, by exit status
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { readRooms, wallOverrides } from './walls.ts';

const root = dirname(dirname(import.meta.dirname));
const path = `${root}/.oxlintrc.json`;

const committed = readFileSync(path, 'utf8');
const config = JSON.parse(committed) as Record<string, unknown>;
const byHand = JSON.stringify({ ...config, overrides: undefined }, null, 2).replace(/\n}$/, '');
const lines = wallOverrides(readRooms(root)).map((override) => `    ${JSON.stringify(override)}`);
// A line for each override: what a change of rooms.json did can be read in the diff.
const generated = `${byHand},\n  "overrides": [\n${lines.join(',\n')}\n  ]\n}\n`;

if (!process.argv.includes('--check')) {
  writeFileSync(path, generated);
} else if (generated !== committed) {
  process.stderr.write('.oxlintrc.json does not agree with rooms.json: run "node bin/pinned-node.js test/arch/generate-walls.ts"\n');
  process.exitCode = 1;
}
