/** Who is calling, after authentication. Every query is bound to `accountId` (P10). */
export type Role = 'admin' | 'basic' | 'developer' | 'sending';

/** The account that the first start makes operates the installation: its admin keys see what belongs to all accounts together. */
export const OPERATOR_ACCOUNT_ID = 1;

export interface Principal {
  readonly accountId: number;
  /** How they proved it. `trusted`: a client in `smtp.trusted`, without AUTH. `system`: mail we write ourselves (DSNs). `public-key`: may only ask what anybody may know. */
  readonly kind: 'account-key' | 'domain-key' | 'public-key' | 'credential' | 'trusted' | 'system';
  readonly role: Role;
  /** Set when the right is limited to one domain (domain sending keys; SMTP credentials belong to a domain too). */
  readonly domainId?: number;
  /** Public id of the API key ("f2153fd0-f1277777"), shown in events. */
  readonly keyId?: string;
  /** The person whose key it is. */
  readonly userId?: number;
  /** Set when an account acts for its subaccount `accountId`: whose key it is. */
  readonly parentId?: number;
  /** SMTP login ("user@example.org"). */
  readonly login?: string;
}
