/** /v5/accounts/http_signing_key: the key that the account's webhooks are signed with. It is no API key. */
import { json } from '#api/conventions/answer.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { signingKey } from '#api/shapes/access.ts';

export function httpSigningKey(door: Door): Endpoint[] {
  const { accounts } = door.deps;
  // The Python client makes slashes of underscores in names that it does not know.
  return ['/v5/accounts/http_signing_key', '/v5/accounts/http/signing/key'].flatMap((url): Endpoint[] => [
    {
      method: 'GET',
      url,
      summary: "The key that the account's webhooks are signed with",
      right: 'write',
      answer: signingKey,
      handle: async ({ principal }) => json({ message: 'success', http_signing_key: await accounts.webhookKey(principal.accountId) }),
    },
    {
      method: 'POST',
      url,
      summary: 'Make that key anew',
      right: 'administer',
      answer: signingKey,
      async handle({ principal }) {
        const key = await accounts.renewWebhookKey(principal.accountId);
        door.deps.webhooksChanged?.();
        return json({ message: 'success', http_signing_key: key });
      },
    },
  ]);
}
