/**
 * One server process per data directory: an exclusive lock on a small database beside the store, which the system ends with the process, however it ends.
 * Nodes of a shared store lock their directories so too.
 */
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '#store/store.ts';
import { troubleOf } from './database.ts';

export function lockStore(path: string, served = path): { release(): void } {
  const db = new DatabaseSync(`${path}.lock`, { timeout: 0 });
  try {
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (troubleOf(error) === 'busy')
      throw new StoreError('busy', `another process serves ${served}; stop it first, or use another data directory`);
    throw error;
  }
  return { release: () => db.close() };
}
