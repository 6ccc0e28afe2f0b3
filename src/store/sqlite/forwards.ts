/** Plain rules for mail that comes in, on the embedded store. */
import { FORWARD_COLUMNS, forwardOf, forwardValues } from '#store/forward-rows.ts';
import type { ForwardStore } from '#store/forward-store.ts';
import { one } from '#store/rows-json.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

export function forwardTables(db: Database): Synchronous<ForwardStore> {
  const count = (accountId: number, domainId: number | undefined): number =>
    Number(
      db.get(
        'SELECT count(*) AS n FROM forward_rule WHERE account_id = ? AND domain_id = coalesce(?, domain_id)',
        accountId,
        domainId ?? null,
      )?.['n'],
    );
  return {
    createForward(rule, max) {
      if (count(rule.accountId, rule.domainId) >= max) return false;
      return db.run(`INSERT INTO forward_rule (${FORWARD_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)`, ...forwardValues(rule)) > 0;
    },
    forwardOf: (accountId, id) => one(db.get('SELECT * FROM forward_rule WHERE account_id = ? AND id = ?', accountId, id), forwardOf),
    changeForward: (accountId, { id, match, urls, recipients, store, updatedMs }) =>
      db.run(
        'UPDATE forward_rule SET pattern = ?, urls = ?, recipients = ?, store = ?, updated_ms = ? WHERE account_id = ? AND id = ?',
        match,
        JSON.stringify(urls),
        JSON.stringify(recipients),
        store ?? null,
        updatedMs,
        accountId,
        id,
      ) > 0,
    deleteForward: (accountId, id) => db.run('DELETE FROM forward_rule WHERE account_id = ? AND id = ?', accountId, id) > 0,
    listForwards: (accountId, domainId, skip, limit) =>
      db
        .all(
          'SELECT * FROM forward_rule WHERE account_id = ? AND domain_id = coalesce(?, domain_id) ORDER BY created_ms, id LIMIT ? OFFSET ?',
          accountId,
          domainId ?? null,
          limit,
          skip,
        )
        .map(forwardOf),
    countForwards: count,
  };
}
