/** Warm-ups and dynamic pools on PostgreSQL. */
import {
  bandsOf,
  ENROLLED_COLUMNS,
  enrolledOf,
  enrolledValues,
  MOVE_COLUMNS,
  moveConditions,
  moveOf,
  moveValues,
  standingValues,
  WARM_UP_COLUMNS,
  warmUpOf,
  warmUpValues,
} from '#store/egress-rows.ts';
import type { BandMove, EgressStore, MoveAsk } from '#store/egress-store.ts';
import { one } from '#store/rows-json.ts';
import type { Database, Queries } from './database.ts';

/** "$1, $2, …" */
function places(count: number): string {
  return Array.from({ length: count }, (_, n) => `$${n + 1}`).join(', ');
}

export function egressTables(db: Database): EgressStore {
  return {
    listWarmUps: async () => (await db.all('SELECT * FROM warm_up ORDER BY address')).map(warmUpOf),
    async startWarmUp(warmUp) {
      const sql = `INSERT INTO warm_up (${WARM_UP_COLUMNS}) VALUES (${places(7)}) ON CONFLICT DO NOTHING`;
      return (await db.run(sql, ...warmUpValues(warmUp))) > 0;
    },
    async putWarmUp({ address, plan, stage, stageStartedMs, updatedMs, history }, fromStage) {
      const sql =
        'UPDATE warm_up SET plan = $3, stage = $4, stage_started_ms = $5, updated_ms = $6, history = $7 WHERE address = $1 AND stage = $2';
      const values = [JSON.stringify(plan), stage, stageStartedMs, updatedMs, JSON.stringify(history)];
      return (await db.run(sql, address, fromStage, ...values)) > 0;
    },
    endWarmUp: async (address) => (await db.run('DELETE FROM warm_up WHERE address = $1', address)) > 0,
    async givenSince(ceiling, sinceMs) {
      const sql = 'SELECT coalesce(sum(held), 0)::bigint AS n FROM granted WHERE name = $1 AND start_ms >= $2';
      return Number((await db.get(sql, ceiling, sinceMs))?.['n']);
    },
    ...poolTables(db),
  };
}

type PoolStore = Omit<EgressStore, 'listWarmUps' | 'startWarmUp' | 'putWarmUp' | 'endWarmUp' | 'givenSince'>;

const CHANGE = `UPDATE dynamic_domain SET band = $2, is_overridden = $3, processed = $4, bounce_rate = $5, complaint_rate = $6, checked_ms = $7
    WHERE domain_id = $1`;
const CLAIM = `UPDATE dynamic_domain SET checked_ms = $1 WHERE domain_id IN (
    SELECT domain_id FROM dynamic_domain WHERE checked_ms < $2 ORDER BY checked_ms LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING *`;
const FORGET = 'DELETE FROM dynamic_move WHERE id IN (SELECT id FROM dynamic_move WHERE owner_id = $1 ORDER BY at_ms DESC, id OFFSET $2)';

async function record(queries: Queries, move: BandMove): Promise<void> {
  await queries.run(`INSERT INTO dynamic_move (${MOVE_COLUMNS}) VALUES (${places(13)})`, ...moveValues(move));
}

function poolTables(db: Database): PoolStore {
  return {
    dynamicPoolsOf: async (ownerId) => one(await db.get('SELECT pools FROM dynamic_pool WHERE owner_id = $1', ownerId), bandsOf),
    async putDynamicPools(ownerId, pools) {
      const sql = 'INSERT INTO dynamic_pool (owner_id, pools) VALUES ($1, $2) ON CONFLICT (owner_id) DO UPDATE SET pools = excluded.pools';
      await db.run(sql, ownerId, JSON.stringify(pools));
    },
    deleteDynamicPools: async (ownerId) => (await db.run('DELETE FROM dynamic_pool WHERE owner_id = $1', ownerId)) > 0,
    enrolDomain: (domain, move) =>
      db.transaction(async (queries) => {
        const sql = `INSERT INTO dynamic_domain (${ENROLLED_COLUMNS}) VALUES (${places(10)}) ON CONFLICT DO NOTHING`;
        if ((await queries.run(sql, ...enrolledValues(domain))) === 0) return false;
        await record(queries, move);
        return true;
      }),
    moveDomain: (domain, move, keep) =>
      db.transaction(async (queries) => {
        if ((await queries.run(CHANGE, domain.domainId, ...standingValues(domain))) === 0) return false;
        if (move === undefined) return true;
        await record(queries, move);
        await queries.run(FORGET, domain.ownerId, keep);
        return true;
      }),
    leaveDynamic: (domainId, move) =>
      db.transaction(async (queries) => {
        if ((await queries.run('DELETE FROM dynamic_domain WHERE domain_id = $1', domainId)) === 0) return false;
        await record(queries, move);
        return true;
      }),
    enrolledDomain: async (domainId) => one(await db.get('SELECT * FROM dynamic_domain WHERE domain_id = $1', domainId), enrolledOf),
    enrolledDomains: async (ownerId) =>
      (await db.all('SELECT * FROM dynamic_domain WHERE owner_id = $1 ORDER BY domain_id', ownerId)).map(enrolledOf),
    claimEnrolled: async (checkedBeforeMs, nowMs, limit) => (await db.all(CLAIM, nowMs, checkedBeforeMs, limit)).map(enrolledOf),
    async bandMoves(ask, skip, limit) {
      const { where, values } = conditions(ask);
      const sql = `SELECT * FROM dynamic_move WHERE ${where} ORDER BY at_ms DESC, id LIMIT $${values.length + 1} OFFSET $${values.length + 2}`;
      return (await db.all(sql, ...values, limit, skip)).map(moveOf);
    },
    async countBandMoves(ask) {
      const { where, values } = conditions(ask);
      return Number((await db.get(`SELECT count(*)::integer AS n FROM dynamic_move WHERE ${where}`, ...values))?.['n']);
    },
  };
}

function conditions(ask: MoveAsk): { readonly where: string; readonly values: (string | number)[] } {
  const all = moveConditions(ask);
  return {
    where: all.map(([column, comparator], position) => `${column} ${comparator} $${position + 1}`).join(' AND '),
    values: all.map(([, , value]) => value),
  };
}
