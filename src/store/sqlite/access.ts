/** Who may come in, on the embedded store. The writer's transactions come one after another, so that a count that was read holds until what depends on it is written. */
import { accountFactsOf, authRecipientOf, networkOf, userOf } from '#store/access-rows.ts';
import type { AccessStore, AccountFacts } from '#store/access-store.ts';
import { one } from '#store/rows-json.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

export function accessTables(db: Database): Synchronous<AccessStore> {
  return { ...accounts(db), ...keysAndLogins(db), ...users(db), ...lists(db) };
}

function accounts(db: Database) {
  const facts = (id: number): AccountFacts | undefined => one(db.get('SELECT * FROM account WHERE id = ?', id), accountFactsOf);
  return {
    accountFacts: facts,
    createSubaccount(parentId, name, nowMs, max) {
      const count = db.get('SELECT count(*) AS n FROM account WHERE parent_id = ? AND closed_ms IS NULL', parentId);
      if (Number(count?.['n']) >= max) return undefined;
      return facts(
        db.insert('INSERT INTO account (name, created_ms, updated_ms, parent_id) VALUES (?,?,?,?)', name, nowMs, nowMs, parentId),
      );
    },
    listSubaccounts: (parentId) => db.all('SELECT * FROM account WHERE parent_id = ? ORDER BY id', parentId).map(accountFactsOf),
    changeAccount(id, change, nowMs) {
      const before = facts(id);
      if (before === undefined) return undefined;
      const after = { ...before, ...change };
      db.run(
        `UPDATE account SET name = ?, is_disabled = ?, closed_ms = CASE WHEN ? THEN coalesce(closed_ms, ?) END, disabled_reason = ?, features = ?, settings = ?, updated_ms = ?
         WHERE id = ?`,
        after.name,
        after.status === 'open' ? 0 : 1,
        after.status === 'closed' ? 1 : 0,
        nowMs,
        after.reason,
        JSON.stringify({ ...before.features, ...change.features }),
        JSON.stringify({ ...before.settings, ...change.settings }),
        nowMs,
        id,
      );
      return facts(id);
    },
    signingKey: (accountId) => signingKey(db, accountId),
    putSigningKey(accountId, sealed, isNew) {
      db.run(`UPDATE account SET signing_key = ? WHERE id = ? AND (? OR signing_key IS NULL)`, sealed, accountId, isNew ? 1 : 0);
      return signingKey(db, accountId) ?? sealed;
    },
  } satisfies Partial<Synchronous<AccessStore>>;
}

function signingKey(db: Database, accountId: number): string | undefined {
  const key = db.get('SELECT signing_key FROM account WHERE id = ?', accountId)?.['signing_key'];
  return typeof key === 'string' ? key : undefined;
}

function keysAndLogins(db: Database) {
  return {
    touchKey(id, atMs) {
      db.run('UPDATE api_key SET last_used_ms = ?1 WHERE id = ?2 AND coalesce(last_used_ms, 0) < ?1', atMs, id);
    },
    deleteKeysOfKind: (accountId, kind) => db.run('DELETE FROM api_key WHERE account_id = ? AND kind = ?', accountId, kind),
    setCredentialDisabled: (domainId, login, isDisabled) =>
      db.run('UPDATE credential SET is_disabled = ? WHERE domain_id = ? AND login = ?', isDisabled ? 1 : 0, domainId, login) > 0,
    deleteCredentials: (domainId) => db.run('DELETE FROM credential WHERE domain_id = ? AND is_system = 0', domainId),
  } satisfies Partial<Synchronous<AccessStore>>;
}

function users(db: Database) {
  const byId = (id: number) => one(db.get('SELECT * FROM account_user WHERE id = ?', id), userOf);
  return {
    createUser(user) {
      const added = db.run(
        'INSERT INTO account_user (account_id, email, name, role, is_disabled, is_master, created_ms) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING',
        user.accountId,
        user.email,
        user.name,
        user.role,
        user.isDisabled ? 1 : 0,
        user.isMaster ? 1 : 0,
        user.createdMs,
      );
      if (added === 0) return undefined;
      return one(db.get('SELECT * FROM account_user WHERE account_id = ? AND email = ?', user.accountId, user.email), userOf);
    },
    userById: byId,
    listUsers: (accountId) => db.all('SELECT * FROM account_user WHERE account_id = ? ORDER BY id', accountId).map(userOf),
    setUserDisabled: (accountId, id, isDisabled) =>
      db.run('UPDATE account_user SET is_disabled = ? WHERE account_id = ? AND id = ?', isDisabled ? 1 : 0, accountId, id) > 0,
  } satisfies Partial<Synchronous<AccessStore>>;
}

function lists(db: Database) {
  const isFull = (table: string, accountId: number, max: number): boolean =>
    Number(db.get(`SELECT count(*) AS n FROM ${table} WHERE account_id = ?`, accountId)?.['n']) >= max;
  return {
    networksOf: (accountId) =>
      db.all('SELECT * FROM allowed_network WHERE account_id = ? ORDER BY created_ms, network', accountId).map(networkOf),
    putNetwork(accountId, { network, description, createdMs }, max) {
      const changed = db.run(
        'UPDATE allowed_network SET description = ? WHERE account_id = ? AND network = ?',
        description,
        accountId,
        network,
      );
      if (changed > 0) return true;
      if (isFull('allowed_network', accountId, max)) return false;
      db.run(
        'INSERT INTO allowed_network (account_id, network, description, created_ms) VALUES (?,?,?,?)',
        accountId,
        network,
        description,
        createdMs,
      );
      return true;
    },
    deleteNetwork: (accountId, network) =>
      db.run('DELETE FROM allowed_network WHERE account_id = ? AND network = ?', accountId, network) > 0,
    authRecipients: (accountId) =>
      db.all('SELECT * FROM auth_recipient WHERE account_id = ? ORDER BY created_ms, email', accountId).map(authRecipientOf),
    putAuthRecipient(accountId, { email, createdMs }, max) {
      if (db.get('SELECT 1 FROM auth_recipient WHERE account_id = ? AND email = ?', accountId, email) !== undefined) return true;
      if (isFull('auth_recipient', accountId, max)) return false;
      db.run('INSERT INTO auth_recipient (account_id, email, created_ms) VALUES (?,?,?)', accountId, email, createdMs);
      return true;
    },
    deleteAuthRecipient: (accountId, email) =>
      db.run('DELETE FROM auth_recipient WHERE account_id = ? AND email = ?', accountId, email) > 0,
  } satisfies Partial<Synchronous<AccessStore>>;
}
