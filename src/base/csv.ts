/**
 * Rows of a CSV file (RFC 4180) one after the other, from any row on: quoted fields may hold commas, quotes and line ends; rows end with LF or CRLF. Linear in the octets,
 * and holds one row at a time. A row that is longer than ROW_BYTES_MAX, as a quote that is never closed makes one, is given as [] and ends with its line.
 */

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;
const ROW_BYTES_MAX = 64 * 1024;

export class CsvReader {
  readonly #bytes: Buffer;
  /** Where the next row begins. */
  position: number;

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes;
    this.position = position === 0 && BYTE_ORDER_MARK.every((octet, i) => bytes[i] === octet) ? BYTE_ORDER_MARK.length : position;
  }

  /** Undefined at the end. Lines with nothing on them are no rows. */
  next(): string[] | undefined {
    const bytes = this.#bytes;
    while (bytes[this.position] === LF || bytes[this.position] === CR) this.position++;
    const start = this.position;
    if (start >= bytes.length) return undefined;
    const line = this.#lineEnd(start);
    let end = line;
    let quotes = countQuotes(bytes, start, end);
    while (quotes % 2 === 1 && end < bytes.length && end - start <= ROW_BYTES_MAX) {
      const next = this.#lineEnd(end + 1);
      quotes += countQuotes(bytes, end + 1, next);
      end = next;
    }
    if (end - start > ROW_BYTES_MAX) {
      this.position = Math.min(line + 1, bytes.length);
      return [];
    }
    this.position = Math.min(end + 1, bytes.length);
    const text = bytes.toString('utf8', start, bytes[end - 1] === CR ? end - 1 : end);
    return quotes === 0 ? text.split(',') : quotedFields(text);
  }

  #lineEnd(from: number): number {
    const end = this.#bytes.indexOf(LF, from);
    return end === -1 ? this.#bytes.length : end;
  }
}

function countQuotes(bytes: Buffer, start: number, end: number): number {
  // Within the row: where a file has no quotes, each row would look for one to the end of the file.
  const row = bytes.subarray(start, end);
  let count = 0;
  for (let at = row.indexOf(QUOTE); at !== -1; at = row.indexOf(QUOTE, at + 1)) count++;
  return count;
}

function quotedFields(row: string): string[] {
  const fields: string[] = [];
  let field = '';
  let isQuoted = false;
  for (let i = 0; i < row.length; i++) {
    const character = row[i] as string;
    if (isQuoted) {
      if (character !== '"') field += character;
      else if (row[i + 1] === '"') field += row[++i] as string;
      else isQuoted = false;
    } else if (character === '"' && field.trim() === '') {
      isQuoted = true;
      field = '';
    } else if (character === ',') {
      fields.push(field);
      field = '';
    } else field += character;
  }
  fields.push(field);
  return fields;
}
