/**
 * The two sides of a copy, as the walk sees them (copy-store.ts). A source is one snapshot, whatever goes on beside it; a target keeps in itself how far the copy came,
 * written in the same transaction as the rows, so that a copy which was interrupted, however it was, goes on where it stood.
 */
import type { Table } from './tables.ts';
import type { Row, Value } from './table-sum.ts';

/** Why there is no copy, in a sentence for the operator. */
export class CopyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CopyError';
  }
}

/** A batch ends with the row that reaches one of these: memory is bounded by it and the largest content. */
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;
export const BATCH_ROWS_MAX = 5000;

/** Values of a table's key. */
export type Key = readonly (number | string)[];

/** How far a copy came. Kept as JSON in the target's table of settings. */
export interface Mark {
  /** What is copied, as `Source.name` says it: another source is not mixed with it. */
  readonly from: string;
  readonly beganMs: number;
  readonly done: readonly string[];
  /** The table in work, and the last row of it that is in the target. */
  readonly table?: string;
  readonly after?: Key;
}

export interface Readable {
  /** For sentences, without what is secret. The same for the same store. */
  readonly name: string;
  count(table: Table): Promise<number>;
  /** Rows after that key (from the first when absent), in the order of keys; empty: there are no more. */
  read(table: Table, after: Key | undefined): Promise<Row[]>;
  close(): Promise<void>;
}

export interface Source extends Readable {
  /** Rejects with `CopyError` when somebody has served the source meanwhile: what is in the copy is not all of it. */
  stillAtRest(): Promise<void>;
}

export interface Target extends Readable {
  mark(): Promise<Mark | undefined>;
  /** No row in any table, apart from settings. */
  isEmpty(): Promise<boolean>;
  /** Everything that a copy writes goes, and its mark. Only for an empty store, or one that a copy did not finish. */
  clear(): Promise<void>;
  putMark(mark: Mark): Promise<void>;
  /** The row as the target keeps it: ids may have another meaning there. Absent: as it is. */
  adopted?(table: Table, row: Row): Row;
  /** The rows, as `adopted` gives them, and the mark, in one transaction. */
  write(table: Table, rows: readonly Row[], mark: Mark): Promise<void>;
  /**
   * Makes a store of what was copied, in one transaction: what was leased in the source is queued and due, marked as a possible repeat; ids go on above those
   * that are taken; the mark goes. Resolves to how many had been leased.
   */
  finish(nowMs: number): Promise<number>;
}

export function keyOf(table: Table, row: Row): Key {
  const columns = Object.keys(table.columns);
  return table.key.map((name) => row[columns.indexOf(name)] as number | string);
}

/** Roughly, as octets of memory and of disk. */
export function sizeOf(value: Value): number {
  if (value === null || typeof value === 'number') return 8;
  return value.length + 8;
}
