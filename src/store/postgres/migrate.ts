/**
 * Brings the schema up to date. Files of migrations/ go forward only, all that are missing in one transaction, under a lock that lets one process at a time do it.
 * Nodes of two versions run side by side unless the newer one's migration says "--! breaking" on its first line: then the older ones drain and stop (nodes.ts).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { COPY_MARK, unfinishedCopy } from '#store/copy/marks.ts';
import { type Queries, Link } from './database.ts';
import type { Server } from './server.ts';

const MIGRATIONS = new URL('./migrations/', import.meta.url);
/** Any number that no other program is likely to lock by. */
const LOCK = 7_072_681_250;
const BREAKING = '--! breaking';

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
}

function ours(): Migration[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => ({ number: Number(name.slice(0, 4)), name, sql: readFileSync(new URL(name, MIGRATIONS), 'utf8') }));
}

/** A database that holds an unfinished copy is opened by the copy alone. */
export async function migrate(server: Server, use: 'store' | 'copy' = 'store'): Promise<void> {
  const link = new Link(server, { isPatient: true });
  const migrations = ours();
  try {
    await link.transaction(async (queries) => {
      await queries.all('SELECT pg_advisory_xact_lock($1::bigint)', LOCK);
      await link.exec(
        'CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, is_breaking SMALLINT NOT NULL, at_ms BIGINT NOT NULL)',
      );
      const done = new Set((await queries.all('SELECT number FROM migration')).map((row) => Number(row['number'])));
      const breaking = await breakingBeyond(queries, migrations);
      if (breaking !== undefined) {
        throw new Error(
          `the store was written by a later version of this program (its schema has ${breaking}, which this one cannot work with)`,
        );
      }
      for (const { number, name, sql } of migrations.filter((migration) => !done.has(migration.number))) {
        await link.exec(sql);
        await queries.run(
          'INSERT INTO migration (number, name, is_breaking, at_ms) VALUES ($1, $2, $3, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)',
          number,
          name,
          sql.startsWith(BREAKING) ? 1 : 0,
        );
      }
      const unfinished = await queries.get('SELECT value FROM setting WHERE name = $1', COPY_MARK);
      if (unfinished !== undefined && use === 'store') throw unfinishedCopy('the database', String(unfinished['value']));
    });
  } finally {
    link.close();
  }
}

/** The name of a breaking migration that is later than all that this version knows. */
async function breakingBeyond(queries: Queries, migrations: readonly Migration[]): Promise<string | undefined> {
  const newest = migrations.at(-1)?.number ?? 0;
  const row = await queries.get('SELECT name FROM migration WHERE number > $1 AND is_breaking = 1 ORDER BY number LIMIT 1', newest);
  return row === undefined ? undefined : String(row['name']);
}

let newestKnown: number | undefined;

/** For a node at its beat: a later version has made a change that this one must not run with. */
export async function isOutdated(queries: Queries): Promise<boolean> {
  newestKnown ??= ours().at(-1)?.number ?? 0;
  return (await queries.get('SELECT 1 FROM migration WHERE number > $1 AND is_breaking = 1 LIMIT 1', newestKnown)) !== undefined;
}
