/** Warm-ups and dynamic pools on the embedded store. */
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
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

export function egressTables(db: Database): Synchronous<EgressStore> {
  return {
    listWarmUps: () => db.all('SELECT * FROM warm_up ORDER BY address').map(warmUpOf),
    startWarmUp: (warmUp) =>
      db.run(`INSERT INTO warm_up (${WARM_UP_COLUMNS}) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`, ...warmUpValues(warmUp)) > 0,
    putWarmUp: ({ address, plan, stage, stageStartedMs, updatedMs, history }, fromStage) =>
      db.run(
        'UPDATE warm_up SET plan = ?, stage = ?, stage_started_ms = ?, updated_ms = ?, history = ? WHERE address = ? AND stage = ?',
        JSON.stringify(plan),
        stage,
        stageStartedMs,
        updatedMs,
        JSON.stringify(history),
        address,
        fromStage,
      ) > 0,
    endWarmUp: (address) => db.run('DELETE FROM warm_up WHERE address = ?', address) > 0,
    givenSince: (ceiling, sinceMs) =>
      Number(db.get('SELECT coalesce(sum(held), 0) AS n FROM granted WHERE name = ? AND start_ms >= ?', ceiling, sinceMs)?.['n']),
    ...poolTables(db),
  };
}

type PoolStore = Omit<EgressStore, 'listWarmUps' | 'startWarmUp' | 'putWarmUp' | 'endWarmUp' | 'givenSince'>;

function poolTables(db: Database): Synchronous<PoolStore> {
  const record = (move: BandMove): void => {
    db.run(`INSERT INTO dynamic_move (${MOVE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`, ...moveValues(move));
  };
  return {
    dynamicPoolsOf: (ownerId) => one(db.get('SELECT pools FROM dynamic_pool WHERE owner_id = ?', ownerId), bandsOf),
    putDynamicPools(ownerId, pools) {
      db.run('INSERT OR REPLACE INTO dynamic_pool (owner_id, pools) VALUES (?,?)', ownerId, JSON.stringify(pools));
    },
    deleteDynamicPools: (ownerId) => db.run('DELETE FROM dynamic_pool WHERE owner_id = ?', ownerId) > 0,
    enrolDomain(domain, move) {
      const sql = `INSERT INTO dynamic_domain (${ENROLLED_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`;
      if (db.run(sql, ...enrolledValues(domain)) === 0) return false;
      record(move);
      return true;
    },
    moveDomain(domain, move, keep) {
      const changed = db.run(
        'UPDATE dynamic_domain SET band = ?, is_overridden = ?, processed = ?, bounce_rate = ?, complaint_rate = ?, checked_ms = ? WHERE domain_id = ?',
        ...standingValues(domain),
        domain.domainId,
      );
      if (changed === 0) return false;
      if (move === undefined) return true;
      record(move);
      db.run(
        'DELETE FROM dynamic_move WHERE id IN (SELECT id FROM dynamic_move WHERE owner_id = ? ORDER BY at_ms DESC, id LIMIT -1 OFFSET ?)',
        domain.ownerId,
        keep,
      );
      return true;
    },
    leaveDynamic(domainId, move) {
      if (db.run('DELETE FROM dynamic_domain WHERE domain_id = ?', domainId) === 0) return false;
      record(move);
      return true;
    },
    enrolledDomain: (domainId) => one(db.get('SELECT * FROM dynamic_domain WHERE domain_id = ?', domainId), enrolledOf),
    enrolledDomains: (ownerId) => db.all('SELECT * FROM dynamic_domain WHERE owner_id = ? ORDER BY domain_id', ownerId).map(enrolledOf),
    claimEnrolled: (checkedBeforeMs, nowMs, limit) =>
      db
        .all(
          'UPDATE dynamic_domain SET checked_ms = ? WHERE domain_id IN (SELECT domain_id FROM dynamic_domain WHERE checked_ms < ? ORDER BY checked_ms LIMIT ?) RETURNING *',
          nowMs,
          checkedBeforeMs,
          limit,
        )
        .map(enrolledOf),
    bandMoves(ask, skip, limit) {
      const { where, values } = conditions(ask);
      return db
        .all(`SELECT * FROM dynamic_move WHERE ${where} ORDER BY at_ms DESC, id LIMIT ? OFFSET ?`, ...values, limit, skip)
        .map(moveOf);
    },
    countBandMoves(ask) {
      const { where, values } = conditions(ask);
      return Number(db.get(`SELECT count(*) AS n FROM dynamic_move WHERE ${where}`, ...values)?.['n']);
    },
  };
}

function conditions(ask: MoveAsk): { readonly where: string; readonly values: (string | number)[] } {
  const all = moveConditions(ask);
  return {
    where: all.map(([column, comparator]) => `${column} ${comparator} ?`).join(' AND '),
    values: all.map(([, , value]) => value),
  };
}
