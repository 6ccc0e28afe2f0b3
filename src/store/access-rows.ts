/** Rows of the tables that say who may come in, as both drivers read them. */
import type { AccountFacts, AccountStatus, AllowedNetwork, AuthRecipient, User } from './access-store.ts';
import type { Account, ApiKey, Credential } from './store.ts';

type Row = Readonly<Record<string, unknown>>;

/** Who is disabled or closed comes in nowhere; the difference is for those who administer. */
export function accountOf(row: Row): Account {
  return {
    id: Number(row['id']),
    name: String(row['name']),
    createdMs: Number(row['created_ms']),
    isDisabled: statusOf(row) !== 'open',
  };
}

export function accountFactsOf(row: Row): AccountFacts {
  const account = accountOf(row);
  return {
    ...account,
    ...(typeof row['parent_id'] === 'number' && { parentId: row['parent_id'] }),
    // An account of an earlier version was not noted.
    updatedMs: Number(row['updated_ms']) || account.createdMs,
    status: statusOf(row),
    reason: String(row['disabled_reason']),
    features: JSON.parse(String(row['features'])) as AccountFacts['features'],
    settings: JSON.parse(String(row['settings'])) as AccountFacts['settings'],
  };
}

function statusOf(row: Row): AccountStatus {
  if (typeof row['closed_ms'] === 'number') return 'closed';
  return row['is_disabled'] === 1 ? 'disabled' : 'open';
}

export function keyOf(row: Row): ApiKey {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    kind: row['kind'] as ApiKey['kind'],
    role: row['role'] as ApiKey['role'],
    ...numberAt(row, 'domain_id', 'domainId'),
    description: String(row['description']),
    createdMs: Number(row['created_ms']),
    ...numberAt(row, 'expires_ms', 'expiresAtMs'),
    ...textAt(row, 'user_name', 'userName'),
    ...textAt(row, 'requestor', 'requestor'),
    ...numberAt(row, 'user_id', 'userId'),
    ...numberAt(row, 'last_used_ms', 'lastUsedMs'),
  };
}

export function credentialOf(row: Row): Credential {
  return {
    login: String(row['login']),
    domainId: Number(row['domain_id']),
    accountId: Number(row['account_id']),
    passwordHash: String(row['password_hash']),
    createdMs: Number(row['created_ms']),
    ...(row['is_system'] === 1 && { isSystem: true }),
    ...(row['is_disabled'] === 1 && { isDisabled: true }),
  };
}

export function userOf(row: Row): User {
  return {
    id: Number(row['id']),
    accountId: Number(row['account_id']),
    email: String(row['email']),
    name: String(row['name']),
    role: row['role'] as User['role'],
    isDisabled: row['is_disabled'] === 1,
    isMaster: row['is_master'] === 1,
    createdMs: Number(row['created_ms']),
  };
}

export function networkOf(row: Row): AllowedNetwork {
  return { network: String(row['network']), description: String(row['description']), createdMs: Number(row['created_ms']) };
}

export function authRecipientOf(row: Row): AuthRecipient {
  return { email: String(row['email']), createdMs: Number(row['created_ms']) };
}

function numberAt<N extends string>(row: Row, column: string, name: N): { readonly [K in N]?: number } {
  return (typeof row[column] === 'number' ? { [name]: row[column] } : {}) as { readonly [K in N]?: number };
}

function textAt<N extends string>(row: Row, column: string, name: N): { readonly [K in N]?: string } {
  return (typeof row[column] === 'string' && row[column] !== '' ? { [name]: row[column] } : {}) as { readonly [K in N]?: string };
}
