/** /v4/domains/{domain}/keys: which DKIM keys of a domain sign. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { keyJson } from '#api/conventions/domain-json.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { domainKeyState, domainKeyList } from '#api/shapes/domain-keys.ts';

export function domainKeys(door: Door): Endpoint[] {
  const url = '/v4/domains/:domain/keys';
  return [
    { method: 'GET', url, summary: 'DKIM keys of a domain', right: 'read', answer: domainKeyList, handle: (call) => list(door, call) },
    {
      method: 'PUT',
      url: `${url}/:selector/activate`,
      summary: 'Sign with a DKIM key',
      right: 'write',
      answer: domainKeyState,
      handle: (call) => set(door, call, true),
    },
    {
      method: 'PUT',
      url: `${url}/:selector/deactivate`,
      summary: 'Sign no longer with a DKIM key',
      right: 'write',
      answer: domainKeyState,
      handle: (call) => set(door, call, false),
    },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const keys = await door.deps.accounts.domainKeys(domain);
  return json({ items: keys.map((key) => keyJson(domain, key)) });
}

async function set(door: Door, call: Call, active: boolean): Promise<Answer> {
  const { accounts } = door.deps;
  const domain = await domainOf(door, call);
  const selector = call.param('selector');
  const key = active ? await accounts.activateKey(domain, selector) : await accounts.deactivateKey(domain, selector);
  if (key === undefined) throw new NotFound('domain key not found');
  return json({ message: `domain key ${active ? '' : 'de'}activated`, authority: domain.name, selector: key.selector, active });
}
