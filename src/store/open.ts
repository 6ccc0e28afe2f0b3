/**
 * Opens the store that `store.url` names: the embedded one, or PostgreSQL. The only place that knows both drivers; the one that is not asked for is not loaded.
 * A database that is not there yet is waited for; one that refuses us is not.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { connectFailure } from './connect-failure.ts';
import { lockStore } from './sqlite/lock.ts';
import { StoreError, type NodeFacts, type Store } from './store.ts';
import { type PostgresPlace, storePlace } from './store-url.ts';

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
  /** Of a server: one at a time uses it, also when the store is elsewhere. */
  readonly directory?: string;
  /** PostgreSQL: a file with the password. */
  readonly passwordFile?: string;
  readonly connections?: number;
  /** A node not heard of for so long is lost. */
  readonly leaseMs?: number;
  /** How long a database that cannot be reached yet is waited for. Default: not at all. */
  readonly waitMs?: number;
  /** Told when the wait begins, and when its reason changes. */
  readonly onWait?: (why: string) => void;
}

export interface OpenedStore extends Store {
  /** Recipients whose lease a former process held. */
  readonly recovered: number;
}

const LOOK_AGAIN_MS = 500;

export async function openStore(options: StoreOptions): Promise<OpenedStore> {
  const place = storePlace(options.url);
  if (place.kind === 'postgres') return openShared(options, place);
  const { openSqliteStore } = await import('./sqlite/open.ts');
  return openSqliteStore({ ...options, path: place.path });
}

/** The embedded store locks its file; here the lock guards what a server keeps beside: the secret, the certificate, the socket for commands. */
async function openShared(options: StoreOptions, place: PostgresPlace): Promise<OpenedStore> {
  const { mode, directory } = options;
  const lock = mode === 'server' && directory !== undefined ? lockStore(`${directory}/node`, directory) : undefined;
  try {
    const store = await waiting(options, place);
    return {
      ...store,
      async close() {
        await store.close();
        lock?.release();
      },
    };
  } catch (error) {
    lock?.release();
    throw error;
  }
}

async function waiting(options: StoreOptions, place: PostgresPlace): Promise<OpenedStore> {
  const { passwordFile, waitMs = 0, onWait } = options;
  const { openPostgresStore } = await import('./postgres/open.ts');
  const deadlineMs = performance.now() + waitMs;
  for (let told = ''; ; await pause(LOOK_AGAIN_MS)) {
    try {
      return await openPostgresStore({
        ...options,
        url: passwordFile === undefined ? options.url : withPassword(options.url, passwordFile),
      });
    } catch (error) {
      const failure = connectFailure(error, place);
      if (failure === undefined) throw error;
      if (!failure.isPassing) throw new StoreError('io', failure.sentence);
      if (performance.now() >= deadlineMs)
        throw new StoreError(
          'io',
          waitMs === 0 ? failure.sentence : `${failure.sentence}; waited for ${Math.round(waitMs / 1000)} seconds`,
        );
      if (failure.sentence !== told) onWait?.(failure.sentence);
      told = failure.sentence;
    }
  }
}

/** Read at each attempt: it may come later, as the database may. */
export function withPassword(url: string, file: string): string {
  try {
    const password = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    return `${url}${url.includes('?') ? '&' : '?'}password=${encodeURIComponent(password)}`;
  } catch (error) {
    throw new StoreError('io', `store.password_file: ${file} cannot be read (${String((error as NodeJS.ErrnoException).code)})`);
  }
}
