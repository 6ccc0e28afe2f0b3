/** The keys that an account's webhooks and its alerts are signed with: each is made when it is asked for first, kept sealed, the same for all nodes. */
import { randomBytes } from 'node:crypto';
import type { AccessStore } from '#store/access-store.ts';
import type { AlertStore } from '#store/alert-store.ts';
import type { InstanceSecret } from './instance-secret.ts';

const KEY_BYTES = 16;

export interface WebhookKeys {
  /** 32 hexadecimal digits. */
  webhookKey(accountId: number): Promise<string>;
  /** The former one signs nothing any more. */
  renewWebhookKey(accountId: number): Promise<string>;
}

export interface AlertKeys {
  alertKey(accountId: number): Promise<string>;
  renewAlertKey(accountId: number): Promise<string>;
}

export function createWebhookKeys(store: AccessStore, secret: InstanceSecret): WebhookKeys {
  const { keyOf, renew } = signingKeys(secret, 'webhook signing key', store.signingKey, store.putSigningKey);
  return { webhookKey: keyOf, renewWebhookKey: renew };
}

export function createAlertKeys(store: Pick<AlertStore, 'alertKey' | 'putAlertKey'>, secret: InstanceSecret): AlertKeys {
  const { keyOf, renew } = signingKeys(secret, 'alert signing key', store.alertKey, store.putAlertKey);
  return { alertKey: keyOf, renewAlertKey: renew };
}

function signingKeys(
  secret: InstanceSecret,
  name: string,
  sealedKey: (accountId: number) => Promise<string | undefined>,
  put: (accountId: number, sealed: string, isNew: boolean) => Promise<string>,
) {
  const context = (accountId: number): string => `${name} of account ${accountId}`;
  const open = (accountId: number, sealed: string): string =>
    secret.unseal(Buffer.from(sealed, 'base64'), context(accountId)).toString('utf8');
  const make = (accountId: number): string =>
    secret.seal(Buffer.from(randomBytes(KEY_BYTES).toString('hex')), context(accountId)).toString('base64');
  return {
    async keyOf(accountId: number): Promise<string> {
      const sealed = (await sealedKey(accountId)) ?? (await put(accountId, make(accountId), false));
      return open(accountId, sealed);
    },
    renew: async (accountId: number): Promise<string> => open(accountId, await put(accountId, make(accountId), true)),
  };
}
