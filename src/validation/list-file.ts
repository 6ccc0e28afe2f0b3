/**
 * Lists of addresses as they are uploaded: a CSV with a column of addresses, or JSON, an array of texts or of objects. What is kept is one address on each line, so that a list can be
 * gone on with at any octet. Made of octets that a stranger sent; linear in them.
 */
import { CsvReader } from '#base/csv.ts';

/** P9: nobody has a longer one; RFC 5321 §4.5.3.1 allows 254 characters. */
const ADDRESS_MAX = 512;
const COLUMNS_MAX = 50;
const NAMES = ['email', 'address', 'email_address', 'e-mail', 'mail'];

export interface AddressList {
  readonly bytes: Buffer;
  readonly quantity: number;
}

/** P9: longer lists come as CSV, which is read piece by piece. */
const JSON_BYTES_MAX = 8 * 1024 * 1024;
/** Rows after which others have their turn: a long list takes a second in all. */
const TURN_ROWS = 5000;

/** A sentence when it is none. */
export async function readAddressList(bytes: Buffer): Promise<AddressList | string> {
  const start = bytes
    .subarray(0, 64)
    .toString('latin1')
    .replace(/^\u00ef\u00bb\u00bf/, '')
    .trimStart();
  const found = start.startsWith('[') || start.startsWith('{') ? jsonAddresses(bytes) : csvAddresses(bytes);
  if (typeof found === 'string') return found;
  const pieces: Buffer[] = [];
  let lines: string[] = [];
  let quantity = 0;
  let rows = 0;
  for (const text of found) {
    const line = lineOf(text);
    if (line !== '') {
      lines.push(`${line}\n`);
      quantity++;
    }
    if (++rows % TURN_ROWS > 0) continue;
    pieces.push(Buffer.from(lines.join(''), 'utf8'));
    lines = [];
    await new Promise(setImmediate);
  }
  return { bytes: Buffer.concat([...pieces, Buffer.from(lines.join(''), 'utf8')]), quantity };
}

/** One address has one line, whatever stands in it. */
function lineOf(text: string): string {
  return text
    .replace(/[\0-\u001f\u007f]+/g, ' ')
    .trim()
    .slice(0, ADDRESS_MAX);
}

function csvAddresses(bytes: Buffer): Iterable<string> | string {
  const reader = new CsvReader(bytes);
  const first = reader.next();
  if (first === undefined) return 'the file is empty';
  if (first.length > COLUMNS_MAX) return `the file has more than ${COLUMNS_MAX} columns`;
  const names = first.map((name) => name.trim().toLowerCase());
  const named = names.findIndex((name) => NAMES.includes(name));
  // Without a header the first row is an address like the others.
  const unnamed = first.findIndex((field) => field.includes('@'));
  const column = named === -1 ? unnamed : named;
  if (column === -1) return `the first row names no column of addresses: ${NAMES.join(', ')}`;
  return rowsOf(reader, column, named === -1 ? first : undefined);
}

function* rowsOf(reader: CsvReader, column: number, first: readonly string[] | undefined): Generator<string> {
  if (first !== undefined) yield first[column] ?? '';
  for (let row = reader.next(); row !== undefined; row = reader.next()) yield row[column] ?? '';
}

function jsonAddresses(bytes: Buffer): string[] | string {
  if (bytes.length > JSON_BYTES_MAX) return `JSON has at most ${JSON_BYTES_MAX / 1024 / 1024} MB; send a CSV`;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, ''));
  } catch {
    return 'the file is no JSON';
  }
  const list = Array.isArray(value)
    ? value
    : NAMES.concat('addresses', 'emails')
        .map((name) => own(value, name))
        .find(Array.isArray);
  if (!Array.isArray(list)) return 'the file has no list of addresses';
  return list.map((item: unknown) => {
    const text = typeof item === 'string' ? item : NAMES.map((name) => own(item, name)).find((each) => typeof each === 'string');
    return typeof text === 'string' ? text : '';
  });
}

function own(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
