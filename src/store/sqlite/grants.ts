/**
 * Grants on the embedded store, and the limits of accounts. The writer's transactions come one after another, so that a sum that was read holds until what depends on it
 * is written: that is all the exactness there is to it.
 */
import { KEPT_LONGER_MS, LIMIT_COLUMNS, limitsOf, limitValues } from '#store/grant-rows.ts';
import type { GrantAnswer, GrantAsk, GrantStore, GrantUse } from '#store/grant-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row } from './database.ts';

/** Rows of windows long past that one call deletes. */
const SWEPT_MAX = 200;

const FREE_LOST = 'UPDATE granted SET held = used WHERE name = ? AND holder <> ? AND is_counted = 1 AND until_ms <= ? AND held > used';
const OTHERS = `SELECT coalesce(sum(held), 0) AS held, coalesce(sum(CASE WHEN until_ms > ?5 THEN held - used END), 0) AS idle, count(DISTINCT CASE WHEN holder <> ?2 THEN holder END) AS others,
  min(CASE WHEN held > 0 THEN start_ms END) AS oldest_ms
  FROM granted WHERE name = ?1 AND start_ms > ?3 - ?4 AND start_ms < ?3 + ?4 AND NOT (holder = ?2 AND start_ms = ?3)`;
const OWN = 'SELECT held, used FROM granted WHERE name = ? AND start_ms = ? AND holder = ?';
const PUT = `INSERT INTO granted (name, start_ms, holder, held, used, is_counted, until_ms, keep_until_ms) VALUES (?,?,?,?,?,?,?,?)
  ON CONFLICT DO UPDATE SET held = excluded.held, used = excluded.used, until_ms = excluded.until_ms`;
const SWEEP = `DELETE FROM granted WHERE (name, start_ms, holder) IN (SELECT name, start_ms, holder FROM granted WHERE keep_until_ms < ? LIMIT ${SWEPT_MAX})`;
const USE = 'UPDATE granted SET used = used + ?1 WHERE name = ?2 AND start_ms = ?3 AND holder = ?4 AND used + ?1 <= held';

export function grantTables(db: Database): Synchronous<GrantStore> {
  return {
    hold(holder, asks, leaseMs, nowMs) {
      db.run(SWEEP, nowMs);
      return asks.map((ask) => holdOne(db, holder, ask, leaseMs, nowMs));
    },
    usedOf: (name, startMs) =>
      Number(db.get('SELECT coalesce(sum(used), 0) AS n FROM granted WHERE name = ? AND start_ms = ?', name, startMs)?.['n']),
    limitsOf(accountId) {
      return limitsOf(db.get(`SELECT ${LIMIT_COLUMNS} FROM account_limit WHERE account_id = ?`, accountId));
    },
    setLimits(accountId, limits) {
      if (db.get('SELECT 1 FROM account WHERE id = ?', accountId) === undefined) return false;
      db.run(`INSERT OR REPLACE INTO account_limit (account_id, ${LIMIT_COLUMNS}) VALUES (?,?,?,?,?)`, accountId, ...limitValues(limits));
      return true;
    },
  };
}

function holdOne(db: Database, holder: number, ask: GrantAsk, leaseMs: number, nowMs: number): GrantAnswer {
  const { name, startMs, spanMs, ceiling, wanted } = ask;
  db.run(FREE_LOST, name, holder, nowMs);
  const others = db.get(OTHERS, name, holder, startMs, spanMs, nowMs) as Row;
  const own = db.get(OWN, name, startMs, holder);
  const ownHeld = Number(own?.['held'] ?? 0);
  // No holder can have used more than it was given: one that tells of a window which is no longer kept changes nothing.
  const used = ask.used === undefined ? Number(own?.['used'] ?? 0) : Math.min(ask.used, ownHeld);
  const room = ceiling - Number(others['held']);
  const held = Math.max(used, wanted <= ownHeld ? wanted : Math.max(ownHeld, Math.min(wanted, room)));
  const isCounted = ask.used === undefined ? 1 : 0;
  db.run(PUT, name, startMs, holder, held, used, isCounted, nowMs + leaseMs, startMs + 2 * spanMs + KEPT_LONGER_MS);
  const oldest = others['oldest_ms'];
  return {
    held,
    used,
    free: Math.max(0, room - held),
    idle: Number(others['idle']),
    others: Number(others['others']),
    reliefMs: Math.min(typeof oldest === 'number' ? oldest : startMs, startMs) + spanMs,
  };
}

/** Takes all of them, or none. */
export function useGrants(db: Database, uses: readonly GrantUse[]): boolean {
  for (const [position, { holder, name, startMs, count }] of uses.entries()) {
    if (db.run(USE, count, name, startMs, holder) > 0) continue;
    for (const taken of uses.slice(0, position)) db.run(USE, -taken.count, taken.name, taken.startMs, taken.holder);
    return false;
  }
  return true;
}
