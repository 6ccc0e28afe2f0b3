/** /v5/sandbox/auth_recipients: to whom the account's sandbox domains may send. Whoever administers the installation answers for them, so nobody is asked for consent. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { fieldOf } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { authRecipientAdded, authRecipientList, authRecipientQuery } from '#api/shapes/access.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { AUTH_RECIPIENTS_MAX } from '#accounts/subaccounts.ts';
import { parsePath } from '#mail/address.ts';
import { badParameter } from '#model/errors.ts';

export function authRecipients(door: Door): Endpoint[] {
  const { access } = door.deps.store;
  return ['/v5/sandbox/auth_recipients', '/v5/sandbox/auth/recipients'].flatMap((url): Endpoint[] => [
    {
      method: 'GET',
      url,
      summary: 'To whom sandbox domains may send',
      right: 'read',
      answer: authRecipientList,
      handle: async ({ principal }) =>
        json({ recipients: (await access.authRecipients(principal.accountId)).map(({ email }) => ({ email, activated: true })) }),
    },
    {
      method: 'POST',
      url,
      summary: 'Let sandbox domains send to an address',
      right: 'administer',
      query: authRecipientQuery,
      answer: authRecipientAdded,
      handle: (call) => add(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:email`,
      summary: 'Undo that',
      right: 'administer',
      answer: messageAnswer,
      handle: (call) => remove(door, call),
    },
  ]);
}

async function add(door: Door, call: Call): Promise<Answer> {
  const email = await door.deps.accounts.addAuthRecipient(call.principal.accountId, fieldOf(call, 'email') ?? '');
  if (email === undefined) throw badParameter(`Only ${AUTH_RECIPIENTS_MAX} sandbox recipients are allowed`);
  return json({ recipient: { email, activated: true } });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const email = parsePath(call.param('email').trim(), { allowNull: false })?.address.toLowerCase();
  const isGone = email !== undefined && (await door.deps.store.access.deleteAuthRecipient(call.principal.accountId, email));
  if (!isGone) throw badParameter('Invalid email address.');
  return json({ message: 'Sandbox recipient deleted' });
}
