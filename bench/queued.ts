/**
 * What a deep queue costs: CPU per message, memory, and the time from start to first delivery, with few and with many recipients waiting.
 * The queue is filled through the API, as a customer would: batches of 1,000 recipients each, spread over many domains, scheduled for the day after
 * tomorrow, so that they are queued and not due while the same SMTP load as ever passes by them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './child.ts';
import type { LoadResult } from './drive.ts';
import type { ApiLoad } from './load-api.ts';
import { type Sample, arrival, measure } from './measure.ts';
import { Cluster, type StoreName } from './cluster.ts';
import type { Postrider, PostriderHome } from './postrider.ts';
import { heading, row } from './report.ts';
import { type WorkloadSize, smtpLoad } from './workloads.ts';

export interface QueuedBench {
  readonly directory: string;
  readonly sink: Child;
  readonly sinkPort: number;
  readonly generators: { readonly smtp: Child; readonly api: Child };
  readonly size: WorkloadSize;
  readonly queued: number;
  readonly store: StoreName;
}

const FEW = 1000;
const BATCH = 1000;
const DOMAINS = 2000;
const TWO_DAYS_MS = 2 * 86_400_000;
/** How far ahead the message is scheduled whose delivery ends the measurement of the start: long enough to stop in. */
const FIRST_DUE_MS = 20_000;

export async function benchQueued(bench: QueuedBench): Promise<void> {
  const { sink, sinkPort, size, queued } = bench;
  const cluster = await Cluster.make({ directory: bench.directory, sinkPort, sign: false, store: bench.store, nodes: 1 });
  const home = cluster.homes[0] as PostriderHome;
  const hasDatabase = cluster.database !== undefined;
  let ours = await home.start();
  const load = async (prefix: string): Promise<Sample> => {
    const argument = smtpLoad([ours.smtpPort], size, prefix);
    return await measure(cluster.serverOf([ours]), sink, { generator: bench.generators.smtp, argument, recipients: size.messages });
  };
  try {
    await fill(bench, ours, FEW, 'few-');
    await load('warm-');
    const few = await load('few-');
    const filled = await fill(bench, ours, queued - FEW, 'many-');
    process.stdout.write(`filled with ${queued}: ${rate(filled)} recipients/s accepted, p99 of a call ${filled.p99Ms.toFixed(1)} ms\n`);
    const many = await load('many-');
    const first = await startToFirstDelivery(bench, home, ours);
    ours = first.started;
    process.stdout.write(`start with ${queued} queued: ready after ${ms(ours.readyAfterMs)}, first delivery after ${ms(first.afterMs)}\n`);
    await load('warm-again-');
    const restarted = await load('restarted-');
    process.stdout.write(`\n${heading(hasDatabase)}`);
    process.stdout.write(row(`smtp unsigned, ${FEW} queued`, 'Postrider', [few], hasDatabase));
    process.stdout.write(row(`smtp unsigned, ${queued} queued`, 'Postrider', [many], hasDatabase));
    process.stdout.write(row('the same, started with them', 'Postrider', [restarted], hasDatabase));
    const times = (of: (sample: Sample) => number): string =>
      `${(of(many) / of(few)).toFixed(2)} × that of the short queue, ${(of(restarted) / of(few)).toFixed(2)} × after the restart\n`;
    process.stdout.write(`\nCPU per message: ${times(({ cpuPerThousand }) => cpuPerThousand)}`);
    if (hasDatabase) process.stdout.write(`the database's: ${times(({ databaseCpuPerThousand }) => databaseCpuPerThousand)}`);
  } finally {
    await ours.stop();
    await cluster.end();
  }
}

async function fill(bench: QueuedBench, ours: Postrider, recipients: number, prefix: string): Promise<LoadResult> {
  const argument: ApiLoad = {
    ports: [ours.api.port],
    key: ours.api.key,
    calls: Math.ceil(recipients / BATCH),
    connections: 4,
    sizeBytes: bench.size.sizeBytes,
    prefix,
    form: 'multipart',
    recipientsPerCall: BATCH,
    deliveryTime: new Date(Date.now() + TWO_DAYS_MS).toUTCString(),
    domains: DOMAINS,
  };
  return await bench.generators.api.ask<LoadResult>('run', argument);
}

/** Schedules one message, stops, waits until it is due, starts: from then to its arrival at the sink. */
async function startToFirstDelivery(
  bench: QueuedBench,
  home: PostriderHome,
  running: Postrider,
): Promise<{ started: Postrider; afterMs: number }> {
  const dueAtMs = Date.now() + FIRST_DUE_MS;
  const argument: ApiLoad = {
    ports: [running.api.port],
    key: running.api.key,
    calls: 1,
    connections: 1,
    sizeBytes: bench.size.sizeBytes,
    prefix: 'first-',
    form: 'multipart',
    recipientsPerCall: 1,
    deliveryTime: new Date(dueAtMs).toUTCString(),
  };
  await bench.generators.api.ask('run', argument);
  await running.stop();
  await sleep(Math.max(0, dueAtMs - Date.now()));
  await bench.sink.ask('reset');
  const startedAtMs = performance.timeOrigin + performance.now();
  const arrived = arrival(bench.sink, 1);
  const started = await home.start();
  return { started, afterMs: (await arrived) - startedAtMs };
}

function rate(result: LoadResult): string {
  return Math.round(result.accepted / ((result.endedAtMs - result.startedAtMs) / 1000)).toLocaleString('en');
}

function ms(value: number): string {
  return `${Math.round(value).toLocaleString('en')} ms`;
}
