/** Accounts, keys, domains, credentials, DKIM keys, suppressions, settings: small tables, asked one row at a time. */
import { dkimKeyOf, domainOf } from '#store/domain-rows.ts';
import { accountOf, credentialOf, keyOf } from '#store/access-rows.ts';
import { one } from '#store/rows-json.ts';
import type { Account, AccountStore, ApiKey, Credential, DkimKey, Domain, Suppression } from '#store/store.ts';
import type { Database } from './database.ts';
import { suppressionOf } from '#store/suppression-rows.ts';
import { putSuppression } from './suppressions.ts';

/** The interface without its promises: what runs on the store's threads. */
export type Synchronous<T> = { [K in keyof T]: T[K] extends (...args: infer A) => Promise<infer R> ? (...args: A) => R : never };

export function accountTables(db: Database): Synchronous<AccountStore> {
  return { ...accountsAndKeys(db), ...domainsAndCredentials(db), ...suppressionsAndSettings(db) };
}

function accountsAndKeys(db: Database) {
  return {
    createAccount(name: string, nowMs: number): Account {
      const id = db.insert('INSERT INTO account (name, created_ms) VALUES (?,?)', name, nowMs);
      return { id, name, createdMs: nowMs, isDisabled: false };
    },
    listAccounts: (): Account[] => db.all('SELECT * FROM account ORDER BY id').map(accountOf),
    accountById: (id: number): Account | undefined => one(db.get('SELECT * FROM account WHERE id = ?', id), accountOf),
    createKey(key: ApiKey & { readonly secretHash: string }): void {
      db.run(
        'INSERT INTO api_key (id, account_id, secret_hash, kind, role, domain_id, description, created_ms, expires_ms, user_name, requestor, user_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)',
        key.id,
        key.accountId,
        key.secretHash,
        key.kind,
        key.role,
        key.domainId ?? null,
        key.description,
        key.createdMs,
        key.expiresAtMs ?? null,
        key.userName ?? '',
        key.requestor ?? '',
        key.userId ?? null,
      );
    },
    keyBySecretHash: (hash: string): ApiKey | undefined => one(db.get('SELECT * FROM api_key WHERE secret_hash = ?', hash), keyOf),
    listKeys: (accountId: number): ApiKey[] =>
      db.all('SELECT * FROM api_key WHERE account_id = ? ORDER BY created_ms, id', accountId).map(keyOf),
    deleteKey: (accountId: number, id: string): boolean => db.run('DELETE FROM api_key WHERE account_id = ? AND id = ?', accountId, id) > 0,
  };
}

function domainsAndCredentials(db: Database) {
  const domainById = (id: number): Domain | undefined => one(db.get('SELECT * FROM domain WHERE id = ?', id), domainOf);
  return {
    createDomain(domain: Omit<Domain, 'id'>): Domain | undefined {
      const added = db.run(
        'INSERT INTO domain (account_id, name, type, state, created_ms, retention_ms, require_tls, skip_verification) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (name) DO NOTHING',
        domain.accountId,
        domain.name,
        domain.type,
        domain.state,
        domain.createdMs,
        domain.retentionMs,
        domain.requireTls ? 1 : 0,
        domain.skipVerification ? 1 : 0,
      );
      return added === 0 ? undefined : one(db.get('SELECT * FROM domain WHERE name = ?', domain.name), domainOf);
    },
    domainByName: (name: string): Domain | undefined =>
      one(db.get('SELECT * FROM domain WHERE name = ? AND deleted_ms IS NULL', name), domainOf),
    domainById,
    listDomains: (accountId?: number): Domain[] =>
      (accountId === undefined
        ? db.all('SELECT * FROM domain WHERE deleted_ms IS NULL ORDER BY name')
        : db.all('SELECT * FROM domain WHERE account_id = ? AND deleted_ms IS NULL ORDER BY name', accountId)
      ).map(domainOf),
    setDomainState(id: number, state: Domain['state']): void {
      db.run('UPDATE domain SET state = ? WHERE id = ?', state, id);
    },
    putCredential(credential: Credential): void {
      db.run(
        'INSERT INTO credential (login, domain_id, account_id, password_hash, created_ms, is_system) VALUES (?,?,?,?,?,?) ON CONFLICT (login) DO UPDATE SET password_hash = excluded.password_hash WHERE domain_id = excluded.domain_id',
        credential.login,
        credential.domainId,
        credential.accountId,
        credential.passwordHash,
        credential.createdMs,
        credential.isSystem === true ? 1 : 0,
      );
    },
    credentialByLogin: (login: string): Credential | undefined =>
      one(db.get('SELECT * FROM credential WHERE login = ?', login), credentialOf),
    listCredentials: (domainId: number): Credential[] =>
      db.all('SELECT * FROM credential WHERE domain_id = ? ORDER BY login', domainId).map(credentialOf),
    deleteCredential: (domainId: number, login: string): boolean =>
      db.run('DELETE FROM credential WHERE domain_id = ? AND login = ?', domainId, login) > 0,
    createDkimKey(key: Omit<DkimKey, 'id'>): DkimKey {
      const id = db.insert(
        'INSERT INTO dkim_key (domain_id, selector, algorithm, private_key, public_key, state, created_ms) VALUES (?,?,?,?,?,?,?)',
        key.domainId,
        key.selector,
        key.algorithm,
        key.privateKey,
        key.publicKey,
        key.state,
        key.createdMs,
      );
      return { ...key, id, activeMs: 0 };
    },
    listDkimKeys: (domainId: number): DkimKey[] =>
      db.all('SELECT * FROM dkim_key WHERE domain_id = ? ORDER BY id', domainId).map(dkimKeyOf),
    setDkimKeyState(id: number, state: DkimKey['state']): void {
      db.run('UPDATE dkim_key SET state = ? WHERE id = ?', state, id);
    },
  };
}

function suppressionsAndSettings(db: Database) {
  const setting = (name: string): string | undefined =>
    one(db.get('SELECT value FROM setting WHERE name = ?', name), (row) => String(row['value']));
  return {
    putSuppression: (domainId: number, suppression: Suppression): void => putSuppression(db, domainId, suppression),
    suppressionOf: (domainId: number, kind: Suppression['kind'], address: string): Suppression | undefined =>
      one(db.get('SELECT * FROM suppression WHERE domain_id = ? AND kind = ? AND address = ?', domainId, kind, address), suppressionOf),
    listSuppressions: (domainId: number, kind: Suppression['kind'], after: string, limit: number): Suppression[] =>
      db
        .all(
          'SELECT * FROM suppression WHERE domain_id = ? AND kind = ? AND address > ? ORDER BY address LIMIT ?',
          domainId,
          kind,
          after,
          limit,
        )
        .map(suppressionOf),
    deleteSuppression: (domainId: number, kind: Suppression['kind'], address: string): boolean =>
      db.run('DELETE FROM suppression WHERE domain_id = ? AND kind = ? AND address = ?', domainId, kind, address) > 0,
    setting,
    settingOnce(name: string, value: string): string {
      db.run('INSERT INTO setting (name, value) VALUES (?,?) ON CONFLICT DO NOTHING', name, value);
      return setting(name) ?? value;
    },
  };
}
