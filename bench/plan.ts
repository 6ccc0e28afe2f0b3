/**
 * The plan of docs/scaling.md, for your own numbers:
 *
 *   node bin/pinned-node.js bench/plan.ts --messages-per-day 100000000 --size 25KB
 *   node bin/pinned-node.js bench/plan.ts --help      every input, its default and where that comes from
 *   node bin/pinned-node.js bench/plan.ts --write     puts the tables of docs/scaling.md in order with bench/costs.json
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Costs, type Demand, type Machines, type Plan, databaseCarries, plan } from './plan-arithmetic.ts';

interface Input {
  readonly preset: string;
  readonly sentence: string;
  readonly from: string;
}

const YOURS = 'an assumption; put yours';

/** Everything that is put in and not measured by bench/database.ts. */
export const INPUTS = {
  'messages-per-day': { preset: '1000000', sentence: "messages a day; each recipient's copy counts as one", from: 'yours' },
  size: { preset: '25KB', sentence: 'mean size of a message as it is stored', from: YOURS },
  'per-content': { preset: '1', sentence: 'messages that share one content: 1 for receipts, many for mailings', from: YOURS },
  peak: { preset: '4', sentence: "the busiest minute against the day's mean", from: YOURS },
  attempts: { preset: '1.2', sentence: 'attempts for each message', from: YOURS },
  'delivery-seconds': {
    preset: '1.5',
    sentence: 'seconds that a delivery occupies a connection',
    from: 'an assumption; the timelines and /metrics have yours',
  },
  unsigned: { preset: 'no', sentence: 'yes: without DKIM', from: 'the setting dkim.sign' },
  'bodies-days': { preset: '3', sentence: 'days that contents are kept', from: 'the default of retention.bodies' },
  'events-days': { preset: '30', sentence: 'days that events and addresses are kept', from: 'the default of retention.events' },
  replicas: { preset: '1', sentence: 'copies of each database', from: 'one that commits wait for, docs/cluster.md' },
  utilisation: { preset: '0.5', sentence: 'share of its processor that a machine uses at the peak', from: 'room for a failed neighbour' },
  'node-cores': { preset: '8', sentence: 'cores of a machine for nodes', from: 'a common size' },
  'database-cores': { preset: '32', sentence: "cores of a database's machine", from: 'a common size' },
  'checkpoint-minutes': {
    preset: '15',
    sentence: "PostgreSQL's checkpoint_timeout",
    from: 'deploy/compose, and what bench/database.ts uses',
  },
  'wal-rate': {
    preset: '200MB',
    sentence: 'log a second that a database and its replica keep up with',
    from: 'an assumption: a fifth of one NVMe drive, a sixth of 10 Gbit/s',
  },
  storage: {
    preset: '16TB',
    sentence: "storage of one cluster's database",
    from: 'an assumption: what can still be restored within hours',
  },
  'node-connections': { preset: '1000', sentence: 'deliveries at once of a node', from: 'the default of delivery.connections_total' },
  'per-address': {
    preset: '1000000',
    sentence: 'messages a day from one address',
    from: 'for addresses that receivers know; 1 to 2.5 million is what practitioners name',
  },
} as const satisfies Readonly<Record<string, Input>>;

export type Given = Partial<Readonly<Record<keyof typeof INPUTS, string>>>;

export interface Kept {
  readonly measuredOn: string;
  readonly messages: number;
  readonly costs: Costs;
  readonly tables: readonly string[];
}

const PAGE = join(import.meta.dirname, '../docs/scaling.md');
const SCALES: readonly (readonly [title: string, messagesPerDay: number])[] = [
  ['1 million', 1e6],
  ['100 million', 1e8],
  ['1 billion', 1e9],
];

export function kept(): Kept {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'costs.json'), 'utf8')) as Kept;
}

/** Throws for what is no number. */
export function inputsOf(given: Given): { readonly demand: Demand; readonly machines: Machines } {
  const text = (name: keyof typeof INPUTS): string => given[name] ?? INPUTS[name].preset;
  const number = (name: keyof typeof INPUTS): number => amount(name, text(name));
  return {
    demand: {
      messagesPerDay: number('messages-per-day'),
      sizeBytes: number('size'),
      messagesPerContent: number('per-content'),
      peakFactor: number('peak'),
      attempts: number('attempts'),
      deliverySeconds: number('delivery-seconds'),
      isSigned: text('unsigned') !== 'yes',
      bodiesDays: number('bodies-days'),
      eventsDays: number('events-days'),
      replicas: number('replicas'),
    },
    machines: {
      utilisation: number('utilisation'),
      nodeCores: number('node-cores'),
      databaseCores: number('database-cores'),
      checkpointSeconds: number('checkpoint-minutes') * 60,
      walBytesPerSecond: number('wal-rate'),
      storageBytes: number('storage'),
      connectionsPerNode: number('node-connections'),
      messagesPerAddress: number('per-address'),
    },
  };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

function amount(name: string, text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?(?:e\d+)?)(|KB|MB|GB|TB)$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) < (name === 'replicas' ? 0 : Number.MIN_VALUE))
    throw new Error(`--${name} ${text}: expected a number above 0, such as ${INPUTS[name as keyof typeof INPUTS].preset}`);
  return Number(digits) * (UNITS[unit as string] as number);
}

const REASONS: Readonly<Record<Plan['clustersBecause'], string>> = {
  processor: "for PostgreSQL's processor",
  log: 'for the log',
  storage: 'for the storage',
  'one is enough': 'one is enough',
};

const LINES: readonly (readonly [title: string, of: (plan: Plan) => string])[] = [
  ['messages/s, mean and peak', (p) => `${figure(p.meanPerSecond)}, ${figure(p.peakPerSecond)}`],
  ['cores busy in nodes, at the peak', (p) => figure(p.nodeCores)],
  ['node processes (one to spare in each cluster)', (p) => figure(p.nodes)],
  ['machines for them', (p) => figure(p.nodeMachines)],
  ['deliveries at once, at the peak', (p) => figure(p.deliveriesAtOnce)],
  ['cores busy in PostgreSQL, at the peak', (p) => figure(p.databaseCores)],
  ['write-ahead log/s, mean and peak', (p) => `${bytes(p.walBytesPerSecond)}, ${bytes(p.walBytesPerSecondAtPeak)}`],
  ['write-ahead log a day (what an archive takes in)', (p) => bytes(p.walBytesPerDay)],
  ['written to disks/s, mean, log and tables (once more for each replica)', (p) => bytes(p.diskBytesPerSecond)],
  ['storage: contents', (p) => bytes(p.contentBytes)],
  ['storage: messages, recipients, events', (p) => bytes(p.rowBytes)],
  ['clusters (a PostgreSQL with its replicas and its nodes)', (p) => `${figure(p.clusters)} (${REASONS[p.clustersBecause]})`],
  ['connections to each PostgreSQL', (p) => figure(p.connections)],
  ['addresses to send from', (p) => figure(p.addresses)],
  ['network in and out, at the peak', (p) => `${bits(p.inBitsPerSecond)}, ${bits(p.outBitsPerSecond)}`],
  ['network to the databases and their replicas, at the peak', (p) => bits(p.databaseBitsPerSecond)],
];

function planTable(columns: readonly (readonly [title: string, plan: Plan])[]): string {
  return [
    `| | ${columns.map(([title]) => title).join(' | ')} |`,
    `|---|${'---|'.repeat(columns.length)}`,
    ...LINES.map(([title, of]) => `| ${title} | ${columns.map(([, result]) => of(result)).join(' | ')} |`),
    '',
  ].join('\n');
}

/** The parts of docs/scaling.md that are made here, by the name in their markers. */
export function sections(): Readonly<Record<string, string>> {
  const { measuredOn, messages, costs, tables } = kept();
  const inputs = Object.entries(INPUTS as Readonly<Record<string, Input>>);
  const { demand, machines } = inputsOf({});
  const carries = [1, 1000].map((messagesPerContent) => databaseCarries({ ...demand, messagesPerContent }, costs, machines));
  return {
    measured: `${measuredOn}; ${messages} messages a run.\n\n${tables.join('\n')}`,
    inputs: [
      '| input | default | what it is | where the default comes from |',
      '|---|---|---|---|',
      ...inputs.map(([name, { preset, sentence, from }]) => `| \`--${name}\` | ${preset} | ${sentence} | ${from} |`),
      '',
    ].join('\n'),
    carries: [
      `| one PostgreSQL, ${machines.databaseCores} cores, messages of ${bytes(demand.sizeBytes)} | by its processor | by its log |`,
      '|---|---|---|',
      ...['a content of its own for each message', 'a content for a thousand messages'].map(
        (title, nth) => `| ${title} | ${figure(carries[nth]?.byProcessor ?? 0)}/s | ${figure(carries[nth]?.byLog ?? 0)}/s |`,
      ),
      '',
    ].join('\n'),
    plan: planTable(SCALES.map(([title, messagesPerDay]) => [`${title} a day`, plan({ ...demand, messagesPerDay }, costs, machines)])),
  };
}

/** The page with its made parts as they are now. */
export function pageInOrder(page: string): string {
  return Object.entries(sections()).reduce((text, [name, made]) => {
    const marked = new RegExp(`(<!-- ${name}: made by bench/plan\\.ts -->\\n)[^]*?(<!-- end of ${name} -->)`);
    if (!marked.test(text)) throw new Error(`docs/scaling.md has no place for ${name}`);
    return text.replace(marked, (_, begin: string, end: string) => `${begin}\n${made}\n${end}`);
  }, page);
}

function figure(value: number): string {
  if (value >= 1000) return Number(value.toPrecision(3)).toLocaleString('en-US');
  return String(Number(value.toPrecision(value < 10 ? 2 : 3)));
}

function bytes(value: number): string {
  const [unit, name] = [[1e15, 'PB'] as const, [1e12, 'TB'] as const, [1e9, 'GB'] as const, [1e6, 'MB'] as const].find(
    ([least]) => value >= least,
  ) ?? [1e3, 'KB'];
  return `${figure(value / unit)} ${name}`;
}

function bits(value: number): string {
  const [unit, name] = value >= 1e9 ? [1e9, 'Gbit/s'] : [1e6, 'Mbit/s'];
  return `${figure(value / unit)} ${name}`;
}

function main(): void {
  const names = Object.keys(INPUTS) as (keyof typeof INPUTS)[];
  const { values } = parseArgs({
    options: {
      ...(Object.fromEntries(names.map((name) => [name, { type: 'string' }])) as Record<string, { type: 'string' }>),
      help: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  });
  if (values['help'] === true) {
    const lines = names.map(
      (name) => `  --${name.padEnd(18)} ${INPUTS[name].preset.padEnd(9)} ${INPUTS[name].sentence} (${INPUTS[name].from})`,
    );
    process.stdout.write(`usage: node bin/pinned-node.js bench/plan.ts [--json] [INPUT …]\n\n${lines.join('\n')}\n`);
  } else if (values['write'] === true) {
    writeFileSync(PAGE, pageInOrder(readFileSync(PAGE, 'utf8')));
  } else {
    const { demand, machines } = inputsOf(values as Given);
    const result = plan(demand, kept().costs, machines);
    if (values['json'] === true) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    else process.stdout.write(`${planTable([[`${figure(demand.messagesPerDay)} a day`, result]])}\nMeasured on ${kept().measuredOn}\n`);
  }
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
