/**
 * Loads a backup into an empty store of either engine. First the file is read whole and compared with what it says of itself; only then is anything written. A backup that an
 * earlier version took is brought up to date in a copy of it: the file itself is never changed.
 */
import { constants, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { schemaNewest } from '#store/sqlite/database.ts';
import type { Manifest, SavedTable } from './backup.ts';
import { type CopyEnd, type CopyOptions, copyStore, sumOf } from './copy-store.ts';
import { BACKUP_MARK } from './marks.ts';
import { CopyError, type Source } from './side.ts';
import { migrateStore, openSqliteFile } from './sqlite-side.ts';
import { isSameSum } from './table-sum.ts';
import { type Table, TABLES } from './tables.ts';

export interface RestoreOptions extends Omit<CopyOptions, 'source'> {
  readonly file: string;
  /** A directory for the copy of an older backup, which goes again. */
  readonly scratchDirectory: string;
}

/** Rejects with `CopyError` when the file is no backup, or damaged. */
export async function restoreBackup(options: RestoreOptions): Promise<CopyEnd> {
  const { file } = options;
  const { manifest, schema } = readHeader(file);
  if (!(await isIntact(file, manifest, options))) return { kind: 'stopped' };
  const name = `the backup ${file} of ${new Date(manifest.madeMs).toISOString()}`;
  return withSource(file, { schema, name }, options.scratchDirectory, (source) => copyStore({ ...options, source }));
}

function readHeader(file: string): { readonly manifest: Manifest; readonly schema: number } {
  if (!existsSync(file)) throw new CopyError(`there is no file ${file}`);
  const db = new DatabaseSync(file, { readOnly: true });
  let mark: unknown;
  let schema: number;
  try {
    schema = Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
    mark = schema === 0 ? undefined : db.prepare('SELECT value FROM setting WHERE name = ?').get(BACKUP_MARK)?.['value'];
  } catch (error) {
    throw new CopyError(`${file} cannot be read as a backup: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    db.close();
  }
  if (typeof mark !== 'string') {
    throw new CopyError(
      `${file} is not a backup that "postrider backup" took, or it was used as a store since; "postrider store copy" copies a store`,
    );
  }
  if (schema > schemaNewest())
    throw new CopyError(`${file} was taken by a later version of this program (schema ${schema}; this one knows ${schemaNewest()})`);
  return { manifest: JSON.parse(mark) as Manifest, schema };
}

/** False: stopped. Throws when a table is not what it was. */
async function isIntact(file: string, manifest: Manifest, options: RestoreOptions): Promise<boolean> {
  const source = openSqliteFile(file);
  try {
    for (const saved of manifest.tables) {
      const sum = await sumOf(source, asSaved(saved), options);
      if (sum === undefined) return false;
      if (isSameSum(sum, saved)) continue;
      throw new CopyError(
        `${file} is damaged: its table ${saved.name} is not what was saved (it has ${sum.rows} rows; there were ${saved.rows})`,
      );
    }
    return true;
  } catch (error) {
    if (error instanceof CopyError) throw error;
    throw new CopyError(`${file} is damaged: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await source.close();
  }
}

function asSaved({ name, key, columns }: SavedTable): Table {
  for (const word of [name, ...key, ...columns]) if (!/^[a-z0-9_]+$/.test(word)) throw new Error(`${JSON.stringify(word)} is no name`);
  const known = TABLES.find((table) => table.name === name);
  return {
    name,
    key,
    columns: Object.fromEntries(columns.map((column) => [column, known?.columns[column] ?? 'text'])),
    ...(known?.rows !== undefined && { rows: known.rows }),
    ...(known?.from !== undefined && { from: known.from }),
    ...(known?.workedOut !== undefined && { workedOut: known.workedOut }),
  };
}

async function withSource<T>(
  file: string,
  { schema, name }: { readonly schema: number; readonly name: string },
  scratchDirectory: string,
  work: (source: Source) => Promise<T>,
): Promise<T> {
  let path = file;
  let scratch: string | undefined;
  try {
    if (schema < schemaNewest()) {
      scratch = mkdtempSync(join(scratchDirectory, 'restore-'));
      path = join(scratch, 'backup.db');
      copyFileSync(file, path, constants.COPYFILE_FICLONE);
      migrateStore(path);
    }
    const source = openSqliteFile(path, name);
    try {
      return await work(source);
    } finally {
      await source.close();
    }
  } finally {
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  }
}
