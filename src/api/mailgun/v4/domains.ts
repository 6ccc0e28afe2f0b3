/** /v4/domains and /v3/domains: the account's domains, each with the DNS records that it must have. */
import { KEY_BITS, checkSelector } from '#accounts/chosen-keys.ts';
import { publicId } from '#accounts/public-id.ts';
import { BoundedCache } from '#base/bounded-cache.ts';
import { TokenBucket } from '#base/token-bucket.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { Domain } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { detailedDomain, domainJson } from '#api/conventions/domain-json.ts';
import { readWishes } from '#api/conventions/domain-settings.ts';
import { assignedAddresses, poolOfAccount } from '#api/conventions/egress.ts';
import { type Fields, fieldsOf, flagOf, requiredField, wholeNumber } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { domainAnswer, domainChange, domainForm, domainList, domainQuery } from '#api/shapes/domains.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
/** Verifications of one domain, and the time in which so many may be asked for. */
const VERIFY_COUNT = 10;
const VERIFY_PER_MS = 60_000;
const VERIFIED_MAX = 10_000;

export function domains(door: Door): Endpoint[] {
  const verified = new BoundedCache<number, TokenBucket>({ max: VERIFIED_MAX });
  return ['/v4/domains', '/v3/domains'].flatMap((url): Endpoint[] => {
    const one = `${url}/:domain`;
    return [
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
        url: one,
        summary: 'One domain and its DNS records',
        right: 'read',
        answer: domainAnswer,
        handle: (call) => show(door, call),
      },
      {
        method: 'PUT',
        url: one,
        summary: 'Change a domain',
        right: 'write',
        form: domainChange,
        answer: domainAnswer,
        handle: (call) => change(door, call),
      },
      {
        method: 'PUT',
        url: `${one}/verify`,
        summary: 'Look the DNS records of a domain up',
        right: 'write',
        answer: domainAnswer,
        handle: (call) => verify(door, call, verified),
      },
      {
        method: 'DELETE',
        url: one,
        summary: 'Delete a domain',
        right: 'write',
        answer: messageAnswer,
        handle: (call) => remove(door, call),
      },
    ];
  });
}

// ---- list ------------------------------------------------------------------------------------------------------------

async function list(door: Door, call: Call): Promise<Answer> {
  const { query, principal } = call;
  const fields = fieldsOf(call);
  const limit = Math.min(wholeNumber(fields, 'limit', 0, 999_999_999) ?? LIMIT_DEFAULT, LIMIT_MAX);
  const skip = wholeNumber(fields, 'skip', 0, 999_999_999) ?? 0;
  const state = query.get('state');
  const search = query.get('search')?.toLowerCase() ?? '';
  const authority = query.get('authority')?.toLowerCase();
  const isWithBelow = flagOf(fields, 'include_subaccounts') ?? false;
  const named = (await domainsOf(door, principal.accountId, isWithBelow)).filter(
    (domain) => (state === undefined || domain.state === state) && domain.name.includes(search),
  );
  const all = authority === undefined ? named : await signedBy(door, named, authority);
  const items = sorted(all, query.get('sort'))
    .slice(skip, skip + limit)
    .map((domain) => ({
      ...domainJson(domain),
      ...(domain.accountId !== principal.accountId && { subaccount_id: publicId(domain.accountId) }),
    }));
  return json({ total_count: all.length, items });
}

async function domainsOf(door: Door, accountId: number, isWithBelow: boolean): Promise<Domain[]> {
  const { accounts, access } = door.deps.store;
  const below = isWithBelow ? (await access.listSubaccounts(accountId)).filter(({ status }) => status !== 'closed') : [];
  const found: Domain[] = [];
  for (const id of [accountId, ...below.map((subaccount) => subaccount.id)]) found.push(...(await accounts.listDomains(id)));
  return found;
}

async function signedBy(door: Door, all: readonly Domain[], authority: string): Promise<Domain[]> {
  const names = await Promise.all(all.map(async (domain) => (await door.deps.accounts.authorityOf(domain)).name));
  return all.filter((_domain, position) => names[position] === authority);
}

const SORTS: Readonly<Record<string, (domain: Domain) => string | number>> = {
  name: ({ name }) => name,
  state: ({ state }) => state,
  created_at: ({ createdMs }) => createdMs,
  type: ({ type }) => type,
};

/** "name", "name:desc". */
function sorted(all: readonly Domain[], sort = 'name'): readonly Domain[] {
  const [field = '', direction = 'asc'] = sort.toLowerCase().split(':');
  const key = Object.hasOwn(SORTS, field) ? SORTS[field] : undefined;
  if (key === undefined || (direction !== 'asc' && direction !== 'desc'))
    throw badParameter("'sort' parameter is not valid: as name:asc or created_at:desc");
  const sign = direction === 'asc' ? 1 : -1;
  return all.toSorted((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0));
}

// ---- one -------------------------------------------------------------------------------------------------------------

async function create(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const { accounts } = door.deps;
  const name = requiredField(fields, 'name');
  const password = passwordOf(fields);
  const wishes = readWishes(fields);
  const selector = fields.get('dkim_selector');
  const bits = keyBits(fields);
  const egress = await egressOf(door, call, fields);
  const domain = await accounts.addDomain(call.principal.accountId, name, {
    ...wishes,
    settings: { ...wishes.settings, ...egress },
    key: { ...(selector !== undefined && { selector: checkSelector(selector) }), ...(bits !== undefined && { bits }) },
  });
  if (domain === undefined) throw badParameter('This domain name is already taken');
  if (password !== undefined) await accounts.putCredential(domain, 'postmaster', password);
  return json({ message: 'Domain DNS records have been created', ...(await detailedDomain(door, domain)) });
}

async function egressOf(door: Door, call: Call, fields: Fields): Promise<{ ips?: readonly string[]; poolId?: string }> {
  const ips = assignedAddresses(door, fields.list('ips'));
  const poolId = fields.get('pool_id');
  if (poolId !== undefined) await poolOfAccount(door, call, poolId);
  return { ...(ips.length > 0 && { ips }), ...(poolId !== undefined && { poolId }) };
}

function passwordOf(fields: Fields): string | undefined {
  const password = fields.get('smtp_password');
  if (password !== undefined && (password.length < 5 || password.length > 32)) {
    throw badParameter('Password is too short. It must be between 5 and 32 characters.');
  }
  return password;
}

function keyBits(fields: Fields): number | undefined {
  const bits = wholeNumber(fields, 'dkim_key_size', 0, 65_536);
  if (bits !== undefined && !KEY_BITS.some((each) => each === bits))
    throw badParameter(`'dkim_key_size' parameter is one of ${KEY_BITS.join(', ')}`);
  return bits;
}

async function show(door: Door, call: Call): Promise<Answer> {
  return json(await detailedDomain(door, await domainOf(door, call)));
}

async function change(door: Door, call: Call): Promise<Answer> {
  const before = await domainOf(door, call);
  const fields = fieldsOf(call);
  const password = passwordOf(fields);
  const domain = await door.deps.accounts.changeDomain(before, readWishes(fields));
  if (password !== undefined) await door.deps.accounts.putCredential(domain, 'postmaster', password);
  return json({ message: 'Domain has been updated', ...(await detailedDomain(door, domain)) });
}

async function verify(door: Door, call: Call, verified: BoundedCache<number, TokenBucket>): Promise<Answer> {
  const before = await domainOf(door, call);
  const nowMs = door.deps.clock.monotonicMs();
  let bucket = verified.get(before.id, nowMs);
  if (bucket === undefined) verified.set(before.id, (bucket = new TokenBucket(VERIFY_COUNT, VERIFY_PER_MS, VERIFY_COUNT, nowMs)), nowMs);
  if (!bucket.take(1, nowMs))
    throw new AppError('rate-limited', { what: 'domain verification', seconds: VERIFY_PER_MS / VERIFY_COUNT / 1000 });
  const domain = await door.deps.verifyDomain(before);
  return json({ message: 'Domain DNS records have been updated', ...(await detailedDomain(door, domain)) });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  await door.deps.accounts.deleteDomain(await domainOf(door, call));
  return json({ message: 'Domain will be deleted in the background' });
}
