/** The bands of dynamic pools as clients spell them, whose they are, and their domains as JSON. */
import { publicId } from '#accounts/public-id.ts';
import { badParameter } from '#model/errors.ts';
import { BANDS, type Band, type BandMove, DYNAMIC_POOL, type EnrolledDomain } from '#store/egress-store.ts';
import type { Domain } from '#store/store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { isoDate } from './dates.ts';
import type { Json } from './domain-json.ts';
import { type Fields, wholeNumber } from './fields.ts';

/** As forms name the pools: they have another name for each than answers have. */
export const FORM_NAMES = { good: 'good_reputation', poor: 'poor_reputation', new: 'new_senders' } as const satisfies Record<Band, string>;

export function shownBand(band: Band): string {
  return `dynamic_${band}`;
}

/** undefined: no band has that name. */
export function bandOf(text: string): Band | undefined {
  const name = text.trim().toLowerCase();
  return BANDS.find((band) => name === band || name === shownBand(band) || name === FORM_NAMES[band]);
}

/** Whose pools the caller's domains use; only they are the owner's to change who is the owner. */
export async function ownerOf(door: Door, call: Call): Promise<{ readonly ownerId: number; readonly isOwner: boolean }> {
  const { accountId } = call.principal;
  const ownerId = await door.deps.dynamicPools.ownerOf(accountId);
  return { ownerId, isOwner: ownerId === accountId };
}

export async function ownPools(door: Door, call: Call): Promise<number> {
  const { ownerId, isOwner } = await ownerOf(door, call);
  if (!isOwner) throw badParameter('Dynamic IP pools belong to the parent account');
  return ownerId;
}

/** Every account whose domains may be enrolled: the owner and its subaccounts. */
export async function accountsOf(door: Door, ownerId: number): Promise<ReadonlyMap<number, string>> {
  const { accounts, access } = door.deps.store;
  const [owner, below] = await Promise.all([accounts.accountById(ownerId), access.listSubaccounts(ownerId)]);
  return new Map([[ownerId, owner?.name ?? ''], ...below.map(({ id, name }) => [id, name] as const)]);
}

export function isEnrolled({ settings }: Domain): boolean {
  return settings?.poolId === DYNAMIC_POOL;
}

export function enrolledJson(enrolled: EnrolledDomain, domain: Domain, accountName: string): Json {
  return {
    id: publicId(domain.id),
    account_id: publicId(enrolled.accountId),
    account_name: accountName,
    name: domain.name,
    registered_at: isoDate(enrolled.enrolledMs),
    pool: shownBand(enrolled.band),
    override: enrolled.isOverridden,
    bounce_rate: enrolled.bounceRate,
    complaint_rate: enrolled.complaintRate,
    processed_count: enrolled.processed,
  };
}

export function moveJson(move: BandMove, accountName: string): Json {
  return {
    id: move.id,
    owning_account_id: publicId(move.ownerId),
    account_id: publicId(move.accountId),
    account_name: accountName,
    domain_id: publicId(move.domainId),
    domain_name: move.domainName,
    new_band: move.to === '' ? '' : shownBand(move.to),
    prev_band: move.from === '' ? '' : shownBand(move.from),
    reason: move.reason,
    bounce_rate: move.bounceRate,
    complaint_rate: move.complaintRate,
    processed_count: move.processed,
    initiated_by: move.initiatedBy,
    timestamp: isoDate(move.atMs),
  };
}

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 500;

export interface Stretch {
  readonly skip: number;
  readonly limit: number;
}

/** SDKs spell `limit` in two ways here. */
export function stretchOf(fields: Fields): Stretch {
  const name = fields.get('Limit') === undefined ? 'limit' : 'Limit';
  return {
    skip: wholeNumber(fields, 'skip', 0, 999_999_999) ?? 0,
    limit: Math.min(wholeNumber(fields, name, 1, 999_999_999) ?? LIMIT_DEFAULT, LIMIT_MAX),
  };
}

/** URLs of the pages around this one, under the names that the hosted service writes and those of all other lists. Conditions stay. */
export function pagesOf(call: Call, path: string, { skip, limit }: Stretch, total: number): Json {
  const kept = call.query.pairs.filter(([name]) => !['skip', 'limit', 'Limit'].includes(name));
  const at = (from: number): string =>
    `${call.publicUrl}${path}?${new URLSearchParams([...kept.map(([name, value]) => [name, value]), ['limit', String(limit)], ['skip', String(from)]]).toString()}`;
  const pages = {
    Next: at(skip + limit),
    Previous: at(Math.max(0, skip - limit)),
    First: at(0),
    Last: at(Math.max(0, Math.ceil(total / limit) - 1) * limit),
  };
  return { ...pages, next: pages.Next, previous: pages.Previous, first: pages.First, last: pages.Last };
}
