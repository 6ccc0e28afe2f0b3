/** Plain rules for mail that comes in, on PostgreSQL. The bound on their number holds the account's row meanwhile. */
import { FORWARD_COLUMNS, forwardOf, forwardValues } from '#store/forward-rows.ts';
import type { ForwardStore } from '#store/forward-store.ts';
import { one } from '#store/rows-json.ts';
import type { Database } from './database.ts';
import { holdAccount, places } from './rules.ts';

const COUNT = 'SELECT count(*)::integer AS n FROM forward_rule WHERE account_id = $1 AND domain_id = coalesce($2::bigint, domain_id)';
const LIST = `SELECT * FROM forward_rule WHERE account_id = $1 AND domain_id = coalesce($2::bigint, domain_id)
    ORDER BY created_ms, id LIMIT $4 OFFSET $3`;
const CHANGE =
  'UPDATE forward_rule SET pattern = $3, urls = $4, recipients = $5, store = $6, updated_ms = $7 WHERE account_id = $1 AND id = $2';

export function forwardTables(db: Database): ForwardStore {
  return {
    createForward: (rule, max) =>
      db.transaction(async (queries) => {
        await holdAccount(queries, rule.accountId);
        if (Number((await queries.get(COUNT, rule.accountId, rule.domainId))?.['n']) >= max) return false;
        return (await queries.run(`INSERT INTO forward_rule (${FORWARD_COLUMNS}) VALUES (${places(9)})`, ...forwardValues(rule))) > 0;
      }),
    forwardOf: async (accountId, id) =>
      one(await db.get('SELECT * FROM forward_rule WHERE account_id = $1 AND id = $2', accountId, id), forwardOf),
    async changeForward(accountId, { id, match, urls, recipients, store = null, updatedMs }) {
      return (await db.run(CHANGE, accountId, id, match, JSON.stringify(urls), JSON.stringify(recipients), store, updatedMs)) > 0;
    },
    deleteForward: async (accountId, id) => (await db.run('DELETE FROM forward_rule WHERE account_id = $1 AND id = $2', accountId, id)) > 0,
    listForwards: async (accountId, domainId, skip, limit) => (await db.all(LIST, accountId, domainId ?? null, skip, limit)).map(forwardOf),
    countForwards: async (accountId, domainId) => Number((await db.get(COUNT, accountId, domainId ?? null))?.['n']),
  };
}
