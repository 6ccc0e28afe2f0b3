/**
 * Statements and transactions over a few connections. A connection that broke is made anew by the next who needs one. Two transactions that were in each other's way
 * (a deadlock, a serialization failure) are tried again here; nobody else sees that.
 */
import type { Client, QueryResult } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { jitter } from '#base/random.ts';
import type { Row } from '#store/rows-json.ts';
import { StoreError } from '#store/store.ts';
import { storable } from './arrays.ts';
import { PiecedQuery, Pieces, type SentValue } from './pieces.ts';
import { discard, type Server, type SessionKind } from './server.ts';
import { isClash, isConnectionLost, isPlanStale, LostConnection, troubleOf } from './trouble.ts';

/** A Uint8Array goes as it is, in the binary format of its type: octets for BYTEA, and arrays as arrays.ts writes them. */
export type Value = SentValue;

/** What can be asked, of the pool or inside a transaction. Values stand for $1, $2, …; ids and counts come as numbers, BYTEA as Uint8Array. */
export interface Queries {
  all(sql: string, ...values: Value[]): Promise<Row[]>;
  /** The first row. */
  get(sql: string, ...values: Value[]): Promise<Row | undefined>;
  /** Number of rows that were changed. */
  run(sql: string, ...values: Value[]): Promise<number>;
  /** `all` for SQL whose text varies with its conditions; it is not kept prepared. */
  allOnce(sql: string, ...values: Value[]): Promise<Row[]>;
}

const CLASH_RETRIES_MAX = 5;
const CLASH_DELAY_MS = 20;

function storableValue(value: Value): Value {
  return typeof value === 'string' ? storable(value) : value;
}

/** One connection, used by one at a time; made when it is needed, and anew when it broke. */
export class Link implements Queries {
  readonly #server: Server;
  readonly #kind: SessionKind;
  #client: Client | undefined;
  #isClosed = false;

  constructor(server: Server, kind: SessionKind = {}) {
    this.#server = server;
    this.#kind = kind;
  }

  async all(sql: string, ...values: Value[]): Promise<Row[]> {
    return (await this.#query(sql, values, true)).rows as Row[];
  }

  async get(sql: string, ...values: Value[]): Promise<Row | undefined> {
    return (await this.#query(sql, values, true)).rows[0] as Row | undefined;
  }

  async run(sql: string, ...values: Value[]): Promise<number> {
    return (await this.#query(sql, values, true)).rowCount ?? 0;
  }

  async allOnce(sql: string, ...values: Value[]): Promise<Row[]> {
    return (await this.#query(sql, values, false)).rows as Row[];
  }

  /** Several statements at once, without values. */
  async exec(sql: string): Promise<void> {
    await this.#query(sql, undefined, false);
  }

  async transaction<T>(body: (queries: Queries) => Promise<T>): Promise<T> {
    return retryingClashes(async () => {
      await this.exec('BEGIN');
      try {
        const result = await body(this);
        await this.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#client !== undefined) await this.exec('ROLLBACK').catch(() => this.drop());
        throw error;
      }
    });
  }

  /** The connection is not trusted any more. */
  drop(): void {
    if (this.#client !== undefined) discard(this.#client);
    this.#client = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.drop();
  }

  async #query(text: string, values: readonly Value[] | undefined, isNamed: boolean): Promise<QueryResult> {
    if (this.#isClosed) throw new StoreError('closed', 'the store is closed');
    const isOpen = this.#client !== undefined;
    const client = this.#client ?? (await this.#connect());
    try {
      if (values?.some((value) => value instanceof Pieces) === true) return await pieced(client, this.#server.nameOf(text), text, values);
      return await client.query(
        values === undefined ? { text } : { text, values: values.map(storableValue), ...(isNamed && { name: this.#server.nameOf(text) }) },
      );
    } catch (error) {
      // What broke while nobody looked was not on its way: a second attempt is no repeat. (Inside a transaction BEGIN is the first to find it.)
      if (isOpen && text === 'BEGIN' && isConnectionLost(error)) {
        this.drop();
        return this.#query(text, values, isNamed);
      }
      throw this.#failure(error);
    }
  }

  async #connect(): Promise<Client> {
    const client = await this.#server.connect(this.#kind);
    if (this.#isClosed) {
      discard(client);
      throw new StoreError('closed', 'the store is closed');
    }
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    return (this.#client = client);
  }

  #failure(error: unknown): unknown {
    const message = error instanceof Error ? error.message : String(error);
    if (isConnectionLost(error)) {
      this.drop();
      this.#server.onTrouble?.('io', message);
      return new LostConnection(message, true, error);
    }
    if (isPlanStale(error)) this.drop();
    const kind = troubleOf(error);
    if (kind === undefined || isClash(error)) return error;
    this.#server.onTrouble?.(kind, message);
    return new StoreError(kind, message);
  }
}

function pieced(client: Client, name: string, text: string, values: readonly Value[]): Promise<QueryResult> {
  return new Promise((resolve, reject) => {
    client.query(
      new PiecedQuery(name, text, values, (error, result) => {
        if (error === undefined || error === null) resolve(result);
        else reject(error);
      }),
    );
  });
}

export async function retryingClashes<T>(body: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await body();
    } catch (error) {
      if (!isClash(error)) throw error;
      if (tries === CLASH_RETRIES_MAX) throw new StoreError('busy', error instanceof Error ? error.message : String(error));
      await sleep(CLASH_DELAY_MS * tries * jitter(0.5));
    }
  }
}

/** After the server was restarted each connection is found broken by who uses it next: a question can be asked again on a new one. */
async function askingAgain<T>(sql: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof LostConnection && error.isSent && /^\s*SELECT\b/.test(sql)) return ask();
    throw error;
  }
}

/** Who waits for a connection; past it new ones are refused as busy (P9). */
const WAITING_MAX = 10_000;

/** The pool for reads, claims and small writes. */
export class Database implements Queries {
  readonly #idle: Link[] = [];
  readonly #links: readonly Link[];
  readonly #waiting: ((link: Link) => void)[] = [];
  readonly server: Server;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(server: Server, connectionsMax: number) {
    this.server = server;
    this.#links = Array.from({ length: connectionsMax }, () => new Link(server));
    this.#idle.push(...this.#links);
  }

  all(sql: string, ...values: Value[]): Promise<Row[]> {
    return this.#with((link) => retryingClashes(() => askingAgain(sql, () => link.all(sql, ...values))));
  }

  get(sql: string, ...values: Value[]): Promise<Row | undefined> {
    return this.#with((link) => retryingClashes(() => askingAgain(sql, () => link.get(sql, ...values))));
  }

  run(sql: string, ...values: Value[]): Promise<number> {
    return this.#with((link) => retryingClashes(() => link.run(sql, ...values)));
  }

  allOnce(sql: string, ...values: Value[]): Promise<Row[]> {
    return this.#with((link) => askingAgain(sql, () => link.allOnce(sql, ...values)));
  }

  /** All of the body or nothing of it. The body runs again when it clashed with another transaction: it must do nothing but ask. */
  transaction<T>(body: (queries: Queries) => Promise<T>): Promise<T> {
    return this.#with((link) => link.transaction(body));
  }

  /** Waits for what was handed in, then ends the connections. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#idle.length < this.#links.length) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    for (const link of this.#links) link.close();
  }

  async #with<T>(use: (link: Link) => Promise<T>): Promise<T> {
    const link = await this.#take();
    try {
      return await use(link);
    } finally {
      this.#giveBack(link);
    }
  }

  #take(): Promise<Link> {
    if (this.#isClosed) return Promise.reject(new StoreError('closed', 'the store is closed'));
    // The one that was used last: its connection is warm, and those that are not needed are not made.
    const link = this.#idle.pop();
    if (link !== undefined) return Promise.resolve(link);
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(new StoreError('busy', 'too many calls wait for the store'));
    return new Promise((give) => this.#waiting.push(give));
  }

  #giveBack(link: Link): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(link);
      return;
    }
    this.#idle.push(link);
    if (this.#idle.length === this.#links.length) this.#onIdle?.();
  }
}
