/** Domains' settings, DNS checks and deletion, and pools of addresses. */
import type { DnsAnswers, DomainChange, DomainStore, IpPool, IpPoolChange } from '#store/domain-store.ts';
import { changedPool, domainOf, poolOf, TABLES_OF_DOMAIN } from '#store/domain-rows.ts';
import { one } from '#store/rows-json.ts';
import type { DkimKey, Domain } from '#store/store.ts';
import type { Database } from './database.ts';

const flag = (value: boolean | undefined): number | null => (value === undefined ? null : Number(value));

export function domainTables(db: Database): DomainStore {
  return { ...settings(db), ...deletion(db), ...pools(db), ...lent(db) };
}

function settings(db: Database) {
  return {
    async changeDomain(id: number, change: DomainChange): Promise<void> {
      await db.run(
        `UPDATE domain SET settings = (settings::jsonb || $1::jsonb)::text, require_tls = coalesce($2::smallint, require_tls),
           skip_verification = coalesce($3::smallint, skip_verification), retention_ms = coalesce($4::bigint, retention_ms) WHERE id = $5`,
        JSON.stringify(change.settings ?? {}),
        flag(change.requireTls),
        flag(change.skipVerification),
        change.retentionMs ?? null,
        id,
      );
    },
    async setDnsAnswers(id: number, answers: DnsAnswers, nowMs: number): Promise<void> {
      await db.run('UPDATE domain SET dns = $1, checked_ms = $2 WHERE id = $3', JSON.stringify(answers), Math.floor(nowMs), id);
    },
    claimDnsChecks: async (beforeMs: number, nowMs: number, limit: number): Promise<Domain[]> =>
      (
        await db.all(
          `UPDATE domain SET checked_ms = $1 WHERE id IN (
             SELECT id FROM domain WHERE checked_ms < $2 AND deleted_ms IS NULL ORDER BY checked_ms, id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING *`,
          Math.floor(nowMs),
          Math.floor(beforeMs),
          limit,
        )
      ).map(domainOf),
    async setDkimKey(id: number, state: DkimKey['state'], activeMs: number): Promise<void> {
      await db.run('UPDATE dkim_key SET state = $1, active_ms = $2 WHERE id = $3', state, Math.floor(activeMs), id);
    },
    deleteDkimKey: async (id: number): Promise<boolean> => (await db.run('DELETE FROM dkim_key WHERE id = $1', id)) > 0,
  };
}

function deletion(db: Database) {
  return {
    deleteDomain: (id: number, nowMs: number): Promise<boolean> =>
      db.transaction(async (queries) => {
        const isDeleted = await queries.run(
          "UPDATE domain SET deleted_name = name, name = '~' || id || '~' || name, deleted_ms = $1 WHERE id = $2 AND deleted_ms IS NULL",
          Math.floor(nowMs),
          id,
        );
        await queries.run('DELETE FROM credential WHERE domain_id = $1', id);
        await queries.run('DELETE FROM api_key WHERE domain_id = $1', id);
        return isDeleted > 0;
      }),
    deletedDomains: async (limit: number): Promise<Domain[]> =>
      (await db.all('SELECT * FROM domain WHERE deleted_ms IS NOT NULL AND is_purged = 0 ORDER BY deleted_ms LIMIT $1', limit)).map(
        domainOf,
      ),
    hasQueued: async (accountId: number, domainId: number): Promise<boolean> =>
      (await db.get(
        `SELECT 1 FROM bucket b JOIN recipient r ON r.bucket = b.id AND r.state = 0 JOIN message m ON m.id = r.message
         WHERE b.account_id = $1 AND b.look_ms IS NOT NULL AND m.domain_id = $2 LIMIT 1`,
        accountId,
        domainId,
      )) !== undefined ||
      (await db.get(
        'SELECT 1 FROM recipient r JOIN message m ON m.id = r.message WHERE r.state = 1 AND m.domain_id = $1 LIMIT 1',
        domainId,
      )) !== undefined,
    async purgeDomain(id: number, limit: number): Promise<boolean> {
      const versions = await db.run(
        `DELETE FROM template_version WHERE (template_id, tag) IN (
           SELECT v.template_id, v.tag FROM template t JOIN template_version v ON v.template_id = t.id WHERE t.domain_id = $1 LIMIT $2)`,
        id,
        limit,
      );
      let isMore = versions >= limit;
      for (const { name, key } of isMore ? [] : TABLES_OF_DOMAIN) {
        const columns = key.join(', ');
        const gone = await db.run(
          `DELETE FROM ${name} WHERE (${columns}) IN (SELECT ${columns} FROM ${name} WHERE domain_id = $1 LIMIT $2)`,
          id,
          limit,
        );
        isMore ||= gone >= limit;
      }
      if (!isMore) await db.run('UPDATE domain SET is_purged = 1 WHERE id = $1 AND deleted_ms IS NOT NULL', id);
      return !isMore;
    },
  };
}

function pools(db: Database) {
  return {
    async putPool({ id, accountId, name, description, ips, createdMs }: IpPool): Promise<void> {
      await db.run(
        'INSERT INTO ip_pool (id, account_id, name, description, ips, created_ms) VALUES ($1, $2, $3, $4, $5, $6)',
        id,
        accountId,
        name,
        description,
        JSON.stringify(ips),
        Math.floor(createdMs),
      );
    },
    listPools: async (accountId: number): Promise<IpPool[]> =>
      (await db.all('SELECT * FROM ip_pool WHERE account_id = $1 ORDER BY created_ms, id', accountId)).map(poolOf),
    poolById: async (id: string): Promise<IpPool | undefined> => one(await db.get('SELECT * FROM ip_pool WHERE id = $1', id), poolOf),
    changePool: (accountId: number, id: string, change: IpPoolChange): Promise<IpPool | undefined> =>
      db.transaction(async (queries) => {
        const row = await queries.get('SELECT * FROM ip_pool WHERE id = $1 AND account_id = $2 FOR UPDATE', id, accountId);
        if (row === undefined) return undefined;
        const changed = changedPool(poolOf(row), change);
        const { name, description, ips } = changed;
        await queries.run(
          'UPDATE ip_pool SET name = $1, description = $2, ips = $3 WHERE id = $4',
          name,
          description,
          JSON.stringify(ips),
          id,
        );
        return changed;
      }),
    deletePool: (accountId: number, id: string): Promise<boolean> =>
      db.transaction(async (queries) => {
        if ((await queries.run('DELETE FROM ip_pool WHERE id = $1 AND account_id = $2', id, accountId)) === 0) return false;
        await queries.run('DELETE FROM ip_pool_lent WHERE pool_id = $1', id);
        return true;
      }),
  };
}

function lent(db: Database) {
  return {
    async lendPool(accountId: number, poolId: string | undefined): Promise<void> {
      if (poolId === undefined) await db.run('DELETE FROM ip_pool_lent WHERE account_id = $1', accountId);
      else
        await db.run(
          'INSERT INTO ip_pool_lent (account_id, pool_id) VALUES ($1, $2) ON CONFLICT (account_id) DO UPDATE SET pool_id = excluded.pool_id',
          accountId,
          poolId,
        );
    },
    poolLentTo: async (accountId: number): Promise<IpPool | undefined> =>
      one(await db.get('SELECT p.* FROM ip_pool_lent l JOIN ip_pool p ON p.id = l.pool_id WHERE l.account_id = $1', accountId), poolOf),
    lentPools: async (ownerId: number): Promise<{ poolId: string; accountId: number }[]> =>
      (
        await db.all(
          'SELECT l.pool_id AS pool_id, l.account_id AS account_id FROM ip_pool p JOIN ip_pool_lent l ON l.pool_id = p.id WHERE p.account_id = $1 ORDER BY l.account_id',
          ownerId,
        )
      ).map((row) => ({ poolId: String(row['pool_id']), accountId: Number(row['account_id']) })),
  };
}
