/** /v1/dynamic_pools: which band each enrolled domain is in, why, since when, and what is decided by hand. */
import { publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import {
  accountsOf,
  bandOf,
  enrolledJson,
  isEnrolled,
  moveJson,
  ownerOf,
  pagesOf,
  shownBand,
  stretchOf,
} from '#api/conventions/dynamic-pools.ts';
import { NotFound, Refusal } from '#api/conventions/errors.ts';
import { type Fields, fieldsOf, flagOf, requiredField, wordOf } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  dynamicDomain,
  dynamicDomainList,
  dynamicDomainQuery,
  moveList,
  moveQuery,
  overrideForm,
  previewAnswer,
} from '#api/shapes/dynamic-pools.ts';
import { parseEventTime } from '#events/event-time.ts';
import { badParameter } from '#model/errors.ts';
import type { Band, EnrolledDomain, MoveAsk } from '#store/egress-store.ts';

export function dynamicPoolDomains(door: Door): Endpoint[] {
  const url = '/v1/dynamic_pools';
  const one = `${url}/domains/:domain`;
  return [
    {
      method: 'GET',
      url: `${url}/domains`,
      summary: 'Domains that are enrolled in dynamic pools, and how their mail fares',
      right: 'read',
      query: dynamicDomainQuery,
      answer: dynamicDomainList,
      handle: (call) => list(door, call),
    },
    {
      method: 'GET',
      url: `${one}/preview`,
      summary: 'Which dynamic pool a domain would be in now',
      right: 'read',
      answer: previewAnswer,
      handle: (call) => preview(door, call),
    },
    {
      method: 'GET',
      url: `${one}/history`,
      summary: 'When a domain came to which dynamic pool, and why',
      right: 'read',
      query: moveQuery,
      answer: moveList,
      handle: (call) => history(door, call),
    },
    {
      method: 'PUT',
      url: `${one}/override`,
      summary: 'Keep a domain in a dynamic pool',
      right: 'write',
      form: overrideForm,
      answer: dynamicDomain,
      handle: (call) => override(door, call, () => bandGiven(requiredField(fieldsOf(call), 'pool'))),
    },
    {
      method: 'DELETE',
      url: `${one}/override`,
      summary: 'Let how its mail fares choose its pool again',
      right: 'write',
      answer: dynamicDomain,
      handle: (call) => override(door, call, () => undefined),
    },
    {
      method: 'GET',
      url: `${url}/history`,
      summary: 'When domains came to which dynamic pool, and why',
      right: 'read',
      query: moveQuery,
      answer: moveList,
      handle: (call) => accountHistory(door, call),
    },
  ];
}

function bandGiven(text: string): Band {
  const band = bandOf(text);
  if (band === undefined) throw new Refusal(400, 'there is no dynamic IP pool of that name', { Field: 'pool', Value: text.slice(0, 100) });
  return band;
}

const SORTS = ['name', 'account_id', 'registered_at', 'pool', 'bounce_rate', 'complaint_rate', 'processed_count'] as const;
const ORDERS = ['asc', 'desc', 'ascending', 'descending'] as const;

async function list(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const [account, pool] = [fields.get('account')?.toLowerCase(), fields.get('pool')];
  const band = pool === undefined ? undefined : bandGiven(pool);
  const sort = wordOf(fields, 'sort_by', SORTS) ?? 'name';
  const isDown = wordOf(fields, 'sort_order', ORDERS)?.startsWith('desc') === true;
  const shown = (await enrolledDomains(door, call))
    .filter(
      ({ enrolled }) =>
        (account === undefined || publicId(enrolled.accountId) === account) && (band === undefined || enrolled.band === band),
    )
    .map(({ item }) => item)
    .toSorted((a, b) => compare(a[sort], b[sort]) * (isDown ? -1 : 1) || compare(a['name'], b['name']));
  const stretch = stretchOf(fields);
  return json({
    items: shown.slice(stretch.skip, stretch.skip + stretch.limit),
    total_items: shown.length,
    paging: pagesOf(call, '/v1/dynamic_pools/domains', stretch, shown.length),
  });
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

/** Those that the caller may see: all of the owner's, or its own. */
async function enrolledDomains(door: Door, call: Call): Promise<{ readonly enrolled: EnrolledDomain; readonly item: Json }[]> {
  const { store } = door.deps;
  const { ownerId, isOwner } = await ownerOf(door, call);
  const names = await accountsOf(door, ownerId);
  const enrolled = (await store.egress.enrolledDomains(ownerId)).filter(
    ({ accountId }) => isOwner || accountId === call.principal.accountId,
  );
  const accountIds = [...new Set(enrolled.map(({ accountId }) => accountId))];
  const domains = new Map(
    (await Promise.all(accountIds.map((id) => store.accounts.listDomains(id)))).flat().map((domain) => [domain.id, domain]),
  );
  return enrolled.flatMap((each) => {
    const domain = domains.get(each.domainId);
    return domain === undefined || !isEnrolled(domain)
      ? []
      : [{ enrolled: each, item: enrolledJson(each, domain, names.get(each.accountId) ?? '') }];
  });
}

async function preview(door: Door, call: Call): Promise<Answer> {
  const { band, reason, health } = await door.deps.dynamicPools.preview(await domainOf(door, call));
  const { processed, bounceRate, complaintRate } = health;
  return json({
    pool: shownBand(band),
    reason,
    bounce_rate: bounceRate,
    complaint_rate: complaintRate,
    processed_count: processed,
    message: 'success',
  });
}

async function override(door: Door, call: Call, chosen: () => Band | undefined): Promise<Answer> {
  const domain = await domainOf(door, call);
  const band = chosen();
  const { principal } = call;
  const enrolled = await door.deps.dynamicPools.override(
    domain,
    band,
    principal.keyId === undefined ? 'api' : `api key ${principal.keyId}`,
  );
  if (enrolled === undefined) throw new NotFound('Domain is not enrolled in dynamic IP pools');
  const account = await door.deps.store.accounts.accountById(domain.accountId);
  return json({ ...enrolledJson(enrolled, domain, account?.name ?? ''), message: 'success' });
}

/** With the newest as the answer itself, where it is read as one record. */
async function history(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { ownerId } = await ownerOf(door, call);
  const path = `/v1/dynamic_pools/domains/${encodeURIComponent(domain.name)}/history`;
  const page = await moves(door, call, path, { ...askOf(fieldsOf(call)), ownerId, accountId: domain.accountId, domainName: domain.name });
  return json({ ...page.items[0], ...page });
}

async function accountHistory(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const { ownerId, isOwner } = await ownerOf(door, call);
  const isWithBelow = isOwner && flagOf(fields, 'include_subaccounts') === true;
  const domainName = fields.get('domain')?.toLowerCase();
  const ask = {
    ...askOf(fields),
    ownerId,
    ...(!isWithBelow && { accountId: call.principal.accountId }),
    ...(domainName !== undefined && { domainName }),
  };
  return json(await moves(door, call, '/v1/dynamic_pools/history', ask));
}

function askOf(fields: Fields): Pick<MoveAsk, 'fromBand' | 'toBand' | 'beforeMs' | 'afterMs'> {
  const [from, to] = [fields.get('moved_from'), fields.get('moved_to')];
  const [before, after] = [timeOf(fields, 'before'), timeOf(fields, 'after')];
  return {
    ...(from !== undefined && { fromBand: bandGiven(from) }),
    ...(to !== undefined && { toBand: bandGiven(to) }),
    ...(before !== undefined && { beforeMs: before }),
    ...(after !== undefined && { afterMs: after }),
  };
}

function timeOf(fields: Fields, name: string): number | undefined {
  const text = fields.get(name);
  if (text === undefined) return undefined;
  const us = parseEventTime(text);
  if (us === undefined) throw badParameter(`'${name}' parameter is not a date`);
  return Math.floor(us / 1000);
}

async function moves(
  door: Door,
  call: Call,
  path: string,
  ask: MoveAsk,
): Promise<{ readonly items: readonly Json[]; readonly total_items: number; readonly paging: Json }> {
  const { egress } = door.deps.store;
  const stretch = stretchOf(fieldsOf(call));
  const [found, total, names] = await Promise.all([
    egress.bandMoves(ask, stretch.skip, stretch.limit),
    egress.countBandMoves(ask),
    accountsOf(door, ask.ownerId),
  ]);
  const items = found.map((move) => moveJson(move, names.get(move.accountId) ?? ''));
  return { items, total_items: total, paging: pagesOf(call, path, stretch, total) };
}
