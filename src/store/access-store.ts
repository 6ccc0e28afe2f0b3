/**
 * Who may come in, as the other rooms see it: subaccounts, people, networks, and what an account is allowed. Part of the store's contract (store.ts), which says what
 * holds for all of it. Every list is bounded by what the caller may add (`max`).
 */
import type { Account, ApiKey } from './store.ts';

/** open: as usual. disabled: nobody comes in until it is opened again. closed: for good. */
export type AccountStatus = 'open' | 'disabled' | 'closed';

/** What an account is allowed; absent: as an account is that nothing was said of. */
export type Features = Readonly<Record<string, boolean>>;
export type AccountSettings = Readonly<Record<string, string | number>>;

export interface AccountFacts extends Account {
  readonly parentId?: number;
  readonly updatedMs: number;
  readonly status: AccountStatus;
  /** Why it was disabled. */
  readonly reason: string;
  readonly features: Features;
  readonly settings: AccountSettings;
}

/** What is absent stays as it is. Features and settings are added to those that stand. */
export type AccountChange = Partial<Pick<AccountFacts, 'name' | 'status' | 'reason' | 'features' | 'settings'>>;

export interface AllowedNetwork {
  /** "192.0.2.0/24", or one address. */
  readonly network: string;
  readonly description: string;
  readonly createdMs: number;
}

export interface AuthRecipient {
  /** Lower case. */
  readonly email: string;
  readonly createdMs: number;
}

export interface User {
  readonly id: number;
  readonly accountId: number;
  /** Lower case. */
  readonly email: string;
  readonly name: string;
  readonly role: Exclude<ApiKey['role'], 'sending'>;
  readonly isDisabled: boolean;
  /** The account's own; it has one at most. */
  readonly isMaster: boolean;
  readonly createdMs: number;
}

export interface AccessStore {
  accountFacts(id: number): Promise<AccountFacts | undefined>;
  /** undefined: the parent has `max` that are not closed. */
  createSubaccount(parentId: number, name: string, nowMs: number, max: number): Promise<AccountFacts | undefined>;
  /** In the order they were made, closed ones too. */
  listSubaccounts(parentId: number): Promise<AccountFacts[]>;
  /** undefined: there is no such account. */
  changeAccount(id: number, change: AccountChange, nowMs: number): Promise<AccountFacts | undefined>;

  /** Sealed, in base64. */
  signingKey(accountId: number): Promise<string | undefined>;
  /** `isNew`: replaces the one that stands. Resolves to the one that stands then. */
  putSigningKey(accountId: number, sealed: string, isNew: boolean): Promise<string>;

  /** The key was used; a time before the one that stands changes nothing. */
  touchKey(id: string, atMs: number): Promise<void>;
  /** Keys of that kind of the account go. */
  deleteKeysOfKind(accountId: number, kind: ApiKey['kind']): Promise<number>;

  /** undefined: the account has a user with this email. */
  createUser(user: Omit<User, 'id'>): Promise<User | undefined>;
  userById(id: number): Promise<User | undefined>;
  listUsers(accountId: number): Promise<User[]>;
  setUserDisabled(accountId: number, id: number, isDisabled: boolean): Promise<boolean>;

  networksOf(accountId: number): Promise<AllowedNetwork[]>;
  /** Adds it, or replaces the description; false: it would be more than `max`. */
  putNetwork(accountId: number, network: AllowedNetwork, max: number): Promise<boolean>;
  deleteNetwork(accountId: number, network: string): Promise<boolean>;

  authRecipients(accountId: number): Promise<AuthRecipient[]>;
  /** False: it would be more than `max`. */
  putAuthRecipient(accountId: number, recipient: AuthRecipient, max: number): Promise<boolean>;
  deleteAuthRecipient(accountId: number, email: string): Promise<boolean>;

  /** Of a login of the domain; false: there is none. */
  setCredentialDisabled(domainId: number, login: string, isDisabled: boolean): Promise<boolean>;
  /** Those that are not the system's; resolves to how many. */
  deleteCredentials(domainId: number): Promise<number>;
}
