/**
 * Which servers outside are told which events: of one domain, or of the account, for all of its domains. A set is small (the API bounds it) and is read and written whole,
 * under a revision, so that of two who change it at once the second sees what the first did.
 */

/** By the names of the API. */
export const WEBHOOK_EVENTS = [
  'accepted',
  'delivered',
  'opened',
  'clicked',
  'unsubscribed',
  'complained',
  'temporary_fail',
  'permanent_fail',
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

export interface Webhook {
  /** 24 hexadecimal digits. */
  readonly id: string;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  readonly description: string;
  readonly createdMs: number;
}

export interface WebhookSet {
  /** Grows with each change; 0: there never was one. */
  readonly revision: number;
  readonly webhooks: readonly Webhook[];
}

/** In place of a domain: those of the account. */
export const ACCOUNT_WEBHOOKS = 0;

export interface WebhookStore {
  webhooksOf(accountId: number, domainId: number): Promise<WebhookSet>;
  /** In place of the set with that revision. False: it is not the set's any more. */
  putWebhooks(accountId: number, domainId: number, revision: number, webhooks: readonly Webhook[]): Promise<boolean>;
}
