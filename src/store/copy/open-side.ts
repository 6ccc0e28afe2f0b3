/** The sides of a copy by their URLs, as in the setting `store.url`. The engine that is not asked for is not loaded. */
import { storePlace } from '#store/store-url.ts';
import { backupSource, backupSqlite, type BackupEnd, type BackupOptions } from './backup.ts';
import type { Source, Target } from './side.ts';
import { openSqliteSource, openSqliteTarget } from './sqlite-side.ts';

/** A store that nobody serves. Rejects with `CopyError`. */
export async function openSource(url: string): Promise<Source> {
  const place = storePlace(url);
  if (place.kind === 'sqlite') return openSqliteSource(place.path);
  const { openPostgresSource } = await import('./postgres-side.ts');
  return openPostgresSource(place, { isServed: false });
}

/** A store that nobody serves. Rejects with `CopyError`. */
export async function openTarget(url: string): Promise<Target> {
  const place = storePlace(url);
  if (place.kind === 'sqlite') return openSqliteTarget(place.path);
  const { openPostgresTarget } = await import('./postgres-side.ts');
  return openPostgresTarget(place);
}

/** Of a store that may be served meanwhile. Rejects with `CopyError`. */
export async function backupStore(url: string, options: BackupOptions): Promise<BackupEnd> {
  const place = storePlace(url);
  if (place.kind === 'sqlite') return backupSqlite(place.path, options);
  const { openPostgresSource } = await import('./postgres-side.ts');
  const source = await openPostgresSource(place, { isServed: true });
  try {
    return await backupSource(source, options);
  } finally {
    await source.close();
  }
}
