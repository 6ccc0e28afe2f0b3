/** /v3/forwards: plain rules of a domain for mail that comes in. An address with stars goes to a few URLs and addresses, or is kept; there is nothing to learn for it. */
import { publicId } from '#accounts/public-id.ts';
import { randomHex } from '#base/random.ts';
import { parsePath } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import { isWebUrl } from '#routes/action.ts';
import { hasReference } from '#routes/fill.ts';
import { FORWARDS_MAX } from '#routes/route-book.ts';
import type { ForwardRule } from '#store/forward-store.ts';
import type { Domain } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { isoDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { type Fields, fieldsOf, requiredField, wholeNumber } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  forwardChangeForm,
  forwardDeleted,
  forwardForm,
  forwardList,
  forwardMade,
  forwardRule,
  forwardsQuery,
} from '#api/shapes/forwards.ts';

const URLS_MAX = 3;
const RECIPIENTS_MAX = 5;
const MATCH_MAX = 320;
const URL_MAX = 2048;
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const NOT_FOUND = 'Forward not found';

export function forwards(door: Door): Endpoint[] {
  const url = '/v3/forwards';
  return [
    {
      method: 'GET',
      url,
      summary: 'List forwards',
      right: 'read',
      query: forwardsQuery,
      answer: forwardList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Add a forward',
      right: 'write',
      form: forwardForm,
      answer: forwardMade,
      handle: (call) => create(door, call),
    },
    { method: 'GET', url: `${url}/:id`, summary: 'One forward', right: 'read', answer: forwardRule, handle: (call) => one(door, call) },
    {
      method: 'PUT',
      url: `${url}/:id`,
      summary: 'Change a forward',
      right: 'write',
      form: forwardChangeForm,
      answer: forwardMade,
      handle: (call) => update(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:id`,
      summary: 'Delete a forward',
      right: 'write',
      answer: forwardDeleted,
      handle: (call) => remove(door, call),
    },
  ];
}

async function shown(door: Door, rule: ForwardRule, known?: Domain): Promise<object> {
  const domain = known ?? (await door.deps.store.accounts.domainById(rule.domainId));
  return {
    id: rule.id,
    account_id: publicId(rule.accountId),
    domain_name: domain?.name ?? '',
    domain_id: publicId(rule.domainId),
    match: rule.match,
    forward: { urls: rule.urls, recipients: rule.recipients, ...(rule.store !== undefined && { store: rule.store }) },
    created_at: isoDate(rule.createdMs),
    updated_at: isoDate(rule.updatedMs),
  };
}

type Wishes = Pick<ForwardRule, 'match' | 'urls' | 'recipients' | 'store'>;

/** What the request says, on top of what stands; everything in it is checked. */
function wishesOf(fields: Fields, before: Wishes): Wishes {
  const urls = fields.has('forward.url') ? urlsOf(fields) : before.urls;
  const recipients = fields.has('forward.recipient') ? recipientsOf(fields) : before.recipients;
  const store = fields.has('forward.store') ? storeOf(fields.get('forward.store')) : before.store;
  if (urls.length === 0 && recipients.length === 0 && store === undefined)
    throw badParameter('a forward goes somewhere: forward.url, forward.recipient or forward.store');
  return { match: matchOf(fields.get('match') ?? before.match), urls, recipients, ...(store !== undefined && { store }) };
}

function matchOf(given: string): string {
  const match = given.trim();
  const isWhole = /^[^\s@]{1,64}(?:@[^\s@]{1,253})?$/.test(match);
  if (match.length > MATCH_MAX || !isWhole || /\p{Cc}/u.test(match))
    throw badParameter('match parameter is an address, or a local part, in which * stands for any text');
  return match;
}

function urlsOf(fields: Fields): readonly string[] {
  const urls = fields.list('forward.url');
  if (urls.length > URLS_MAX) throw badParameter(`too many forward.url, max is ${URLS_MAX}`);
  return urls.map((url) => webUrl('forward.url', url));
}

function webUrl(field: string, url: string): string {
  if (url.length > URL_MAX || !isWebUrl(url) || hasReference(url)) throw badParameter(`${field} parameter is not a URL of http or https`);
  return url;
}

function recipientsOf(fields: Fields): readonly string[] {
  const recipients = fields.list('forward.recipient');
  if (recipients.length > RECIPIENTS_MAX) throw badParameter(`too many forward.recipient, max is ${RECIPIENTS_MAX}`);
  return recipients.map((text) => {
    const address = parsePath(text, { allowNull: false })?.address;
    if (address === undefined || hasReference(address)) throw new AppError('bad-address', { field: 'forward.recipient' });
    return address;
  });
}

/** Undefined: it is not kept. */
function storeOf(text: string | undefined): string | undefined {
  const flag = text === undefined ? false : readBoolean(text);
  if (flag !== undefined) return flag ? '' : undefined;
  return webUrl('forward.store', text ?? '');
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { accountId } = call.principal;
  const fields = fieldsOf(call);
  const limit = wholeNumber(fields, 'limit', 0, LIMIT_MAX) ?? LIMIT_DEFAULT;
  const skip = wholeNumber(fields, 'skip', 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const name = fields.get('domain_name');
  const domain = name === undefined ? undefined : await requiredDomain(door.deps.accounts, call.principal, name, 'Domain not found');
  const { forwards: kept } = door.deps.store;
  const [total, items] = await Promise.all([
    kept.countForwards(accountId, domain?.id),
    kept.listForwards(accountId, domain?.id, skip, limit),
  ]);
  return json({ total_count: total, items: await Promise.all(items.map((rule) => shown(door, rule, domain))) });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const domain = await requiredDomain(door.deps.accounts, call.principal, requiredField(fields, 'domain_name'), 'Domain not found');
  requiredField(fields, 'match');
  const nowMs = door.deps.clock.nowMs();
  const rule: ForwardRule = {
    id: randomHex(12),
    accountId: call.principal.accountId,
    domainId: domain.id,
    ...wishesOf(fields, { match: '', urls: [], recipients: [] }),
    createdMs: nowMs,
    updatedMs: nowMs,
  };
  if (!(await door.deps.store.forwards.createForward(rule, FORWARDS_MAX))) throw badParameter(`too many forwards, max is ${FORWARDS_MAX}`);
  door.deps.routesChanged?.(call.principal.accountId);
  return json({ ...(await shown(door, rule, domain)), message: 'Forward has been created' });
}

async function found(door: Door, call: Call): Promise<ForwardRule> {
  const rule = await door.deps.store.forwards.forwardOf(call.principal.accountId, call.param('id').toLowerCase());
  if (rule === undefined) throw new NotFound(NOT_FOUND);
  return rule;
}

async function one(door: Door, call: Call): Promise<Answer> {
  return json(await shown(door, await found(door, call)));
}

async function update(door: Door, call: Call): Promise<Answer> {
  const before = await found(door, call);
  const { id, accountId, domainId, createdMs } = before;
  const rule: ForwardRule = { id, accountId, domainId, createdMs, ...wishesOf(fieldsOf(call), before), updatedMs: door.deps.clock.nowMs() };
  if (!(await door.deps.store.forwards.changeForward(call.principal.accountId, rule))) throw new NotFound(NOT_FOUND);
  door.deps.routesChanged?.(call.principal.accountId);
  return json({ ...(await shown(door, rule)), message: 'Forward has been updated' });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const id = call.param('id').toLowerCase();
  if (!(await door.deps.store.forwards.deleteForward(call.principal.accountId, id))) throw new NotFound(NOT_FOUND);
  door.deps.routesChanged?.(call.principal.accountId);
  return json({ message: 'Forward has been deleted', id });
}
