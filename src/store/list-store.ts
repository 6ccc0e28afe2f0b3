/** Mailing lists and their members. Addresses are in lower case. A list belongs to one account; its address is nobody else's. */
import type { Row } from './rows-json.ts';
import type { PageAsk } from './suppression-store.ts';

export interface MailingList {
  readonly id: number;
  readonly accountId: number;
  readonly address: string;
  readonly name: string;
  readonly description: string;
  readonly accessLevel: 'readonly' | 'members' | 'everyone';
  readonly replyPreference: 'list' | 'sender';
  readonly createdMs: number;
  readonly membersCount: number;
}

export type ListFacts = Omit<MailingList, 'id' | 'membersCount'>;

export interface ListMember {
  readonly address: string;
  readonly name: string;
  readonly vars: Readonly<Record<string, unknown>>;
  readonly isSubscribed: boolean;
}

/** Either: those alone that are, or are not, subscribed. Absent: all. */
export type MemberAsk = PageAsk & { readonly isSubscribed?: boolean };

export interface ListStore {
  /** Undefined: the address is taken. */
  createList(list: ListFacts): Promise<MailingList | undefined>;
  listByAddress(accountId: number, address: string): Promise<MailingList | undefined>;
  /** False: its new address is taken. */
  changeList(id: number, list: ListFacts): Promise<boolean>;
  /** Its members must be gone before. */
  deleteList(id: number): Promise<void>;
  listPage(accountId: number, ask: PageAsk): Promise<MailingList[]>;
  listsFrom(accountId: number, skip: number, limit: number): Promise<MailingList[]>;
  countLists(accountId: number): Promise<number>;
  /** Receiving domains that have a list, of all accounts. */
  listDomains(): Promise<string[]>;

  /** One transaction. With `isUpsert` members that exist are replaced; otherwise one that exists makes all of it nothing, and is answered. */
  putMembers(list: number, members: readonly ListMember[], isUpsert: boolean): Promise<string | undefined>;
  memberOf(list: number, address: string): Promise<ListMember | undefined>;
  /** Takes the place of the member with this address. False: there is none, or the new address is another's. */
  changeMember(list: number, address: string, member: ListMember): Promise<boolean>;
  /** False: there is none. */
  setSubscribed(list: number, address: string, isSubscribed: boolean): Promise<boolean>;
  deleteMember(list: number, address: string): Promise<boolean>;
  /** At most `limit`; resolves to how many. */
  clearMembers(list: number, limit: number): Promise<number>;
  memberPage(list: number, ask: MemberAsk): Promise<ListMember[]>;
  membersFrom(list: number, isSubscribed: boolean | undefined, skip: number, limit: number): Promise<ListMember[]>;
  countMembers(list: number, isSubscribed: boolean | undefined): Promise<number>;
}

export function listOf(row: Row): MailingList {
  return {
    id: Number(row['id']),
    accountId: Number(row['account_id']),
    address: String(row['address']),
    name: String(row['name']),
    description: String(row['description']),
    accessLevel: row['access_level'] as MailingList['accessLevel'],
    replyPreference: row['reply_preference'] as MailingList['replyPreference'],
    createdMs: Number(row['created_ms']),
    membersCount: Number(row['members_count']),
  };
}

export function memberOf(row: Row): ListMember {
  return {
    address: String(row['address']),
    name: String(row['name']),
    vars: JSON.parse(String(row['vars'])) as ListMember['vars'],
    isSubscribed: row['is_subscribed'] === 1,
  };
}

export function domainOfList(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}
