/**
 * The way to the server: makes connections to the one of the hosts that takes writes, and remembers when none could be made, so that nobody waits for a
 * server that is away: between two attempts everything that needs a connection is refused at once. Every attempt and every statement has a deadline,
 * here and in the server.
 */
import { readFileSync } from 'node:fs';
import { Client, type ClientConfig, type CustomTypesConfig, types } from 'pg';
import type { StoreError } from '#store/store.ts';
import type { HostPort, PostgresPlace } from '#store/store-url.ts';
import { LostConnection, READ_ONLY, Unusable } from './trouble.ts';

const CONNECT_TIMEOUT_MS = 5000;
const STATEMENT_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 10_000;
/** For a server that does not answer at all any more, not even that it gave up. */
const SILENCE_MS = STATEMENT_TIMEOUT_MS + 5000;
const KEEP_ALIVE_MS = 10_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2000;
const VERSION_MIN = 14;

const INT8 = 20;
const NUMERIC = 1700;
/** Ids and times stay below 2^53. */
const TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 || oid === NUMERIC ? Number : types.getTypeParser(oid, format as 'text')) as typeof types.getTypeParser,
};

/** For every session. The just-in-time compiler costs more than any statement here. */
const SESSION = [
  "SET client_encoding = 'UTF8'",
  'SET jit = off',
  'SET standard_conforming_strings = on',
  "SET default_transaction_isolation = 'read committed'",
];
/** Everything is asked by an index, for a page or a batch: statistics of a table that was empty a minute ago would have it read whole, or hashed. */
const BY_INDEX = ['SET enable_seqscan = off', 'SET enable_hashjoin = off', 'SET enable_mergejoin = off'];
/** Plans are made once. */
const HOT_SESSION = ['SET plan_cache_mode = force_generic_plan'];
const FACTS = `SELECT current_setting('transaction_read_only') AS read_only, current_setting('server_encoding') AS encoding,
  current_setting('server_version_num')::int / 10000 AS version`;

export interface SessionKind {
  /** Its few statements come again and again, and the best plan is the same for all values. */
  readonly isHot?: boolean;
  /** For migrations, which may take their time. */
  readonly isPatient?: boolean;
}

const PATIENT_MS = 3_600_000;

export class Server {
  readonly #place: PostgresPlace;
  readonly #names = new Map<string, string>();
  #ssl: ClientConfig['ssl'];
  /** The host that was right last. */
  #preferred = 0;
  #failures = 0;
  #retryAtMs = 0;
  #lastFailure = '';
  #lastCause: unknown;
  /** Told of each failure of the environment's. */
  onTrouble: ((kind: StoreError['kind'], message: string) => void) | undefined;

  constructor(place: PostgresPlace) {
    this.#place = place;
    this.#ssl = tlsOf(place.tls);
  }

  /** Statements are prepared once for each connection, under a name: their number is the number of SQL texts in this room. */
  nameOf(sql: string): string {
    let name = this.#names.get(sql);
    if (name === undefined) {
      name = `postrider_${this.#names.size}`;
      this.#names.set(sql, name);
    }
    return name;
  }

  async connect(kind: SessionKind = {}): Promise<Client> {
    if (performance.now() < this.#retryAtMs) throw new LostConnection(this.#lastFailure, false, this.#lastCause);
    const failures: unknown[] = [];
    const { hosts } = this.#place;
    for (let tried = 0; tried < hosts.length; tried++) {
      const position = (this.#preferred + tried) % hosts.length;
      try {
        const client = await this.#connectTo(hosts[position] as HostPort, kind);
        this.#preferred = position;
        this.#failures = 0;
        return client;
      } catch (error) {
        failures.push(error);
      }
    }
    this.#lastCause = failures.length === 1 ? failures[0] : new AggregateError(failures, failures.map(messageOf).join('; '));
    this.#lastFailure = `PostgreSQL cannot be used: ${messageOf(this.#lastCause)}`;
    this.#retryAtMs = performance.now() + Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures++);
    this.onTrouble?.('io', this.#lastFailure);
    throw new LostConnection(this.#lastFailure, false, this.#lastCause);
  }

  async #connectTo({ host, port }: HostPort, kind: SessionKind): Promise<Client> {
    const { user, password, database } = this.#place;
    const client = new Client({
      host,
      port,
      user,
      password,
      database,
      ssl: host.startsWith('/') ? false : this.#ssl,
      types: TYPES,
      application_name: 'postrider',
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: kind.isPatient === true ? PATIENT_MS : SILENCE_MS,
    });
    // Without a listener the end of an idle connection would end the process; whoever uses it next learns of it.
    client.on('error', () => undefined);
    try {
      await client.connect();
      const timeouts =
        kind.isPatient === true
          ? [`SET statement_timeout = ${PATIENT_MS}`, `SET lock_timeout = ${PATIENT_MS}`]
          : [
              ...BY_INDEX,
              `SET statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
              `SET lock_timeout = ${LOCK_TIMEOUT_MS}`,
              `SET idle_in_transaction_session_timeout = ${STATEMENT_TIMEOUT_MS}`,
            ];
      await client.query([...SESSION, ...timeouts, ...(kind.isHot === true ? HOT_SESSION : [])].join(';'));
      const { rows } = await client.query<{ read_only: string; encoding: string; version: number }>(FACTS);
      const facts = rows[0];
      if (facts?.read_only !== 'off') throw new Unusable(`${host}:${port} does not take writes (a standby?)`, READ_ONLY);
      if (facts.encoding !== 'UTF8') throw new Unusable(`the database has the encoding ${facts.encoding}; it must be UTF8`);
      if (facts.version < VERSION_MIN) throw new Unusable(`PostgreSQL ${facts.version} is too old; ${VERSION_MIN} or later is needed`);
      return client;
    } catch (error) {
      discard(client);
      throw error;
    }
  }
}

/** Node says of several addresses of one name only that there were several. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** Ends a connection without waiting for it. */
export function discard(client: Client): void {
  client.end().catch(() => undefined); // it may be half open or dead already: it is not used again either way
}

function tlsOf({ mode, rootCert, cert, key }: PostgresPlace['tls']): ClientConfig['ssl'] {
  if (mode === 'disable') return false;
  return {
    rejectUnauthorized: mode !== 'require',
    ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
    ...(rootCert !== undefined && { ca: readFileSync(rootCert, 'utf8') }),
    ...(cert !== undefined && { cert: readFileSync(cert, 'utf8') }),
    ...(key !== undefined && { key: readFileSync(key, 'utf8') }),
  };
}
