/** /v1/keys: the account's API keys. A secret is shown once, when its key is made. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { zonelessDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldOf, textField } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { keyForm, keyList, keyMade, keyQuery, publicKeyMade } from '#api/shapes/access.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { idOfPublic } from '#accounts/public-id.ts';
import { badParameter } from '#model/errors.ts';
import type { ApiKey } from '#store/store.ts';

/** As clients call them, and as we do. */
const KINDS = { domain: 'domain', user: 'account', web: 'web' } as const;
const ROLES: readonly ApiKey['role'][] = ['admin', 'basic', 'developer', 'sending'];
const DESCRIPTION_MAX = 1000;
const NAME_MAX = 255;
/** A hundred years. */
const EXPIRATION_MAX_SECONDS = 3_155_760_000;
/** Keys of people at browsers do not stay. */
const WEB_SECONDS = 86_400;

export function keys(door: Door): Endpoint[] {
  const url = '/v1/keys';
  return [
    { method: 'GET', url, summary: 'List API keys', right: 'read', query: keyQuery, answer: keyList, handle: (call) => list(door, call) },
    {
      method: 'POST',
      url,
      summary: 'Make an API key; its secret is in the answer and nowhere else',
      right: 'administer',
      form: keyForm,
      answer: keyMade,
      handle: (call) => create(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:id`,
      summary: 'End an API key, within two seconds',
      right: 'administer',
      answer: messageAnswer,
      handle: (call) => remove(door, call),
    },
    {
      method: 'POST',
      url: `${url}/public`,
      summary: 'Make the public key anew, which may only ask about addresses',
      right: 'administer',
      answer: publicKeyMade,
      handle: async ({ principal }) =>
        json({
          key: await door.deps.accounts.renewPublicKey(principal.accountId),
          message: 'The public API key has been successfully regenerated.',
        }),
    },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { principal, query } = call;
  const kind = query.get('kind');
  if (kind !== undefined && !Object.hasOwn(KINDS, kind))
    throw badParameter("expected 'kind' param to be one of [domain user web] or absent");
  const wanted = kind === undefined ? undefined : KINDS[kind as keyof typeof KINDS];
  const name = query.get('domain_name')?.toLowerCase();
  const names = new Map((await door.deps.store.accounts.listDomains(principal.accountId)).map((domain) => [domain.id, domain.name]));
  const domainName = (key: ApiKey): string | undefined => (key.domainId === undefined ? undefined : names.get(key.domainId));
  const items = (await door.deps.accounts.listKeys(principal.accountId))
    .filter((key) => key.kind !== 'public' && (wanted === undefined || key.kind === wanted))
    .filter((key) => name === undefined || domainName(key) === name)
    .map((key) => shown(door, key, domainName(key)));
  return json({ total_count: items.length, items });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const { principal } = call;
  const { accounts } = door.deps;
  const domainText = fieldOf(call, 'domain_name');
  const kind = kindOf(call, domainText !== undefined);
  const role = roleOf(call, kind);
  if (kind === 'domain' && domainText === undefined) throw badParameter("'domain_name' parameter is required for a domain key");
  const domain = kind !== 'domain' ? undefined : await requiredDomain(accounts, principal, domainText ?? '', 'Domain not found');
  const seconds = expirationOf(call) ?? (kind === 'web' ? WEB_SECONDS : undefined);
  const userId = await userOf(door, call);
  const userName = textField(call, 'user_name', NAME_MAX) ?? textField(call, 'email', NAME_MAX);
  const { key, secret } = await accounts.createKey({
    accountId: principal.accountId,
    ...(domain === undefined ? { kind: kind === 'web' ? 'web' : 'account' } : { domainId: domain.id }),
    role,
    description: textField(call, 'description', DESCRIPTION_MAX) ?? '',
    ...(seconds !== undefined && { expiresAtMs: door.deps.clock.nowMs() + seconds * 1000 }),
    ...(userName !== undefined && { userName }),
    ...(principal.keyId !== undefined && { requestor: principal.keyId }),
    ...(userId !== undefined && { userId }),
  });
  return json({ message: 'great success', key: { ...shown(door, key, domain?.name), secret } });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const isGone = await door.deps.accounts.revokeKey(call.principal.accountId, call.param('id').slice(0, NAME_MAX));
  if (!isGone) throw new NotFound('no key matching id');
  return json({ message: 'key deleted' });
}

function kindOf(call: Call, hasDomain: boolean): keyof typeof KINDS {
  const kind = fieldOf(call, 'kind') ?? (hasDomain ? 'domain' : 'user');
  if (!Object.hasOwn(KINDS, kind)) throw badParameter("expected 'kind' param to be one of [domain user web] or absent");
  return kind as keyof typeof KINDS;
}

function roleOf(call: Call, kind: keyof typeof KINDS): ApiKey['role'] {
  const given = fieldOf(call, 'role');
  if (given === undefined) throw badParameter("'role' parameter is required");
  const role = ROLES.find((known) => known === given);
  if (role === undefined) throw badParameter(`expected 'role' param to be one of [${ROLES.join(' ')}]`);
  if (kind === 'domain' && role !== 'sending') throw badParameter("a domain key has the role 'sending'");
  return role;
}

/** Seconds from now; 0 is never. */
function expirationOf(call: Call): number | undefined {
  const text = fieldOf(call, 'expiration');
  if (text === undefined) return undefined;
  const seconds = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= EXPIRATION_MAX_SECONDS)) throw badParameter("'expiration' parameter is not a number of seconds");
  return seconds === 0 ? undefined : seconds;
}

/** A key that is somebody's ends with them. */
async function userOf(door: Door, call: Call): Promise<number | undefined> {
  const text = fieldOf(call, 'user_id');
  if (text === undefined) return undefined;
  const id = idOfPublic(text);
  const user = id === undefined ? undefined : await door.deps.store.access.userById(id);
  if (user?.accountId !== call.principal.accountId) throw badParameter("'user_id' parameter names no user of the account");
  return user.id;
}

/** A date that is not there is left out, because clients with typed dates stumble over null; a name that is not there is null. */
function shown(door: Door, key: ApiKey, domainName: string | undefined): Record<string, unknown> {
  const isOver = key.expiresAtMs !== undefined && key.expiresAtMs <= door.deps.clock.nowMs();
  return {
    id: key.id,
    description: key.description,
    kind: key.kind === 'account' ? 'user' : key.kind,
    role: key.role,
    created_at: zonelessDate(key.createdMs),
    updated_at: zonelessDate(key.createdMs),
    ...(key.expiresAtMs !== undefined && { expires_at: zonelessDate(key.expiresAtMs) }),
    ...(key.lastUsedMs !== undefined && { last_used_at: zonelessDate(key.lastUsedMs) }),
    is_disabled: isOver,
    ...(isOver && { disabled_reason: 'expired' }),
    domain_name: domainName ?? null,
    requestor: key.requestor ?? null,
    user_name: key.userName ?? null,
  };
}
