/** Sums of counters, and tags. */
import { countSql, countSumOf } from '#store/count-sql.ts';
import { COUNTER_TABLES } from '#store/count-tables.ts';
import type { StatsStore } from '#store/stats-store.ts';
import { TAG_COLUMNS, tagOf } from '#store/tag-rows.ts';
import type { Database, Value } from './database.ts';

export function statsTables(db: Database): StatsStore {
  return {
    async sums(query) {
      const values: Value[] = [];
      const sql = countSql(query, (value) => `$${values.push(value)}::text`);
      return (await db.allOnce(sql, ...values)).map((row) => countSumOf(row, query.by));
    },
    async tags(accountId, domainId, { after, before, prefix = '', limit }) {
      const rows = await db.all(
        `SELECT ${TAG_COLUMNS} FROM tag WHERE account_id = $1 AND domain_id = $2 AND key >= $3::text AND starts_with(key, $3::text)
         AND ($4::text IS NULL OR key > $4::text) AND ($5::text IS NULL OR key < $5::text) ORDER BY key ${before === undefined ? 'ASC' : 'DESC'} LIMIT $6`,
        accountId,
        domainId,
        prefix.toLowerCase(),
        after?.toLowerCase() ?? null,
        before?.toLowerCase() ?? null,
        limit,
      );
      return rows.map(tagOf);
    },
    async accountTags(accountId, prefix, limit) {
      const rows = await db.all(
        `SELECT ${TAG_COLUMNS} FROM tag WHERE account_id = $1 AND key >= $2::text AND starts_with(key, $2::text) ORDER BY key, domain_id LIMIT $3`,
        accountId,
        prefix.toLowerCase(),
        limit,
      );
      return rows.map(tagOf);
    },
    async countTags(accountId, domainId) {
      const row = await db.get(
        'SELECT count(DISTINCT key) AS n FROM tag WHERE account_id = $1 AND ($2::bigint IS NULL OR domain_id = $2)',
        accountId,
        domainId ?? null,
      );
      return Number(row?.['n']);
    },
    describeTag: async (accountId, domainId, name, description) =>
      (await db.run(
        'UPDATE tag SET description = $4 WHERE account_id = $1 AND ($2::bigint IS NULL OR domain_id = $2) AND key = $3',
        accountId,
        domainId ?? null,
        name.toLowerCase(),
        description,
      )) > 0,
    async deleteTag(accountId, domainId, name) {
      const key = name.toLowerCase();
      const whose = 'account_id = $1 AND ($2::bigint IS NULL OR domain_id = $2)';
      // All at once: counters whose tag is gone could be deleted by nobody.
      return db.transaction(async (queries) => {
        const gone = await queries.run(`DELETE FROM tag WHERE ${whose} AND key = $3`, accountId, domainId ?? null, key);
        if (gone === 0) return false;
        for (const table of COUNTER_TABLES)
          await queries.run(`DELETE FROM ${table} WHERE ${whose} AND tag = $3`, accountId, domainId ?? null, key);
        return true;
      });
    },
  };
}
