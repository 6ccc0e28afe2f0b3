/** Rows of nodes to our noun, and which of them are listed and kept: the same for both drivers. Stored JSON was written by us: it is trusted. */
import type { Row } from './rows-json.ts';
import type { NodeRow, NodeService, NodeState } from './store.ts';

const DAY_MS = 86_400_000;
/** One that ended is listed so long after it was heard of last. */
export const NODE_LISTED_MS = DAY_MS;
/** Its row is kept so long. */
export const NODE_KEPT_MS = 30 * DAY_MS;

/** SQL: it has not ended, as far as is known. */
export const NODE_RUNS = "state IN ('running', 'draining', 'drained')";

export function nodeOf(row: Row, leased: number, silentMs: number): NodeRow {
  return {
    id: Number(row['id']),
    name: String(row['name']),
    version: String(row['version']),
    services: JSON.parse(String(row['services'])) as NodeService[],
    sources: JSON.parse(String(row['sources'])) as string[],
    state: row['state'] as NodeState,
    startedMs: Number(row['started_ms']),
    seenMs: Number(row['seen_ms']),
    silentMs: Math.max(0, silentMs),
    leased,
  };
}
