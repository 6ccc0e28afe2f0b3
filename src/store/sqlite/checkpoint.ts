/**
 * Copying committed pages from the write-ahead log into the database file. A passive checkpoint blocks nobody. It runs beside the writer, in a thread of its own,
 * and does nearly all of the work; a second one between two of the writer's transactions copies the little that was added meanwhile,
 * after which the writer starts the log from its beginning and cuts the file to `LOG_KEPT_BYTES`.
 */
import { statSync } from 'node:fs';
import type { Database } from './database.ts';

/** The log is copied once it is this long. Longer: fewer copies of pages that change often; shorter: quicker recovery at start. */
export const CHECKPOINT_AT_BYTES = 48 * 1024 * 1024;

/** What the log's file is cut to when it starts from its beginning. */
export const LOG_KEPT_BYTES = 4 * 1024 * 1024;

export function walBytes(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

/** True when the whole log was copied. */
export function checkpoint(db: Database, path: string): boolean {
  if (walBytes(path) === 0) return true;
  const row = db.allOnce('PRAGMA wal_checkpoint(PASSIVE)')[0];
  return row !== undefined && row['busy'] === 0 && row['log'] === row['checkpointed'];
}
