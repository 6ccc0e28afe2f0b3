/** Accounts, keys, domains, credentials, DKIM keys, suppressions, settings: small tables, asked one row at a time. */
import { accountOf, credentialOf, keyOf } from '#store/access-rows.ts';
import { one, type Row } from '#store/rows-json.ts';
import { dkimKeyOf, domainOf } from '#store/domain-rows.ts';
import type { Account, AccountStore, ApiKey, Credential, DkimKey, Domain, Suppression } from '#store/store.ts';
import { suppressionOf } from '#store/suppression-rows.ts';
import type { Queries } from './database.ts';
import { putSuppressions } from './suppressions.ts';

export function accountTables(db: Queries): AccountStore {
  return { ...accountsAndKeys(db), ...domainsAndCredentials(db), ...dkimKeys(db), ...suppressions(db), ...settings(db) };
}

function accountsAndKeys(db: Queries) {
  return {
    async createAccount(name: string, nowMs: number): Promise<Account> {
      const row = await db.get('INSERT INTO account (name, created_ms) VALUES ($1, $2) RETURNING *', name, nowMs);
      return accountOf(row as Row);
    },
    listAccounts: async (): Promise<Account[]> => (await db.all('SELECT * FROM account ORDER BY id')).map(accountOf),
    accountById: async (id: number): Promise<Account | undefined> =>
      one(await db.get('SELECT * FROM account WHERE id = $1', id), accountOf),
    async createKey(key: ApiKey & { readonly secretHash: string }): Promise<void> {
      await db.run(
        `INSERT INTO api_key (id, account_id, secret_hash, kind, role, domain_id, description, created_ms, expires_ms,
           user_name, requestor, user_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
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
    keyBySecretHash: async (hash: string): Promise<ApiKey | undefined> =>
      one(await db.get('SELECT * FROM api_key WHERE secret_hash = $1', hash), keyOf),
    listKeys: async (accountId: number): Promise<ApiKey[]> =>
      (await db.all('SELECT * FROM api_key WHERE account_id = $1 ORDER BY created_ms, id', accountId)).map(keyOf),
    deleteKey: async (accountId: number, id: string): Promise<boolean> =>
      (await db.run('DELETE FROM api_key WHERE account_id = $1 AND id = $2', accountId, id)) > 0,
  };
}

function domainsAndCredentials(db: Queries) {
  return {
    async createDomain(domain: Omit<Domain, 'id'>): Promise<Domain | undefined> {
      const row = await db.get(
        `INSERT INTO domain (account_id, name, type, state, created_ms, retention_ms, require_tls, skip_verification)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING RETURNING *`,
        domain.accountId,
        domain.name,
        domain.type,
        domain.state,
        domain.createdMs,
        domain.retentionMs,
        domain.requireTls ? 1 : 0,
        domain.skipVerification ? 1 : 0,
      );
      return one(row, domainOf);
    },
    domainByName: async (name: string): Promise<Domain | undefined> =>
      one(await db.get('SELECT * FROM domain WHERE name = $1 AND deleted_ms IS NULL', name), domainOf),
    domainById: async (id: number): Promise<Domain | undefined> => one(await db.get('SELECT * FROM domain WHERE id = $1', id), domainOf),
    listDomains: async (accountId?: number): Promise<Domain[]> =>
      (accountId === undefined
        ? await db.all('SELECT * FROM domain WHERE deleted_ms IS NULL ORDER BY name')
        : await db.all('SELECT * FROM domain WHERE account_id = $1 AND deleted_ms IS NULL ORDER BY name', accountId)
      ).map(domainOf),
    async setDomainState(id: number, state: Domain['state']): Promise<void> {
      await db.run('UPDATE domain SET state = $1 WHERE id = $2', state, id);
    },
    /** A login stays with the domain that it was made for. */
    async putCredential(credential: Credential): Promise<void> {
      await db.run(
        `INSERT INTO credential AS c (login, domain_id, account_id, password_hash, created_ms, is_system) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (login) DO UPDATE SET password_hash = excluded.password_hash WHERE c.domain_id = excluded.domain_id`,
        credential.login,
        credential.domainId,
        credential.accountId,
        credential.passwordHash,
        credential.createdMs,
        credential.isSystem === true ? 1 : 0,
      );
    },
    credentialByLogin: async (login: string): Promise<Credential | undefined> =>
      one(await db.get('SELECT * FROM credential WHERE login = $1', login), credentialOf),
    listCredentials: async (domainId: number): Promise<Credential[]> =>
      (await db.all('SELECT * FROM credential WHERE domain_id = $1 ORDER BY login', domainId)).map(credentialOf),
    deleteCredential: async (domainId: number, login: string): Promise<boolean> =>
      (await db.run('DELETE FROM credential WHERE domain_id = $1 AND login = $2', domainId, login)) > 0,
  };
}

function dkimKeys(db: Queries) {
  return {
    async createDkimKey(key: Omit<DkimKey, 'id'>): Promise<DkimKey> {
      const row = await db.get(
        `INSERT INTO dkim_key (domain_id, selector, algorithm, private_key, public_key, state, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
        key.domainId,
        key.selector,
        key.algorithm,
        key.privateKey,
        key.publicKey,
        key.state,
        key.createdMs,
      );
      return { ...key, id: Number(row?.['id']), activeMs: 0 };
    },
    listDkimKeys: async (domainId: number): Promise<DkimKey[]> =>
      (await db.all('SELECT * FROM dkim_key WHERE domain_id = $1 ORDER BY id', domainId)).map(dkimKeyOf),
    async setDkimKeyState(id: number, state: DkimKey['state']): Promise<void> {
      await db.run('UPDATE dkim_key SET state = $1 WHERE id = $2', state, id);
    },
  };
}

/** Of an address as it was given; only the case of ASCII letters is without meaning, as the columns' order has it. */
const FOLDED = 'lower($3::text COLLATE "C")';

function suppressions(db: Queries) {
  return {
    putSuppression: (domainId: number, suppression: Suppression): Promise<void> => putSuppressions(db, domainId, [suppression]),
    suppressionOf: async (domainId: number, kind: Suppression['kind'], address: string): Promise<Suppression | undefined> =>
      one(
        await db.get(
          `SELECT * FROM suppression WHERE domain_id = $1 AND kind = $2 AND lower(address) = ${FOLDED}`,
          domainId,
          kind,
          address,
        ),
        suppressionOf,
      ),
    listSuppressions: async (domainId: number, kind: Suppression['kind'], after: string, limit: number): Promise<Suppression[]> =>
      (
        await db.all(
          `SELECT * FROM suppression WHERE domain_id = $1 AND kind = $2 AND lower(address) > ${FOLDED} ORDER BY lower(address) LIMIT $4`,
          domainId,
          kind,
          after,
          limit,
        )
      ).map(suppressionOf),
    deleteSuppression: async (domainId: number, kind: Suppression['kind'], address: string): Promise<boolean> =>
      (await db.run(`DELETE FROM suppression WHERE domain_id = $1 AND kind = $2 AND lower(address) = ${FOLDED}`, domainId, kind, address)) >
      0,
  };
}

function settings(db: Queries) {
  const setting = async (name: string): Promise<string | undefined> =>
    one(await db.get('SELECT value FROM setting WHERE name = $1', name), (row) => String(row['value']));
  return {
    setting,
    async settingOnce(name: string, value: string): Promise<string> {
      await db.run('INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING', name, value);
      return (await setting(name)) ?? value;
    },
  };
}
