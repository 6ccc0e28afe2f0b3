/** Sums of counters, and tags. */
import { countSql, countSumOf } from '#store/count-sql.ts';
import { COUNTER_TABLES } from '#store/count-tables.ts';
import type { StatsStore } from '#store/stats-store.ts';
import { TAG_COLUMNS, tagOf } from '#store/tag-rows.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Value } from './database.ts';

export function statsTables(db: Database, tagGoes?: () => void): Synchronous<StatsStore> {
  return {
    sums(query) {
      const values: Value[] = [];
      const sql = countSql(query, (value) => `?${values.push(value)}`);
      return db.allOnce(sql, ...values).map((row) => countSumOf(row, query.by));
    },
    tags: (accountId, domainId, { after, before, prefix = '', limit }) =>
      db
        .all(
          `SELECT ${TAG_COLUMNS} FROM tag WHERE account_id = ?1 AND domain_id = ?2 AND key >= ?3 AND substr(key, 1, length(?3)) = ?3
           AND (?4 IS NULL OR key > ?4) AND (?5 IS NULL OR key < ?5) ORDER BY key ${before === undefined ? 'ASC' : 'DESC'} LIMIT ?6`,
          accountId,
          domainId,
          prefix.toLowerCase(),
          after?.toLowerCase() ?? null,
          before?.toLowerCase() ?? null,
          limit,
        )
        .map(tagOf),
    accountTags: (accountId, prefix, limit) =>
      db
        .all(
          `SELECT ${TAG_COLUMNS} FROM tag WHERE account_id = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2 ORDER BY key, domain_id LIMIT ?3`,
          accountId,
          prefix.toLowerCase(),
          limit,
        )
        .map(tagOf),
    countTags: (accountId, domainId) =>
      Number(
        db.get(
          'SELECT count(DISTINCT key) AS n FROM tag WHERE account_id = ?1 AND (?2 IS NULL OR domain_id = ?2)',
          accountId,
          domainId ?? null,
        )?.['n'],
      ),
    describeTag: (accountId, domainId, name, description) =>
      db.run(
        'UPDATE tag SET description = ?4 WHERE account_id = ?1 AND (?2 IS NULL OR domain_id = ?2) AND key = ?3',
        accountId,
        domainId ?? null,
        name.toLowerCase(),
        description,
      ) > 0,
    deleteTag(accountId, domainId, name) {
      tagGoes?.();
      const key = name.toLowerCase();
      const rows = db.all(
        'SELECT domain_id FROM tag WHERE account_id = ?1 AND (?2 IS NULL OR domain_id = ?2) AND key = ?3',
        accountId,
        domainId ?? null,
        key,
      );
      for (const { domain_id } of rows) {
        for (const table of ['tag', ...COUNTER_TABLES]) {
          db.run(
            `DELETE FROM ${table} WHERE account_id = ? AND domain_id = ? AND ${table === 'tag' ? 'key' : 'tag'} = ?`,
            accountId,
            Number(domain_id),
            key,
          );
        }
      }
      return rows.length > 0;
    },
  };
}
