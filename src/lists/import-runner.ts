/**
 * Reads files into lists in the background: one file at a time on each node, some rows in each transaction together with the position after them. A node that ends in the middle
 * leaves the file to another, which goes on at that position; nothing is read twice or left out. Memory: one file, and the rows of a step.
 */
import type { Clock } from '#base/clock.ts';
import { CsvReader } from '#base/csv.ts';
import type { Log } from '#base/log.ts';
import { repeat } from '#base/repeat.ts';
import { AppError } from '#model/errors.ts';
import type { ImportJob, ImportRows, ImportStore } from '#store/suppression-store.ts';
import { allowlistEntry, type EntryContext, type Fields, suppressionEntry } from './entries.ts';
import { readColumns, rowFields } from './import-files.ts';

const POLL_MS = 10_000;
/** Each step prolongs it; a node that is silent for so long leaves the file to others. */
const HOLD_MS = 60_000;
const STEP_ROWS = 1000;

export interface ImportRunnerOptions {
  readonly imports: ImportStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly parseTime: EntryContext['parseTime'];
  /** False: this node begins nothing now. */
  mayRun?(): boolean;
}

export interface ImportRunner {
  /** There may be a file. */
  ring(): void;
  /** Ends after the step in work. */
  stop(): Promise<void>;
}

type Claimed = ImportJob & { readonly epoch: number };

export function startImports(options: ImportRunnerOptions): ImportRunner {
  return repeat({
    round: async (stopped) => options.mayRun?.() !== false && readOne(stopped),
    pauseMs: POLL_MS,
    log: options.log,
    trouble: 'a file cannot be imported at the moment',
  });

  /** False: there was none. */
  async function readOne(stopped: AbortSignal): Promise<boolean> {
    const nowMs = options.clock.nowMs();
    const job = await options.imports.claimImport(nowMs, nowMs + HOLD_MS);
    if (job === undefined) return false;
    const bytes = Buffer.from((await options.imports.importBytes(job.id)) ?? '');
    const reader = new CsvReader(bytes);
    const columns = readColumns(reader, job.kind);
    if (job.position > 0) reader.position = job.position;
    while (!stopped.aborted) {
      const step = rowsOf(job, reader, columns);
      if (!(await advance(job, reader.position, step, stopped)) || step.isDone) return true;
    }
    // What is left is for whoever is next.
    const nothing = { rows: rowsFor(job, [], contextOf(job)), failed: 0, trouble: undefined, isDone: false };
    await advance(job, reader.position, nothing, stopped);
    return true;
  }

  async function advance(job: Claimed, position: number, step: Step, stopped: AbortSignal): Promise<boolean> {
    const nowMs = options.clock.nowMs();
    return options.imports.advanceImport({
      id: job.id,
      epoch: job.epoch,
      target: job.target,
      position,
      added: step.rows.entries.length,
      failed: step.failed,
      ...(step.trouble !== undefined && { trouble: step.trouble }),
      isDone: step.isDone,
      nowMs,
      heldUntilMs: stopped.aborted ? nowMs : nowMs + HOLD_MS,
      rows: step.rows,
    });
  }

  function rowsOf(job: ImportJob, reader: CsvReader, columns: readonly string[] | undefined): Step {
    const context = contextOf(job);
    if (columns === undefined) return { rows: rowsFor(job, [], context), failed: 0, trouble: 'while reading csv header', isDone: true };
    const read: Fields[] = [];
    let row = reader.next();
    for (; row !== undefined; row = reader.next()) {
      read.push(rowFields(columns, row));
      if (read.length === STEP_ROWS) break;
    }
    const troubles: string[] = [];
    const rows = rowsFor(job, read, context, (trouble) => troubles.push(trouble));
    return { rows, failed: troubles.length, trouble: troubles[0], isDone: row === undefined };
  }

  function contextOf({ createdMs }: ImportJob): EntryContext {
    return { nowMs: createdMs, parseTime: options.parseTime };
  }
}

interface Step {
  readonly rows: ImportRows;
  readonly failed: number;
  readonly trouble: string | undefined;
  readonly isDone: boolean;
}

function rowsFor(
  { kind }: ImportJob,
  read: readonly Fields[],
  context: EntryContext,
  onTrouble: (text: string) => void = () => undefined,
): ImportRows {
  return kind === 'allowlist'
    ? { kind: 'allowlist', entries: each(read, (fields) => allowlistEntry(fields, context), onTrouble) }
    : { kind: 'suppressions', entries: each(read, (fields) => suppressionEntry(kind, fields, context), onTrouble) };
}

/** Rows that are no entry are told and left out. */
function each<T>(read: readonly Fields[], make: (fields: Fields) => T, onTrouble: (text: string) => void): T[] {
  const entries: T[] = [];
  for (const fields of read) {
    try {
      entries.push(make(fields));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      onTrouble(`${fields.one('address') ?? ''}: ${error.message}`.slice(0, 500));
    }
  }
  return entries;
}
