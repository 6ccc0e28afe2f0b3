/**
 * The embedded store as a side of a copy. A store that is copied is at rest: its lock is held, as a server would hold it. A backup is a file that nobody
 * writes. Either is read in one transaction.
 */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Database, migrate } from '#store/sqlite/database.ts';
import { lockStore } from '#store/sqlite/lock.ts';
import { MailWriter } from '#store/sqlite/write-mail.ts';
import { StoreError } from '#store/store.ts';
import { COPY_MARK } from './marks.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX, CopyError, type Key, type Mark, type Source, sizeOf, type Target } from './side.ts';
import { columnsOf, TABLES, type Table } from './tables.ts';
import type { Row, Value } from './table-sum.ts';

const BUSY_TIMEOUT_MS = 5000;
const CACHE_KIB = 65_536;
/** The log is copied into the database when it has so many pages (of 8 KiB). */
const LOG_PAGES = 8192;
const PUT_SETTING = 'INSERT INTO setting (name, value) VALUES (?,?) ON CONFLICT DO UPDATE SET value = excluded.value';

/** A store that no server has open, and none can open meanwhile. Throws `CopyError`. */
export function openSqliteSource(path: string): Source {
  if (!existsSync(path)) throw new CopyError(`there is no store at ${path}`);
  const lock = lockOr(
    path,
    `a server runs on ${path}; what it accepts would be missing in the copy. Stop it first (on SIGTERM it finishes what it is sending), or take a backup, which is made while it runs, and restore that`,
  );
  return orRelease(lock, () => {
    migrateStore(path);
    return new SqliteSide(path, { mode: 'read', lock });
  });
}

/** A file that nobody writes, of the schema that this program knows. */
export function openSqliteFile(path: string, name?: string): Source {
  return new SqliteSide(path, { mode: 'read', ...(name !== undefined && { name }) });
}

/** Made when it does not exist. `isScratch`: nobody needs it when it is not finished, so that it is not made safe before that. */
export function openSqliteTarget(path: string, { isScratch = false } = {}): Target {
  if (isScratch) return openUnlocked(path);
  const lock = lockOr(path, `a server runs on ${path}; stop it first`);
  return orRelease(lock, () => {
    migrateStore(path);
    return new SqliteSide(path, { mode: 'write', lock });
  });
}

function openUnlocked(path: string): Target {
  migrateStore(path);
  return new SqliteSide(path, { mode: 'scratch' });
}

interface SideOptions {
  readonly mode: 'read' | 'write' | 'scratch';
  readonly lock?: Lock;
  readonly name?: string;
}

interface Lock {
  release(): void;
}

function lockOr(path: string, otherwise: string): Lock {
  try {
    return lockStore(path);
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'busy') throw new CopyError(otherwise);
    throw error;
  }
}

function orRelease<T>(lock: Lock, open: () => T): T {
  try {
    return open();
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Brings the schema up to date, as every start does. */
export function migrateStore(path: string): void {
  const db = new Database(path, 'write');
  try {
    migrate(db, 'copy');
  } finally {
    db.close();
  }
}

class SqliteSide implements Source, Target {
  readonly name: string;
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #lock: Lock | undefined;

  constructor(path: string, { mode, lock, name }: SideOptions) {
    this.name = name ?? `sqlite:${path}`;
    this.#path = path;
    this.#lock = lock;
    this.#db = new DatabaseSync(path, { readOnly: mode === 'read', timeout: BUSY_TIMEOUT_MS });
    this.#db.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY;`);
    if (mode === 'write') this.#db.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${LOG_PAGES};`);
    if (mode === 'scratch') this.#db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;');
    // The first read of the transaction fixes what it sees.
    if (mode === 'read') this.#db.exec('BEGIN; SELECT count(*) FROM setting;');
  }

  count(table: Table): Promise<number> {
    const row = this.#db.prepare(`SELECT count(*) AS n FROM ${fromOf(table)} WHERE ${table.rows ?? 'true'}`).get();
    return Promise.resolve(Number(row?.['n']));
  }

  read(table: Table, after: Key | undefined): Promise<Row[]> {
    const beyond = after === undefined ? 'true' : `(${table.key.join(', ')}) > (${table.key.map(() => '?').join(', ')})`;
    const statement = this.#db.prepare(
      `SELECT ${columnsOf(table)
        .map((column) => table.workedOut?.[column] ?? column)
        .join(', ')} FROM ${fromOf(table)} WHERE ${table.rows ?? 'true'} AND ${beyond} ORDER BY ${table.key.join(', ')}`,
    );
    statement.setReturnArrays(true);
    const rows: Row[] = [];
    let bytes = 0;
    for (const row of statement.iterate(...(after ?? [])) as unknown as Iterable<Row>) {
      rows.push(row);
      for (const value of row) bytes += sizeOf(value);
      if (bytes >= BATCH_BYTES_MAX || rows.length >= BATCH_ROWS_MAX) break;
    }
    return Promise.resolve(rows);
  }

  /** The lock is held. */
  stillAtRest(): Promise<void> {
    return Promise.resolve();
  }

  mark(): Promise<Mark | undefined> {
    const row = this.#db.prepare('SELECT value FROM setting WHERE name = ?').get(COPY_MARK);
    return Promise.resolve(row === undefined ? undefined : (JSON.parse(String(row['value'])) as Mark));
  }

  isEmpty(): Promise<boolean> {
    const isEmpty = TABLES.every(({ name }) => name === 'setting' || this.#db.prepare(`SELECT 1 FROM ${name} LIMIT 1`).get() === undefined);
    return Promise.resolve(isEmpty);
  }

  /** The mark stands in the first table, and so goes last. */
  clear(): Promise<void> {
    for (const { name } of TABLES.toReversed()) this.#db.exec(`DELETE FROM ${name}`);
    return Promise.resolve();
  }

  putMark(mark: Mark): Promise<void> {
    this.#putMark(mark);
    return Promise.resolve();
  }

  #putMark(mark: Mark): void {
    this.#db.prepare(PUT_SETTING).run(COPY_MARK, JSON.stringify(mark));
  }

  write(table: Table, rows: readonly Row[], mark: Mark): Promise<void> {
    const columns = columnsOf(table);
    const kept = columns.filter((column) => table.workedOut?.[column] === undefined);
    const positions = kept.map((column) => columns.indexOf(column));
    const insert = this.#db.prepare(`INSERT INTO ${table.name} (${kept.join(', ')}) VALUES (${kept.map(() => '?').join(', ')})`);
    this.#transaction(() => {
      for (const row of rows) insert.run(...positions.map((position) => row[position] as Value));
      this.#putMark(mark);
    });
    return Promise.resolve();
  }

  /** By the writer's own means: a process that ended while it served the source left the same. */
  finish(nowMs: number): Promise<number> {
    const db = new Database(this.#path, 'write');
    try {
      db.exec('BEGIN IMMEDIATE');
      const recovered = new MailWriter(db, 0).recoverLeases(nowMs);
      // What was parked waited for the lanes of another process.
      db.run(
        "UPDATE bucket SET parked_ms = 0, wait = 'due', look_ms = (SELECT min(due_ms) FROM recipient WHERE bucket = bucket.id AND state = 0)",
      );
      db.run(
        'UPDATE outbox_endpoint SET parked_ms = 0, look_ms = coalesce((SELECT min(due_ms) FROM outbox WHERE endpoint = outbox_endpoint.id), look_ms)',
      );
      db.run('DELETE FROM setting WHERE name = ?', COPY_MARK);
      db.exec('COMMIT');
      return Promise.resolve(recovered);
    } finally {
      db.close();
    }
  }

  close(): Promise<void> {
    this.#db.close();
    this.#lock?.release();
    return Promise.resolve();
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      try {
        this.#db.exec('ROLLBACK');
      } catch {
        // SQLite rolled back by itself when it met the error
      }
      throw error;
    }
  }
}

function fromOf(table: Table): string {
  return table.from?.sqlite ?? table.name;
}
