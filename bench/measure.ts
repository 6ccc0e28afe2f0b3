/** One measured run: a warmed-up server takes a load and delivers all of it to the sink; what its processes used meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './child.ts';
import type { LoadResult } from './drive.ts';
import { type Usage, usage } from './processes.ts';
import type { Server } from './server.ts';
import type { SinkCounts } from './sink.ts';

export interface Sample {
  readonly cpuPerThousand: number;
  readonly userPerThousand: number;
  readonly systemPerThousand: number;
  readonly acceptPerSecond: number;
  readonly endToEndPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly peakRssMb: number;
  readonly peakPssMb: number;
  /** Of the database server, when there is one: not in the figures above. */
  readonly databaseCpuPerThousand: number;
  readonly databasePssMb: number;
  readonly walKbPerMessage: number;
  /** Generator and sink together. */
  readonly harnessCpuPerThousand: number;
  /** Deliveries beyond those that were accepted. */
  readonly surplus: number;
}

/** How a load is asked for. */
export interface LoadRequest {
  readonly generator: Child;
  readonly argument: unknown;
  /** Recipients that will arrive at the sink. */
  readonly recipients: number;
}

/** After the last delivery: what the server still writes about it belongs to it. */
const SETTLE_MS = 500;
const SAMPLE_EVERY_MS = 1000;
/** A run without any progress for so long has failed. */
const STUCK_AFTER_MS = 60_000;

const NOTHING: Usage = { userSeconds: 0, systemSeconds: 0, peakRssBytes: 0, pssBytes: 0 };

/** What is measured of a server. */
export type Measured = Pick<Server, 'pids' | 'database'>;

/** `server` undefined: the load goes straight to the sink (the floor of the harness itself). */
export async function measure(server: Measured | undefined, sink: Child, load: LoadRequest): Promise<Sample> {
  await sink.ask('reset');
  const database = server?.database;
  const read = (): Usage => (server?.pids ?? []).map((pid) => usage(pid)).reduce(added, NOTHING);
  const readDatabase = (): Usage => (database === undefined ? NOTHING : usage(database.pid));
  const walBefore = (await database?.walBytes()) ?? 0;
  const before = read();
  const databaseBefore = readDatabase();
  const sinkBefore = usage(sink.pid);
  let peakPss = 0;
  let databasePss = 0;
  const sampling = setInterval(() => {
    peakPss = Math.max(peakPss, read().pssBytes);
    databasePss = Math.max(databasePss, readDatabase().pssBytes);
  }, SAMPLE_EVERY_MS);
  try {
    const [arrivedAtMs, result] = await Promise.all([arrival(sink, load.recipients), load.generator.ask<LoadResult>('run', load.argument)]);
    await sleep(SETTLE_MS);
    const after = read();
    const databaseAfter = readDatabase();
    const walAfter = (await database?.walBytes()) ?? 0;
    const sinkAfter = usage(sink.pid);
    const counts = await sink.ask<SinkCounts>('counts');
    const perThousand = (seconds: number): number => (seconds * 1000) / load.recipients;
    const user = after.userSeconds - before.userSeconds;
    const system = after.systemSeconds - before.systemSeconds;
    const sinkCpu = cpuOf(sinkAfter) - cpuOf(sinkBefore);
    return {
      cpuPerThousand: perThousand(user + system),
      userPerThousand: perThousand(user),
      systemPerThousand: perThousand(system),
      acceptPerSecond: result.accepted / ((result.endedAtMs - result.startedAtMs) / 1000),
      endToEndPerSecond: load.recipients / ((arrivedAtMs - result.startedAtMs) / 1000),
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      peakRssMb: after.peakRssBytes / 2 ** 20,
      peakPssMb: Math.max(peakPss, after.pssBytes) / 2 ** 20,
      databaseCpuPerThousand: perThousand(cpuOf(databaseAfter) - cpuOf(databaseBefore)),
      databasePssMb: Math.max(databasePss, databaseAfter.pssBytes) / 2 ** 20,
      walKbPerMessage: (walAfter - walBefore) / 1024 / load.recipients,
      harnessCpuPerThousand: perThousand(result.cpuSeconds + sinkCpu),
      surplus: counts.recipients - load.recipients,
    };
  } finally {
    clearInterval(sampling);
  }
}

function cpuOf({ userSeconds, systemSeconds }: Usage): number {
  return userSeconds + systemSeconds;
}

function added(one: Usage, other: Usage): Usage {
  return {
    userSeconds: one.userSeconds + other.userSeconds,
    systemSeconds: one.systemSeconds + other.systemSeconds,
    peakRssBytes: one.peakRssBytes + other.peakRssBytes,
    pssBytes: one.pssBytes + other.pssBytes,
  };
}

/** Resolves to the time when so many recipients have arrived since the last reset; rejects when nothing has arrived for a long while. */
export async function arrival(sink: Child, recipients: number): Promise<number> {
  const over = new AbortController();
  try {
    return await Promise.race([sink.ask<number>('expect', recipients), stuck(sink, over.signal)]);
  } finally {
    over.abort();
  }
}

async function stuck(sink: Child, signal: AbortSignal): Promise<never> {
  let seen = -1;
  for (;;) {
    const { recipients } = await sink.ask<SinkCounts>('counts');
    if (recipients === seen) throw new Error(`nothing arrived at the sink for ${STUCK_AFTER_MS / 1000} s; it has ${recipients}`);
    seen = recipients;
    await sleep(STUCK_AFTER_MS, undefined, { signal });
  }
}
