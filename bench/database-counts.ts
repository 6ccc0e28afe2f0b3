/** What PostgreSQL counts of its own work: read twice, the difference is what happened between. Partitions count for their table. PostgreSQL 14 and later. */

export interface TableCounts {
  readonly name: string;
  readonly inserted: number;
  readonly updated: number;
  /** Of those updated: no index had to be touched. */
  readonly inPlace: number;
  readonly deleted: number;
  /** With what is kept beside (TOAST), which is where contents are. */
  readonly tableBytes: number;
  readonly indexBytes: number;
}

export interface Counts {
  readonly version: string;
  readonly walRecords: number;
  /** Pages written whole, because they were touched first after a checkpoint. */
  readonly walPages: number;
  readonly commits: number;
  /** Inserted, updated and deleted. */
  readonly rowsWritten: number;
  /** Of nodes, at the end. */
  readonly connections: number;
  /** Of recipients by address. */
  readonly addressIndexBytes: number;
  readonly tables: readonly TableCounts[];
}

const SERVER = `SELECT current_setting('server_version') AS version, w.wal_records::float8 AS records, w.wal_fpi::float8 AS pages,
  d.xact_commit::float8 AS commits, (d.tup_inserted + d.tup_updated + d.tup_deleted)::float8 AS rows,
  (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid())::int AS connections,
  pg_relation_size('recipient_by_address')::float8 AS address_index
  FROM pg_stat_wal w, pg_stat_database d WHERE d.datname = current_database()`;

const TABLES = `SELECT coalesce(parent.relname, t.relname) AS name, sum(t.n_tup_ins)::float8 AS inserted, sum(t.n_tup_upd)::float8 AS updated,
  sum(t.n_tup_hot_upd)::float8 AS in_place, sum(t.n_tup_del)::float8 AS deleted,
  sum(pg_table_size(t.relid))::float8 AS table_bytes, sum(pg_indexes_size(t.relid))::float8 AS index_bytes
  FROM pg_stat_user_tables t LEFT JOIN pg_inherits i ON i.inhrelid = t.relid LEFT JOIN pg_class parent ON parent.oid = i.inhparent
  GROUP BY 1 ORDER BY 1`;

/** `ask` puts a statement to the nodes' database. */
export async function readCounts(ask: (text: string) => Promise<Record<string, unknown>[]>): Promise<Counts> {
  const [server] = await ask(SERVER);
  const tables = await ask(TABLES);
  return {
    version: String(server?.['version']),
    walRecords: Number(server?.['records']),
    walPages: Number(server?.['pages']),
    commits: Number(server?.['commits']),
    rowsWritten: Number(server?.['rows']),
    connections: Number(server?.['connections']),
    addressIndexBytes: Number(server?.['address_index']),
    tables: tables.map((row) => ({
      name: String(row['name']),
      inserted: Number(row['inserted']),
      updated: Number(row['updated']),
      inPlace: Number(row['in_place']),
      deleted: Number(row['deleted']),
      tableBytes: Number(row['table_bytes']),
      indexBytes: Number(row['index_bytes']),
    })),
  };
}

export function countsBetween(before: Counts, after: Counts): Counts {
  return {
    ...after,
    walRecords: after.walRecords - before.walRecords,
    walPages: after.walPages - before.walPages,
    commits: after.commits - before.commits,
    rowsWritten: after.rowsWritten - before.rowsWritten,
    addressIndexBytes: after.addressIndexBytes - before.addressIndexBytes,
    tables: after.tables.map((now) => {
      const then = before.tables.find(({ name }) => name === now.name);
      if (then === undefined) return now;
      return {
        name: now.name,
        inserted: now.inserted - then.inserted,
        updated: now.updated - then.updated,
        inPlace: now.inPlace - then.inPlace,
        deleted: now.deleted - then.deleted,
        tableBytes: now.tableBytes - then.tableBytes,
        indexBytes: now.indexBytes - then.indexBytes,
      };
    }),
  };
}
