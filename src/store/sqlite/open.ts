/**
 * Opens the embedded store. A server takes the lock, recovers leases that a former process left, and keeps four threads: writer, reader, browser (a reader
 * for lists and tables that people look at, so that a long one holds up no delivery) and checkpointer. A tool (the command line beside or without a running server)
 * has a writer and a browser and leases nothing.
 */
import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type AcceptMessage, type NodeFacts, type NodeStore, type Settlement, StoreError, type Store } from '#store/store.ts';
import type { Fact, Reception } from '#store/fact-store.ts';
import { Channel } from './channel.ts';
import { packFact, packMessage, packReception, packSettlement } from './packed.ts';
import { lockStore } from './lock.ts';
import type { ThreadOptions } from './thread.ts';

export interface SqliteOptions {
  readonly path: string;
  /** Default: tool. */
  readonly mode?: 'server' | 'tool';
  /** Milliseconds that a commit waits for company. Default 1: fewer, larger commits; 0: as soon as the writer is free. */
  readonly lingerMs?: number;
  readonly nowMs?: number;
  /** What a server says of itself. */
  readonly node?: NodeFacts;
  /** A store thread ended by itself: the process must not go on. */
  readonly onFatal?: (error: Error) => void;
}

export interface SqliteStore extends Store {
  /** Recipients whose lease a former process held. */
  readonly recovered: number;
}

const WRITES = {
  mail: [
    'accept',
    'settle',
    'release',
    'claim',
    'claimExpired',
    'parkBucket',
    'clockSetBack',
    'deleteContent',
    'appendEvent',
    'expire',
    'moveScheduled',
    'cancelScheduled',
  ],
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
  domains: [
    'changeDomain',
    'setDnsAnswers',
    'claimDnsChecks',
    'deleteDomain',
    'purgeDomain',
    'setDkimKey',
    'deleteDkimKey',
    'putPool',
    'changePool',
    'deletePool',
    'lendPool',
  ],
  egress: [
    'startWarmUp',
    'putWarmUp',
    'endWarmUp',
    'putDynamicPools',
    'deleteDynamicPools',
    'enrolDomain',
    'moveDomain',
    'leaveDynamic',
    'claimEnrolled',
  ],
  access: [
    'createSubaccount',
    'changeAccount',
    'putSigningKey',
    'touchKey',
    'deleteKeysOfKind',
    'createUser',
    'setUserDisabled',
    'putNetwork',
    'deleteNetwork',
    'putAuthRecipient',
    'deleteAuthRecipient',
    'setCredentialDisabled',
    'deleteCredentials',
  ],
  templates: ['putVersion', 'deleteTemplate', 'createTemplate', 'describeTemplate', 'changeVersion', 'deleteVersion'],
  events: [],
  outbox: ['claim', 'claimOld', 'settle', 'park', 'replayPosts'],
  grants: ['hold', 'setLimits'],
  stats: ['describeTag', 'deleteTag'],
  webhooks: ['putWebhooks'],
  routes: ['createRoute', 'changeRoute', 'deleteRoute'],
  forwards: ['createForward', 'changeForward', 'deleteForward'],
  thresholds: ['createThreshold', 'changeThreshold', 'deleteThreshold', 'claimThresholds', 'recordHit'],
  suppressions: ['putSuppressions', 'clearSuppressions', 'removeUnsubscribeTag', 'putAllowed', 'deleteAllowed', 'clearAllowed'],
  imports: ['claimImport', 'advanceImport'],
  alerts: ['createAlert', 'changeAlert', 'deleteAlert', 'putAlertKey', 'putAlertPosts', 'claimAlertPosts', 'settleAlertPost'],
  certificates: [
    'wantCertificate',
    'hastenCertificate',
    'claimCertificate',
    'settleCertificate',
    'putAcmeKey',
    'takeOrder',
    'pauseOrders',
    'putChallenge',
    'deleteChallenge',
  ],
  validations: ['claimValidation', 'countValidated', 'advanceValidation', 'deleteValidation', 'purgeValidations'],
  lists: ['createList', 'changeList', 'deleteList', 'putMembers', 'changeMember', 'setSubscribed', 'deleteMember', 'clearMembers'],
  reports: ['putReport', 'expireReports'],
  sandbox: ['capture', 'clear'],
  nodes: ['beat', 'want', 'takeOver'],
} as const;

/** What mail that is on its way asks. */
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
  lists: ['listByAddress', 'listDomains'],
  routes: ['listRoutes'],
  forwards: ['listForwards'],
  certificates: ['certificateOf', 'acmeKey', 'challengeAnswer'],
  events: ['recipientById'],
  access: ['accountFacts', 'listSubaccounts', 'signingKey', 'userById', 'listUsers', 'networksOf', 'authRecipients'],
  domains: ['listPools', 'poolById', 'poolLentTo'],
  egress: ['listWarmUps', 'dynamicPoolsOf', 'enrolledDomain'],
  templates: ['version', 'listTemplates', 'listVersions'],
  outbox: ['dueEndpoints', 'nextDueAtMs'],
  grants: ['limitsOf', 'usedOf'],
} as const;

/** What people and their programs look at. */
const BROWSES = {
  mail: ['listScheduled'],
  domains: ['deletedDomains', 'hasQueued', 'lentPools'],
  egress: ['givenSince', 'enrolledDomains', 'bandMoves', 'countBandMoves'],
  events: ['list', 'messageById', 'messageByMessageId', 'recipientsByAddress', 'latestMessages', 'queueByDomain', 'queueDepth'],
  suppressions: ['suppressionPage', 'suppressionsOfAddress', 'allowedOf', 'allowedPage'],
  imports: ['importBytes', 'importOf', 'listImports'],
  alerts: ['listAlerts', 'alertKey'],
  validations: ['validationBytes', 'validationOf', 'validationPage', 'countValidations', 'validationResults'],
  lists: ['listPage', 'listsFrom', 'countLists', 'memberOf', 'memberPage', 'membersFrom', 'countMembers'],
  outbox: ['depth', 'listPosts', 'postEndpoints'],
  stats: ['sums', 'tags', 'accountTags', 'countTags'],
  webhooks: ['webhooksOf'],
  routes: ['routeOf', 'countRoutes'],
  forwards: ['forwardOf', 'countForwards'],
  thresholds: ['listThresholds', 'listHits', 'activeHits'],
  reports: ['reportPage', 'reportRows', 'dmarcSums', 'reporterSums'],
  sandbox: ['list', 'get'],
  nodes: ['list'],
} as const;

/** Names that two families share; on the threads they stand under one name each. */
const THREAD_NAMES: Readonly<Record<string, string>> = {
  'outbox.claim': 'claimEntries',
  'outbox.claimOld': 'claimOldEntries',
  'outbox.settle': 'settleEntry',
  'outbox.park': 'parkEndpoint',
  'outbox.nextDueAtMs': 'nextEntryAtMs',
  'outbox.depth': 'outboxDepth',
  'sandbox.list': 'listCaptured',
  'sandbox.get': 'getCaptured',
  'sandbox.clear': 'clearCaptured',
  'nodes.list': 'listNodes',
  'lists.listDomains': 'domainsOfLists',
};

/** A server that was told nothing of itself. */
const NAMELESS: NodeFacts = { name: '', version: '', services: ['accept', 'deliver', 'webhooks', 'web'], sources: [] };

export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  mkdirSync(dirname(options.path), { recursive: true });
  const isServer = options.mode === 'server';
  const lock = isServer ? lockStore(options.path) : undefined;
  const channels: Channel[] = [];
  const thread = (kind: ThreadOptions['kind'], lingerMs = 0): Channel => {
    const channel = new Channel(
      { path: options.path, kind, isServer, nowMs: options.nowMs ?? Date.now(), node: options.node ?? NAMELESS },
      lingerMs,
      options.onFatal ?? (() => undefined),
    );
    channels.push(channel);
    return channel;
  };
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // In the order of their making, so that the checkpointer goes last (checkpoint.ts says why); the last connection copies the log.
    for (const channel of channels) await channel.close();
    lock?.release();
  };
  try {
    const writer = thread('writer', isServer ? (options.lingerMs ?? 1) : 0);
    // It makes the schema; the others read it.
    const { node, recovered } = await writer.ready;
    const browser = thread('reader');
    const reader = isServer ? thread('reader') : browser;
    const checkpointer = isServer ? thread('checkpointer') : undefined;
    await Promise.all(channels.map((channel) => channel.ready));
    const commits = watchCommits(writer, checkpointer, options.path);
    const families = joinFamilies(writer, reader, browser, commits);
    return {
      ...families,
      nodes: { ...families.nodes, id: node },
      recovered,
      onBell: () => undefined,
      health: () => commits.health(),
      close() {
        commits.stop();
        return (closing ??= close());
      },
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

type Families = Pick<
  Store,
  | 'accounts'
  | 'access'
  | 'domains'
  | 'egress'
  | 'templates'
  | 'mail'
  | 'events'
  | 'outbox'
  | 'grants'
  | 'stats'
  | 'webhooks'
  | 'routes'
  | 'forwards'
  | 'thresholds'
  | 'suppressions'
  | 'imports'
  | 'validations'
  | 'alerts'
  | 'certificates'
  | 'lists'
  | 'reports'
  | 'sandbox'
> & {
  readonly nodes: Omit<NodeStore, 'id'>;
};

function joinFamilies(writer: Channel, reader: Channel, browser: Channel, commits: { readonly isFull: boolean }): Families {
  const families: Record<string, Record<string, (...args: unknown[]) => Promise<unknown>>> = {};
  for (const [table, channel] of [
    [WRITES, writer],
    [READS, reader],
    [BROWSES, browser],
  ] as const) {
    for (const [family, names] of Object.entries(table)) {
      const methods = (families[family] ??= {});
      for (const name of names) {
        const threadName = THREAD_NAMES[`${family}.${name}`] ?? name;
        methods[name] = (...args) => channel.call(threadName, args);
      }
    }
  }
  const needSpace = (): void => {
    if (commits.isFull) throw new StoreError('full', 'space is short: what is left is for mail that was accepted before');
  };
  const mail = families['mail'] as Record<string, (...args: unknown[]) => Promise<unknown>>;
  mail['accept'] = async (given: unknown) => {
    needSpace();
    const message = given as AcceptMessage;
    return writer.call('accept', packMessage(message), message.content);
  };
  const imports = families['imports'] as typeof mail;
  imports['createImport'] = async (job, openMax, keepFromMs, bytes) => {
    needSpace();
    return writer.call('createImport', [job, openMax, keepFromMs], bytes as Uint8Array);
  };
  mail['receive'] = async (given: unknown) => {
    needSpace();
    const reception = given as Reception;
    return writer.call('receive', [packReception(reception)], reception.message.content);
  };
  mail['record'] = async (fact: unknown) => writer.call('record', packFact(fact as Fact));
  const validations = families['validations'] as typeof mail;
  validations['createValidation'] = async (job, openMax, keepFromMs, bytes) => {
    if (commits.isFull) throw new StoreError('full', 'space is short: what is left is for mail that was accepted before');
    return writer.call('createValidation', [job, openMax, keepFromMs], bytes as Uint8Array);
  };
  mail['settle'] = async (settlement: unknown) => writer.call('settle', packSettlement(settlement as Settlement));
  mail['cancel'] = async (accountId, domainId, message, nowMs) =>
    message === undefined
      ? cancelDomain(writer, browser, [accountId, domainId], nowMs)
      : writer.call('cancel', [accountId, domainId, message, nowMs]);
  return families as unknown as Families;
}

/** Recipients found in one search, and ended in one commit. */
const CANCEL_FOUND_MAX = 20_000;
const CANCEL_STEP = 2000;

/** In steps, so that a million take nobody else's turn: they are found beside the writer, which ends those that still wait when it comes to them. */
async function cancelDomain(writer: Channel, browser: Channel, tenant: readonly unknown[], nowMs: unknown): Promise<number> {
  let total = 0;
  for (;;) {
    const ids = await browser.call<number[]>('queuedOfDomain', [...tenant, CANCEL_FOUND_MAX]);
    if (ids.length === 0) return total;
    for (let start = 0; start < ids.length; start += CANCEL_STEP) {
      total += await writer.call<number>('cancelRecipients', [...tenant, ids.slice(start, start + CANCEL_STEP), nowMs]);
    }
  }
}

const STUCK_MS = 10_000;
const SAMPLES = 512;
const PROBE_MS = 1000;
const COPY_LOOK_MS = 250;
const COPY_RETRY_MS = 1000;
/**
 * Space that is left for settling what was accepted: new mail is refused below the smaller of the two. An outcome that is written alone adds some 60 KB to the log,
 * whose space is used again only after it was copied (checkpoint.ts): at 48 MiB, and up to 4 more while it is copied. The rest is for the database to grow. A disk
 * of less than 256 MiB keeps a quarter, which is less than one such round.
 */
const SPACE_KEPT_BYTES = 64 * 1024 * 1024;
const SPACE_KEPT_SHARE = 0.25;

/** Keeps the write-ahead log short and knows how commits fare; after trouble it probes until the store can be written again. */
function watchCommits(writer: Channel, checkpointer: Channel | undefined, path: string) {
  const samples: number[] = [];
  let commits = 0;
  let trouble: string | undefined;
  /** Why the log cannot be copied: it grows, but mail is taken as long as there is space. */
  let logTrouble: string | undefined;
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
  let isCheckpointing = false;
  let copyAfterMs = 0;
  const copyLog = async (): Promise<void> => {
    if (checkpointer === undefined || isCheckpointing || performance.now() < copyAfterMs) return;
    isCheckpointing = true;
    try {
      if (await checkpointer.call<boolean>('copyLog', [])) await writer.call('resetLog', []);
    } finally {
      isCheckpointing = false;
    }
  };
  const copyFailed = (failure: string | undefined): void => {
    logTrouble = failure;
    // Each attempt copies all of it: a disk that fails is not to be kept busy with that.
    if (failure !== undefined) copyAfterMs = performance.now() + COPY_RETRY_MS;
  };
  writer.onLog = copyFailed;
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
      copyFailed(error instanceof Error ? error.message : String(error));
    });
  }, COPY_LOOK_MS);
  const probeTimer = setInterval(() => {
    if (trouble !== undefined) void probe();
    measureSpace().catch((error: unknown) => {
      trouble = error instanceof Error ? error.message : String(error);
    });
  }, PROBE_MS);
  return {
    get isFull() {
      return isFull;
    },
    health() {
      const isStuck = writer.busyMs > STUCK_MS;
      return {
        isWritable: trouble === undefined && !isStuck && !isFull,
        isFull,
        trouble: isStuck ? 'a commit has taken more than 10 seconds' : (trouble ?? logTrouble),
        commits,
        // Asked for each message accepted; the sorting is only done for who reads the figure.
        get commitMsP99() {
          const sorted = [...samples].sort((a, b) => a - b);
          return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
        },
      };
    },
    stop() {
      clearInterval(checkpointTimer);
      clearInterval(probeTimer);
    },
  };
}
