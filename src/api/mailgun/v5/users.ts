/** /v5/users: the people of an account. They are added by the operator (`postrider user add`); a key that is somebody's is told whose. */
import { idOfPublic, publicId } from '#accounts/public-id.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { countOf } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { user, userList, userQuery } from '#api/shapes/access.ts';
import { AppError } from '#model/errors.ts';
import type { User } from '#store/access-store.ts';

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 1000;

export function users(door: Door): Endpoint[] {
  const url = '/v5/users';
  return [
    {
      method: 'GET',
      url,
      summary: 'People of the account',
      right: 'administer',
      query: userQuery,
      answer: userList,
      handle: (call) => list(door, call),
    },
    { method: 'GET', url: `${url}/me`, summary: 'Whose the key is', right: 'read', answer: user, handle: (call) => me(door, call) },
    {
      method: 'GET',
      url: `${url}/:id`,
      summary: 'One of the people',
      right: 'administer',
      answer: user,
      handle: (call) => one(door, call),
    },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const limit = countOf(call, 'limit', LIMIT_DEFAULT, LIMIT_MAX) || LIMIT_DEFAULT;
  const skip = countOf(call, 'skip', 0);
  const role = call.query.get('role');
  const all = (await door.deps.store.access.listUsers(call.principal.accountId)).filter(
    (found) => role === undefined || found.role === role,
  );
  return json({ users: all.slice(skip, skip + limit).map(shown), total: all.length });
}

async function me(door: Door, { principal }: Call): Promise<Answer> {
  const found = principal.userId === undefined ? undefined : await door.deps.store.access.userById(principal.userId);
  if (found === undefined) throw new AppError('no-users-key');
  return json(shown(found));
}

async function one(door: Door, { principal, param }: Call): Promise<Answer> {
  const id = idOfPublic(param('id'));
  const found = id === undefined ? undefined : await door.deps.store.access.userById(id);
  if (found === undefined || found.accountId !== principal.accountId) throw new NotFound('No such user exists');
  return json(shown(found));
}

function shown(found: User): Record<string, unknown> {
  const at = found.email.lastIndexOf('@');
  return {
    id: publicId(found.id),
    activated: true,
    name: found.name,
    is_disabled: found.isDisabled,
    email: found.email,
    email_details: {
      address: found.email,
      is_valid: true,
      reason: '',
      parts: { domain: found.email.slice(at + 1), local_part: found.email.slice(0, at), display_name: found.name },
    },
    role: found.role,
    account_id: publicId(found.accountId),
    opened_ip: '',
    is_master: found.isMaster,
    metadata: {},
    tfa_enabled: false,
    tfa_active: false,
    preferences: { time_zone: 'UTC', time_format: '24', programming_language: '' },
    auth: { method: 'key' },
    migration_status: '',
  };
}
