/**
 * Opens the store that `store.url` names: the embedded one, or PostgreSQL. The only place that knows both drivers; the one that is not asked for is not loaded.
 */
import { StoreError, type NodeFacts, type Store } from './store.ts';
import { storePlace } from './store-url.ts';

export interface StoreOptions {
  /** As in the setting: parseStoreUrl says what is understood. */
  readonly url: string;
  /** server: serves and leases. tool (default): the command line, beside servers or without. */
  readonly mode?: 'server' | 'tool';
  /** The time at which leases of a former process end. Default: now. */
  readonly nowMs?: number;
  /** What a server says of itself to the others. */
  readonly node?: NodeFacts;
  /** The store has ended by itself: the process must not go on. */
  readonly onFatal?: (error: Error) => void;
}

export interface OpenedStore extends Store {
  /** Recipients whose lease a former process held. */
  readonly recovered: number;
}

export async function openStore(options: StoreOptions): Promise<OpenedStore> {
  const place = storePlace(options.url);
  if (place.kind === 'postgres') throw new StoreError('io', 'this version has no driver for PostgreSQL yet');
  const { openSqliteStore } = await import('./sqlite/open.ts');
  return openSqliteStore({ ...options, path: place.path });
}
