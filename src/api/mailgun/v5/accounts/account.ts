/** PUT /v5/accounts: the account's name, and what its people at browsers may wish. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { fieldOf, textField } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { accountQuery } from '#api/shapes/access.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { badParameter } from '#model/errors.ts';

const NAME_MAX = 100;
const URL_MAX = 2000;
const TIMEOUT_MAX_SECONDS = 31_536_000;
const NOTHING = "Either 'name', 'absolute_timeout', 'inactive_timeout', or 'logout_redirect_url' must be provided to update account info.";

export function account(door: Door): Endpoint[] {
  return [
    {
      method: 'PUT',
      url: '/v5/accounts',
      summary: 'Change the name of the account, and the settings of its sessions',
      right: 'administer',
      query: accountQuery,
      answer: messageAnswer,
      handle: (call) => update(door, call),
    },
  ];
}

async function update(door: Door, call: Call): Promise<Answer> {
  const name = textField(call, 'name', NAME_MAX);
  const settings: Record<string, string | number> = {};
  for (const field of ['inactive_session_timeout', 'absolute_session_timeout']) {
    const text = fieldOf(call, field);
    if (text === undefined) continue;
    if (!/^\d{1,8}$/.test(text) || Number(text) > TIMEOUT_MAX_SECONDS)
      throw badParameter(`'${field}' parameter is not a number of seconds`);
    settings[field] = Number(text);
  }
  const redirect = textField(call, 'logout_redirect_url', URL_MAX);
  if (redirect !== undefined) {
    if (!/^https?:$/.test(URL.parse(redirect)?.protocol ?? '')) throw badParameter("'logout_redirect_url' parameter is not a URL");
    settings['logout_redirect_url'] = redirect;
  }
  if (name === undefined && Object.keys(settings).length === 0) throw badParameter(NOTHING);
  await door.deps.accounts.changeAccount(call.principal.accountId, { ...(name !== undefined && { name }), settings });
  return json({ message: 'Account info has been updated' });
}
