/**
 * The body of a store thread. Three kinds run: one `writer` (group commit), two `reader`s, one `checkpointer`.
 * A batch of calls comes in one message and goes back in one. The writer's batch is one transaction: when it cannot be committed nothing of it stands,
 * and every call of it is answered with the trouble. A call that fails by itself (a bug) is found by running the batch's calls one by one.
 * After an I/O error the connection is closed and opened anew before the next batch: what a failed sync left in the cache is not trusted.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { leftBehind } from '#base/large.ts';
import { StoreError } from '#store/store.ts';
import { accessTables } from './access.ts';
import { accountTables } from './accounts.ts';
import { alertTables } from './alerts.ts';
import { certificateTables } from './certificates.ts';
import { copyRest, LogCopier } from './checkpoint.ts';
import { Database, migrate, troubleOf } from './database.ts';
import type { NodeFacts } from '#store/store.ts';
import { domainTables } from './domains.ts';
import { egressTables } from './egress.ts';
import { eventTables } from './events.ts';
import { grantTables } from './grants.ts';
import { endFormerNodes, endNode, nodeTable, registerNode } from './nodes.ts';
import { listTables } from './lists.ts';
import { outboxTable } from './outbox.ts';
import { reportTables } from './reports.ts';
import { Retention } from './retention.ts';
import { forwardTables } from './forwards.ts';
import { routeTables, thresholdTables, webhookTables } from './rules.ts';
import { sandboxTables } from './sandbox.ts';
import type { ScheduledPosition } from '#store/scheduled-store.ts';
import { listScheduled } from './scheduled.ts';
import { statsTables } from './stats.ts';
import { importTables, suppressionTables } from './suppressions.ts';
import { templateTables } from './templates.ts';
import { validationTables } from './validations.ts';
import { dueBuckets, nextDueAtMs, queuedOfDomain } from './queue-reads.ts';
import { MailWriter } from './write-mail.ts';

export interface ThreadOptions {
  readonly path: string;
  readonly kind: 'writer' | 'reader' | 'checkpointer';
  /** A server leases recipients and recovers a former process's; a tool does neither. */
  readonly isServer: boolean;
  readonly nowMs: number;
  readonly node: NodeFacts;
}

/** `start` and `end`: where the call's content stands in the batch's; it becomes the last argument. */
export type Call = readonly [name: string, args: readonly unknown[], start?: number, end?: number];
export interface Batch {
  readonly calls: readonly Call[];
  readonly contents: ArrayBuffer;
  /** Of large contents, which stand in shared memory among the arguments. */
  readonly sharedBytes: number;
}
export type Answer = readonly [ok: true, value: unknown] | readonly [ok: false, trouble: string | undefined, message: string];

/** What came of copying the rest of the log, beside the answers. */
export interface LogReport {
  readonly logTrouble: string | undefined;
}

type Method = (...args: never[]) => unknown;

const port = parentPort;
if (port === null) throw new Error('thread.ts runs as a worker thread');
const options = workerData as ThreadOptions;

let db: Database | undefined;
let mail: MailWriter | undefined;
let retention: Retention | undefined;
let methods: Record<string, Method> = {};
let node = 0;
/** The checkpointer's own, for syncing. */
let file: number | undefined;
const NO_CONTENTS = new ArrayBuffer(0);
/** Of the batch in work. */
let contents = NO_CONTENTS;
let isLogToBeReset = false;

function open(): Database {
  const opened = new Database(options.path, options.kind === 'reader' ? 'read' : 'write');
  db = opened;
  if (options.kind === 'writer') {
    migrate(opened);
    const writer = new MailWriter(opened, node);
    mail = writer;
    methods = writerMethods(opened, writer);
  } else if (options.kind === 'reader') {
    methods = readerMethods(opened);
  } else {
    file ??= LogCopier.openFile(options.path);
    const copier = new LogCopier(opened, file);
    methods = { copyLog: () => copier.copyLog() };
  }
  return opened;
}

function writerMethods(opened: Database, writer: MailWriter): Record<string, Method> {
  const bound: Record<string, Method> = {};
  for (const name of [
    'accept',
    'receive',
    'record',
    'settle',
    'release',
    'claim',
    'claimExpired',
    'parkBucket',
    'clockSetBack',
    'cancel',
    'cancelRecipients',
    'moveScheduled',
    'cancelScheduled',
    'appendEvent',
  ] as const) {
    bound[name] = writer[name].bind(writer) as Method;
  }
  const kept = new Retention(opened);
  retention = kept;
  return {
    ...bound,
    ...webhookTables(opened),
    ...routeTables(opened),
    ...forwardTables(opened),
    ...thresholdTables(opened),
    ...accountTables(opened),
    ...accessTables(opened),
    ...domainTables(opened),
    ...egressTables(opened),
    ...templateTables(opened),
    ...grantTables(opened),
    ...statsTables(opened, () => writer.tagGoes()),
    ...suppressionTables(opened),
    ...importTables(opened),
    ...validationTables(opened),
    ...alertTables(opened),
    ...certificateTables(opened),
    ...reportTables(opened),
    ...listMethods(opened),
    ...sandboxMethods(opened),
    ...nodeMethods(opened),
    ...outboxMethods(opened),
    deleteContent: kept.deleteContent.bind(kept) as Method,
    expire: kept.expire.bind(kept) as Method,
    // After the commit: a checkpoint cannot run inside a transaction.
    resetLog: () => {
      isLogToBeReset = true;
    },
    probe: () => opened.run("INSERT INTO setting (name, value) VALUES ('probe', '1') ON CONFLICT DO UPDATE SET value = value + 1"),
  };
}

function readerMethods(opened: Database): Record<string, Method> {
  return {
    ...webhookTables(opened),
    ...routeTables(opened),
    ...forwardTables(opened),
    ...thresholdTables(opened),
    ...accountTables(opened),
    ...accessTables(opened),
    ...domainTables(opened),
    ...egressTables(opened),
    ...templateTables(opened),
    ...grantTables(opened),
    ...statsTables(opened),
    ...suppressionTables(opened),
    ...importTables(opened),
    ...validationTables(opened),
    ...alertTables(opened),
    ...certificateTables(opened),
    ...reportTables(opened),
    ...listMethods(opened),
    ...sandboxMethods(opened),
    ...eventTables(opened),
    ...nodeMethods(opened),
    ...outboxMethods(opened),
    dueBuckets: (nowMs: number, limit: number) => dueBuckets(opened, nowMs, limit),
    nextDueAtMs: () => nextDueAtMs(opened),
    listScheduled: (domainIds: readonly number[], after: ScheduledPosition | undefined, limit: number) =>
      listScheduled(opened, domainIds, after, limit),
    queuedOfDomain: (accountId: number, domainId: number, limit: number) => queuedOfDomain(opened, accountId, domainId, limit),
    content: (id: number) => opened.get('SELECT bytes FROM content WHERE id = ?', id)?.['bytes'],
  };
}

/** `list`, `get` and `clear` are names of several families; here each has one of its own. */
function sandboxMethods(opened: Database): Record<string, Method> {
  const { capture, list, get, clear } = sandboxTables(opened);
  return { capture, listCaptured: list, getCaptured: get, clearCaptured: clear };
}

/** As with the accounts' own `listDomains`. */
function listMethods(opened: Database): Record<string, Method> {
  const { listDomains: domainsOfLists, ...rest } = listTables(opened);
  return { ...rest, domainsOfLists };
}

function nodeMethods(opened: Database): Record<string, Method> {
  const { beat, list, want, takeOver } = nodeTable(opened, node);
  return { beat, listNodes: list, want, takeOver };
}

function outboxMethods(opened: Database): Record<string, Method> {
  const tables = outboxTable(opened);
  const { dueEndpoints, claim, claimOld, settle, park, nextDueAtMs: nextEntryAtMs, depth } = tables;
  const { listPosts, replayPosts, postEndpoints } = tables;
  return {
    dueEndpoints,
    claimEntries: claim,
    claimOldEntries: claimOld,
    settleEntry: settle,
    parkEndpoint: park,
    nextEntryAtMs,
    outboxDepth: depth,
    listPosts,
    replayPosts,
    postEndpoints,
  };
}

const failure = (error: unknown): Answer => [
  false,
  error instanceof StoreError ? error.kind : troubleOf(error),
  error instanceof Error ? error.message : String(error),
];

function invoke([name, args, start, end]: Call): unknown {
  const method = methods[name];
  if (method === undefined) throw new Error(`the ${options.kind} has no ${name}`);
  if (start === undefined || end === undefined) return method(...(args as never[]));
  return method(...(args as never[]), new Uint8Array(contents, start, end - start) as never);
}

function rollBack(): void {
  mail?.forget();
  retention?.forget();
  try {
    db?.exec('ROLLBACK');
  } catch {
    // SQLite rolled back by itself when it met the error
  }
}

function transaction(calls: readonly Call[]): Answer[] {
  const opened = db ?? open();
  opened.exec('BEGIN IMMEDIATE');
  const answers = calls.map((call): Answer => [true, invoke(call)]);
  mail?.flushCounters();
  opened.exec('COMMIT');
  return answers;
}

/** Between two transactions, after the answers went out. Trouble here is not the committed calls': it is told apart from them. */
function resetLog(): LogReport | undefined {
  if (!isLogToBeReset || db === undefined) return undefined;
  isLogToBeReset = false;
  try {
    copyRest(db);
    return { logTrouble: undefined };
  } catch (error) {
    if (troubleOf(error) === 'io') reopenLater();
    return { logTrouble: error instanceof Error ? error.message : String(error) };
  }
}

function write(calls: readonly Call[]): Answer[] {
  try {
    return transaction(calls);
  } catch (error) {
    rollBack();
    const trouble = troubleOf(error);
    if (trouble === 'io') {
      reopenLater();
      return calls.map(() => failure(error));
    }
    if (calls.length === 1 || trouble === 'busy') return calls.map(() => failure(error));
    // One call is at fault, or is too big for the space that is left: the others are not to suffer for it.
    return calls.flatMap((call) => write([call]));
  }
}

function reopenLater(): void {
  try {
    db?.close();
  } catch {
    // the connection is beyond closing; a new one is opened either way
  }
  db = undefined;
}

function read(calls: readonly Call[]): Answer[] {
  return calls.map((call): Answer => {
    try {
      if (db === undefined) open();
      return [true, invoke(call)];
    } catch (error) {
      if (troubleOf(error) === 'io') reopenLater();
      return failure(error);
    }
  });
}

/** Contents leave by transfer, not by copy. */
function transferable(answers: readonly Answer[]): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = [];
  for (const [ok, value] of answers) {
    if (ok && value instanceof Uint8Array && value.buffer instanceof ArrayBuffer) buffers.push(value.buffer);
  }
  return buffers;
}

/** Where it cannot be written, the next start counts this node among the lost. */
function signOff(): void {
  if (node === 0 || db === undefined) return;
  try {
    endNode(db, node, Date.now());
  } catch (error) {
    if (troubleOf(error) === undefined) throw error;
  }
}

port.on('message', (batch: Batch | 'close') => {
  if (batch === 'close') {
    try {
      signOff();
      db?.close();
    } finally {
      port.close();
    }
    return;
  }
  contents = batch.contents;
  const answers = options.kind === 'writer' ? write(batch.calls) : read(batch.calls);
  contents = NO_CONTENTS;
  // This thread makes so little garbage that its collector would leave many batches of contents standing.
  batch.contents.transfer(0);
  leftBehind(batch.sharedBytes);
  port.postMessage(answers, transferable(answers));
  const report = resetLog();
  if (report !== undefined) port.postMessage(report);
});

function start(): { node: number; recovered: number } {
  const opened = open();
  if (options.kind !== 'writer' || !options.isServer) return { node: 0, recovered: 0 };
  opened.exec('BEGIN IMMEDIATE');
  node = registerNode(opened, options.node, options.nowMs);
  endFormerNodes(opened, node, options.nowMs);
  mail = new MailWriter(opened, node);
  methods = writerMethods(opened, mail);
  mail.followClock(options.nowMs);
  const recovered = mail.recoverLeases(options.nowMs);
  opened.exec('COMMIT');
  return { node, recovered };
}

try {
  port.postMessage([[true, start()]] satisfies Answer[]);
} catch (error) {
  port.postMessage([failure(error)] satisfies Answer[]);
}
