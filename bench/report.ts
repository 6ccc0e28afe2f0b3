/** Samples of several runs as one line of a Markdown table: the median, and the range where there is one. */
import { cpus, release, totalmem } from 'node:os';
import type { Sample } from './measure.ts';

const COLUMNS: readonly (readonly [title: string, of: keyof Sample, digits: number])[] = [
  ['CPU-s per 1,000', 'cpuPerThousand', 3],
  ['of the database', 'databaseCpuPerThousand', 3],
  ['user', 'userPerThousand', 3],
  ['system', 'systemPerThousand', 3],
  ['accepted/s', 'acceptPerSecond', 0],
  ['end to end/s', 'endToEndPerSecond', 0],
  ['accept p50 ms', 'p50Ms', 1],
  ['accept p99 ms', 'p99Ms', 1],
  ['peak RSS MB', 'peakRssMb', 0],
  ['peak PSS MB', 'peakPssMb', 0],
  ['database PSS MB', 'databasePssMb', 0],
  ['WAL KB per message', 'walKbPerMessage', 1],
  ['generator + sink CPU-s', 'harnessCpuPerThousand', 3],
  ['repeated', 'surplus', 0],
];

const OF_DATABASE: readonly (keyof Sample)[] = ['databaseCpuPerThousand', 'databasePssMb', 'walKbPerMessage'];

/** `hasDatabase`: with the columns of a database server. */
export function heading(hasDatabase = false): string {
  const titles = ['workload', 'server', 'runs', ...columns(hasDatabase).map(([title]) => title)];
  return `| ${titles.join(' | ')} |\n|${'---|'.repeat(titles.length)}\n`;
}

export function row(workload: string, server: string, samples: readonly Sample[], hasDatabase = false): string {
  const cells = columns(hasDatabase).map(([, of, digits]) =>
    figure(
      samples.map((sample) => sample[of]),
      digits,
    ),
  );
  return `| ${[workload, server, samples.length, ...cells].join(' | ')} |\n`;
}

function columns(hasDatabase: boolean): typeof COLUMNS {
  return hasDatabase ? COLUMNS : COLUMNS.filter(([, of]) => !OF_DATABASE.includes(of));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

function figure(values: readonly number[], digits: number): string {
  const show = (value: number): string => value.toFixed(digits);
  const low = show(Math.min(...values));
  const high = show(Math.max(...values));
  return low === high ? low : `${show(median(values))} (${low}–${high})`;
}

export function machine(): string {
  const model = cpus()[0]?.model ?? 'unknown processor';
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}, Node ${process.version}`;
}
