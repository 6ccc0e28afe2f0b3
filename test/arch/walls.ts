/**
 * The walls between the rooms, as rules for the linter. `rooms.json` says which floor each room is on and which I/O modules it may
 * use; `wallOverrides` turns that into oxlint overrides, two for each room: one for its sources and one for its tests.
 *
 * A source imports from its own room and from floors below (and what `exceptions` names), in two forms only: `./beside.ts` and
 * `#room/path.ts`. A test may reach test/kit too, and any I/O module. Nothing leaves the room by `..`, by `require` or inside a type.
 */
import { readFileSync } from 'node:fs';

export interface Rooms {
  /** Lowest floor first. */
  readonly floors: readonly (readonly string[])[];
  readonly exceptions: readonly { readonly from: string; readonly to: string; readonly why: string }[];
  /** I/O module → rooms that may use it. */
  readonly io: Readonly<Record<string, readonly string[]>>;
}

interface Pattern {
  readonly group?: readonly string[];
  readonly regex?: string;
  readonly message: string;
}

export interface Override {
  readonly files: readonly string[];
  readonly excludeFiles?: readonly string[];
  readonly rules: Readonly<Record<string, readonly unknown[] | string>>;
}

export function readRooms(root: string): Rooms {
  return JSON.parse(readFileSync(`${root}/rooms.json`, 'utf8')) as Rooms;
}

export function allRooms(rooms: Rooms): string[] {
  return rooms.floors.flat();
}

/** The rooms whose files `room` may import, its own included. */
export function reachable(rooms: Rooms, room: string): string[] {
  const floor = rooms.floors.findIndex((names) => names.includes(room));
  const below = rooms.floors.slice(0, floor).flat();
  const excepted = rooms.exceptions.filter((exception) => exception.from === room).map((exception) => exception.to);
  return [...below, room, ...excepted];
}

export function forbiddenModules(rooms: Rooms, room: string): string[] {
  return Object.entries(rooms.io)
    .filter(([, users]) => !users.includes(room))
    .map(([name]) => name);
}

export function wallOverrides(rooms: Rooms): Override[] {
  return allRooms(rooms).flatMap((room) => [sourceOverride(rooms, room), testOverride(rooms, room)]);
}

function sourceOverride(rooms: Rooms, room: string): Override {
  const patterns: Pattern[] = [otherRooms(rooms, room)];
  patterns.push({
    regex: String.raw`(^|[/#])\.\.(/|$)`,
    message: 'Import as "./beside.ts" or "#room/path.ts"; nothing leaves a room by "..".',
  });
  const forbidden = forbiddenModules(rooms, room);
  if (forbidden.length > 0) {
    const names = forbidden.map((name) => name.replace(/^node:/, '')).join('|');
    patterns.push({ regex: `^(node:)?(${names})$`, message: `rooms.json does not let ${room} use this I/O module.` });
  }
  return { files: [`src/${room}/**`], excludeFiles: ['**/*.test.ts'], rules: importRules(patterns) };
}

function testOverride(rooms: Rooms, room: string): Override {
  const kit = [2, 3, 4].map((levels) => `!${'../'.repeat(levels)}test/kit/**`);
  return {
    files: [`src/${room}/**/*.test.ts`],
    rules: importRules([
      otherRooms(rooms, room),
      { group: ['../**', ...kit], message: 'Outside its room a test imports "#room/path.ts" and test/kit.' },
    ]),
  };
}

// A leading # would open a comment in these gitignore-like patterns: hence [#].
function otherRooms(rooms: Rooms, room: string): Pattern {
  const allowed = reachable(rooms, room);
  return {
    group: ['[#]*', '[#]*/**', ...allowed.map((name) => `!#${name}/**`)],
    message: `${room} imports only from ${allowed.join(', ')} (rooms.json).`,
  };
}

function importRules(patterns: readonly Pattern[]): Override['rules'] {
  return {
    'no-restricted-imports': ['error', { patterns }],
    // Two ways round the rule above: a type written import('…').T, and require.
    'typescript/consistent-type-imports': ['error', { prefer: 'type-imports', disallowTypeAnnotations: true }],
    'typescript/no-require-imports': ['error'],
  };
}
