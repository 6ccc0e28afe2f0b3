/** Domains and their DNS records as the API shows them. */
import type { DnsRecord } from '#accounts/dns-records.ts';
import { answerKey, keyRecord, webPrefixOf } from '#accounts/dns-records.ts';
import { publicId } from '#accounts/public-id.ts';
import type { DkimKey, Domain } from '#store/store.ts';
import type { Door } from '#api/endpoint.ts';
import { gmtDate } from './dates.ts';

export type Json = Record<string, unknown>;

export function domainJson(domain: Domain): Json {
  const { settings = {} } = domain;
  return {
    created_at: gmtDate(domain.createdMs),
    id: publicId(domain.id),
    is_disabled: domain.state === 'disabled',
    name: domain.name,
    require_tls: domain.requireTls,
    skip_verification: domain.skipVerification,
    smtp_login: `postmaster@${domain.name}`,
    spam_action: settings.spamAction ?? 'disabled',
    state: domain.state,
    type: domain.type,
    use_automatic_sender_security: settings.automaticSecurity ?? false,
    web_prefix: webPrefixOf(domain),
    web_scheme: settings.webScheme ?? 'https',
    wildcard: settings.wildcard ?? false,
    tracking_host: `${webPrefixOf(domain)}.${domain.name}`,
    encrypt_incoming_message: settings.encryptIncoming ?? false,
    message_ttl: settings.messageTtlSeconds ?? 0,
    ...(settings.archiveTo && { archive_to: settings.archiveTo }),
    ...(settings.mailfromHost && { mailfrom_host: settings.mailfromHost }),
    // Ours: shown only where it is asked for, since clients know no such field.
    ...(settings.zeroContent === true && { zero_content: true }),
    ...(domain.state === 'disabled' && { disabled: { code: 'disabled', note: '', permanently: false, reason: 'The domain is disabled' } }),
  };
}

/** With both lists of records. */
export async function detailedDomain(door: Door, domain: Domain): Promise<Json> {
  const { sending, receiving } = await door.deps.accounts.allRecords(domain);
  return {
    domain: domainJson(domain),
    receiving_dns_records: receiving.map((record) => recordJson(domain, record)),
    sending_dns_records: sending.map((record) => recordJson(domain, record)),
  };
}

export async function sendingRecords(door: Door, domain: Domain): Promise<Json[]> {
  return (await door.deps.accounts.allRecords(domain)).sending.map((record) => recordJson(domain, record));
}

const VALID = { ok: 'valid', missing: 'invalid', different: 'invalid', unknown: 'unknown' } as const;

function recordJson(domain: Domain, record: DnsRecord): Json {
  const answer = domain.dnsAnswers?.[answerKey(record)];
  // A domain that became active was found to be right, if only by another way.
  const unasked = domain.state === 'active' && record.isRequired ? 'valid' : 'unknown';
  return {
    is_active: record.purpose === 'dkim' ? record.isSigning === true && domain.state !== 'unverified' : true,
    cached: answer?.found ?? [],
    // The MX of the domain itself clients know without a name.
    ...((record.type !== 'MX' || record.name !== domain.name) && { name: record.name }),
    ...(record.priority !== undefined && { priority: String(record.priority) }),
    record_type: record.type,
    valid: answer === undefined ? unasked : VALID[answer.state],
    value: record.value,
  };
}

/** `authority`: whose key it is. */
export function keyJson(authority: Domain, key: DkimKey): Json {
  return {
    signing_domain: authority.name,
    selector: key.selector,
    dns_record: { ...recordJson(authority, keyRecord(authority, key)), is_active: key.state === 'signing' },
  };
}
