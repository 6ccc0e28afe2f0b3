/**
 * Nodes: one row for each process that serves. All times are by the database's clock, so that it does not matter what the nodes' own say. A node's beat prolongs all of its leases; one
 * that was silent for a lease is declared lost by any other, in one statement that only one of them can win, and what it had leased goes back in steps, marked
 * as a possible repeat: as the epoch of each is raised, whatever the lost node still has to say of it is refused.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EVENT_KINDS } from '#model/event.ts';
import { NODE_KEPT_MS, NODE_LISTED_MS, NODE_RUNS, nodeOf } from '#store/node-rows.ts';
import { type Beat, type NodeFacts, type NodeRow, type NodeStore, StoreError } from '#store/store.ts';
import { int4Array, int8Array, storable } from './arrays.ts';
import { lowering } from './buckets.ts';
import type { Database } from './database.ts';
import { dayOf, firstIdOfDay, type Ids } from './ids.ts';
import type { Leases } from './leases.ts';
import { isOutdated } from './migrate.ts';
import type { Partitions } from './partitions.ts';
import { LostConnection } from './trouble.ts';

const NOW_MS = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint';
/** Recipients put back in one commit. */
const STEP = 2000;
/** In leases: how often the table is asked what it says is ours. What we do not know of must be found so twice, a lease apart: an answer may be on its way. */
const RECONCILE_LEASES = 3;
/** A former process of our name: how often it is looked whether it is gone. */
const NAME_LOOK_MS = 500;
/** Longer than it is waited between two attempts to connect. */
const LEAVE_WITHIN_MS = 3000;
const LEAVE_AGAIN_MS = 200;
/** With the node's id, the lock that its process holds as long as it is connected. */
export const NODE_LOCK = 707_268_125;

export interface NodeTools {
  readonly db: Database;
  readonly ids: Ids;
  readonly partitions: Partitions;
  readonly leases: Leases;
  /** A node not heard of for so long is lost. */
  readonly leaseMs: number;
  /** Something waits that other nodes may take. */
  ring(): void;
  /** The process has an id, or another one than before. */
  isNode(id: number): Promise<void>;
  readonly onFatal: (error: Error) => void;
}

/** Leased recipients of nodes, at most STEP, in the order of their ids; $3 bounds them to given ones with their epochs. */
const PUT_BACK = `WITH chosen AS (
    SELECT r.id FROM recipient r WHERE r.state = 1 AND r.node = ANY($1::bigint[]) AND ($2::bigint[] IS NULL OR (r.id, r.epoch) IN (SELECT * FROM unnest($2::bigint[], $3::integer[])))
    ORDER BY r.id LIMIT ${STEP} FOR UPDATE SKIP LOCKED),
  returned AS (
    UPDATE recipient r SET state = 0, node = NULL, epoch = r.epoch + 1, due_ms = $4::bigint, wait = 'recovered', possible_duplicate = 1
    FROM chosen c WHERE r.id = c.id RETURNING r.id, r.message, r.bucket),
  events AS (
    INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail)
    SELECT $5::bigint + row_number() OVER (ORDER BY r.id), ${EVENT_KINDS.recovered}, $4::bigint * 1000, m.account_id, m.domain_id, r.message, r.id, '{"possibleDuplicate":true}'
    FROM returned r JOIN message m ON m.id = r.message),
  queued AS (SELECT bucket, $4::bigint AS due_ms FROM returned GROUP BY bucket),
  ${lowering('queued')}
SELECT (SELECT count(*) FROM returned) AS n, (SELECT count(*) FROM lowered) AS sooner`;

/** Puts back what nodes have leased, all of it or given recipients; due at `nowMs`. Resolves to how many. */
async function putBack(tools: NodeTools, nodes: readonly number[], nowMs: number, only?: ReadonlyMap<number, number>): Promise<number> {
  const { db, ids, partitions } = tools;
  await partitions.ensure([dayOf(nowMs)]);
  const values = [
    int8Array(nodes),
    only === undefined ? null : int8Array([...only.keys()]),
    only === undefined ? null : int4Array([...only.values()]),
  ];
  let total = 0;
  for (;;) {
    const first = firstIdOfDay(dayOf(nowMs)) + (await ids.take('event', STEP));
    const row = await db.get(PUT_BACK, ...values, nowMs, first - 1);
    const count = Number(row?.['n']);
    total += count;
    if (Number(row?.['sooner']) > 0) tools.ring();
    if (count < STEP) return total;
  }
}

/** One process among the nodes. */
export class Nodes implements NodeStore {
  readonly #tools: NodeTools;
  readonly #facts: NodeFacts | undefined;
  #id = 0;
  #others = 0;
  /** Two beats may learn at once that it was lost. */
  #entering: Promise<void> | undefined;
  #reconcileAtMs = performance.now();
  #suspects: ReadonlyMap<number, number> = new Map();

  /** Without facts it is a tool, which asks and leases nothing. */
  constructor(tools: NodeTools, facts: NodeFacts | undefined) {
    this.#tools = tools;
    this.#facts = facts;
  }

  get id(): number {
    return this.#id;
  }

  /** Of the nodes that run, when it was last asked. */
  get hasOthers(): boolean {
    return this.#others > 0;
  }

  /** Enters the node among those that run. Resolves to how many recipients were found leased by nodes that ended. */
  async register(nowMs?: number): Promise<number> {
    const { db } = this.#tools;
    await db.run(`DELETE FROM node WHERE NOT ${NODE_RUNS} AND seen_ms < ${NOW_MS} - ${NODE_KEPT_MS} AND NOT ${HAS_LEASES}`);
    await this.#enter();
    // Others are not declared lost by one who has only come: the database may have been away for all.
    return this.#putBackOfEnded(nowMs);
  }

  async beat(state: 'running' | 'draining' | 'drained'): Promise<Beat> {
    const { db } = this.#tools;
    const id = this.#id;
    const row = await db.get(BEAT, id, state);
    if (row === undefined) {
      await this.#enterAgain(id);
      const now = await db.get(BEAT, this.#id, state);
      return { nowMs: Number(now?.['seen_ms']), wanted: now?.['wanted'] === 'drain' ? 'drain' : 'run', wasLost: true };
    }
    this.#others = Number(row['others']);
    await this.#reconcile(Number(row['seen_ms']));
    const isOutdatedNow = await isOutdated(db);
    if (isOutdatedNow && state === 'drained') {
      this.#tools.onFatal(new Error('a later version of this program has changed the store so that this one cannot work with it'));
    }
    return { nowMs: Number(row['seen_ms']), wanted: isOutdatedNow || row['wanted'] === 'drain' ? 'drain' : 'run', wasLost: false };
  }

  async list(): Promise<NodeRow[]> {
    const rows = await this.#tools.db.all(LIST);
    return rows.map((row) => nodeOf(row, Number(row['leased']), Number(row['silent_ms'])));
  }

  async want(id: number, wanted: Beat['wanted']): Promise<boolean> {
    return (await this.#tools.db.run(`UPDATE node SET wanted = $1 WHERE id = $2 AND ${NODE_RUNS}`, wanted, id)) > 0;
  }

  async takeOver(leaseMs: number): Promise<number> {
    await this.#tools.db.run(LOSE, Math.floor(leaseMs), this.#id);
    return this.#putBackOfEnded();
  }

  /** Also of those that ended before, as far as whoever took over from them did not come to the end. `nowMs`: when it is due; by the clock of the database, if not told. */
  async #putBackOfEnded(nowMs?: number): Promise<number> {
    const ended = await this.#tools.db.all(`SELECT id, ${NOW_MS} AS now_ms FROM node WHERE NOT ${NODE_RUNS} AND ${HAS_LEASES}`);
    if (ended.length === 0) return 0;
    return putBack(
      this.#tools,
      ended.map((row) => Number(row['id'])),
      Math.floor(nowMs ?? Number(ended[0]?.['now_ms'])),
    );
  }

  /** It ends in good order. What it still has leased goes to the others at once; where there are none, the next start finds it. Rejects when the database is away for longer than a moment. */
  async leave(): Promise<void> {
    if (this.#id === 0) return;
    const untilMs = performance.now() + LEAVE_WITHIN_MS;
    for (;;) {
      try {
        return await this.#leave();
      } catch (error) {
        // After the database was away it may be back, and this node not know it yet.
        if (!(error instanceof LostConnection) || performance.now() > untilMs) throw error;
        await sleep(LEAVE_AGAIN_MS);
      }
    }
  }

  async #leave(): Promise<void> {
    const { db } = this.#tools;
    // It may be done for the second time: an answer can be lost.
    const row = await db.get(
      `UPDATE node SET state = 'stopped', seen_ms = ${NOW_MS} WHERE id = $1 AND (${NODE_RUNS} OR state = 'stopped') RETURNING seen_ms, ${OTHERS} AS others`,
      this.#id,
    );
    if (row !== undefined && Number(row['others']) > 0) await putBack(this.#tools, [this.#id], Number(row['seen_ms']));
  }

  /** The connection was lost for a while: an answer may have been lost with it. */
  reconcileSoon(): void {
    this.#reconcileAtMs = 0;
  }

  /** After the node of that id was lost. An answer that is late finds that another beat has seen to it: what was leased since is this node's own. */
  async #enterAgain(lost: number): Promise<void> {
    if (this.#entering === undefined && this.#id === lost) {
      this.#tools.leases.clear();
      this.#entering = this.#enter().finally(() => (this.#entering = undefined));
    }
    await this.#entering;
  }

  async #enter(): Promise<void> {
    const { db, isNode } = this.#tools;
    const facts = this.#facts;
    if (facts === undefined) throw new Error('a tool is no node');
    const name = storable(facts.name);
    let seenMs: number | undefined;
    for (;;) {
      const id = await insertNode(db, { ...facts, name });
      if (id !== undefined) {
        this.#id = id;
        await isNode(id);
        return;
      }
      const row = await db.get(`SELECT id, seen_ms FROM node WHERE name = $1 AND ${NODE_RUNS}`, name);
      if (row === undefined) continue;
      seenMs ??= Number(row['seen_ms']);
      if (Number(row['seen_ms']) !== seenMs) throw new StoreError('busy', `another node runs under the name ${name}`);
      if (await this.#isGone(Number(row['id']))) continue;
      await sleep(NAME_LOOK_MS);
    }
  }

  /** A process whose connection is gone was ended, and another started in its place; one that is silent for a lease is lost in any case. */
  async #isGone(id: number): Promise<boolean> {
    const { db, leaseMs } = this.#tools;
    return db.transaction(async (queries) => {
      const row = await queries.get('SELECT pg_try_advisory_xact_lock($1::integer, $2::integer) AS is_free', NODE_LOCK, id);
      const isSilent = `seen_ms < ${NOW_MS} - ${row?.['is_free'] === true ? 0 : Math.floor(leaseMs)}`;
      return (await queries.run(`UPDATE node SET state = 'lost' WHERE id = $1 AND ${NODE_RUNS} AND ${isSilent}`, id)) > 0;
    });
  }

  async #reconcile(nowMs: number): Promise<void> {
    if (performance.now() < this.#reconcileAtMs) return;
    const { db, leases, leaseMs } = this.#tools;
    const rows = await db.all('SELECT id, epoch FROM recipient WHERE state = 1 AND node = $1', this.#id);
    const unknown = new Map(
      rows.map((row) => [Number(row['id']), Number(row['epoch'])] as const).filter(([id, epoch]) => !leases.has(id, epoch)),
    );
    const again = new Map([...unknown].filter(([id, epoch]) => this.#suspects.get(id) === epoch));
    if (again.size > 0) await putBack(this.#tools, [this.#id], nowMs, again);
    for (const id of again.keys()) unknown.delete(id);
    this.#suspects = unknown;
    this.#reconcileAtMs = performance.now() + leaseMs * (unknown.size > 0 ? 1 : RECONCILE_LEASES);
  }
}

const OTHERS = `(SELECT count(*) FROM node o WHERE o.id <> $1 AND o.${NODE_RUNS})`;
const HAS_LEASES = 'EXISTS (SELECT 1 FROM recipient r WHERE r.state = 1 AND r.node = node.id)';
const BEAT = `UPDATE node SET seen_ms = ${NOW_MS}, state = $2 WHERE id = $1 AND ${NODE_RUNS} RETURNING seen_ms, wanted, ${OTHERS} AS others`;
// One seen in the future was last heard of before the database's clock was set back.
const LOSE = `UPDATE node SET state = 'lost' WHERE ${NODE_RUNS} AND abs(${NOW_MS} - seen_ms) > $1::bigint AND id <> $2`;
const LIST = `SELECT n.*, ${NOW_MS} - n.seen_ms AS silent_ms, (SELECT count(*) FROM recipient r WHERE r.state = 1 AND r.node = n.id) AS leased
  FROM node n WHERE n.${NODE_RUNS} OR n.seen_ms > ${NOW_MS} - ${NODE_LISTED_MS} ORDER BY n.id DESC`;

/** The id of the new node; undefined while another of its name runs. */
async function insertNode(db: Database, { name, version, services, sources }: NodeFacts): Promise<number | undefined> {
  const row = await db.get(
    `INSERT INTO node (name, version, services, sources, state, started_ms, seen_ms) VALUES ($1, $2, $3, $4, 'running', ${NOW_MS}, ${NOW_MS})
     ON CONFLICT (name) WHERE ${NODE_RUNS} DO NOTHING RETURNING id`,
    name,
    version,
    JSON.stringify(services),
    JSON.stringify(sources),
  );
  return row === undefined ? undefined : Number(row['id']);
}
