/**
 * Opens the embedded store. A server takes the lock, recovers leases that a former process left, and keeps three threads: writer, reader, checkpointer.
 * A tool (the command line beside or without a running server) has a writer and a reader and leases nothing.
 */
import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreError, type Store } from '#store/store.ts';
import { Channel } from './channel.ts';
import { CHECKPOINT_AT_BYTES, walBytes } from './checkpoint.ts';
import { lockStore } from './lock.ts';

export interface SqliteOptions {
  readonly path: string;
  /** Default: tool. */
  readonly mode?: 'server' | 'tool';
  /** Milliseconds that a commit waits for company. Default 1: fewer, larger commits; 0: as soon as the writer is free. */
  readonly lingerMs?: number;
  readonly nowMs?: number;
  /** A store thread ended by itself: the process must not go on. */
  readonly onFatal?: (error: Error) => void;
}

export interface SqliteStore extends Store {
  /** Recipients whose lease a former process held. */
  readonly recovered: number;
}

const WRITES = {
  mail: ['accept', 'settle', 'release', 'claim', 'claimExpired', 'parkBucket', 'cancel', 'deleteContent', 'appendEvent', 'expire'],
  accounts: [
    'createAccount',
    'createKey',
    'deleteKey',
    'createDomain',
    'setDomainState',
    'putCredential',
    'deleteCredential',
    'createDkimKey',
    'setDkimKeyState',
    'putSuppression',
    'deleteSuppression',
    'settingOnce',
  ],
  templates: ['putVersion', 'deleteTemplate'],
  events: [],
  sandbox: ['capture', 'clear'],
} as const;

const READS = {
  mail: ['dueBuckets', 'nextDueAtMs', 'content'],
  accounts: [
    'listAccounts',
    'accountById',
    'keyBySecretHash',
    'listKeys',
    'domainByName',
    'domainById',
    'listDomains',
    'credentialByLogin',
    'listCredentials',
    'listDkimKeys',
    'suppressionOf',
    'listSuppressions',
    'setting',
  ],
  templates: ['version', 'listTemplates'],
  events: ['list', 'messageById', 'messageByMessageId', 'recipientsByAddress', 'latestMessages', 'queueByDomain', 'queueDepth'],
  sandbox: ['list', 'get'],
} as const;

/** Names that two families share; on the threads they stand under one name each. */
const THREAD_NAMES: Readonly<Record<string, string>> = {
  'sandbox.list': 'listCaptured',
  'sandbox.get': 'getCaptured',
  'sandbox.clear': 'clearCaptured',
};

export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  mkdirSync(dirname(options.path), { recursive: true });
  const isServer = options.mode === 'server';
  const lock = isServer ? lockStore(options.path) : undefined;
  const onFatal = options.onFatal ?? (() => undefined);
  const thread = (kind: 'writer' | 'reader' | 'checkpointer', lingerMs: number): Channel =>
    new Channel({ path: options.path, kind, isServer, nowMs: options.nowMs ?? Date.now() }, lingerMs, onFatal);
  const writer = thread('writer', isServer ? (options.lingerMs ?? 1) : 0);
  let recovered: number;
  try {
    recovered = (await writer.ready).recovered;
  } catch (error) {
    await writer.close().catch(() => undefined);
    lock?.release();
    throw error;
  }
  const reader = thread('reader', 0);
  const channels = [writer, reader];
  if (isServer) channels.push(thread('checkpointer', 0));
  await Promise.all(channels.map((channel) => channel.ready));
  const commits = watchCommits(writer, channels[2], options.path);
  const families = joinFamilies(writer, reader);
  return {
    ...families,
    recovered,
    health: () => commits.health(),
    async close() {
      commits.stop();
      for (const channel of channels.toReversed()) await channel.close();
      lock?.release();
    },
  };
}

function joinFamilies(writer: Channel, reader: Channel): Pick<Store, 'accounts' | 'templates' | 'mail' | 'events' | 'sandbox'> {
  const families: Record<string, Record<string, (...args: unknown[]) => Promise<unknown>>> = {};
  for (const [table, channel] of [
    [WRITES, writer],
    [READS, reader],
  ] as const) {
    for (const [family, names] of Object.entries(table)) {
      const methods = (families[family] ??= {});
      for (const name of names) {
        const threadName = THREAD_NAMES[`${family}.${name}`] ?? name;
        methods[name] = (...args) => channel.call(threadName, args);
      }
    }
  }
  const mail = families['mail'] as Record<string, (...args: unknown[]) => Promise<unknown>>;
  // A view on a larger buffer would be copied to the thread with all that surrounds it.
  mail['accept'] = (message: unknown) => {
    const { content } = message as { content: Uint8Array };
    const isWhole = content.buffer.byteLength === content.byteLength;
    return writer.call('accept', [isWhole ? message : { ...(message as object), content: new Uint8Array(content) }]);
  };
  return families as unknown as Pick<Store, 'accounts' | 'templates' | 'mail' | 'events' | 'sandbox'>;
}

const STUCK_MS = 10_000;
const SAMPLES = 512;
const PROBE_MS = 1000;
/** Space that is left for settling what was accepted: new mail is refused below the smaller of the two. */
const SPACE_KEPT_BYTES = 64 * 1024 * 1024;
const SPACE_KEPT_SHARE = 0.05;

/** Keeps the write-ahead log short and knows how commits fare; after trouble it probes until the store can be written again. */
function watchCommits(writer: Channel, checkpointer: Channel | undefined, path: string) {
  const samples: number[] = [];
  let commits = 0;
  let isCheckpointing = false;
  let trouble: string | undefined;
  writer.onBatch = (ms) => {
    samples[commits++ % SAMPLES] = ms;
  };
  writer.onTrouble = (kind, message) => {
    trouble = `${kind}: ${message}`;
  };
  let isFull = false;
  const measureSpace = async (): Promise<void> => {
    const { bavail, blocks, bsize } = await statfs(dirname(path));
    isFull = bavail * bsize < Math.min(SPACE_KEPT_BYTES, blocks * bsize * SPACE_KEPT_SHARE);
  };
  const copyLog = async (): Promise<void> => {
    if (checkpointer === undefined || isCheckpointing || walBytes(path) < CHECKPOINT_AT_BYTES) return;
    isCheckpointing = true;
    try {
      await checkpointer.call('checkpoint', []);
      await writer.call('resetLog', []);
    } finally {
      isCheckpointing = false;
    }
  };
  const probe = async (): Promise<void> => {
    try {
      await writer.call('probe', []);
      trouble = undefined;
    } catch (error) {
      trouble = error instanceof Error ? error.message : String(error);
    }
  };
  const checkpointTimer = setInterval(() => {
    copyLog().catch((error: unknown) => {
      trouble = error instanceof Error ? error.message : String(error);
    });
  }, 250);
  const probeTimer = setInterval(() => {
    if (trouble !== undefined) void probe();
    measureSpace().catch((error: unknown) => {
      trouble = error instanceof Error ? error.message : String(error);
    });
  }, PROBE_MS);
  return {
    health() {
      const isStuck = writer.busyMs > STUCK_MS;
      const sorted = [...samples].sort((a, b) => a - b);
      return {
        isWritable: trouble === undefined && !isStuck && !isFull,
        isFull,
        trouble: isStuck ? 'a commit has taken more than 10 seconds' : trouble,
        commits,
        commitMsP99: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
      };
    },
    stop() {
      clearInterval(checkpointTimer);
      clearInterval(probeTimer);
    },
  };
}

export { StoreError };
