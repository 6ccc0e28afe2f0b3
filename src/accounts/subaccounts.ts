/**
 * Subaccounts, and what an account may be and may do. A subaccount is an account like others, with a parent that may act for it; it stands only while its parent does.
 * What is changed here holds on this node at once and on others within two seconds.
 */
import type { Clock } from '#base/clock.ts';
import { canonicalNetwork } from '#base/networks.ts';
import { parsePath } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { AccessStore, AccountChange, AccountFacts, AllowedNetwork } from '#store/access-store.ts';
import type { Standings } from './standing.ts';

const SUBACCOUNTS_MAX = 5000;
const NETWORKS_MAX = 500;
export const AUTH_RECIPIENTS_MAX = 5;
const DESCRIPTION_MAX = 255;

export interface Subaccounts {
  /** undefined: the parent has as many as it may have. */
  createSubaccount(parentId: number, name: string): Promise<AccountFacts | undefined>;
  /** undefined: the account has no such subaccount. */
  subaccountOf(parentId: number, id: number): Promise<AccountFacts | undefined>;
  changeAccount(id: number, change: AccountChange): Promise<AccountFacts | undefined>;
  /** Where the account may be used from; throws AppError 'bad-parameter' for what is no network. */
  allowNetwork(accountId: number, network: string, description: string): Promise<void>;
  /** False: it was not among them. */
  disallowNetwork(accountId: number, network: string): Promise<boolean>;
  networksOf(accountId: number): Promise<AllowedNetwork[]>;
  /** Why it may not send now; undefined: it may. As it stood a moment ago at most. */
  sendingRefusal(accountId: number): Promise<AppError | undefined>;
  /** A sandbox domain of the account may send to all of these addresses. */
  maySandboxSendTo(accountId: number, addresses: readonly string[]): Promise<boolean>;
  /** False: there are as many as there may be. Throws AppError 'bad-parameter' for what is no address. */
  addAuthRecipient(accountId: number, email: string): Promise<string | undefined>;
}

export function createSubaccounts(access: AccessStore, standings: Standings, clock: Clock): Subaccounts {
  const subaccountOf = async (parentId: number, id: number): Promise<AccountFacts | undefined> => {
    const facts = await access.accountFacts(id);
    return facts?.parentId === parentId ? facts : undefined;
  };
  return {
    createSubaccount: (parentId, given) => access.createSubaccount(parentId, accountName(given), clock.nowMs(), SUBACCOUNTS_MAX),
    subaccountOf,
    async changeAccount(id, change) {
      const name = change.name === undefined ? undefined : accountName(change.name);
      const changed = await access.changeAccount(id, { ...change, ...(name !== undefined && { name }) }, clock.nowMs());
      standings.forgetStandings();
      return changed;
    },
    async allowNetwork(accountId, given, description) {
      const network = canonicalNetwork(given.trim());
      if (network === undefined) throw badParameter('Invalid IP Address or CIDR');
      if (description.length > DESCRIPTION_MAX || /\p{Cc}/u.test(description))
        throw badParameter(`The description has at most ${DESCRIPTION_MAX} characters, without control characters`);
      const isKept = await access.putNetwork(accountId, { network, description, createdMs: clock.nowMs() }, NETWORKS_MAX);
      if (!isKept) throw badParameter(`An account has at most ${NETWORKS_MAX} allowed networks`);
      standings.forgetStandings();
    },
    async disallowNetwork(accountId, given) {
      const network = canonicalNetwork(given.trim());
      const wasThere = network !== undefined && (await access.deleteNetwork(accountId, network));
      standings.forgetStandings();
      return wasThere;
    },
    networksOf: (accountId) => access.networksOf(accountId),
    async sendingRefusal(accountId) {
      const standing = await standings.standingOf(accountId);
      if (standing?.isOpen !== true) return new AppError('account-disabled');
      return standing.features['sending'] === false ? new AppError('sending-disabled') : undefined;
    },
    async maySandboxSendTo(accountId, addresses) {
      const allowed = new Set((await access.authRecipients(accountId)).map(({ email }) => email));
      return addresses.every((address) => allowed.has(address.toLowerCase()));
    },
    async addAuthRecipient(accountId, given) {
      const email = parsePath(given.trim(), { allowNull: false })?.address.toLowerCase();
      if (email === undefined) throw badParameter('Invalid email address.');
      const isKept = await access.putAuthRecipient(accountId, { email, createdMs: clock.nowMs() }, AUTH_RECIPIENTS_MAX);
      return isKept ? email : undefined;
    },
  };
}

const NAME_MAX = 100;

/** What an account may be called. */
export function accountName(given: string): string {
  const name = given.trim();
  if (name === '' || name.length > NAME_MAX || /\p{Cc}/u.test(name)) {
    throw badParameter(`An account's name has 1 to ${NAME_MAX} characters, without control characters`);
  }
  return name;
}
