/**
 * A parameter in pieces, for bodies: the client would copy each several times on the way to the socket, where a message may be 25 MB. The pieces are handed to the socket as they are, beside the
 * few octets that the protocol wants around them (Bind, in "Message Formats" of PostgreSQL's manual). They must not change until the answer is there.
 */
import { type Connection, Query, type QueryResult } from 'pg';

const HEAD_BYTES = 20;
const BYTEA = 17;
/** Smaller ones are copied: a piece of its own costs more than that. */
const PIECE_MIN_BYTES = 1024;
const BIND = 0x42;

export class Pieces {
  readonly pieces: readonly Uint8Array[];
  readonly byteLength: number;

  constructor(pieces: readonly Uint8Array[]) {
    this.pieces = pieces;
    this.byteLength = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  }

  /** For BYTEA[], in the format of arrays.ts. */
  static ofBytea(values: readonly Uint8Array[]): Pieces {
    if (values.length === 0) return new Pieces([Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, BYTEA])]);
    const own = Buffer.allocUnsafe(
      values.reduce((sum, { byteLength }) => sum + 4 + (byteLength < PIECE_MIN_BYTES ? byteLength : 0), HEAD_BYTES),
    );
    let end = 0;
    for (const word of [1, 0, BYTEA, values.length, 1]) end = own.writeInt32BE(word, end);
    const pieces: Uint8Array[] = [];
    let start = 0;
    for (const value of values) {
      end = own.writeInt32BE(value.byteLength, end);
      if (value.byteLength < PIECE_MIN_BYTES) {
        own.set(value, end);
        end += value.byteLength;
      } else {
        pieces.push(own.subarray(start, end), value);
        start = end;
      }
    }
    if (start < end) pieces.push(own.subarray(start, end));
    return new Pieces(pieces);
  }
}

export type SentValue = string | number | null | Uint8Array | Pieces;

/** What the client keeps about prepared statements, which is not among its types. */
interface Prepared {
  readonly parsedStatements: Readonly<Record<string, string>>;
  readonly submittedNamedStatements: Record<string, string>;
}

/** A prepared statement with parameters in pieces. Everything else about it is the client's affair. */
export class PiecedQuery extends Query {
  readonly #name: string;
  readonly #text: string;
  readonly #values: readonly SentValue[];

  constructor(name: string, text: string, values: readonly SentValue[], done: (error: Error | undefined, result: QueryResult) => void) {
    super({ name, text }, undefined, done as ConstructorParameters<typeof Query>[2]);
    this.#name = name;
    this.#text = text;
    this.#values = values;
  }

  /** Called by the client while it holds the socket's writes together. */
  prepare(connection: Connection): void {
    const { parsedStatements, submittedNamedStatements } = connection as unknown as Prepared;
    if (parsedStatements[this.#name] === undefined && submittedNamedStatements[this.#name] === undefined) {
      connection.parse({ name: this.#name, text: this.#text, types: [] }, true);
      submittedNamedStatements[this.#name] = this.#text;
    }
    for (const piece of bindMessage(this.#name, this.#values)) connection.stream.write(piece);
    connection.describe({ type: 'P', name: '' }, true);
    connection.execute({ portal: '', rows: '' }, true);
    connection.sync();
  }
}

/** Bind: unnamed portal, the statement, a format for each value (0 text, 1 binary), the values, and answers as text. */
function bindMessage(name: string, values: readonly SentValue[]): Uint8Array[] {
  const sent = values.map((value) => (typeof value === 'number' || typeof value === 'string' ? Buffer.from(String(value)) : value));
  let bytes = 0;
  let pieceBytes = 0;
  for (const value of sent) {
    if (value instanceof Pieces) pieceBytes += value.byteLength;
    else bytes += value?.byteLength ?? 0;
  }
  const head = Buffer.allocUnsafe(1 + 4 + 1 + Buffer.byteLength(name) + 1 + 2 + 2 * values.length + 2 + 4 * values.length + bytes + 2);
  const pieces: Uint8Array[] = [];
  let end = head.writeUInt8(BIND, 0);
  end = head.writeInt32BE(head.byteLength - 1 + pieceBytes, end);
  end = head.writeUInt8(0, end);
  end += head.write(name, end);
  end = head.writeUInt8(0, end);
  end = head.writeInt16BE(values.length, end);
  for (const value of values) end = head.writeInt16BE(typeof value === 'object' && value !== null ? 1 : 0, end);
  end = head.writeInt16BE(values.length, end);
  let start = 0;
  for (const value of sent) {
    if (value === null) {
      end = head.writeInt32BE(-1, end);
      continue;
    }
    end = head.writeInt32BE(value.byteLength, end);
    if (value instanceof Pieces) {
      pieces.push(head.subarray(start, end), ...value.pieces);
      start = end;
    } else {
      head.set(value, end);
      end += value.byteLength;
    }
  }
  end = head.writeInt16BE(0, end);
  pieces.push(head.subarray(start, end));
  return pieces;
}
