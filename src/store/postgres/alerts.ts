/** Alerts on PostgreSQL. Bounds that count rows hold the account's row meanwhile. */
import {
  ALERT_COLUMNS,
  ALERT_POST_COLUMNS,
  alertOf,
  alertPostOf,
  alertPostValues,
  type AlertStore,
  alertValues,
} from '#store/alert-store.ts';
import type { Database, Queries } from './database.ts';

const CLAIM = `UPDATE alert_post SET due_ms = $1, attempts = attempts + 1 WHERE id IN (
    SELECT id FROM alert_post WHERE due_ms <= $2 ORDER BY due_ms, id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING *`;
const SEALED = 'SELECT sealed FROM alert_key WHERE account_id = $1';

/** Of two that come at once the second sees the first. */
async function countHeld(queries: Queries, table: 'alert_setting' | 'alert_post', accountId: number): Promise<number> {
  await queries.get('SELECT 1 FROM account WHERE id = $1 FOR UPDATE', accountId);
  return Number((await queries.get(`SELECT count(*)::integer AS n FROM ${table} WHERE account_id = $1`, accountId))?.['n']);
}

export function alertTables(db: Database): AlertStore {
  return {
    listAlerts: async (accountId) =>
      (await db.all('SELECT * FROM alert_setting WHERE account_id = $1 ORDER BY created_ms, id', accountId)).map(alertOf),
    createAlert: (setting, max) =>
      db.transaction(async (queries) => {
        if ((await countHeld(queries, 'alert_setting', setting.accountId)) >= max) return false;
        const sql = `INSERT INTO alert_setting (${ALERT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)`;
        return (await queries.run(sql, ...alertValues(setting))) > 0;
      }),
    async changeAlert(accountId, id, { eventType, channel, targets }) {
      const sql = 'UPDATE alert_setting SET event_type = $3, channel = $4, targets = $5 WHERE account_id = $1 AND id = $2';
      return (await db.run(sql, accountId, id, eventType, channel, JSON.stringify(targets))) > 0;
    },
    deleteAlert: async (accountId, id) => (await db.run('DELETE FROM alert_setting WHERE account_id = $1 AND id = $2', accountId, id)) > 0,
    alertKey: async (accountId) => (await db.get(SEALED, accountId))?.['sealed'] as string | undefined,
    async putAlertKey(accountId, sealed, isNew) {
      const conflict = isNew ? '(account_id) DO UPDATE SET sealed = excluded.sealed' : 'DO NOTHING';
      await db.run(`INSERT INTO alert_key (account_id, sealed) VALUES ($1, $2) ON CONFLICT ${conflict}`, accountId, sealed);
      return String((await db.get(SEALED, accountId))?.['sealed']);
    },
    putAlertPosts: (accountId, posts, max) =>
      db.transaction(async (queries) => {
        const some = posts.slice(0, Math.max(0, max - (await countHeld(queries, 'alert_post', accountId))));
        for (const post of some)
          await queries.run(
            `INSERT INTO alert_post (${ALERT_POST_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
            ...alertPostValues(post),
          );
        return some.length;
      }),
    claimAlertPosts: async (nowMs, dueAgainMs, limit) => (await db.all(CLAIM, dueAgainMs, nowMs, limit)).map(alertPostOf),
    async settleAlertPost(id, dueMs) {
      if (dueMs === undefined) await db.run('DELETE FROM alert_post WHERE id = $1', id);
      else await db.run('UPDATE alert_post SET due_ms = $2 WHERE id = $1', id, dueMs);
    },
  };
}
