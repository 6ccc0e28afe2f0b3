/** Domains' settings, DNS checks and deletion, and pools of addresses. */
import type { DnsAnswers, DomainChange, DomainStore, IpPool, IpPoolChange } from '#store/domain-store.ts';
import { changedPool, domainOf, poolOf, TABLES_OF_DOMAIN } from '#store/domain-rows.ts';
import { one } from '#store/rows-json.ts';
import type { DkimKey, Domain } from '#store/store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Value } from './database.ts';

const NO_CHANGE = null;
const flag = (value: boolean | undefined): Value => (value === undefined ? NO_CHANGE : Number(value));

export function domainTables(db: Database): Synchronous<DomainStore> {
  return { ...settings(db), ...deletion(db), ...pools(db), ...lent(db) };
}

function settings(db: Database) {
  return {
    changeDomain(id: number, change: DomainChange): void {
      db.run(
        `UPDATE domain SET settings = json_patch(settings, ?), require_tls = coalesce(?, require_tls),
           skip_verification = coalesce(?, skip_verification), retention_ms = coalesce(?, retention_ms) WHERE id = ?`,
        JSON.stringify(change.settings ?? {}),
        flag(change.requireTls),
        flag(change.skipVerification),
        change.retentionMs ?? NO_CHANGE,
        id,
      );
    },
    setDnsAnswers(id: number, answers: DnsAnswers, nowMs: number): void {
      db.run('UPDATE domain SET dns = ?, checked_ms = ? WHERE id = ?', JSON.stringify(answers), nowMs, id);
    },
    claimDnsChecks(beforeMs: number, nowMs: number, limit: number): Domain[] {
      return db
        .all(
          `UPDATE domain SET checked_ms = ? WHERE id IN (
             SELECT id FROM domain WHERE checked_ms < ? AND deleted_ms IS NULL ORDER BY checked_ms, id LIMIT ?) RETURNING *`,
          nowMs,
          beforeMs,
          limit,
        )
        .map(domainOf);
    },
    setDkimKey(id: number, state: DkimKey['state'], activeMs: number): void {
      db.run('UPDATE dkim_key SET state = ?, active_ms = ? WHERE id = ?', state, activeMs, id);
    },
    deleteDkimKey: (id: number): boolean => db.run('DELETE FROM dkim_key WHERE id = ?', id) > 0,
  };
}

function deletion(db: Database) {
  return {
    deleteDomain(id: number, nowMs: number): boolean {
      const isDeleted = db.run(
        "UPDATE domain SET deleted_name = name, name = '~' || id || '~' || name, deleted_ms = ? WHERE id = ? AND deleted_ms IS NULL",
        nowMs,
        id,
      );
      db.run('DELETE FROM credential WHERE domain_id = ?', id);
      db.run('DELETE FROM api_key WHERE domain_id = ?', id);
      return isDeleted > 0;
    },
    deletedDomains: (limit: number): Domain[] =>
      db.all('SELECT * FROM domain WHERE deleted_ms IS NOT NULL AND is_purged = 0 ORDER BY deleted_ms LIMIT ?', limit).map(domainOf),
    hasQueued: (accountId: number, domainId: number): boolean =>
      db.get(
        `SELECT 1 FROM bucket b CROSS JOIN recipient r ON r.bucket = b.id AND r.state = 0 CROSS JOIN message m ON m.id = r.message
         WHERE b.account_id = ? AND b.look_ms IS NOT NULL AND m.domain_id = ? LIMIT 1`,
        accountId,
        domainId,
      ) !== undefined ||
      db.get(
        'SELECT 1 FROM recipient r CROSS JOIN message m ON m.id = r.message WHERE r.state = 1 AND m.domain_id = ? LIMIT 1',
        domainId,
      ) !== undefined,
    purgeDomain(id: number, limit: number): boolean {
      const versions = db.run(
        `DELETE FROM template_version WHERE (template_id, tag) IN (
           SELECT v.template_id, v.tag FROM template t JOIN template_version v ON v.template_id = t.id WHERE t.domain_id = ? LIMIT ?)`,
        id,
        limit,
      );
      let isMore = versions >= limit;
      for (const { name, key } of isMore ? [] : TABLES_OF_DOMAIN) {
        const columns = key.join(', ');
        const gone = db.run(
          `DELETE FROM ${name} WHERE (${columns}) IN (SELECT ${columns} FROM ${name} WHERE domain_id = ? LIMIT ?)`,
          id,
          limit,
        );
        isMore ||= gone >= limit;
      }
      if (!isMore) db.run('UPDATE domain SET is_purged = 1 WHERE id = ? AND deleted_ms IS NOT NULL', id);
      return !isMore;
    },
  };
}

function pools(db: Database) {
  const poolById = (id: string): IpPool | undefined => one(db.get('SELECT * FROM ip_pool WHERE id = ?', id), poolOf);
  return {
    putPool({ id, accountId, name, description, ips, createdMs }: IpPool): void {
      db.run(
        'INSERT INTO ip_pool (id, account_id, name, description, ips, created_ms) VALUES (?,?,?,?,?,?)',
        id,
        accountId,
        name,
        description,
        JSON.stringify(ips),
        createdMs,
      );
    },
    listPools: (accountId: number): IpPool[] =>
      db.all('SELECT * FROM ip_pool WHERE account_id = ? ORDER BY created_ms, id', accountId).map(poolOf),
    poolById,
    changePool(accountId: number, id: string, change: IpPoolChange): IpPool | undefined {
      const pool = poolById(id);
      if (pool?.accountId !== accountId) return undefined;
      const changed = changedPool(pool, change);
      db.run(
        'UPDATE ip_pool SET name = ?, description = ?, ips = ? WHERE id = ?',
        changed.name,
        changed.description,
        JSON.stringify(changed.ips),
        id,
      );
      return changed;
    },
    deletePool(accountId: number, id: string): boolean {
      if (db.run('DELETE FROM ip_pool WHERE id = ? AND account_id = ?', id, accountId) === 0) return false;
      db.run('DELETE FROM ip_pool_lent WHERE pool_id = ?', id);
      return true;
    },
  };
}

function lent(db: Database) {
  return {
    lendPool(accountId: number, poolId: string | undefined): void {
      if (poolId === undefined) db.run('DELETE FROM ip_pool_lent WHERE account_id = ?', accountId);
      else
        db.run(
          'INSERT INTO ip_pool_lent (account_id, pool_id) VALUES (?,?) ON CONFLICT (account_id) DO UPDATE SET pool_id = excluded.pool_id',
          accountId,
          poolId,
        );
    },
    poolLentTo: (accountId: number): IpPool | undefined =>
      one(db.get('SELECT p.* FROM ip_pool_lent l JOIN ip_pool p ON p.id = l.pool_id WHERE l.account_id = ?', accountId), poolOf),
    lentPools: (ownerId: number): { poolId: string; accountId: number }[] =>
      db
        .all(
          'SELECT l.pool_id AS pool_id, l.account_id AS account_id FROM ip_pool p JOIN ip_pool_lent l ON l.pool_id = p.id WHERE p.account_id = ? ORDER BY l.account_id',
          ownerId,
        )
        .map((row) => ({ poolId: String(row['pool_id']), accountId: Number(row['account_id']) })),
  };
}
