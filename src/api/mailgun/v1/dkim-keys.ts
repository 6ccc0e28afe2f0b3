/** /v1/dkim/keys: the DKIM keys of all domains of the account, in the order of (domain, selector). */
import { Buffer } from 'node:buffer';
import { KEY_BITS } from '#accounts/chosen-keys.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { keyJson } from '#api/conventions/domain-json.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, requiredField, wholeNumber } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { domainKey, domainKeyDelete, domainKeyForm, domainKeyPage, domainKeyQuery } from '#api/shapes/domain-keys.ts';
import { badParameter } from '#model/errors.ts';
import type { DkimKey, Domain } from '#store/store.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

export function dkimKeys(door: Door): Endpoint[] {
  const url = '/v1/dkim/keys';
  return [
    {
      method: 'GET',
      url,
      summary: 'DKIM keys of all domains',
      right: 'read',
      query: domainKeyQuery,
      answer: domainKeyPage,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Make or import a DKIM key',
      right: 'write',
      form: domainKeyForm,
      answer: domainKey,
      handle: (call) => create(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Delete a DKIM key',
      right: 'write',
      query: domainKeyDelete,
      answer: messageAnswer,
      handle: (call) => remove(door, call),
    },
  ];
}

// ---- list ------------------------------------------------------------------------------------------------------------

/** Where a page begins: after this key, or before it. */
interface Place {
  readonly way: 'after' | 'before' | 'last';
  readonly domain: string;
  readonly selector: string;
}

interface Owned {
  readonly domain: Domain;
  readonly key: DkimKey;
}

async function list(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const limit = Math.min(wholeNumber(fields, 'limit', 1, 999_999_999) ?? LIMIT_DEFAULT, LIMIT_MAX);
  const place = placeOf(call.query.get('page'));
  const signing = fields.get('signing_domain')?.toLowerCase();
  const selector = fields.get('selector')?.toLowerCase();
  const all = (await door.deps.store.accounts.listDomains(call.principal.accountId))
    .filter(({ name }) => signing === undefined || name === signing)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const found = await pageOf(door, all, place, limit, selector);
  return json({ items: found.map(({ domain, key }) => keyJson(domain, key)), paging: paging(call, found, place) });
}

/** Only as many domains are asked for their keys as the page needs. */
async function pageOf(
  door: Door,
  all: readonly Domain[],
  place: Place | undefined,
  limit: number,
  selector: string | undefined,
): Promise<Owned[]> {
  const isBack = place?.way === 'before' || place?.way === 'last';
  const found: Owned[] = [];
  for (const domain of isBack ? all.toReversed() : all) {
    if (found.length >= limit) break;
    if (place?.way === 'after' && domain.name < place.domain) continue;
    if (place?.way === 'before' && domain.name > place.domain) continue;
    const keys = (await door.deps.accounts.domainKeys(domain)).toSorted((a, b) => (a.selector < b.selector ? -1 : 1));
    for (const key of isBack ? keys.toReversed() : keys) {
      if (selector !== undefined && key.selector !== selector) continue;
      if (found.length < limit && isBeyond(place, domain.name, key.selector)) found.push({ domain, key });
    }
  }
  return isBack ? found.toReversed() : found;
}

function isBeyond(place: Place | undefined, domain: string, selector: string): boolean {
  if (place === undefined || place.way === 'last' || domain !== place.domain) return true;
  return place.way === 'after' ? selector > place.selector : selector < place.selector;
}

function paging(call: Call, found: readonly Owned[], place: Place | undefined): Record<string, string> {
  const url = (token: string): string => {
    const query = new URLSearchParams(
      call.query.pairs.filter(([name, value]) => name !== 'page' && value !== '').map(([name, value]) => [name, value]),
    );
    if (token !== '') query.set('page', token);
    return `${call.publicUrl}/v1/dkim/keys${query.size > 0 ? `?${query}` : ''}`;
  };
  const at = (way: Place['way'], owned: Owned | undefined): string =>
    owned === undefined ? tokenOf(place) : tokenOf({ way, domain: owned.domain.name, selector: owned.key.selector });
  return {
    previous: url(at('before', found[0])),
    first: url(''),
    next: url(at('after', found.at(-1))),
    last: url(tokenOf({ way: 'last', domain: '', selector: '' })),
  };
}

function tokenOf(place: Place | undefined): string {
  return place === undefined ? '' : Buffer.from(`${place.way} ${place.domain} ${place.selector}`).toString('base64url');
}

function placeOf(token: string | undefined): Place | undefined {
  if (token === undefined) return undefined;
  const [way, domain, selector, more] = Buffer.from(token.slice(0, 1000), 'base64url').toString('utf8').split(' ');
  const isWay = way === 'after' || way === 'before' || way === 'last';
  if (!isWay || domain === undefined || selector === undefined || more !== undefined) throw badParameter('page parameter is not valid');
  return { way, domain, selector };
}

// ---- one -------------------------------------------------------------------------------------------------------------

async function create(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const name = requiredField(fields, 'signing_domain');
  const selector = requiredField(fields, 'selector');
  const bits = wholeNumber(fields, 'bits', 0, 65_536);
  if (bits !== undefined && !KEY_BITS.some((each) => each === bits))
    throw badParameter(`'bits' parameter is one of ${KEY_BITS.join(', ')}`);
  // A client sends the file, and beside it a field of that name with what its language prints of the file.
  const pem = call.body.form.filesNamed('pem')[0]?.bytes.toString('utf8') ?? fields.get('pem');
  const domain = await requiredDomain(door.deps.accounts, call.principal, name, 'Domain not found');
  const key = await door.deps.accounts.addKey(domain, { selector, ...(bits !== undefined && { bits }), ...(pem !== undefined && { pem }) });
  return json(keyJson(domain, key));
}

/** One client sends its parameters as the text that its language prints of them. */
const PRINTED = (name: string): RegExp => new RegExp(`:?"?${name}"?\\s*(?:=>|:)\\s*"([^"]{1,255})"`);

async function remove(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const printed = call.query.get('params') ?? '';
  const named = (name: string): string => fields.get(name) ?? PRINTED(name).exec(printed)?.[1] ?? requiredField(fields, name);
  const [name, selector] = [named('signing_domain'), named('selector')];
  const domain = await requiredDomain(door.deps.accounts, call.principal, name, 'domain key not found');
  if ((await door.deps.accounts.deleteKeyOf(domain, selector)) === undefined) throw new NotFound('domain key not found');
  return json({ message: 'success' });
}
