/** Webhooks, routes and thresholds on the embedded store: small tables of an account's own rules. */
import { one } from '#store/rows-json.ts';
import {
  HIT_COLUMNS,
  hitOf,
  hitValues,
  ROUTE_COLUMNS,
  routeOf,
  routeValues,
  THRESHOLD_COLUMNS,
  thresholdOf,
  thresholdValues,
  webhookSetOf,
} from '#store/rule-rows.ts';
import type { RouteStore } from '#store/route-store.ts';
import type { ThresholdStore } from '#store/threshold-store.ts';
import type { WebhookStore } from '#store/webhook-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

export function webhookTables(db: Database): Synchronous<WebhookStore> {
  return {
    webhooksOf: (accountId, domainId) =>
      webhookSetOf(db.get('SELECT revision, webhooks FROM webhook_set WHERE account_id = ? AND domain_id = ?', accountId, domainId)),
    putWebhooks(accountId, domainId, revision, webhooks) {
      const text = JSON.stringify(webhooks);
      const changed =
        revision === 0
          ? db.run('INSERT INTO webhook_set VALUES (?,?,1,?) ON CONFLICT DO NOTHING', accountId, domainId, text)
          : db.run(
              'UPDATE webhook_set SET revision = revision + 1, webhooks = ? WHERE account_id = ? AND domain_id = ? AND revision = ?',
              text,
              accountId,
              domainId,
              revision,
            );
      return changed > 0;
    },
  };
}

export function routeTables(db: Database): Synchronous<RouteStore> {
  const rowOf = (accountId: number, id: string) => db.get('SELECT * FROM route WHERE account_id = ? AND id = ?', accountId, id);
  const count = (accountId: number): number => Number(db.get('SELECT count(*) AS n FROM route WHERE account_id = ?', accountId)?.['n']);
  return {
    createRoute(route, max) {
      if (count(route.accountId) >= max) return false;
      return db.run(`INSERT INTO route (${ROUTE_COLUMNS}) VALUES (?,?,?,?,?,?,?)`, ...routeValues(route)) > 0;
    },
    routeOf: (accountId, id) => one(rowOf(accountId, id), routeOf),
    changeRoute(accountId, id, { priority, description, expression, actions }) {
      const changed = db.run(
        `UPDATE route SET priority = coalesce(?, priority), description = coalesce(?, description), expression = coalesce(?, expression),
         actions = coalesce(?, actions) WHERE account_id = ? AND id = ?`,
        priority ?? null,
        description ?? null,
        expression ?? null,
        actions === undefined ? null : JSON.stringify(actions),
        accountId,
        id,
      );
      return one(changed === 0 ? undefined : rowOf(accountId, id), routeOf);
    },
    deleteRoute: (accountId, id) => db.run('DELETE FROM route WHERE account_id = ? AND id = ?', accountId, id) > 0,
    listRoutes: (accountId, skip, limit) =>
      db
        .all('SELECT * FROM route WHERE account_id = ? ORDER BY priority, created_ms, id LIMIT ? OFFSET ?', accountId, limit, skip)
        .map(routeOf),
    countRoutes: count,
  };
}

export function thresholdTables(db: Database): Synchronous<ThresholdStore> {
  return {
    createThreshold(threshold, max) {
      const { accountId, kind } = threshold;
      const there = db.get('SELECT count(*) AS n FROM threshold WHERE account_id = ? AND kind = ?', accountId, kind);
      if (Number(there?.['n']) >= max) return false;
      const sql = `INSERT INTO threshold (${THRESHOLD_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`;
      return db.run(sql, ...thresholdValues(threshold)) > 0;
    },
    listThresholds: (accountId, kind) =>
      db.all('SELECT * FROM threshold WHERE account_id = ? AND kind = ? ORDER BY name', accountId, kind).map(thresholdOf),
    changeThreshold: (accountId, kind, name, change) =>
      db.run(
        `UPDATE threshold SET description = ?, metric = ?, comparator = ?, bound = ?, dimension = ?, period = ?, filters = ?, channels = ?, updated_ms = ?, checked_ms = 0
         WHERE account_id = ? AND kind = ? AND name = ?`,
        change.description,
        change.metric,
        change.comparator,
        change.limit,
        change.dimension,
        change.period,
        JSON.stringify(change.filters),
        JSON.stringify(change.channels),
        change.updatedMs,
        accountId,
        kind,
        name,
      ) > 0,
    deleteThreshold(accountId, kind, name) {
      db.run(
        `UPDATE threshold_hit SET expires_ms = 0 WHERE threshold_id IN (SELECT id FROM threshold WHERE account_id = ? AND kind = ? AND name = ?)`,
        accountId,
        kind,
        name,
      );
      return db.run('DELETE FROM threshold WHERE account_id = ? AND kind = ? AND name = ?', accountId, kind, name) > 0;
    },
    claimThresholds: (checkedBeforeMs, nowMs, limit) =>
      db
        .all(
          'UPDATE threshold SET checked_ms = ? WHERE id IN (SELECT id FROM threshold WHERE checked_ms < ? ORDER BY checked_ms LIMIT ?) RETURNING *',
          nowMs,
          checkedBeforeMs,
          limit,
        )
        .map(thresholdOf),
    recordHit(hit, keep) {
      const prolonged = db.run(
        'UPDATE threshold_hit SET latest = ?, updated_ms = ?, expires_ms = ? WHERE threshold_id = ? AND dimension_value = ? AND expires_ms > ?',
        String(hit.latestValue),
        hit.updatedMs,
        hit.expiresMs,
        hit.thresholdId,
        hit.dimensionValue,
        hit.createdMs,
      );
      if (prolonged > 0) return false;
      db.run(`INSERT INTO threshold_hit (${HIT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, ...hitValues(hit));
      db.run(
        'DELETE FROM threshold_hit WHERE id IN (SELECT id FROM threshold_hit WHERE account_id = ? ORDER BY created_ms DESC, id LIMIT -1 OFFSET ?)',
        hit.accountId,
        keep,
      );
      return true;
    },
    listHits: (accountId, limit) =>
      db.all('SELECT * FROM threshold_hit WHERE account_id = ? ORDER BY created_ms DESC, id LIMIT ?', accountId, limit).map(hitOf),
    activeHits: (accountId, nowMs) =>
      db.all(`SELECT * FROM threshold_hit WHERE account_id = ? AND kind = 'limit' AND expires_ms > ?`, accountId, nowMs).map(hitOf),
  };
}
