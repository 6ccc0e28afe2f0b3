/** /v4/domains and /v3/domains: the account's domains, each with the DNS records that it must have. */
import type { Domain } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { gmtDate } from '#api/conventions/dates.ts';
import { badParameter } from '#api/conventions/errors.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { domainAnswer, domainForm, domainList, domainQuery } from '#api/shapes/domains.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

export function domains(door: Door): Endpoint[] {
  return ['/v4/domains', '/v3/domains'].flatMap((url): Endpoint[] => [
    {
      method: 'GET',
      url,
      summary: 'List domains',
      right: 'read',
      query: domainQuery,
      answer: domainList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Add a domain',
      right: 'write',
      form: domainForm,
      answer: domainAnswer,
      handle: (call) => create(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:domain`,
      summary: 'One domain and its DNS records',
      right: 'read',
      answer: domainAnswer,
      handle: (call) => one(door, call),
    },
  ]);
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { query, principal } = call;
  const limit = numberOf(query.get('limit'), 'limit', LIMIT_DEFAULT);
  const skip = numberOf(query.get('skip'), 'skip', 0);
  const state = query.get('state');
  const search = query.get('search')?.toLowerCase() ?? '';
  const all = (await door.deps.store.accounts.listDomains(principal.accountId)).filter(
    (domain) => (state === undefined || domain.state === state) && domain.name.includes(search),
  );
  const items = all.slice(skip, skip + Math.min(limit, LIMIT_MAX)).map(shown);
  return json({ total_count: all.length, items });
}

function numberOf(text: string | undefined, name: string, absent: number): number {
  if (text === undefined) return absent;
  if (!/^\d{1,9}$/.test(text)) throw badParameter(`'${name}' parameter is not a number`);
  return Number(text);
}

async function create(door: Door, call: Call): Promise<Answer> {
  const { form, json: body } = call.body;
  const name = form.get('name') ?? nameOf(body);
  if (name === undefined) throw badParameter('name parameter is missing');
  const password = form.get('smtp_password');
  if (password !== undefined && (password.length < 5 || password.length > 32)) {
    throw badParameter('Password is too short. It must be between 5 and 32 characters.');
  }
  const domain = await door.deps.accounts.addDomain(call.principal.accountId, name);
  if (domain === undefined) throw badParameter('This domain name is already taken');
  if (password !== undefined) await door.deps.accounts.putCredential(domain, 'postmaster', password);
  return json({ message: 'Domain DNS records have been created', ...(await detailed(door, domain)) });
}

function nameOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, 'name')) return undefined;
  const { name } = body as { readonly name: unknown };
  return typeof name === 'string' ? name : undefined;
}

async function one(door: Door, call: Call): Promise<Answer> {
  return json(await detailed(door, await requiredDomain(door.deps.accounts, call.principal, call.param('domain'), 'Domain not found')));
}

async function detailed(door: Door, domain: Domain): Promise<Record<string, unknown>> {
  const records = await door.deps.accounts.dnsRecords(domain);
  return {
    domain: shown(domain),
    receiving_dns_records: [],
    sending_dns_records: records.map((record) => ({
      is_active: domain.state === 'active',
      cached: [],
      name: record.name,
      record_type: record.type,
      valid: domain.state === 'active' && record.isRequired ? 'valid' : 'unknown',
      value: record.value,
    })),
  };
}

function shown(domain: Domain): Record<string, unknown> {
  return {
    created_at: gmtDate(domain.createdMs),
    id: domain.id.toString(16).padStart(24, '0'),
    is_disabled: domain.state === 'disabled',
    name: domain.name,
    require_tls: domain.requireTls,
    skip_verification: domain.skipVerification,
    smtp_login: `postmaster@${domain.name}`,
    spam_action: 'disabled',
    state: domain.state,
    type: domain.type,
    use_automatic_sender_security: false,
    web_prefix: 'email',
    web_scheme: 'https',
    wildcard: false,
  };
}
