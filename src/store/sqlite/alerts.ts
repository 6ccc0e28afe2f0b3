/** Alerts on the embedded store. */
import {
  ALERT_COLUMNS,
  ALERT_POST_COLUMNS,
  alertOf,
  alertPostOf,
  alertPostValues,
  type AlertStore,
  alertValues,
} from '#store/alert-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

export function alertTables(db: Database): Synchronous<AlertStore> {
  const count = (table: 'alert_setting' | 'alert_post', accountId: number): number =>
    Number(db.get(`SELECT count(*) AS n FROM ${table} WHERE account_id = ?`, accountId)?.['n']);
  return {
    listAlerts: (accountId) => db.all('SELECT * FROM alert_setting WHERE account_id = ? ORDER BY created_ms, id', accountId).map(alertOf),
    createAlert(setting, max) {
      if (count('alert_setting', setting.accountId) >= max) return false;
      return db.run(`INSERT INTO alert_setting (${ALERT_COLUMNS}) VALUES (?,?,?,?,?,?)`, ...alertValues(setting)) > 0;
    },
    changeAlert: (accountId, id, { eventType, channel, targets }) =>
      db.run(
        'UPDATE alert_setting SET event_type = ?, channel = ?, targets = ? WHERE account_id = ? AND id = ?',
        eventType,
        channel,
        JSON.stringify(targets),
        accountId,
        id,
      ) > 0,
    deleteAlert: (accountId, id) => db.run('DELETE FROM alert_setting WHERE account_id = ? AND id = ?', accountId, id) > 0,
    alertKey: (accountId) => db.get('SELECT sealed FROM alert_key WHERE account_id = ?', accountId)?.['sealed'] as string | undefined,
    putAlertKey(accountId, sealed, isNew) {
      const conflict = isNew ? 'DO UPDATE SET sealed = excluded.sealed' : 'DO NOTHING';
      db.run(`INSERT INTO alert_key (account_id, sealed) VALUES (?,?) ON CONFLICT ${conflict}`, accountId, sealed);
      return String(db.get('SELECT sealed FROM alert_key WHERE account_id = ?', accountId)?.['sealed']);
    },
    putAlertPosts(accountId, posts, max) {
      const some = posts.slice(0, Math.max(0, max - count('alert_post', accountId)));
      for (const post of some)
        db.run(`INSERT INTO alert_post (${ALERT_POST_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)`, ...alertPostValues(post));
      return some.length;
    },
    claimAlertPosts: (nowMs, dueAgainMs, limit) =>
      db
        .all(
          'UPDATE alert_post SET due_ms = ?, attempts = attempts + 1 WHERE id IN (SELECT id FROM alert_post WHERE due_ms <= ? ORDER BY due_ms, id LIMIT ?) RETURNING *',
          dueAgainMs,
          nowMs,
          limit,
        )
        .map(alertPostOf),
    settleAlertPost(id, dueMs) {
      if (dueMs === undefined) db.run('DELETE FROM alert_post WHERE id = ?', id);
      else db.run('UPDATE alert_post SET due_ms = ? WHERE id = ?', dueMs, id);
    },
  };
}
