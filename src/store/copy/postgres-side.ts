/**
 * A store on PostgreSQL as a side of a copy. What is read comes from one snapshot, also while nodes serve it; rows go there in binary, a batch in one statement. The embedded
 * store's ids are taken over: those of its own making fall into the first partitions, those of a day into that day's.
 */
import type pg from 'pg';
import { EVENT_KINDS } from '#model/event.ts';
import { byteaArray, int8Array, storable, textArray } from '#store/postgres/arrays.ts';
import { Database } from '#store/postgres/database.ts';
import { dayOf, dayOfId, firstIdOfDay } from '#store/postgres/ids.ts';
import { migrate } from '#store/postgres/migrate.ts';
import { NODE_LOCK } from '#store/postgres/nodes.ts';
import { PARTITIONED, Partitions } from '#store/postgres/partitions.ts';
import { discard, Server } from '#store/postgres/server.ts';
import { LOCK_NOT_AVAILABLE } from '#store/postgres/trouble.ts';
import { connectFailure } from '#store/connect-failure.ts';
import { StoreError } from '#store/store.ts';
import { type PostgresPlace, shownPlace } from '#store/store-url.ts';
import { COPY_MARK } from './marks.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX, CopyError, type Key, type Mark, type Source, type Target } from './side.ts';
import type { Row, Value } from './table-sum.ts';
import { type ColumnKind, columnsOf, TABLES, type Table } from './tables.ts';

/** A page of rows with octets is looked at before it is known how few of them make a batch. */
const PAGE_WITH_BYTES = 1000;
/** One copy at a time. Any number that no other program is likely to lock by. */
const LOCK = 7_072_681_253;
/** The server lets go of the lock of a copy that was stopped a moment after its connection is closed: who begins again at once is not to be refused. */
const LOCK_WAIT_MS = 3000;
/** A node that is silent for longer than this, and is not connected, has ended. */
const SILENT_MS = 60_000;
const LIVING = `SELECT name FROM node n WHERE state IN ('running', 'draining', 'drained') AND (
    seen_ms > (extract(epoch FROM clock_timestamp()) * 1000)::bigint - ${SILENT_MS}
    OR EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid::bigint = ${NODE_LOCK} AND l.objid::bigint = n.id
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())))
  ORDER BY name`;
const PUT_MARK = `INSERT INTO setting (name, value) VALUES ('${COPY_MARK}', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`;
const ARRAYS = { integer: 'bigint[]', text: 'text[]', bytes: 'bytea[]' } as const;
const IDS_PER_DAY = firstIdOfDay(1);
const ID_MAX = 2 ** 53;

/** `isServed`: nodes may run meanwhile; what they accept after the beginning is not in the snapshot. Rejects with `CopyError` when they may not, and do. */
export async function openPostgresSource(place: PostgresPlace, { isServed }: { readonly isServed: boolean }): Promise<Source> {
  const side = await PostgresSide.open(place);
  try {
    await side.beginReading(isServed);
    return side;
  } catch (error) {
    await side.close();
    throw error;
  }
}

export async function openPostgresTarget(place: PostgresPlace): Promise<Target> {
  const side = await PostgresSide.open(place);
  try {
    await side.beginWriting();
    return side;
  } catch (error) {
    await side.close();
    throw error;
  }
}

class PostgresSide implements Source, Target {
  readonly name: string;
  readonly #client: pg.Client;
  readonly #database: Database;
  readonly #partitions: Partitions;
  /** What nodes there had been when the copy began; absent: it does not matter. */
  #nodesBefore: string | undefined;

  private constructor(place: PostgresPlace, client: pg.Client, database: Database) {
    this.name = `postgres:${shownPlace(place)}`;
    this.#client = client;
    this.#database = database;
    this.#partitions = new Partitions(database);
  }

  static async open(place: PostgresPlace): Promise<PostgresSide> {
    const server = new Server(place);
    try {
      await migrate(server, 'copy');
      // Held to the end and never made anew: another connection would be another snapshot.
      const client = await server.connect({ isPatient: true });
      // Pages are read in the order of an index, whatever the statistics of a table say that was empty a minute ago.
      await client.query('SET enable_sort = off');
      return new PostgresSide(place, client, new Database(server, 1));
    } catch (error) {
      const failure = connectFailure(error, place);
      throw failure === undefined ? error : new StoreError('io', failure.sentence);
    }
  }

  async beginReading(isServed: boolean): Promise<void> {
    if (!isServed) {
      await this.#refuseLiving(
        'what they accept would be missing in the copy. Drain and stop them first, or take a backup, which is made while they run, and restore that',
      );
      this.#nodesBefore = await this.#nodes();
    }
    await this.#client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // Before the snapshot, so that nothing of it can be dropped (partitions are not versioned).
    await this.#client.query(`LOCK TABLE ${TABLES.map(({ name }) => name).join(', ')}, content_kept IN ACCESS SHARE MODE`);
    const unfinished = await this.mark();
    if (unfinished !== undefined) throw new CopyError(`${this.name} holds an unfinished copy of ${unfinished.from}, which is no store yet`);
  }

  async beginWriting(): Promise<void> {
    await this.#client.query(`BEGIN; SET LOCAL lock_timeout = ${LOCK_WAIT_MS}`);
    try {
      await this.#client.query('SELECT pg_advisory_lock($1::bigint)', [LOCK]);
      await this.#client.query('COMMIT');
    } catch (error) {
      if ((error as pg.DatabaseError).code !== LOCK_NOT_AVAILABLE) throw error;
      throw new CopyError(`another copy into ${this.name} is at work`);
    }
    await this.#refuseLiving('stop them first');
  }

  async #refuseLiving(advice: string): Promise<void> {
    const { rows } = await this.#client.query<{ name: string }>(LIVING);
    if (rows.length === 0) return;
    throw new CopyError(`${this.name} is served by ${rows.map(({ name }) => name).join(', ')}; ${advice}`);
  }

  async #nodes(): Promise<string> {
    const { rows } = await this.#client.query<{ nodes: string }>("SELECT coalesce(max(id), 0) || ' ' || count(*) AS nodes FROM node");
    return rows[0]?.nodes ?? '';
  }

  async count(table: Table): Promise<number> {
    const { rows } = await this.#client.query<{ n: number }>(`SELECT count(*) AS n FROM ${fromOf(table)} WHERE ${table.rows ?? 'true'}`);
    return Number(rows[0]?.n);
  }

  async read(table: Table, after: Key | undefined): Promise<Row[]> {
    const { rows } = await this.#client.query<Value[]>({
      text: readSql(table, after !== undefined),
      values: [...(after ?? [])],
      rowMode: 'array',
    });
    return rows;
  }

  async stillAtRest(): Promise<void> {
    if (this.#nodesBefore === undefined) return;
    await this.#client.query('COMMIT');
    if ((await this.#nodes()) !== this.#nodesBefore) {
      throw new CopyError(`${this.name} was served while it was copied; stop its nodes and begin anew (--anew)`);
    }
  }

  async mark(): Promise<Mark | undefined> {
    const { rows } = await this.#client.query<{ value: string }>('SELECT value FROM setting WHERE name = $1', [COPY_MARK]);
    return rows[0] === undefined ? undefined : (JSON.parse(rows[0].value) as Mark);
  }

  async isEmpty(): Promise<boolean> {
    const names = [...TABLES.map(({ name }) => name).filter((name) => name !== 'setting'), 'content_kept'];
    const { rows } = await this.#client.query<{ n: number }>(
      names.map((name) => `(SELECT 1 AS n FROM ${name} LIMIT 1)`).join(' UNION ALL '),
    );
    return rows.length === 0;
  }

  async clear(): Promise<void> {
    const names = TABLES.map(({ name }) => name).filter((name) => name !== 'setting');
    await this.#client.query(`TRUNCATE ${names.join(', ')}, content_kept`);
    for (const { name, rows } of TABLES) if (name === 'setting') await this.#client.query(`DELETE FROM setting WHERE ${rows ?? 'true'}`);
  }

  /**
   * Texts have no NUL here. And events lie in the partition of the day that their id says, and go with it: the embedded store gives ids one after another, so that
   * after a time on it those of a node are followed by ids whose day is long past. Such an event goes to those without a day, where the order stays.
   */
  adopted(table: Table, row: Row): Row {
    const kept = row.some(hasNul) ? row.map((value) => (typeof value === 'string' ? storable(value) : value)) : row;
    if (table.name !== 'event') return kept;
    const [id, , atUs] = kept as [number, number, number];
    const isOfItsDay = id < IDS_PER_DAY || dayOfId(id) === dayOf(atUs / 1000);
    return isOfItsDay ? kept : [id - ID_MAX, ...kept.slice(1)];
  }

  async putMark(mark: Mark): Promise<void> {
    await this.#client.query(PUT_MARK, [JSON.stringify(mark)]);
  }

  async write(table: Table, rows: readonly Row[], mark: Mark): Promise<void> {
    if (PARTITIONED.some((name) => name === table.name)) await this.#partitions.ensureFor(rows.map((row) => Math.max(0, row[0] as number)));
    const columns = Object.entries(table.columns);
    const arrays = columns.map(([, kind], position) => arrayOf(kind, rows, position));
    await this.#transaction(async () => {
      await this.#client.query(insertSql(table), arrays);
      await this.putMark(mark);
    });
  }

  async finish(nowMs: number): Promise<number> {
    await this.#refuseLiving('its nodes began while it was copied into; stop them');
    await this.#partitions.ensure([dayOf(nowMs)]);
    let recovered = 0;
    await this.#transaction(async () => {
      await this.#continueIds();
      recovered = await this.#endLeases(nowMs);
      await this.#client.query(
        "UPDATE bucket SET parked_ms = 0, wait = 'due', look_ms = (SELECT min(due_ms) FROM recipient WHERE bucket = bucket.id AND state = 0)",
      );
      await this.#client.query('UPDATE outbox SET due_ms = $1::bigint, is_leased = 0 WHERE is_leased = 1', [nowMs]);
      await this.#client.query(
        'UPDATE outbox_endpoint SET parked_ms = 0, look_ms = coalesce((SELECT min(due_ms) FROM outbox WHERE endpoint = outbox_endpoint.id), look_ms)',
      );
      await this.#followEvents();
      await this.#client.query('DELETE FROM setting WHERE name = $1', [COPY_MARK]);
    });
    return recovered;
  }

  /** What names an event that goes to those without a day names it as it is called there (`adopted`). */
  async #followEvents(): Promise<void> {
    for (const table of ['outbox', 'webhook_post', 'event_tag']) {
      await this.#client.query(`UPDATE ${table} t SET event = e.id FROM event e WHERE e.id < 0 AND t.event = e.id + ${ID_MAX}`);
    }
  }

  /** What is given away next is above everything that is there. */
  async #continueIds(): Promise<void> {
    for (const kind of ['message', 'recipient', 'event', 'webhook_post']) {
      await this.#client.query(
        `UPDATE id_block SET next = greatest(next, (SELECT coalesce(max(id % ${IDS_PER_DAY}), 0) + 1 FROM ${kind} WHERE id >= ${IDS_PER_DAY})) WHERE kind = '${kind}'`,
      );
    }
    const { rows } = await this.#client.query<{ name: string; sequence: string | null }>(
      "SELECT t.name AS name, pg_get_serial_sequence(t.name, 'id') AS sequence FROM unnest($1::text[]) AS t (name)",
      [TABLES.filter(({ columns }) => columns['id'] === 'integer').map(({ name }) => name)],
    );
    for (const { name, sequence } of rows) {
      if (sequence === null) continue;
      await this.#client.query(`SELECT setval($1::regclass, greatest((SELECT max(id) FROM ${name}), nextval($1::regclass)))`, [sequence]);
    }
  }

  async #endLeases(nowMs: number): Promise<number> {
    const { rows } = await this.#client.query<{ n: number }>('SELECT count(*) AS n FROM recipient WHERE state = 1');
    const count = Number(rows[0]?.n);
    if (count === 0) return 0;
    const taken = await this.#client.query<{ first: number }>(
      "UPDATE id_block SET next = next + $1::bigint WHERE kind = 'event' RETURNING next - $1::bigint AS first",
      [count],
    );
    const firstEvent = firstIdOfDay(dayOf(nowMs)) + Number(taken.rows[0]?.first);
    await this.#client.query(
      `WITH ended AS (
         UPDATE recipient SET state = 0, node = NULL, epoch = epoch + 1, due_ms = $1::bigint, wait = 'recovered', possible_duplicate = 1
         WHERE state = 1 RETURNING id, message)
       INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail)
       SELECT $2::bigint + row_number() OVER (ORDER BY e.id) - 1, ${EVENT_KINDS.recovered}, $1::bigint * 1000, m.account_id, m.domain_id, m.id, e.id,
         '{"possibleDuplicate":true}'
       FROM ended e JOIN message m ON m.id = e.message`,
      [nowMs, firstEvent],
    );
    return count;
  }

  async close(): Promise<void> {
    await this.#database.close();
    discard(this.#client);
  }

  async #transaction(work: () => Promise<void>): Promise<void> {
    await this.#client.query('BEGIN');
    try {
      await work();
      await this.#client.query('COMMIT');
    } catch (error) {
      // Where the connection is gone, so is the transaction.
      await this.#client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }
}

function hasNul(value: Value): boolean {
  return typeof value === 'string' && value.includes('\0');
}

function fromOf(table: Table): string {
  return table.from?.postgres ?? table.name;
}

/** As the index has it. */
function keyColumn(table: Table, column: string): string {
  return table.caseless?.includes(column) === true ? `lower(${column})` : column;
}

/** A page in the order of keys, cut after the row that makes the batch full; nothing of the rows behind it is fetched. */
function readSql(table: Table, isAfter: boolean): string {
  const columns = columnsOf(table);
  const order = table.key.map((column) => keyColumn(table, column)).join(', ');
  const place = (column: string, i: number): string =>
    table.columns[column] === 'integer' ? `$${i + 1}::bigint` : keyColumn(table, column).replace(column, `$${i + 1}::text`);
  const beyond = isAfter ? `(${order}) > (${table.key.map(place).join(', ')})` : 'true';
  const large = columns.filter((column) => table.columns[column] !== 'integer');
  const size = [...large.map((column) => `coalesce(octet_length(${column}), 0)`), columns.length * 8].join(' + ');
  const pageRows = columns.some((column) => table.columns[column] === 'bytes') ? PAGE_WITH_BYTES : BATCH_ROWS_MAX;
  const shown = columns.map((column) => table.found?.[column] ?? column);
  return `SELECT ${shown.join(', ')} FROM (
      SELECT *, sum(${size}) OVER (ORDER BY ${order}) - (${size}) AS size_before FROM (
        SELECT ${columns.join(', ')} FROM ${fromOf(table)} WHERE ${table.rows ?? 'true'} AND ${beyond} ORDER BY ${order} LIMIT ${pageRows}) AS page
    ) AS ${table.name} WHERE size_before < ${BATCH_BYTES_MAX} ORDER BY size_before`;
}

function insertSql(table: Table): string {
  const columns = columnsOf(table);
  const only = Object.entries(table.only ?? {});
  const arrays = columns.map((column, i) => `$${i + 1}::${ARRAYS[table.columns[column] as ColumnKind]}`);
  return `INSERT INTO ${table.name} (${[...columns, ...only.map(([name]) => name)].join(', ')})
    SELECT ${[...columns, ...only.map(([, value]) => value)].join(', ')} FROM unnest(${arrays.join(', ')}) AS r (${columns.join(', ')})`;
}

function arrayOf(kind: ColumnKind, rows: readonly Row[], position: number): Buffer {
  const values = rows.map((row): Value => row[position] ?? null);
  if (kind === 'integer') return int8Array(values as (number | null)[]);
  return kind === 'text' ? textArray(values as (string | null)[]) : byteaArray(values as (Uint8Array | null)[]);
}
