/**
 * Count and checksum of a table's rows, the same whichever engine holds them and in whatever order they come: every row is hashed in one canonical form and the
 * hashes are added up. It finds what was lost, doubled or changed on the way; it is no proof against somebody who forges a store.
 */
import { createHash } from 'node:crypto';

/** A row's values in the order of its table's columns. */
export type Value = number | string | Uint8Array | null;
export type Row = readonly Value[];

export interface Sum {
  readonly rows: number;
  /** 128 bits in hexadecimal. */
  readonly sum: string;
}

export class TableSum {
  #rows = 0;
  #low = 0n;
  #high = 0n;

  add(row: Row): void {
    // Text in JSON cannot be taken for a number, null or the object that stands for octets, nor run into its neighbour.
    const text = JSON.stringify(row.map((value) => (value instanceof Uint8Array ? { sha256: digest(value).toString('hex') } : value)));
    const hash = digest(text);
    this.#low = BigInt.asUintN(64, this.#low + hash.readBigUInt64LE(0));
    this.#high = BigInt.asUintN(64, this.#high + hash.readBigUInt64LE(8));
    this.#rows++;
  }

  get total(): Sum {
    return { rows: this.#rows, sum: this.#high.toString(16).padStart(16, '0') + this.#low.toString(16).padStart(16, '0') };
  }
}

export function isSameSum(a: Sum, b: Sum): boolean {
  return a.rows === b.rows && a.sum === b.sum;
}

function digest(data: string | Uint8Array): Buffer {
  return createHash('sha256').update(data).digest();
}
