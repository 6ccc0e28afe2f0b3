/** Who may come in, on PostgreSQL. What has a highest number is added under a lock on the account's row, so that nodes which add at once do not go past it together. */
import { accountFactsOf, authRecipientOf, networkOf, userOf } from '#store/access-rows.ts';
import type { AccessStore } from '#store/access-store.ts';
import { one } from '#store/rows-json.ts';
import type { Database, Queries } from './database.ts';

const LOCK = 'SELECT * FROM account WHERE id = $1 FOR NO KEY UPDATE';

export function accessTables(db: Database): AccessStore {
  return { ...accounts(db), ...keysAndLogins(db), ...users(db), ...lists(db) };
}

function accounts(db: Database) {
  return {
    accountFacts: async (id) => one(await db.get('SELECT * FROM account WHERE id = $1', id), accountFactsOf),
    createSubaccount: (parentId, name, nowMs, max) =>
      db.transaction(async (queries) => {
        await queries.get(LOCK, parentId);
        const count = await queries.get('SELECT count(*) AS n FROM account WHERE parent_id = $1 AND closed_ms IS NULL', parentId);
        if (Number(count?.['n']) >= max) return undefined;
        const row = await queries.get(
          'INSERT INTO account (name, created_ms, updated_ms, parent_id) VALUES ($1, $2, $2, $3) RETURNING *',
          name,
          nowMs,
          parentId,
        );
        return one(row, accountFactsOf);
      }),
    listSubaccounts: async (parentId) =>
      (await db.all('SELECT * FROM account WHERE parent_id = $1 ORDER BY id', parentId)).map(accountFactsOf),
    changeAccount: (id, change, nowMs) =>
      db.transaction(async (queries) => {
        const before = one(await queries.get(LOCK, id), accountFactsOf);
        if (before === undefined) return undefined;
        const after = { ...before, ...change };
        const row = await queries.get(
          `UPDATE account SET name = $2, is_disabled = $3, closed_ms = CASE WHEN $4::int = 1 THEN coalesce(closed_ms, $8::bigint) END, disabled_reason = $5,
             features = $6, settings = $7, updated_ms = $8::bigint
           WHERE id = $1 RETURNING *`,
          id,
          after.name,
          after.status === 'open' ? 0 : 1,
          after.status === 'closed' ? 1 : 0,
          after.reason,
          JSON.stringify({ ...before.features, ...change.features }),
          JSON.stringify({ ...before.settings, ...change.settings }),
          nowMs,
        );
        return one(row, accountFactsOf);
      }),
    signingKey: (accountId) => signingKey(db, accountId),
    async putSigningKey(accountId, sealed, isNew) {
      await db.run(
        'UPDATE account SET signing_key = $2 WHERE id = $1 AND ($3::int = 1 OR signing_key IS NULL)',
        accountId,
        sealed,
        isNew ? 1 : 0,
      );
      return (await signingKey(db, accountId)) ?? sealed;
    },
  } satisfies Partial<AccessStore>;
}

async function signingKey(db: Queries, accountId: number): Promise<string | undefined> {
  const key = (await db.get('SELECT signing_key FROM account WHERE id = $1', accountId))?.['signing_key'];
  return typeof key === 'string' ? key : undefined;
}

function keysAndLogins(db: Database) {
  return {
    async touchKey(id, atMs) {
      await db.run('UPDATE api_key SET last_used_ms = $2::bigint WHERE id = $1 AND coalesce(last_used_ms, 0) < $2::bigint', id, atMs);
    },
    deleteKeysOfKind: (accountId, kind) => db.run('DELETE FROM api_key WHERE account_id = $1 AND kind = $2', accountId, kind),
    setCredentialDisabled: async (domainId, login, isDisabled) =>
      (await db.run('UPDATE credential SET is_disabled = $3 WHERE domain_id = $1 AND login = $2', domainId, login, isDisabled ? 1 : 0)) > 0,
    deleteCredentials: (domainId) => db.run('DELETE FROM credential WHERE domain_id = $1 AND is_system = 0', domainId),
  } satisfies Partial<AccessStore>;
}

function users(db: Database) {
  return {
    async createUser(user) {
      const row = await db.get(
        `INSERT INTO account_user (account_id, email, name, role, is_disabled, is_master, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (account_id, email) DO NOTHING RETURNING *`,
        user.accountId,
        user.email,
        user.name,
        user.role,
        user.isDisabled ? 1 : 0,
        user.isMaster ? 1 : 0,
        user.createdMs,
      );
      return one(row, userOf);
    },
    userById: async (id) => one(await db.get('SELECT * FROM account_user WHERE id = $1', id), userOf),
    listUsers: async (accountId) => (await db.all('SELECT * FROM account_user WHERE account_id = $1 ORDER BY id', accountId)).map(userOf),
    setUserDisabled: async (accountId, id, isDisabled) =>
      (await db.run('UPDATE account_user SET is_disabled = $3 WHERE account_id = $1 AND id = $2', accountId, id, isDisabled ? 1 : 0)) > 0,
  } satisfies Partial<AccessStore>;
}

function lists(db: Database) {
  return {
    networksOf: async (accountId) =>
      (await db.all('SELECT * FROM allowed_network WHERE account_id = $1 ORDER BY created_ms, network', accountId)).map(networkOf),
    putNetwork: (accountId, { network, description, createdMs }, max) =>
      db.transaction(async (queries) => {
        await queries.get(LOCK, accountId);
        const changed = await queries.run(
          'UPDATE allowed_network SET description = $3 WHERE account_id = $1 AND network = $2',
          accountId,
          network,
          description,
        );
        if (changed > 0) return true;
        if (await isFull(queries, 'allowed_network', accountId, max)) return false;
        await queries.run(
          'INSERT INTO allowed_network (account_id, network, description, created_ms) VALUES ($1, $2, $3, $4)',
          accountId,
          network,
          description,
          createdMs,
        );
        return true;
      }),
    deleteNetwork: async (accountId, network) =>
      (await db.run('DELETE FROM allowed_network WHERE account_id = $1 AND network = $2', accountId, network)) > 0,
    authRecipients: async (accountId) =>
      (await db.all('SELECT * FROM auth_recipient WHERE account_id = $1 ORDER BY created_ms, email', accountId)).map(authRecipientOf),
    putAuthRecipient: (accountId, { email, createdMs }, max) =>
      db.transaction(async (queries) => {
        await queries.get(LOCK, accountId);
        const row = await queries.get('SELECT 1 FROM auth_recipient WHERE account_id = $1 AND email = $2', accountId, email);
        if (row !== undefined) return true;
        if (await isFull(queries, 'auth_recipient', accountId, max)) return false;
        await queries.run('INSERT INTO auth_recipient (account_id, email, created_ms) VALUES ($1, $2, $3)', accountId, email, createdMs);
        return true;
      }),
    deleteAuthRecipient: async (accountId, email) =>
      (await db.run('DELETE FROM auth_recipient WHERE account_id = $1 AND email = $2', accountId, email)) > 0,
  } satisfies Partial<AccessStore>;
}

async function isFull(queries: Queries, table: 'allowed_network' | 'auth_recipient', accountId: number, max: number): Promise<boolean> {
  return Number((await queries.get(`SELECT count(*) AS n FROM ${table} WHERE account_id = $1`, accountId))?.['n']) >= max;
}
