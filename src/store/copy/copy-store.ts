/**
 * Copies a store into an empty one, of either engine: table by table, in the order of keys, in bounded batches, each of them with the mark of how far the copy is. Then both
 * sides are read again and compared (count and checksum of each table), and only what is equal becomes a store. Whatever ends the copy before that leaves a target that no
 * server opens, and that the same copy, begun again, goes on with.
 */
import { CopyError, keyOf, type Mark, type Readable, type Source, sizeOf, type Target } from './side.ts';
import { isSameSum, type Row, type Sum, TableSum } from './table-sum.ts';
import { TABLES, type Table } from './tables.ts';

export interface CopyProgress {
  readonly phase: 'copy' | 'compare';
  /** A table, or "pages". */
  readonly what: string;
  /** Rows of the table, or pages. */
  readonly done: number;
  readonly total: number;
  /** Octets of this table that this process has moved. */
  readonly bytes: number;
}

export interface CopyOptions {
  readonly source: Source;
  readonly target: Target;
  readonly nowMs: number;
  /** Throws away what an unfinished copy left in the target, instead of going on with it. */
  readonly isAnew?: boolean;
  /** Ends the copy after the batch in work. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

export interface ComparedTable {
  readonly name: string;
  readonly source: Sum;
  readonly target: Sum;
}

export type CopyEnd =
  | {
      readonly kind: 'done';
      readonly tables: readonly ComparedTable[];
      /** Had been leased in the source. */
      readonly recovered: number;
      readonly isResumed: boolean;
    }
  | { readonly kind: 'stopped' }
  /** The target is not what the source is, in these tables. It stays unfinished. */
  | { readonly kind: 'different'; readonly tables: readonly ComparedTable[]; readonly isResumed: boolean };

/** Rejects with `CopyError` when the target is not one to copy into. */
export async function copyStore(options: CopyOptions): Promise<CopyEnd> {
  const { source, target } = options;
  const { mark, isResumed } = await begin(options);
  const sums = new Map<string, Sum>();
  let done = mark;
  for (const table of TABLES) {
    if (done.done.includes(table.name)) continue;
    const copied = await copyTable(table, done, options);
    if (copied === undefined) return { kind: 'stopped' };
    done = copied.mark;
    // A table that was begun by a former process is read again: the source may have changed since.
    if (copied.sum !== undefined) sums.set(table.name, copied.sum);
  }
  const tables: ComparedTable[] = [];
  for (const table of TABLES) {
    const sourceSum = sums.get(table.name) ?? (await sumOf(source, table, options, target));
    const targetSum = sourceSum === undefined ? undefined : await sumOf(target, table, options);
    if (sourceSum === undefined || targetSum === undefined) return { kind: 'stopped' };
    tables.push({ name: table.name, source: sourceSum, target: targetSum });
  }
  const different = tables.filter((table) => !isSameSum(table.source, table.target));
  if (different.length > 0) return { kind: 'different', tables: different, isResumed };
  await source.stillAtRest();
  return { kind: 'done', tables, recovered: await target.finish(options.nowMs), isResumed };
}

async function begin({ source, target, nowMs, isAnew }: CopyOptions): Promise<{ readonly mark: Mark; readonly isResumed: boolean }> {
  const found = await target.mark();
  if (found === undefined && !(await target.isEmpty())) {
    throw new CopyError(`${target.name} is not empty; a store is copied into one that holds nothing`);
  }
  if (found !== undefined && isAnew !== true) {
    if (found.from === source.name) return { mark: found, isResumed: true };
    throw new CopyError(
      `${target.name} holds an unfinished copy of ${found.from}, which ${source.name} is not; --anew throws that copy away and begins this one`,
    );
  }
  const mark: Mark = { from: source.name, beganMs: nowMs, done: [] };
  // The mark first: what is cut short while it clears is an unfinished copy still.
  await target.putMark(mark);
  await target.clear();
  await target.putMark(mark);
  return { mark, isResumed: false };
}

/** undefined: stopped. */
async function copyTable(
  table: Table,
  from: Mark,
  { source, target, signal, onProgress }: CopyOptions,
): Promise<{ readonly mark: Mark; readonly sum: Sum | undefined } | undefined> {
  const total = await source.count(table);
  const isOurs = from.table !== table.name;
  const sum = new TableSum();
  let mark: Mark = isOurs ? { from: from.from, beganMs: from.beganMs, done: from.done, table: table.name } : from;
  let rows = isOurs ? 0 : await target.count(table);
  let bytes = 0;
  for (;;) {
    if (signal?.aborted === true) return undefined;
    const batch = await source.read(table, mark.after);
    const last = batch.at(-1);
    if (last === undefined) break;
    mark = { ...mark, after: keyOf(table, last) };
    const adopted = target.adopted === undefined ? batch : batch.map((row) => target.adopted?.(table, row) ?? row);
    await target.write(table, adopted, mark);
    if (isOurs) for (const row of adopted) sum.add(row);
    rows += batch.length;
    bytes += batchBytes(batch);
    onProgress?.({ phase: 'copy', what: table.name, done: rows, total, bytes });
    await turn();
  }
  const { from: name, beganMs, done } = mark;
  const next: Mark = { from: name, beganMs, done: [...done, table.name] };
  await target.putMark(next);
  return { mark: next, sum: isOurs ? sum.total : undefined };
}

/** undefined: stopped. `as`: the rows as that target keeps them. */
export async function sumOf(
  side: Readable,
  table: Table,
  { signal, onProgress }: Pick<CopyOptions, 'signal' | 'onProgress'> = {},
  as?: Target,
): Promise<Sum | undefined> {
  const total = await side.count(table);
  const sum = new TableSum();
  let bytes = 0;
  for (let rows: readonly Row[] = []; ;) {
    if (signal?.aborted === true) return undefined;
    const last = rows.at(-1);
    rows = await side.read(table, last === undefined ? undefined : keyOf(table, last));
    if (rows.length === 0) return sum.total;
    for (const row of rows) sum.add(as?.adopted?.(table, row) ?? row);
    bytes += batchBytes(rows);
    onProgress?.({ phase: 'compare', what: table.name, done: sum.total.rows, total, bytes });
    await turn();
  }
}

function batchBytes(rows: readonly Row[]): number {
  let bytes = 0;
  for (const row of rows) for (const value of row) bytes += sizeOf(value);
  return bytes;
}

/** The embedded store works without waiting: signals and timers get their turn between two batches. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
