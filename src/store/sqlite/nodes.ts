/**
 * Nodes on the embedded store: one process at a time is the server of a file, so that any other row is of one that has ended. What that one had leased was put
 * back when this one started; there is never anything left to take over.
 */
import { NODE_KEPT_MS, NODE_LISTED_MS, NODE_RUNS, nodeOf } from '#store/node-rows.ts';
import type { Beat, NodeFacts, NodeStore } from '#store/store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

/** The id of the new node. */
export function registerNode(db: Database, { name, version, services, sources }: NodeFacts, nowMs: number): number {
  db.run(`DELETE FROM node WHERE NOT ${NODE_RUNS} AND ended_ms < ?`, nowMs - NODE_KEPT_MS);
  return db.insert(
    "INSERT INTO node (name, version, services, sources, state, started_ms, seen_ms) VALUES (?1,?2,?3,?4,'running',?5,?5)",
    name,
    version,
    JSON.stringify(services),
    JSON.stringify(sources),
    nowMs,
  );
}

/** Those that did not end in good order. */
export function endFormerNodes(db: Database, own: number, nowMs: number): number {
  return db.run(`UPDATE node SET state = 'lost', ended_ms = ? WHERE id <> ? AND ${NODE_RUNS}`, nowMs, own);
}

/** The node ends in good order. */
export function endNode(db: Database, own: number, nowMs: number): void {
  db.run("UPDATE node SET state = 'stopped', ended_ms = ? WHERE id = ?", nowMs, own);
}

export function nodeTable(db: Database, own: number): Synchronous<Omit<NodeStore, 'id'>> {
  return {
    beat(state): Beat {
      const nowMs = Date.now();
      const row = db.get('UPDATE node SET seen_ms = ?, state = ? WHERE id = ? RETURNING wanted', nowMs, state, own);
      if (row === undefined) throw new Error(`node ${own} is not registered`);
      return { nowMs, wanted: row['wanted'] as Beat['wanted'], wasLost: false };
    },
    list() {
      const nowMs = Date.now();
      const leased = new Map(
        db
          .all('SELECT node, count(*) AS n FROM recipient WHERE state = 1 GROUP BY node')
          .map((row) => [Number(row['node']), Number(row['n'])]),
      );
      return db
        .all(`SELECT * FROM node WHERE ${NODE_RUNS} OR ended_ms > ? ORDER BY id DESC`, nowMs - NODE_LISTED_MS)
        .map((row) => nodeOf(row, leased.get(Number(row['id'])) ?? 0, nowMs - Number(row['seen_ms'])));
    },
    want: (id, wanted) => db.run(`UPDATE node SET wanted = ? WHERE id = ? AND ${NODE_RUNS}`, wanted, id) > 0,
    takeOver: () => 0,
  };
}
