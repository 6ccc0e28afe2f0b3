/**
 * The store that a test runs on: the embedded one, or PostgreSQL when TEST_STORE says so. `npm test` runs every file that comes here twice (test/run.ts); a file alone runs
 * on the embedded one, and with TEST_STORE=postgres on a PostgreSQL of its own. Each store is new, and nobody else's.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client, type CustomTypesConfig, types } from 'pg';
import { type OpenedStore, type StoreOptions, openStore } from '#store/open.ts';
import { checkStore } from '../conformance/check-sqlite.ts';
import { postgresTroubles } from '../conformance/check-postgres.ts';
import { ROLE, SUPERUSER } from './postgres-home.ts';
import { startPostgres } from './postgres.ts';
import { until } from './until.ts';

export type StoreKind = 'sqlite' | 'postgres';
export const STORE: StoreKind = process.env['TEST_STORE'] === 'postgres' ? 'postgres' : 'sqlite';

type Rows = Record<string, unknown>[];

/** A store and a look into it from outside, past everything that the program believes. Both kinds have the same tables and columns. */
export interface TestStore {
  readonly url: string;
  /** What the program finds in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** One statement, which is one snapshot. */
  rows(sql: string): Promise<Rows>;
  /** No other process can commit mail until what it gives is called. */
  holdCommits(): Promise<() => Promise<void>>;
  /** Breaks every connection to it: what a killed program's last statement waits for in a server of its own would be done yet. */
  cutConnections(): Promise<void>;
  /** Every state that is not legal, in words. */
  troubles(): Promise<string[]>;
  /** The store goes; what is in it is not needed any more. */
  drop(): Promise<void>;
}

/** `directory` is the data directory, where the embedded one lies. */
export function newTestStore(directory: string): Promise<TestStore> {
  return STORE === 'postgres' ? onPostgres() : Promise.resolve(onSqlite(join(directory, 'postrider.db')));
}

/** A new store, opened in this process. It goes when it is closed. */
export async function openTestStore(directory: string, options: Omit<StoreOptions, 'url'> = {}): Promise<OpenedStore> {
  const made = await newTestStore(directory);
  const store = await openStore({ ...options, url: made.url });
  return {
    ...store,
    async close() {
      await store.close();
      await made.drop();
    },
  };
}

const BUSY_MS = 30_000;
const GONE_MS = 30_000;

function onSqlite(path: string): TestStore {
  const open = (): DatabaseSync => new DatabaseSync(path, { timeout: BUSY_MS });
  const rows = (sql: string): Rows => {
    const db = open();
    try {
      return db
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      db.close();
    }
  };
  return {
    url: `sqlite:${path}`,
    environment: {},
    rows: (sql) => Promise.resolve(rows(sql)),
    holdCommits() {
      const db = open();
      db.exec('BEGIN IMMEDIATE');
      return Promise.resolve(() => Promise.resolve(db.close()));
    },
    // Its connections are the program's own.
    cutConnections: () => Promise.resolve(),
    troubles: () => Promise.resolve(checkStore(path)),
    // It goes with its directory.
    drop: () => Promise.resolve(),
  };
}

async function onPostgres(): Promise<TestStore> {
  const server = new URL(await serverUrl());
  const name = `t_${process.pid}_${randomBytes(4).toString('hex')}`;
  const urlOf = (role: string, database: string): string => `postgres://${role}@${server.host}/${database}`;
  const rows = (sql: string): Promise<Rows> =>
    onConnection(urlOf(SUPERUSER, name), async (client) => (await client.query<Rows[0]>(sql)).rows);
  const administer = (sql: string): Promise<unknown> => onConnection(server.href, (client) => client.query(sql));
  await administer(`CREATE DATABASE ${name} OWNER ${ROLE} STRATEGY file_copy`);
  const url = urlOf(ROLE, name);
  return {
    url,
    environment: { POSTRIDER_STORE_URL: url },
    rows,
    async holdCommits() {
      const client = await connected(urlOf(SUPERUSER, name));
      await client.query('BEGIN; LOCK TABLE message, recipient, event IN SHARE MODE');
      return () => client.end();
    },
    async cutConnections() {
      // Until they are gone, not only told to go.
      await administer(
        `SELECT pg_terminate_backend(pid, ${GONE_MS}) FROM pg_stat_activity WHERE datname = '${name}' AND usename = '${ROLE}'`,
      );
    },
    troubles: () => postgresTroubles(rows),
    // Who is told to go may take longer than the server waits for him.
    drop: async () => void (await until(() => isDone(administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)), `${name} goes`)),
  };
}

/** False: others still use what it is about. */
async function isDone(statement: Promise<unknown>): Promise<boolean> {
  try {
    await statement;
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === OBJECT_IN_USE) return false;
    throw error;
  }
}

const OBJECT_IN_USE = '55006';
const INT8 = 20;
/** Numbers come as numbers, as the other store gives them. */
const TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: number) => (oid === INT8 ? Number : types.getTypeParser(oid))) as typeof types.getTypeParser,
};

let own: Promise<string> | undefined;

/** The server that all files of a run share; without one, a server of this process, which ends with it. */
function serverUrl(): Promise<string> {
  const shared = process.env['TEST_POSTGRES'];
  if (shared !== undefined && shared !== '') return Promise.resolve(shared);
  return (own ??= startPostgres({ after: () => undefined }).then(({ url }) => url));
}

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: BUSY_MS, types: TYPES });
  // A server that is stopped ends its connections: who waits for an answer is told by it.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function onConnection<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connected(url);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
