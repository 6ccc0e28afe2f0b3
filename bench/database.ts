/**
 * What a message costs the database: processor, write-ahead log, rows, commits, disk, connections; and what the same message costs a node. The figures of docs/scaling.md.
 *
 *   node bin/pinned-node.js bench/database.ts                    prints them (about three minutes)
 *   node bin/pinned-node.js bench/database.ts --save             and keeps them in bench/costs.json, which bench/plan.ts reckons with
 *   node bin/pinned-node.js bench/database.ts --messages 20000   more of them, for steadier figures
 *
 * Each workload gets a PostgreSQL of its own, with commits that wait for the disk, and one node; what is counted begins after a warm-up and a checkpoint and ends when
 * PostgreSQL's own statistics are complete. Autovacuum runs as it does by default.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Database } from '#store/postgres/database.ts';
import { Partitions } from '#store/postgres/partitions.ts';
import { Retention } from '#store/postgres/retention.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { Server as PostgresServer } from '#store/postgres/server.ts';
import { Child } from './child.ts';
import { Cluster } from './cluster.ts';
import { type Counts, type TableCounts, countsBetween, readCounts } from './database-counts.ts';
import { type Sample, measure } from './measure.ts';
import { usage } from './processes.ts';
import type { Costs } from './plan-arithmetic.ts';
import { machine } from './report.ts';
import type { Server } from './server.ts';
import { WORKLOADS, type Workload, apiLoad, recipientsOf, smtpLoad } from './workloads.ts';

const { values: options } = parseArgs({
  options: { messages: { type: 'string', default: '6000' }, save: { type: 'boolean', default: false } },
});
const MESSAGES = Number(options.messages);
const CONNECTIONS = 20;
/** Sessions that have nothing to do hand their statistics in after ten seconds (PGSTAT_IDLE_INTERVAL of PostgreSQL). */
const STATISTICS_MS = 12_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const IN_FORTY_DAYS_MS = 40 * DAY_MS;
/** As many as a node's retention takes away at once. */
const STEP = 500;
const SMALL = 10_240;
const LARGE = 51_200;

interface Run {
  readonly name: string;
  readonly workload: string;
  readonly sizeBytes: number;
}

const RUNS: readonly Run[] = [
  { name: '10 KB by SMTP', workload: 'smtp unsigned', sizeBytes: SMALL },
  { name: '50 KB by SMTP', workload: 'smtp unsigned', sizeBytes: LARGE },
  { name: '10 KB by SMTP, signed', workload: 'smtp signed', sizeBytes: SMALL },
  { name: '10 KB by the API', workload: 'api unsigned', sizeBytes: SMALL },
  { name: '1,000 recipients in a call', workload: 'batch unsigned', sizeBytes: SMALL },
];

interface Result {
  readonly run: Run;
  readonly recipients: number;
  readonly sample: Sample;
  readonly counts: Counts;
  readonly retired: Retired;
}

/** What it costs the database, for each message, to take away what is over its time. */
interface Retired {
  readonly cpuMs: number;
  readonly walBytes: number;
}

const results = join(import.meta.dirname, 'results');
mkdirSync(results, { recursive: true });
const sink = new Child(join(import.meta.dirname, 'sink.ts'));
const generators = { smtp: new Child(join(import.meta.dirname, 'load-smtp.ts')), api: new Child(join(import.meta.dirname, 'load-api.ts')) };
try {
  const sinkPort = await sink.ask<number>('start', { chunking: true });
  const measured: Result[] = [];
  for (const run of RUNS) measured.push(await once(run, sinkPort));
  const version = measured[0]?.counts.version ?? '';
  process.stdout.write(`${machine()}, PostgreSQL ${version}; ${MESSAGES} messages a run, ${CONNECTIONS} connections\n\n`);
  process.stdout.write(`${costsTable(measured)}\n${rowsTable(measured[0] as Result)}\n`);
  const costs = costsOf(measured);
  process.stdout.write(`${JSON.stringify(costs, undefined, 2)}\n`);
  if (options.save) {
    const kept = { measuredOn: `${machine()}, PostgreSQL ${version}, ${new Date().toISOString().slice(0, 10)}`, messages: MESSAGES, costs };
    writeFileSync(
      join(import.meta.dirname, 'costs.json'),
      `${JSON.stringify({ ...kept, tables: [costsTable(measured), rowsTable(measured[0] as Result)] }, undefined, 2)}\n`,
    );
  }
} finally {
  sink.stop();
  generators.smtp.stop();
  generators.api.stop();
}

async function once(run: Run, sinkPort: number): Promise<Result> {
  const directory = mkdtempSync(join(results, 'database-'));
  chmodSync(directory, 0o755);
  const workload = WORKLOADS.find(({ name }) => name === run.workload) as Workload;
  const cluster = await Cluster.make({ directory, sinkPort, sign: workload.sign, store: 'postgres', nodes: 1 });
  let server: Server | undefined;
  try {
    const started = await cluster.start();
    server = started;
    const load = (messages: number, prefix: string): Parameters<typeof measure>[2] => {
      const size = { messages, connections: CONNECTIONS, sizeBytes: run.sizeBytes };
      const recipients = recipientsOf(workload, size);
      if (workload.door === 'smtp') return { generator: generators.smtp, argument: smtpLoad(started.smtpPorts, size, prefix), recipients };
      return {
        generator: generators.api,
        argument: apiLoad(started.api as NonNullable<Server['api']>, workload, size, prefix),
        recipients,
      };
    };
    await measure(started, sink, load(Math.ceil(MESSAGES / 5), 'warm-'));
    const ask = (text: string): Promise<Record<string, unknown>[]> => (started.database as NonNullable<Server['database']>).sql(text);
    await sleep(STATISTICS_MS);
    await ask('CHECKPOINT');
    const before = await readCounts(ask);
    const measuring = load(MESSAGES, 'measured-');
    const sample = await measure(started, sink, measuring);
    await sleep(STATISTICS_MS);
    const after = await readCounts(ask);
    const retired = await retire(started.database as NonNullable<Server['database']>, after);
    process.stderr.write(`${run.name}: done\n`);
    return { run, recipients: measuring.recipients, sample, counts: countsBetween(before, after), retired };
  } finally {
    await (server === undefined ? cluster.end() : server.stop());
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** As a node does it, for a day in the future, of everything that there is. Days go as a whole, as large ones do. */
async function retire(database: NonNullable<Server['database']>, { tables }: Counts): Promise<Retired> {
  const place = storePlace(database.url) as PostgresPlace;
  const db = new Database(new PostgresServer(place), 2);
  const read = async (): Promise<readonly [cpuSeconds: number, walBytes: number]> => {
    const { userSeconds, systemSeconds } = usage(database.pid);
    return [userSeconds + systemSeconds, await database.walBytes()];
  };
  try {
    const retention = new Retention(db, new Partitions(db), 0);
    const before = await read();
    // What had to stay is looked at again within the hour: three hours in which nothing went are the end.
    for (let nowMs = Date.now() + IN_FORTY_DAYS_MS, quiet = 0; quiet < 3;) {
      const gone = await retention.expire(nowMs, STEP, DAY_MS);
      quiet = gone === 0 ? quiet + 1 : 0;
      if (gone === 0) nowMs += HOUR_MS;
    }
    const after = await read();
    const [left] = await database.sql('SELECT count(*)::int AS n FROM recipient');
    if (left?.['n'] !== 0) throw new Error(`${String(left?.['n'])} recipients were not taken away`);
    const messages = tables.find(({ name }) => name === 'recipient')?.inserted ?? 0;
    return { cpuMs: ((after[0] - before[0]) * 1000) / messages, walBytes: (after[1] - before[1]) / messages };
  } finally {
    await db.close();
  }
}

/** What plan.ts reckons with. */
function costsOf(measured: readonly Result[]): Costs {
  const [small, large, signed] = measured as [Result, Result, Result];
  const perMessage = (result: Result, of: (counts: Counts) => number): number => of(result.counts) / result.recipients;
  const bytes = (result: Result): number => result.sample.walKbPerMessage * 1024;
  const step = LARGE - SMALL;
  /** What grows with the content, and what is left without one. */
  const byKb = (of: (sample: Sample) => number): readonly [fixed: number, perKb: number] => {
    const perKb = Math.max(0, ((of(large.sample) - of(small.sample)) / step) * 1000);
    return [round(of(small.sample) - (perKb * SMALL) / 1000, 3), round(perKb, 4)];
  };
  const [nodeCpuMs, nodeCpuMsPerKb] = byKb(({ cpuPerThousand }) => cpuPerThousand);
  const [databaseCpuMs, databaseCpuMsPerKb] = byKb(({ databaseCpuPerThousand }) => databaseCpuPerThousand);
  const walPerContentByte = (bytes(large) - bytes(small)) / step;
  const contentPerByte = (perMessage(large, contentBytes) - perMessage(small, contentBytes)) / step;
  return {
    nodeCpuMs,
    nodeCpuMsPerKb,
    signingCpuMs: round(signed.sample.cpuPerThousand - small.sample.cpuPerThousand, 3),
    databaseCpuMs,
    databaseCpuMsPerKb,
    walBytes: Math.round(bytes(small) - walPerContentByte * SMALL),
    walPerContentByte: round(walPerContentByte, 3),
    retireCpuMs: round(small.retired.cpuMs, 3),
    retireWalBytes: Math.round(small.retired.walBytes),
    contentPerByte: round(contentPerByte, 3),
    contentBytes: Math.max(0, Math.round(perMessage(small, contentBytes) - contentPerByte * SMALL)),
    rowBytes: Math.round(perMessage(small, (counts) => allBytes(counts) - contentBytes(counts))),
    addressIndexBytes: Math.round(perMessage(small, (counts) => counts.addressIndexBytes)),
    connectionsPerNode: Math.max(...measured.map(({ counts }) => counts.connections)),
  };
}

function contentBytes({ tables }: Counts): number {
  return tables.filter(({ name }) => name === 'content').reduce(sumOfBytes, 0);
}

function allBytes({ tables }: Counts): number {
  return tables.reduce(sumOfBytes, 0);
}

function sumOfBytes(sum: number, { tableBytes, indexBytes }: TableCounts): number {
  return sum + tableBytes + indexBytes;
}

function costsTable(measured: readonly Result[]): string {
  const columns: readonly (readonly [title: string, of: (result: Result) => string])[] = [
    ['node, CPU-ms', ({ sample }) => sample.cpuPerThousand.toFixed(3)],
    ['PostgreSQL, CPU-ms', ({ sample }) => sample.databaseCpuPerThousand.toFixed(3)],
    ['WAL, KB', ({ sample }) => sample.walKbPerMessage.toFixed(2)],
    ['WAL records', (result) => each(result, ({ walRecords }) => walRecords)],
    ['whole pages in it', (result) => each(result, ({ walPages }) => walPages)],
    ['commits', (result) => each(result, ({ commits }) => commits)],
    ['rows written', (result) => each(result, ({ rowsWritten }) => rowsWritten)],
    ['disk, KB', (result) => (allBytes(result.counts) / 1024 / result.recipients).toFixed(2)],
    ['later, to take it away: CPU-ms', ({ retired }) => retired.cpuMs.toFixed(3)],
    ['and WAL, KB', ({ retired }) => (retired.walBytes / 1024).toFixed(2)],
    ['connections', ({ counts }) => String(counts.connections)],
    ['end to end/s', ({ sample }) => sample.endToEndPerSecond.toFixed(0)],
  ];
  return [
    `| for each message | ${columns.map(([title]) => title).join(' | ')} |`,
    `|${'---|'.repeat(columns.length + 1)}`,
    ...measured.map((result) => `| ${result.run.name} | ${columns.map(([, of]) => of(result)).join(' | ')} |`),
    '',
  ].join('\n');
}

/** By table, of the first run. */
function rowsTable(result: Result): string {
  const { counts, recipients } = result;
  const per = (value: number, digits: number): string => (value / recipients).toFixed(digits);
  return [
    `| ${result.run.name}: for each message | inserted | updated | of these in place (HOT) | deleted | table, bytes | indexes, bytes |`,
    '|---|---|---|---|---|---|---|',
    ...counts.tables
      .filter((table) => table.inserted + table.updated + table.deleted > recipients / 1000)
      .map(
        (table) =>
          `| ${table.name} | ${per(table.inserted, 2)} | ${per(table.updated, 3)} | ${per(table.inPlace, 3)} | ${per(table.deleted, 2)} | ` +
          `${per(table.tableBytes, 0)} | ${per(table.indexBytes, 0)} |`,
      ),
    '',
  ].join('\n');
}

function each({ counts, recipients }: Result, of: (counts: Counts) => number): string {
  return (of(counts) / recipients).toFixed(3);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
