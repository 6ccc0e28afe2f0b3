/**
 * One SQLite connection with the settings that the promises need, its prepared statements, and the migrations.
 * `synchronous=FULL` makes every commit reach the disk before it returns (P1); WAL lets readers go on meanwhile.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { BACKUP_MARK, COPY_MARK, unfinishedCopy } from '#store/copy/marks.ts';
import { LOG_KEPT_BYTES } from './checkpoint.ts';

export type Row = Record<string, SQLOutputValue>;
export type Value = string | number | null | Uint8Array;

// Larger than SQLite's default: a 10 KB body then takes two pages instead of three, measured 10 % less CPU per message.
const PAGE_BYTES = 8192;
const CACHE_KIB = 16_384;
const BUSY_TIMEOUT_MS = 5000;

const MIGRATIONS = new URL('./migrations/', import.meta.url);

/** result codes of SQLite (primary): https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/** What kind of trouble an exception of SQLite is; undefined: none of the environment's doing (a bug of ours). */
export function troubleOf(error: unknown): 'full' | 'busy' | 'io' | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  if (typeof code !== 'number') return undefined;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return 'full';
    case SQLITE_BUSY:
      return 'busy';
    case SQLITE_IOERR:
      return 'io';
    // out of memory, corrupt, cannot open, not a database, read-only: nothing that trying the same statement again would mend
    case 7:
    case 8:
    case 11:
    case 14:
    case 26:
      return 'io';
    default:
      return undefined;
  }
}

/** A connection. Statements are prepared once and kept; their number is the number of SQL texts in this room. */
export class Database {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string, mode: 'write' | 'read') {
    this.#db = new DatabaseSync(path, { readOnly: mode === 'read', timeout: BUSY_TIMEOUT_MS });
    if (mode === 'write') {
      this.#db.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`);
      // The checkpointer does this beside the writer; see checkpoint.ts.
      this.#db.exec(`PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = ${LOG_KEPT_BYTES};`);
    }
    this.#db.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY;`);
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Number of changed rows. */
  run(sql: string, ...values: Value[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  /** Row id of the inserted row. */
  insert(sql: string, ...values: Value[]): number {
    return Number(this.#statement(sql).run(...values).lastInsertRowid);
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#statement(sql).all(...values);
  }

  /** `all` for SQL whose text varies with its conditions; not kept. */
  allOnce(sql: string, ...values: Value[]): Row[] {
    return this.#db.prepare(sql).all(...values);
  }

  close(): void {
    this.#db.close();
  }
}

/**
 * Brings the schema up to date; safe when several processes start at once. A schema that a later version made is left alone. A file that holds an unfinished copy is opened by
 * the copy alone; a backup that is used as a store is none from then on.
 */
export function migrate(db: Database, use: 'store' | 'copy' = 'store'): void {
  const files = migrationFiles();
  const newest = schemaNewest();
  if (versionOf(db) > newest) {
    throw new Error(`the store was written by a later version of this program (schema ${versionOf(db)}; this one knows ${newest})`);
  }
  for (const file of files) {
    const number = Number(file.slice(0, 4));
    if (versionOf(db) >= number) continue;
    db.exec('BEGIN IMMEDIATE');
    try {
      // Another process may have come first.
      if (versionOf(db) < number) {
        db.exec(readFileSync(new URL(file, MIGRATIONS), 'utf8'));
        db.exec(`PRAGMA user_version = ${number}`);
      }
      db.exec('COMMIT');
    } catch (error) {
      db.exec('ROLLBACK');
      throw error;
    }
  }
  if (use === 'copy') return;
  const unfinished = db.allOnce('SELECT value FROM setting WHERE name = ?', COPY_MARK)[0];
  if (unfinished !== undefined) throw unfinishedCopy('the store', String(unfinished['value']));
  if (db.allOnce('SELECT 1 FROM setting WHERE name = ?', BACKUP_MARK).length > 0) {
    db.exec(`DELETE FROM setting WHERE name = '${BACKUP_MARK}'`);
  }
}

/** The schema that this program knows. */
export function schemaNewest(): number {
  return Number(migrationFiles().at(-1)?.slice(0, 4));
}

function migrationFiles(): string[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort();
}

function versionOf(db: Database): number {
  return Number(db.allOnce('PRAGMA user_version')[0]?.['user_version']);
}
