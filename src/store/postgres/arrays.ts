/**
 * Arrays as parameters, in PostgreSQL's binary format (array_recv in its sources): number of dimensions, whether there are NULLs, the type of the elements, then for
 * the one dimension its length and lower bound, then each element as its length and its octets. A batch of bodies then travels as it is, where text would double it.
 */

const INT2 = 21;
const INT4 = 23;
const INT8 = 20;
const TEXT = 25;
const BYTEA = 17;
const HEAD_BYTES = 20;
const LENGTH_BYTES = 4;
const TWO_32 = 2 ** 32;
/** UTF-8 takes at most so many octets for one UTF-16 unit. */
const UTF8_MAX = 3;

type Maybe<T> = T | null | undefined;

function head(buffer: Buffer, type: number, length: number): void {
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(1, 4); // there may be NULLs
  buffer.writeInt32BE(type, 8);
  buffer.writeInt32BE(length, 12);
  buffer.writeInt32BE(1, 16);
}

function emptyArray(type: number): Buffer {
  const buffer = Buffer.alloc(12);
  buffer.writeInt32BE(type, 8);
  return buffer;
}

/** For BIGINT[]: whole numbers below 2^53. */
export function int8Array(values: readonly Maybe<number>[]): Buffer {
  if (values.length === 0) return emptyArray(INT8);
  const buffer = Buffer.allocUnsafe(HEAD_BYTES + values.length * (LENGTH_BYTES + 8));
  head(buffer, INT8, values.length);
  let end = HEAD_BYTES;
  for (const value of values) {
    if (value === null || value === undefined) {
      end = buffer.writeInt32BE(-1, end);
      continue;
    }
    end = buffer.writeInt32BE(8, end);
    end = buffer.writeInt32BE(Math.floor(value / TWO_32), end);
    end = buffer.writeUInt32BE(value >>> 0, end);
  }
  return buffer.subarray(0, end);
}

/** For INTEGER[]. */
export function int4Array(values: readonly Maybe<number>[]): Buffer {
  if (values.length === 0) return emptyArray(INT4);
  const buffer = Buffer.allocUnsafe(HEAD_BYTES + values.length * (LENGTH_BYTES + 4));
  head(buffer, INT4, values.length);
  let end = HEAD_BYTES;
  for (const value of values) {
    if (value === null || value === undefined) {
      end = buffer.writeInt32BE(-1, end);
      continue;
    }
    end = buffer.writeInt32BE(4, end);
    end = buffer.writeInt32BE(value, end);
  }
  return buffer.subarray(0, end);
}

/** For SMALLINT[]. */
export function int2Array(values: readonly Maybe<number>[]): Buffer {
  if (values.length === 0) return emptyArray(INT2);
  const buffer = Buffer.allocUnsafe(HEAD_BYTES + values.length * (LENGTH_BYTES + 2));
  head(buffer, INT2, values.length);
  let end = HEAD_BYTES;
  for (const value of values) {
    if (value === null || value === undefined) {
      end = buffer.writeInt32BE(-1, end);
      continue;
    }
    end = buffer.writeInt32BE(2, end);
    end = buffer.writeInt16BE(value, end);
  }
  return buffer.subarray(0, end);
}

/** For TEXT[]. */
export function textArray(values: readonly Maybe<string>[]): Buffer {
  if (values.length === 0) return emptyArray(TEXT);
  let size = HEAD_BYTES;
  for (const value of values) size += LENGTH_BYTES + (value?.length ?? 0) * UTF8_MAX;
  const buffer = Buffer.allocUnsafe(size);
  head(buffer, TEXT, values.length);
  let end = HEAD_BYTES;
  for (const value of values) {
    if (value === null || value === undefined) {
      end = buffer.writeInt32BE(-1, end);
      continue;
    }
    const length = buffer.write(storable(value), end + LENGTH_BYTES, 'utf8');
    end = buffer.writeInt32BE(length, end) + length;
  }
  return buffer.subarray(0, end);
}

/** PostgreSQL's TEXT has no NUL: a reply that has one must be kept all the same. */
export function storable(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\u{FFFD}') : text;
}

/** For BYTEA[]. */
export function byteaArray(values: readonly Maybe<Uint8Array>[]): Buffer {
  if (values.length === 0) return emptyArray(BYTEA);
  let size = HEAD_BYTES;
  for (const value of values) size += LENGTH_BYTES + (value?.byteLength ?? 0);
  const buffer = Buffer.allocUnsafe(size);
  head(buffer, BYTEA, values.length);
  let end = HEAD_BYTES;
  for (const value of values) {
    if (value === null || value === undefined) {
      end = buffer.writeInt32BE(-1, end);
      continue;
    }
    end = buffer.writeInt32BE(value.byteLength, end);
    buffer.set(value, end);
    end += value.byteLength;
  }
  return buffer;
}
