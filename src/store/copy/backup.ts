/**
 * A backup of either engine is one SQLite file, taken from one snapshot while servers run: every message in it has its content, its recipients and its events. It holds no
 * leases: what was being tried when it was taken is queued in it, and marked as a possible repeat. It knows what it must hold (count and checksum of each table), so that
 * a file that was damaged since is found before it is loaded. The instance's secret is not part of it.
 *
 * The embedded store is copied page by page inside a read transaction: the server goes on writing to its log, which is only cut when the backup is done. (VACUUM INTO gives
 * the same file in the same time, but cannot be stopped and does not tell how far it is.) The pages are read again afterwards, structure and rows.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { BACKUP_MARK, COPY_MARK } from './marks.ts';
import { type CopyOptions, copyStore, sumOf } from './copy-store.ts';
import { CopyError, type Source } from './side.ts';
import { migrateStore, openSqliteFile, openSqliteTarget } from './sqlite-side.ts';
import type { Sum } from './table-sum.ts';
import { columnsOf, TABLES, TABLES_LEFT_BEHIND } from './tables.ts';

/** Copied between two looks at the signal. */
const PAGES_AT_ONCE = 1000;
const BUSY_TIMEOUT_MS = 5000;

/** As it was when the backup was taken, whatever a later schema says of the table. */
export interface SavedTable extends Sum {
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
}

/** What a backup must hold. */
export interface Manifest {
  readonly madeMs: number;
  readonly tables: readonly SavedTable[];
}

export interface BackupOptions extends Pick<CopyOptions, 'nowMs' | 'signal' | 'onProgress'> {
  /** Must not exist. It appears under its name when it is whole. */
  readonly file: string;
}

export type BackupEnd =
  | { readonly kind: 'done'; readonly manifest: Manifest; readonly sizeBytes: number; readonly recovered: number }
  | { readonly kind: 'stopped' };

/** Of the embedded store, whether a server runs on it or not. Rejects with `CopyError`. */
export async function backupSqlite(path: string, options: BackupOptions): Promise<BackupEnd> {
  if (!existsSync(path)) throw new CopyError(`there is no store at ${path}`);
  return make(options, async (partial) => {
    if (!(await copyPages(path, partial, options))) return undefined;
    migrateStore(partial);
    const target = openSqliteTarget(partial, { isScratch: true });
    try {
      return await target.finish(options.nowMs);
    } finally {
      await target.close();
    }
  });
}

/** Of a snapshot of the other engine. */
export async function backupSource(source: Source, options: BackupOptions): Promise<BackupEnd> {
  return make(options, async (partial) => {
    const target = openSqliteTarget(partial, { isScratch: true });
    try {
      const end = await copyStore({ ...options, source, target });
      if (end.kind === 'different') {
        throw new CopyError(`what was written to ${options.file} is not what was read: ${end.tables.map(({ name }) => name).join(', ')}`);
      }
      return end.kind === 'stopped' ? undefined : end.recovered;
    } finally {
      await target.close();
    }
  });
}

/** `fill` resolves to how many recipients had been leased; undefined: stopped. */
async function make(options: BackupOptions, fill: (partial: string) => Promise<number | undefined>): Promise<BackupEnd> {
  const { file } = options;
  if (existsSync(file)) throw new CopyError(`${file} exists already; a backup does not write over anything`);
  const partial = `${file}.partial`;
  removeDatabase(partial);
  try {
    const recovered = await fill(partial);
    const manifest = recovered === undefined ? undefined : await seal(partial, options);
    if (recovered === undefined || manifest === undefined) return { kind: 'stopped' };
    const sizeBytes = statSync(partial).size;
    publish(partial, file);
    return { kind: 'done', manifest, sizeBytes, recovered };
  } finally {
    removeDatabase(partial);
  }
}

/** False: stopped. */
async function copyPages(path: string, partial: string, { signal, onProgress }: BackupOptions): Promise<boolean> {
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    // What is committed from here on is not seen: without the transaction the backup would begin anew at each commit.
    db.exec('BEGIN');
    const unfinished = db.prepare('SELECT value FROM setting WHERE name = ?').get(COPY_MARK);
    if (unfinished !== undefined) throw new CopyError(`${path} holds an unfinished copy, which is no store yet`);
    const pageBytes = Number(db.prepare('PRAGMA page_size').get()?.['page_size']);
    await backup(db, partial, {
      rate: PAGES_AT_ONCE,
      progress({ totalPages, remainingPages }) {
        signal?.throwIfAborted();
        const done = totalPages - remainingPages;
        onProgress?.({ phase: 'copy', what: 'pages', done, total: totalPages, bytes: done * pageBytes });
      },
    });
    return signal?.aborted !== true;
  } catch (error) {
    if (signal?.aborted === true) return false;
    throw error;
  } finally {
    db.close();
  }
}

/** Looks at all of the file and writes into it what it holds. undefined: stopped. */
async function seal(partial: string, options: BackupOptions): Promise<Manifest | undefined> {
  const writing = new DatabaseSync(partial);
  try {
    for (const name of TABLES_LEFT_BEHIND) writing.exec(`DELETE FROM ${name}`);
    writing.exec("DELETE FROM setting WHERE name = 'probe'");
    const damage = writing.prepare('PRAGMA quick_check(1)').get();
    if (String(Object.values(damage ?? {})[0]) !== 'ok') throw new CopyError(`the store is damaged: ${JSON.stringify(damage)}`);
    // One file, without a log beside it.
    writing.exec('PRAGMA journal_mode = DELETE');
  } finally {
    writing.close();
  }
  const manifest = await manifestOf(partial, options);
  if (manifest === undefined) return undefined;
  const marking = new DatabaseSync(partial);
  try {
    marking.prepare('INSERT INTO setting (name, value) VALUES (?,?)').run(BACKUP_MARK, JSON.stringify(manifest));
  } finally {
    marking.close();
  }
  return manifest;
}

async function manifestOf(file: string, options: BackupOptions): Promise<Manifest | undefined> {
  const source = openSqliteFile(file);
  const tables: SavedTable[] = [];
  try {
    for (const table of TABLES) {
      const sum = await sumOf(source, table, options);
      if (sum === undefined) return undefined;
      tables.push({ name: table.name, key: table.key, columns: columnsOf(table), ...sum });
    }
  } finally {
    await source.close();
  }
  return { madeMs: options.nowMs, tables };
}

/** Under its name only when it is on disk. */
function publish(partial: string, file: string): void {
  syncFile(partial, 'r+');
  renameSync(partial, file);
  // Windows cannot open a directory for this; its file system keeps names in its own journal.
  if (process.platform !== 'win32') syncFile(dirname(resolve(file)), 'r');
}

function syncFile(path: string, flags: 'r' | 'r+'): void {
  const handle = openSync(path, flags);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** With what SQLite keeps beside it. */
function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
}
