/**
 * A real PostgreSQL for tests, on loopback, with a data directory of its own that goes with the test. It can be stopped in every way that a server stops,
 * started again under the same address, and followed by standbys that can be promoted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { freePort } from './free-port.ts';
import type { Keeper } from './installation.ts';
import { PREFIX, sweep, watchOver } from './postgres-guard.ts';
import { ENVIRONMENT, own, postgresHome, ROLE, run, SUPERUSER } from './postgres-home.ts';
import { until } from './until.ts';

const START_MS = 60_000;
const STOP_MS = 30_000;

export interface PostgresOptions {
  /** Whether commits wait for the disk. Default: no. What a killed server wrote is not lost without it, only what a machine without power had. */
  readonly fsync?: boolean;
  /** Settings of PostgreSQL. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** smart: when the last client went. fast: clients are cut off. immediate: without writing anything down. kill: as a machine dies. */
export type Stop = 'smart' | 'fast' | 'immediate' | 'kill';
const SIGNALS: Readonly<Record<Stop, NodeJS.Signals>> = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' };

export async function startPostgres(keeper: Keeper, options: PostgresOptions = {}): Promise<TestPostgres> {
  const { template, temporary, user } = postgresHome();
  sweep(temporary);
  const directory = newDirectory();
  run('cp', ['-R', template, join(directory, 'data')], user);
  return TestPostgres.launch(keeper, directory, await freePort(), options);
}

export class TestPostgres {
  readonly port: number;
  readonly #keeper: Keeper;
  readonly #directory: string;
  readonly #options: PostgresOptions;
  #server: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  #databases = 0;
  #standbys = 0;

  private constructor(keeper: Keeper, directory: string, port: number, options: PostgresOptions) {
    this.#keeper = keeper;
    this.#directory = directory;
    this.port = port;
    this.#options = options;
  }

  static async launch(keeper: Keeper, directory: string, port: number, options: PostgresOptions): Promise<TestPostgres> {
    const made = new TestPostgres(keeper, directory, port, options);
    keeper.after(async () => {
      await made.stop('immediate');
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    });
    await made.start();
    return made;
  }

  /** Of the database for administration, as the superuser. */
  get url(): string {
    return this.urlOf('postgres', SUPERUSER);
  }

  /** By default as the role without privileges that databases of tests belong to. */
  urlOf(database: string, role = ROLE): string {
    return `postgres://${role}@127.0.0.1:${this.port}/${database}`;
  }

  /** Of the server's first process; for signals. */
  get pid(): number {
    const id = this.#server?.pid;
    if (id === undefined) throw new Error('the server does not run');
    return id;
  }

  /** What the server wrote to its log. */
  get log(): string {
    return readFileSync(join(this.#directory, 'server.log'), 'utf8');
  }

  /** The URL of an empty database that nobody else has. */
  async newDatabase(): Promise<string> {
    const name = `test${++this.#databases}`;
    await this.sql(`CREATE DATABASE ${name} OWNER ${ROLE} STRATEGY file_copy`);
    return this.urlOf(name);
  }

  /** One statement, on a connection of its own, as the superuser. */
  async sql(text: string, values: readonly unknown[] = [], database = 'postgres'): Promise<Record<string, unknown>[]> {
    return onConnection(this.urlOf(database, SUPERUSER), async (client) => {
      const result = await client.query<Record<string, unknown>>(text, [...values]);
      return result.rows;
    });
  }

  /** Changes settings of the running server. */
  async configure(settings: Readonly<Record<string, string>>): Promise<void> {
    await onConnection(this.url, async (client) => {
      for (const [name, value] of Object.entries(settings)) await client.query(`ALTER SYSTEM SET ${name} = ${client.escapeLiteral(value)}`);
      await client.query('SELECT pg_reload_conf()');
    });
  }

  /** A rule of pg_hba.conf that goes before all others; without any, everybody is let in. */
  async admit(rule: string): Promise<void> {
    const file = join(this.#directory, 'data', 'pg_hba.conf');
    writeFileSync(file, `${rule}\n${readFileSync(file, 'utf8')}`);
    await this.sql('SELECT pg_reload_conf()');
  }

  /** Resolves when connections are taken. After a stop; under the same address. */
  async start(): Promise<void> {
    if (this.#server !== undefined) throw new Error('the server runs already');
    // Processes of a server that was killed may still be about to end, and it does not start beside them.
    await until(() => this.#tryToStart(), 'PostgreSQL starts', START_MS);
  }

  async stop(how: Stop = 'fast'): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    server.kill(SIGNALS[how]);
    const late = setTimeout(() => server.kill('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(late);
  }

  async restart(how: Stop = 'fast'): Promise<void> {
    await this.stop(how);
    await this.start();
  }

  /**
   * A server that follows this one's log, made while it runs. Commits wait for it when the setting `synchronous_standby_names` names it or "*"
   * (see `configure`).
   */
  async standby(options: PostgresOptions = this.#options): Promise<TestPostgres> {
    const name = `standby_${this.port}_${++this.#standbys}`;
    const directory = newDirectory();
    await this.#copyTo(directory, name);
    const follows = {
      primary_conninfo: `host=127.0.0.1 port=${this.port} user=${SUPERUSER} application_name=${name}`,
      primary_slot_name: name,
    };
    const made = await TestPostgres.launch(this.#keeper, directory, await freePort(), {
      ...options,
      settings: { ...options.settings, ...follows },
    });
    await until(
      async () =>
        (await this.sql("SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", [name])).length > 0,
      'the standby follows',
    );
    return made;
  }

  /** A standby becomes a server of its own, which takes writes. */
  async promote(): Promise<void> {
    const [row] = await this.sql('SELECT pg_promote(true, $1) AS done', [START_MS / 1000]);
    if (row?.['done'] !== true) throw new Error('the standby was not promoted in time');
  }

  async #copyTo(directory: string, name: string): Promise<void> {
    const { user } = postgresHome();
    const data = join(directory, 'data');
    await onConnection(this.url, async (client) => {
      await client.query('SELECT pg_create_physical_replication_slot($1, true)', [name]);
      await client.query('SELECT pg_backup_start($1, true)', [name]);
      // Files may vanish while they are copied: what they held comes with the log.
      run(
        '/bin/sh',
        ['-c', 'cp -R "$1" "$2" 2>"$2.log"; ! grep -v "No such file" "$2.log"', 'sh', join(this.#directory, 'data'), data],
        user,
      );
      const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop()');
      for (const [file, text] of [
        ['backup_label', rows[0]?.labelfile ?? ''],
        ['standby.signal', ''],
        // Whom this server waits for is no business of the other's.
        ['postgresql.auto.conf', ''],
      ] as const) {
        writeFileSync(join(data, file), text);
        own(join(data, file), user);
      }
    });
    for (const file of ['postmaster.pid', 'postmaster.opts', `pg_replslot/${name}`])
      rmSync(join(data, file), { recursive: true, force: true });
  }

  /** False: it ended at once because what is left of the one before is still there. */
  async #tryToStart(): Promise<boolean> {
    const { postgres, user } = postgresHome();
    const data = join(this.#directory, 'data');
    const logged = openSync(join(this.#directory, 'server.log'), 'w');
    const args = Object.entries(this.#settings()).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = spawn(postgres, ['-D', data, ...args], {
      ...user,
      env: ENVIRONMENT,
      cwd: '/',
      detached: true,
      stdio: ['ignore', logged, logged],
    });
    closeSync(logged);
    server.unref();
    this.#server = server;
    this.#ended = once(server, 'exit').finally(() => {
      this.#server = undefined;
    });
    await until(() => this.#server === undefined || isReady(data, server.pid), 'PostgreSQL takes connections', START_MS);
    if (this.#server !== undefined) return true;
    if (/pre-existing shared memory block|could not bind/.test(this.log)) return false;
    throw new Error(`PostgreSQL did not start: ${this.log}`);
  }

  #settings(): Record<string, string> {
    const isSafe = this.#options.fsync === true;
    return {
      listen_addresses: '127.0.0.1',
      port: String(this.port),
      unix_socket_directories: '',
      max_connections: '200',
      fsync: isSafe ? 'on' : 'off',
      full_page_writes: isSafe ? 'on' : 'off',
      ...this.#options.settings,
    };
  }
}

/** By the file that a server keeps of itself; one that was killed leaves it. */
function isReady(data: string, server: number | undefined): boolean {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    return Number(lines[0]) === server && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

function newDirectory(): string {
  const { temporary, user } = postgresHome();
  const directory = mkdtempSync(join(temporary, `${PREFIX}${process.pid}-`));
  watchOver(directory);
  chmodSync(directory, 0o711);
  own(directory, user);
  return directory;
}

async function onConnection<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: START_MS });
  // A server that is stopped ends its connections: who waits for an answer is told by it.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
