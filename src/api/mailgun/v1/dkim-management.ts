/**
 * /v1/dkim_management: when the DKIM keys of a domain are changed for new ones. A rotation makes new keys; they sign once their records are seen in DNS, and
 * the former ones stay published for what is on its way.
 */
import { publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { keyJson, type Json } from '#api/conventions/domain-json.ts';
import { fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { rotationAnswer, rotationForm } from '#api/shapes/domain-keys.ts';
import { dkimName } from '#mail/dkim.ts';
import { badParameter } from '#model/errors.ts';
import type { Domain } from '#store/store.ts';

const DAYS_DEFAULT = 120;
const DAYS_MIN = 5;
const DAYS_MAX = 3650;
const DAYS_OF: Readonly<Record<string, number>> = { d: 1, w: 7, m: 30, y: 365 };

export function dkimManagement(door: Door): Endpoint[] {
  const url = '/v1/dkim_management/domains/:domain';
  return [
    {
      method: 'PUT',
      url: `${url}/rotation`,
      summary: 'Change the DKIM keys of a domain from time to time',
      right: 'write',
      form: rotationForm,
      answer: rotationAnswer,
      handle: (call) => rotation(door, call),
    },
    {
      method: 'POST',
      url: `${url}/rotate`,
      summary: 'Make new DKIM keys',
      right: 'write',
      answer: messageAnswer,
      handle: (call) => rotate(door, call),
    },
  ];
}

function domainOf(door: Door, call: Call): Promise<Domain> {
  return requiredDomain(door.deps.accounts, call.principal, call.param('domain'), 'domain not found');
}

async function rotation(door: Door, call: Call): Promise<Answer> {
  const before = await domainOf(door, call);
  const fields = fieldsOf(call);
  const isEnabled = flagOf(fields, 'rotation_enabled');
  if (isEnabled === undefined) throw badParameter('rotation_enabled parameter is missing');
  const interval = fields.get('rotation_interval');
  if (!isEnabled && interval !== undefined) throw badParameter('rotation_interval is not allowed unless also enabling DKIM rotation');
  const rotationDays = isEnabled ? daysOf(interval) : 0;
  const domain = await door.deps.accounts.changeDomain(before, { settings: { rotationDays } });
  return json({ domain: await shown(door, domain) });
}

/** "30d", "2w", "6m". */
function daysOf(interval: string | undefined): number {
  if (interval === undefined) return DAYS_DEFAULT;
  const [, count, unit] = /^(\d{1,5})\s*([dwmy])$/i.exec(interval.trim()) ?? [];
  const days = Number(count) * (DAYS_OF[unit?.toLowerCase() ?? ''] ?? Number.NaN);
  if (!(days >= DAYS_MIN && days <= DAYS_MAX)) {
    throw badParameter(`'rotation_interval' parameter is not valid: from ${DAYS_MIN}d to ${DAYS_MAX}d, as 120d`);
  }
  return days;
}

async function rotate(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  if (domain.state === 'unverified') throw badParameter('only domains in enabled can rotate their keys. Current state: wait_verify');
  const made = await door.deps.accounts.rotateDkim(domain);
  const names = made.map(({ selector }) => dkimName(selector, domain.name)).join(', ');
  return json({ message: `New domain keys have been made. They sign once their records are seen in DNS: ${names}` });
}

async function shown(door: Door, domain: Domain): Promise<Json> {
  const keys = await door.deps.accounts.domainKeys(domain);
  const days = domain.settings?.rotationDays ?? 0;
  return {
    id: publicId(domain.id),
    account_id: String(domain.accountId),
    sid: publicId(domain.id),
    name: domain.name,
    state: domain.state === 'unverified' ? 'wait_verify' : 'enabled',
    active_selector: keys.find(({ state }) => state === 'signing')?.selector ?? '',
    rotation_enabled: days > 0,
    ...(days > 0 && { rotation_interval: `${days}d` }),
    records: keys.map((key) => rotatedRecord(keyJson(domain, key)['dns_record'] as Json)),
  };
}

/** Under the names of all other records, and under those that this answer has of its own. */
function rotatedRecord(record: Json): Json {
  return { ...record, type: record['record_type'], identifier: record['name'], comment: '' };
}
