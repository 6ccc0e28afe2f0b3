/** Webhooks, routes and thresholds on PostgreSQL: small tables of an account's own rules. Bounds that count rows hold the account's row meanwhile. */
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
import type { Database, Queries } from './database.ts';

/** "$1, $2, …" */
export function places(count: number): string {
  return Array.from({ length: count }, (_, n) => `$${n + 1}`).join(', ');
}

/** Of two that come at once the second sees the first. */
export async function holdAccount(queries: Queries, accountId: number): Promise<void> {
  await queries.get('SELECT 1 FROM account WHERE id = $1 FOR UPDATE', accountId);
}

export function webhookTables(db: Database): WebhookStore {
  return {
    webhooksOf: async (accountId, domainId) =>
      webhookSetOf(
        await db.get('SELECT revision, webhooks FROM webhook_set WHERE account_id = $1 AND domain_id = $2', accountId, domainId),
      ),
    async putWebhooks(accountId, domainId, revision, webhooks) {
      const text = JSON.stringify(webhooks);
      const sql =
        'UPDATE webhook_set SET revision = revision + 1, webhooks = $3 WHERE account_id = $1 AND domain_id = $2 AND revision = $4';
      const changed =
        revision === 0
          ? await db.run('INSERT INTO webhook_set VALUES ($1, $2, 1, $3) ON CONFLICT DO NOTHING', accountId, domainId, text)
          : await db.run(sql, accountId, domainId, text, revision);
      return changed > 0;
    },
  };
}

export function routeTables(db: Database): RouteStore {
  return {
    createRoute: (route, max) =>
      db.transaction(async (queries) => {
        await holdAccount(queries, route.accountId);
        const there = await queries.get('SELECT count(*)::integer AS n FROM route WHERE account_id = $1', route.accountId);
        if (Number(there?.['n']) >= max) return false;
        return (await queries.run(`INSERT INTO route (${ROUTE_COLUMNS}) VALUES (${places(7)})`, ...routeValues(route))) > 0;
      }),
    routeOf: async (accountId, id) => one(await db.get('SELECT * FROM route WHERE account_id = $1 AND id = $2', accountId, id), routeOf),
    async changeRoute(accountId, id, { priority, description, expression, actions }) {
      const row = await db.get(
        `UPDATE route SET priority = coalesce($3, priority), description = coalesce($4, description), expression = coalesce($5, expression),
         actions = coalesce($6, actions) WHERE account_id = $1 AND id = $2 RETURNING *`,
        accountId,
        id,
        priority ?? null,
        description ?? null,
        expression ?? null,
        actions === undefined ? null : JSON.stringify(actions),
      );
      return one(row, routeOf);
    },
    deleteRoute: async (accountId, id) => (await db.run('DELETE FROM route WHERE account_id = $1 AND id = $2', accountId, id)) > 0,
    async listRoutes(accountId, skip, limit) {
      const sql = 'SELECT * FROM route WHERE account_id = $1 ORDER BY priority, created_ms, id LIMIT $3 OFFSET $2';
      return (await db.all(sql, accountId, skip, limit)).map(routeOf);
    },
    countRoutes: async (accountId) =>
      Number((await db.get('SELECT count(*)::integer AS n FROM route WHERE account_id = $1', accountId))?.['n']),
  };
}

const CHANGE = `UPDATE threshold SET description = $4, metric = $5, comparator = $6, bound = $7, dimension = $8, period = $9, filters = $10, channels = $11,
    updated_ms = $12, checked_ms = 0 WHERE account_id = $1 AND kind = $2 AND name = $3`;
const CLAIM = `UPDATE threshold SET checked_ms = $1 WHERE id IN (
    SELECT id FROM threshold WHERE checked_ms < $2 ORDER BY checked_ms LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING *`;

export function thresholdTables(db: Database): ThresholdStore {
  return {
    createThreshold: (threshold, max) =>
      db.transaction(async (queries) => {
        const { accountId, kind } = threshold;
        await holdAccount(queries, accountId);
        const there = await queries.get(
          'SELECT count(*)::integer AS n FROM threshold WHERE account_id = $1 AND kind = $2',
          accountId,
          kind,
        );
        if (Number(there?.['n']) >= max) return false;
        const sql = `INSERT INTO threshold (${THRESHOLD_COLUMNS}) VALUES (${places(15)}) ON CONFLICT DO NOTHING`;
        return (await queries.run(sql, ...thresholdValues(threshold))) > 0;
      }),
    listThresholds: async (accountId, kind) =>
      (await db.all('SELECT * FROM threshold WHERE account_id = $1 AND kind = $2 ORDER BY name', accountId, kind)).map(thresholdOf),
    async changeThreshold(accountId, kind, name, change) {
      const { description, metric, comparator, limit, dimension, period, updatedMs } = change;
      const [filters, channels] = [JSON.stringify(change.filters), JSON.stringify(change.channels)];
      const values = [description, metric, comparator, limit, dimension, period, filters, channels, updatedMs];
      return (await db.run(CHANGE, accountId, kind, name, ...values)) > 0;
    },
    deleteThreshold: (accountId, kind, name) =>
      db.transaction(async (queries) => {
        const row = await queries.get(
          'DELETE FROM threshold WHERE account_id = $1 AND kind = $2 AND name = $3 RETURNING id',
          accountId,
          kind,
          name,
        );
        if (row === undefined) return false;
        await queries.run('UPDATE threshold_hit SET expires_ms = 0 WHERE threshold_id = $1', String(row['id']));
        return true;
      }),
    claimThresholds: async (checkedBeforeMs, nowMs, limit) => (await db.all(CLAIM, nowMs, checkedBeforeMs, limit)).map(thresholdOf),
    recordHit: (hit, keep) =>
      db.transaction(async (queries) => {
        await holdAccount(queries, hit.accountId);
        const prolonged = await queries.run(
          'UPDATE threshold_hit SET latest = $1, updated_ms = $2, expires_ms = $3 WHERE threshold_id = $4 AND dimension_value = $5 AND expires_ms > $6',
          String(hit.latestValue),
          hit.updatedMs,
          hit.expiresMs,
          hit.thresholdId,
          hit.dimensionValue,
          hit.createdMs,
        );
        if (prolonged > 0) return false;
        await queries.run(`INSERT INTO threshold_hit (${HIT_COLUMNS}) VALUES (${places(14)})`, ...hitValues(hit));
        await queries.run(
          'DELETE FROM threshold_hit WHERE id IN (SELECT id FROM threshold_hit WHERE account_id = $1 ORDER BY created_ms DESC, id OFFSET $2)',
          hit.accountId,
          keep,
        );
        return true;
      }),
    listHits: async (accountId, limit) =>
      (await db.all('SELECT * FROM threshold_hit WHERE account_id = $1 ORDER BY created_ms DESC, id LIMIT $2', accountId, limit)).map(
        hitOf,
      ),
    activeHits: async (accountId, nowMs) =>
      (await db.all(`SELECT * FROM threshold_hit WHERE account_id = $1 AND kind = 'limit' AND expires_ms > $2`, accountId, nowMs)).map(
        hitOf,
      ),
  };
}
