/**
 * The benchmark: the real program, its queue on this disk, fed by the generators, delivering to the sink; Postfix and Haraka beside it where they
 * are installed. Prints a Markdown table, medians of the runs with their range. Everything is on loopback and stops by itself.
 *
 *   npm run bench                                   every workload, 3 runs of 5,000 messages
 *   npm run bench -- --messages 20000 --runs 5 --only "smtp signed"    (part of a workload's and a server's name)
 *   npm run bench -- --queued 1000000               with so many recipients waiting (see queued.ts)
 *   npm run bench -- --only "smtp unsigned" --profile   CPU profiles of our own program in bench/results
 *   npm run bench -- --store postgres --nodes 3     on a PostgreSQL of its own (cluster.ts), its processes counted apart
 *
 * In each run the servers take their turns, so that a drift of the machine hits all of them; each starts on an empty queue and is warmed up first.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { errorText } from '#base/error-text.ts';
import { Child } from './child.ts';
import { Cluster, type StoreName } from './cluster.ts';
import { floors } from './floors.ts';
import { harakaVersion, startHaraka } from './haraka.ts';
import { type LoadRequest, type Sample, arrival, measure } from './measure.ts';
import { postfixVersion, startPostfix } from './postfix.ts';
import { canMeasure } from './processes.ts';
import { benchQueued } from './queued.ts';
import { heading, machine, row } from './report.ts';
import type { Server } from './server.ts';
import { WORKLOADS, type Workload, type WorkloadSize, apiLoad, recipientsOf, smtpLoad } from './workloads.ts';

const { values: options } = given();
const size: WorkloadSize = {
  messages: Number(options.messages),
  connections: Number(options.connections),
  sizeBytes: Number(options.size),
};
const NODES_MAX = 20;
const store = options.store as StoreName;
const nodes = Number(options.nodes);
checkOptions();
const results = join(import.meta.dirname, 'results');
mkdirSync(results, { recursive: true });

/** Stopped on Ctrl-C: Postfix is a daemon and would stay. */
let running: Server | undefined;
process.once('SIGINT', () => void Promise.resolve(running?.stop()).finally(() => process.exit(130)));

const sink = new Child(join(import.meta.dirname, 'sink.ts'));
const generators = {
  smtp: new Child(join(import.meta.dirname, 'load-smtp.ts')),
  api: new Child(join(import.meta.dirname, 'load-api.ts')),
};
try {
  const sinkPort = await sink.ask<number>('start', { chunking: !options['no-chunking'] });
  process.stdout.write(`${machine()}\n${floors()}\n`);
  if (!canMeasure) process.stdout.write('CPU and memory are read from /proc, which this system does not have: those columns are 0.\n');
  if (options.queued === undefined) await benchAll(sinkPort);
  else
    await inDirectory((directory) => benchQueued({ directory, sink, sinkPort, generators, size, queued: Number(options.queued), store }));
} finally {
  sink.stop();
  generators.smtp.stop();
  generators.api.stop();
}

/** A server that takes part: its name in the table, how it is started, and for which workloads. */
interface Contender {
  readonly name: string;
  start(directory: string, sinkPort: number, workload: Workload): Promise<Server | undefined>;
  takes(workload: Workload): boolean;
}

async function benchAll(sinkPort: number): Promise<void> {
  const contenders = allContenders();
  process.stdout.write(`${options.runs} runs of ${size.messages} messages of ${size.sizeBytes} bytes, ${size.connections} connections\n\n`);
  process.stdout.write(heading(store === 'postgres'));
  for (const workload of WORKLOADS) {
    const isWanted = (contender: Contender): boolean => `${workload.name} ${contender.name}`.includes(options.only);
    const taking = contenders.filter((contender) => contender.takes(workload) && isWanted(contender));
    const samples = new Map<string, Sample[]>(taking.map(({ name }) => [name, []]));
    for (let run = 0; run < Number(options.runs); run++) {
      for (const contender of taking) {
        try {
          samples.get(contender.name)?.push(await once(contender, workload, sinkPort, run));
        } catch (error) {
          process.stderr.write(`${contender.name}, ${workload.name}, run ${run + 1} failed: ${(error as Error).message}\n`);
          process.exitCode = 1;
        }
      }
    }
    for (const [name, its] of samples) if (its.length > 0) process.stdout.write(row(workload.name, name, its, store === 'postgres'));
  }
}

function allContenders(): Contender[] {
  const contenders: Contender[] = [
    { name: '(none: straight to the sink)', start: () => Promise.resolve(undefined), takes: ({ name }) => name === 'smtp unsigned' },
    { name: ourName(), start: startOurs, takes: () => true },
  ];
  if (options['no-peers']) return contenders;
  const postfix = postfixVersion();
  const haraka = harakaVersion();
  const takes = ({ isForPeers }: Workload): boolean => isForPeers;
  if (postfix !== undefined) contenders.push({ name: `Postfix ${postfix}`, start: startPostfix, takes });
  if (haraka !== undefined) contenders.push({ name: `Haraka ${haraka}`, start: startHaraka, takes });
  process.stdout.write(`Postfix: ${postfix ?? 'not installed (or not root)'}; Haraka: ${haraka ?? 'not installed'}\n`);
  return contenders;
}

async function startOurs(directory: string, sinkPort: number, workload: Workload): Promise<Server> {
  const cluster = await Cluster.make({
    directory,
    sinkPort,
    sign: workload.sign,
    store,
    nodes,
    ...(options.profile && { profileInto: join(results, `profile-${workload.name.replaceAll(' ', '-')}`) }),
  });
  try {
    return await cluster.start();
  } catch (error) {
    await cluster.end();
    throw error;
  }
}

function ourName(): string {
  if (store === 'sqlite') return 'Postrider';
  return `Postrider, ${nodes === 1 ? '1 node' : `${nodes} nodes`} on PostgreSQL`;
}

function given() {
  try {
    return parseArgs({
      options: {
        messages: { type: 'string', default: '5000' },
        runs: { type: 'string', default: '3' },
        connections: { type: 'string', default: '20' },
        size: { type: 'string', default: '10240' },
        only: { type: 'string', default: '' },
        queued: { type: 'string' },
        store: { type: 'string', default: 'sqlite' },
        nodes: { type: 'string', default: '1' },
        profile: { type: 'boolean', default: false },
        'no-peers': { type: 'boolean', default: false },
        'no-chunking': { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`${errorText(error)}\nThe options stand at the top of bench/bench.ts.\n`);
    process.exit(2);
  }
}

function checkOptions(): void {
  const isNumber = Number.isInteger(nodes) && nodes >= 1 && nodes <= NODES_MAX;
  const rules: readonly (readonly [isBroken: boolean, sentence: string])[] = [
    [!['sqlite', 'postgres'].includes(store), `--store ${store}: expected sqlite or postgres`],
    ...(['messages', 'runs', 'connections', 'size', 'queued'] as const).map(
      (name) => [!/^[1-9]\d*$/.test(options[name] ?? '1'), `--${name} ${options[name]}: expected a whole number from 1 on`] as const,
    ),
    [!isNumber, `--nodes ${options.nodes}: expected a number from 1 to ${NODES_MAX}`],
    [
      nodes > 1 && (store === 'sqlite' || options.queued !== undefined),
      '--nodes: more than one go with --store postgres, without --queued',
    ],
  ];
  const broken = rules.find(([isBroken]) => isBroken);
  if (broken === undefined) return;
  process.stderr.write(`${broken[1]}\n`);
  process.exit(2);
}

/** One contender, one workload, one run, from an empty queue. */
function once(contender: Contender, workload: Workload, sinkPort: number, run: number): Promise<Sample> {
  return inDirectory(async (directory) => {
    const server = await contender.start(directory, sinkPort, workload);
    running = server;
    const load = (messages: number, prefix: string): LoadRequest => {
      const sized = { ...size, messages };
      const recipients = recipientsOf(workload, sized);
      if (workload.door === 'smtp') {
        return { generator: generators.smtp, argument: smtpLoad(server?.smtpPorts ?? [sinkPort], sized, prefix), recipients };
      }
      if (server?.api === undefined) throw new Error(`${contender.name} has no API`);
      return { generator: generators.api, argument: apiLoad(server.api, workload, sized, prefix), recipients };
    };
    try {
      await warmUp(load(Math.min(1000, Math.ceil(size.messages / 5)), `w${run}-`));
      return await measure(server, sink, load(size.messages, `m${run}-`));
    } finally {
      running = undefined;
      await server?.stop();
    }
  });
}

async function warmUp(load: LoadRequest): Promise<void> {
  await sink.ask('reset');
  await Promise.all([arrival(sink, load.recipients), load.generator.ask('run', load.argument)]);
}

/** On the disk of this checkout, never a memory file system: syncing is part of what is measured. */
async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(results, 'run-'));
  // Postfix's own users must be able to pass.
  chmodSync(directory, 0o755);
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
