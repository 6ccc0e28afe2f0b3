/** Rows of domains, their keys and pools as both engines give them, and which tables go with a deleted domain. */
import { TABLES, type Table } from './copy/tables.ts';
import type { DnsAnswers, DomainSettings, IpPool, IpPoolChange } from './domain-store.ts';
import type { Row } from './rows-json.ts';
import type { DkimKey, Domain } from './store.ts';

export function domainOf(row: Row): Domain {
  const deletedMs = row['deleted_ms'];
  return {
    id: Number(row['id']),
    accountId: Number(row['account_id']),
    name: String(row['deleted_name'] ?? row['name']),
    type: row['type'] as Domain['type'],
    state: row['state'] as Domain['state'],
    createdMs: Number(row['created_ms']),
    retentionMs: Number(row['retention_ms']),
    requireTls: row['require_tls'] === 1,
    skipVerification: row['skip_verification'] === 1,
    settings: JSON.parse(String(row['settings'])) as DomainSettings,
    dnsAnswers: JSON.parse(String(row['dns'])) as DnsAnswers,
    checkedMs: Number(row['checked_ms']),
    ...(typeof deletedMs === 'number' && { deletedMs }),
  };
}

export function dkimKeyOf(row: Row): DkimKey {
  return {
    id: Number(row['id']),
    domainId: Number(row['domain_id']),
    selector: String(row['selector']),
    algorithm: row['algorithm'] as DkimKey['algorithm'],
    // Octets alone: a driver may give a kind of its own.
    privateKey: Uint8Array.from(row['private_key'] as Uint8Array),
    publicKey: String(row['public_key']),
    state: row['state'] as DkimKey['state'],
    createdMs: Number(row['created_ms']),
    activeMs: Number(row['active_ms']),
  };
}

export function poolOf(row: Row): IpPool {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    name: String(row['name']),
    description: String(row['description']),
    ips: JSON.parse(String(row['ips'])) as string[],
    createdMs: Number(row['created_ms']),
  };
}

export function changedPool(pool: IpPool, { name, description, addIps = [], removeIps = [] }: IpPoolChange): IpPool {
  const removed = new Set(removeIps);
  return {
    ...pool,
    name: name ?? pool.name,
    description: description ?? pool.description,
    ips: [...new Set([...pool.ips.filter((ip) => !removed.has(ip)), ...addIps])],
  };
}

/** What tells of mail that was sent: it goes by its own retention. */
const KEPT_OF_DELETED: ReadonlySet<string> = new Set(['message', 'event', 'outbox']);

/** Whatever else has rows of a domain. */
export const TABLES_OF_DOMAIN: readonly Table[] = TABLES.filter(
  ({ name, columns }) => 'domain_id' in columns && !KEPT_OF_DELETED.has(name) && !name.startsWith('counter'),
);
