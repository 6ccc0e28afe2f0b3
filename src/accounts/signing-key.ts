/** The key that an account's webhooks are signed with: made when it is asked for first, kept sealed, the same for all nodes. */
import { randomBytes } from 'node:crypto';
import type { AccessStore } from '#store/access-store.ts';
import type { InstanceSecret } from './instance-secret.ts';

const KEY_BYTES = 16;

export interface WebhookKeys {
  /** 32 hexadecimal digits. */
  webhookKey(accountId: number): Promise<string>;
  /** The former one signs nothing any more. */
  renewWebhookKey(accountId: number): Promise<string>;
}

export function createWebhookKeys(store: AccessStore, secret: InstanceSecret): WebhookKeys {
  const context = (accountId: number): string => `webhook signing key of account ${accountId}`;
  const open = (accountId: number, sealed: string): string =>
    secret.unseal(Buffer.from(sealed, 'base64'), context(accountId)).toString('utf8');
  const make = (accountId: number): string =>
    secret.seal(Buffer.from(randomBytes(KEY_BYTES).toString('hex')), context(accountId)).toString('base64');
  return {
    async webhookKey(accountId) {
      const sealed = (await store.signingKey(accountId)) ?? (await store.putSigningKey(accountId, make(accountId), false));
      return open(accountId, sealed);
    },
    renewWebhookKey: async (accountId) => open(accountId, await store.putSigningKey(accountId, make(accountId), true)),
  };
}
